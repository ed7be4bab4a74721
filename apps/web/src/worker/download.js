/** Files by URL: their bytes counted as they come, and those of a bundle compared with the hash that its index gives. */

import { AppError, messageOf, NOT_DOWNLOADED } from '../core/errors.js';
import { PACKED, unpack } from '../core/gzip.js';
import { sha256 } from '../core/sha256.js';

/**
 * A file of a bundle, and how it is handed out where that is not as it is.
 * @typedef {{ bytes: number, sha256: string, packed?: { bytes: number, sha256: string } }} ServedFile
 * @typedef {{ base: string, files: Record<string, ServedFile> }} Served
 */

/** Several downloads as one count of bytes. */
export class Tally {
  /** @param {(done: number, total: number) => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.done = 0;
    this.total = 0;
  }

  /** @param {number} bytes that will be fetched, too */
  expect(bytes) {
    this.total += bytes;
  }

  /** @param {number} bytes that have come */
  add(bytes) {
    this.done += bytes;
    this.changed(this.done, this.total);
  }
}

/**
 * @param {Served} served
 * @param {Tally} tally
 * @returns {import('../core/bundle.js').Source}
 */
export function sourceOfUrl({ base, files }, tally) {
  for (const { bytes, packed } of Object.values(files)) tally.expect((packed ?? { bytes }).bytes);
  const read = async (/** @type {string} */ name) => {
    const { bytes: length, packed } = files[name];
    const fetched = packed ?? files[name];
    const bytes = await download(addressOf(base, name, files[name]), name, fetched.bytes, tally);
    if ((await sha256(bytes)) !== fetched.sha256) {
      throw new AppError(`${name} is not the file that was served before (its SHA-256 differs)`, 'Reload the page.', 'hash-differs');
    }
    return packed ? unpack(bytes, name, length) : bytes;
  };
  return { sizes: new Map(Object.entries(files).map(([name, { bytes }]) => [name, bytes])), read };
}

/**
 * Where a bundle's file is fetched from.
 * @param {string} base
 * @param {string} name
 * @param {ServedFile} file
 */
export function addressOf(base, name, file) {
  return file.packed ? fileUrl(base, name + PACKED, file.packed.sha256) : fileUrl(base, name, file.sha256);
}

/**
 * A file's address; its hash belongs to it, so that a cache can never give an older one.
 * @param {string} base
 * @param {string} name
 * @param {string} hash
 */
export function fileUrl(base, name, hash) {
  return `${new URL(name.split('/').map(encodeURIComponent).join('/'), base).href}?sha256=${hash}`;
}

/**
 * @param {string} url
 * @param {string} name
 * @returns {Promise<Response>} with a body
 * @throws {AppError} not downloaded; or the service worker says that it is another file
 */
export async function fetched(url, name) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw notDownloaded(name, messageOf(error));
  }
  if (response.ok && response.body) return response;
  const said = (await response.text()).trim().slice(0, 100);
  if (/SHA-256/.test(said)) throw new AppError(`${name} cannot be fetched (HTTP ${response.status}, ${said})`, 'Reload the page.', 'hash-differs');
  throw notDownloaded(name, `HTTP ${response.status}, ${said}`);
}

/**
 * @param {string} name
 * @param {string} why
 */
export function notDownloaded(name, why) {
  return new AppError(`${name} cannot be fetched (${why})`, 'Is the server running? Then reload the page.', NOT_DOWNLOADED);
}

/**
 * @param {string} url
 * @param {string} name
 * @param {number} length
 * @param {Tally} tally
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function download(url, name, length, tally) {
  const { body } = await fetched(url, name);
  const bytes = new Uint8Array(length);
  let done = 0;
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (body).getReader();
  for (;;) {
    const { value, done: ended } = await reader.read().catch((error) => {
      throw notDownloaded(name, messageOf(error));
    });
    if (ended) break;
    if (done + value.length > length) throw new AppError(`${name} is longer than it should be`, 'Reload the page.');
    bytes.set(value, done);
    done += value.length;
    tally.add(value.length);
  }
  return done === length ? bytes : bytes.slice(0, done);
}
