/** Reading safetensors: eight bytes of length, a JSON header, then the arrays, little-endian and in C order. */

import { AppError } from './errors.js';

const REMEDY = 'Export the bundle again.';
const MAXIMUM_HEADER = 100_000_000;
const DIMENSIONS = 8;

/** Bytes of an item. @type {Record<string, number>} */
const ITEMS = { BOOL: 1, U8: 1, I8: 1, I16: 2, U16: 2, F16: 2, BF16: 2, I32: 4, U32: 4, F32: 4, I64: 8, U64: 8, F64: 8 };

/** Those that bundles hold; arrays of the others are checked for their place and left out. */
const KINDS = /** @type {Record<string, (buffer: ArrayBuffer) => TypedArray>} */ ({
  U8: (buffer) => new Uint8Array(buffer),
  F32: (buffer) => new Float32Array(buffer),
});

/**
 * @typedef {Uint8Array | Float32Array} TypedArray
 * @typedef {{ dtype: string, shape: number[], data: TypedArray }} Tensor
 */

/**
 * @param {Uint8Array} bytes a whole file
 * @param {string} name for errors
 * @param {string} [reason] of the error
 * @returns {{ tensors: Map<string, Tensor>, metadata: Record<string, string> }}
 * @throws {AppError} damaged: cut, header no JSON, arrays that do not lie one behind the other in all of the file
 */
export function readSafetensors(bytes, name, reason = '') {
  const damaged = (/** @type {string} */ why) => new AppError(`${name} is damaged (${why})`, REMEDY, reason);
  const { header, start } = readHeader(bytes, damaged);
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isObject(metadata) || !Object.values(metadata).every((text) => typeof text === 'string')) throw damaged('its metadata are no texts');
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  /** @type {[number, number][]} */
  const places = [];
  for (const [key, entry] of Object.entries(entries)) {
    const place = placeOf(entry);
    if (!place || start + place[1] > bytes.length) throw damaged(`${key.slice(0, 100)} does not lie in the file`);
    places.push(place);
    const make = Object.hasOwn(KINDS, entry.dtype) ? KINDS[entry.dtype] : null;
    // Copied, so that the array begins at a multiple of its item's size.
    const copy = () => /** @type {ArrayBuffer} */ (bytes.slice(start + place[0], start + place[1]).buffer);
    if (make) tensors.set(key, { dtype: entry.dtype, shape: entry.shape, data: make(copy()) });
  }
  let end = 0;
  for (const [from, to] of places.sort(([a, b], [c, d]) => a - c || b - d)) {
    if (from !== end) throw damaged('its arrays have gaps between them');
    end = to;
  }
  if (start + end !== bytes.length) throw damaged('it has bytes that belong to nothing');
  return { tensors, metadata };
}

/**
 * @param {Uint8Array} bytes
 * @param {(why: string) => AppError} damaged
 * @returns {{ header: Record<string, any>, start: number }}
 */
function readHeader(bytes, damaged) {
  if (bytes.length < 8) throw damaged('it ends within its first eight bytes');
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  if (length > BigInt(MAXIMUM_HEADER) || 8 + Number(length) > bytes.length) throw damaged('its header is cut off');
  const start = 8 + Number(length);
  /** @type {any} */
  let header;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start)));
  } catch {
    throw damaged('its header is no JSON');
  }
  if (!isObject(header)) throw damaged('its header is no object');
  return { header, start };
}

/**
 * Where an array lies behind the header, its first byte and that behind its last; null where its entry is not sound.
 * @param {any} entry
 * @returns {[number, number] | null}
 */
function placeOf(entry) {
  if (!isObject(entry) || !Object.hasOwn(ITEMS, entry.dtype)) return null;
  const { dtype, shape, data_offsets: offsets } = entry;
  const whole = (/** @type {unknown} */ values) =>
    Array.isArray(values) && values.every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!whole(shape) || !whole(offsets) || offsets.length !== 2 || shape.length > DIMENSIONS) return null;
  const bytes = shape.reduce((/** @type {number} */ product, /** @type {number} */ side) => product * side, ITEMS[dtype]);
  return offsets[1] - offsets[0] === bytes ? [offsets[0], offsets[1]] : null;
}

/** @param {any} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
