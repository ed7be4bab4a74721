/** Reading safetensors: eight bytes of length, a JSON header, then the arrays, little-endian and in C order. */

import { AppError } from './errors.js';

const REMEDY = 'Export the bundle again.';
const MAXIMUM_HEADER = 100_000_000;

/** @type {Record<string, { bytes: number, make: (buffer: ArrayBuffer) => TypedArray }>} */
const KINDS = {
  U8: { bytes: 1, make: (buffer) => new Uint8Array(buffer) },
  F32: { bytes: 4, make: (buffer) => new Float32Array(buffer) },
};

/**
 * @typedef {Uint8Array | Float32Array} TypedArray
 * @typedef {{ dtype: string, shape: number[], data: TypedArray }} Tensor
 */

/**
 * @param {Uint8Array} bytes a whole file
 * @param {string} name for errors
 * @returns {{ tensors: Map<string, Tensor>, metadata: Record<string, string> }}
 */
export function readSafetensors(bytes, name) {
  const damaged = (/** @type {string} */ why) => new AppError(`${name} is damaged (${why})`, REMEDY);
  if (bytes.length < 8) throw damaged('it ends within its first eight bytes');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAXIMUM_HEADER) || 8 + Number(length) > bytes.length) throw damaged('its header is cut off');
  const start = 8 + Number(length);
  /** @type {Record<string, any>} */
  let header;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start)));
  } catch {
    throw damaged('its header is no JSON');
  }
  if (typeof header !== 'object' || header === null) throw damaged('its header is no object');
  const { __metadata__: metadata = {}, ...entries } = header;
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  for (const [key, entry] of Object.entries(entries)) {
    const kind = KINDS[entry?.dtype];
    if (!kind) throw damaged(`${key} has the type ${entry?.dtype}`);
    const { shape, data_offsets: offsets } = entry;
    if (!Array.isArray(shape) || !Array.isArray(offsets)) throw damaged(`${key} has no shape or place`);
    const [from, to] = offsets.map((offset) => start + offset);
    const count = shape.reduce((product, side) => product * side, 1);
    if (!(from >= start && to <= bytes.length && to - from === count * kind.bytes)) {
      throw damaged(`${key} does not lie in the file`);
    }
    // Copied, so that the array begins at a multiple of its item's size.
    tensors.set(key, { dtype: entry.dtype, shape, data: kind.make(bytes.slice(from, to).buffer) });
  }
  return { tensors, metadata };
}
