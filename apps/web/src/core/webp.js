/** WebP keeps its orientation in a chunk that some browsers follow and some do not: read here, and hidden from them. */

import { tiffOrientation } from './orientation.js';

const WORD = (/** @type {Uint8Array} */ bytes, /** @type {number} */ at) => String.fromCharCode(...bytes.subarray(at, at + 4));
const JPEGS_WAY = [0x45, 0x78, 0x69, 0x66, 0, 0]; // "Exif", as some programs begin the chunk

/** @param {Uint8Array} bytes */
export function isWebp(bytes) {
  return WORD(bytes, 0) === 'RIFF' && WORD(bytes, 8) === 'WEBP';
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes changed: the chunk gets a name that nobody knows
 * @returns {number} the orientation, 1..8
 */
export function takeOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (WORD(bytes, at) === 'EXIF') {
      const body = bytes.subarray(at + 8, at + 8 + length);
      bytes.set([0x6e, 0x6f, 0x6e, 0x65], at); // "none"
      return tiffOrientation(JPEGS_WAY.every((byte, place) => body[place] === byte) ? body.subarray(6) : body);
    }
    at += 8 + length + (length & 1);
  }
  return 1;
}
