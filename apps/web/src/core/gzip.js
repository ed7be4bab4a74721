/** Files that are handed out packed: a third of the runtime is left of it, and no server has to know how. */

import { AppError } from './errors.js';

/** Not ".gz": some servers would say of such a file that its content is encoded, and browsers would unpack it. */
export const PACKED = '.gzip';

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} name for errors
 * @param {number} length that is due: no file unpacks to more
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function unpack(bytes, name, length) {
  const unpacked = new Uint8Array(length);
  let done = 0;
  try {
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      unpacked.set(next.value, done); // which throws where it is more
      done += next.value.length;
    }
    if (done === length) return unpacked;
  } catch {
    // told below
  }
  throw new AppError(`${name} cannot be unpacked`, 'Reload the page.', 'hash-differs');
}
