/** Files of a bundle by URL: with progress, and each compared with the hash that the index of bundles gives. */

import { AppError, messageOf } from '../core/errors.js';
import { sha256 } from '../core/sha256.js';

/** @typedef {{ base: string, files: Record<string, { bytes: number, sha256: string }> }} Source */

/**
 * @param {Source} source
 * @param {import('./models.js').Notify} notify
 * @returns {(name: string) => Promise<Uint8Array>}
 */
export function readerOfUrl({ base, files }, notify) {
  return async (name) => {
    const entry = files[name];
    if (!entry) throw new AppError(`the bundle lacks ${name}`, 'Export it again.');
    const url = fileUrl(base, name, entry.sha256);
    const bytes = await download(url, name, entry.bytes, (done) => notify(`loading ${name}`, done, entry.bytes));
    if ((await sha256(bytes)) !== entry.sha256) {
      throw new AppError(`${name} is not the file that was served before (its SHA-256 differs)`, 'Reload the page.');
    }
    return bytes;
  };
}

/**
 * A file's address; its hash belongs to it, so that a cache can never give an older one.
 * @param {string} base
 * @param {string} name
 * @param {string} hash
 */
export function fileUrl(base, name, hash) {
  return `${new URL(encodeURIComponent(name), base).href}?sha256=${hash}`;
}

/**
 * @param {string} url
 * @param {string} name
 * @param {number} length
 * @param {(done: number) => void} progress
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function download(url, name, length, progress) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new AppError(`${name} cannot be fetched (${messageOf(error)})`, 'Is the server running? Then reload the page.');
  }
  if (!response.ok || !response.body) {
    const said = (await response.text()).trim().slice(0, 100);
    throw new AppError(`${name} cannot be fetched (HTTP ${response.status}, ${said})`, 'Reload the page.');
  }
  const bytes = new Uint8Array(length);
  let done = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    if (done + value.length > length) throw new AppError(`${name} is longer than it should be`, 'Reload the page.');
    bytes.set(value, done);
    done += value.length;
    progress(done);
  }
  return done === length ? bytes : bytes.slice(0, done);
}
