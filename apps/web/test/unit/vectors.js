/** The contract test vectors of apps/vectors, read with the app's own reader; their hashes are checked first. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { readSafetensors } from '../../src/core/safetensors.js';

const folder = new URL('../../../vectors/', import.meta.url);
export const vectors = JSON.parse(readFileSync(new URL('vectors.json', folder), 'utf-8'));
const bytes = readFileSync(new URL(vectors.tensors.file, folder));
if (createHash('sha256').update(bytes).digest('hex') !== vectors.tensors.sha256) {
  throw new Error('vectors.safetensors is not the file that vectors.json was written with');
}
const { tensors } = readSafetensors(new Uint8Array(bytes), vectors.tensors.file);

/**
 * @param {string} name
 * @returns {any} the array's data
 */
export function tensor(name) {
  const found = tensors.get(name);
  if (!found) throw new Error(`there is no vector ${name}`);
  return found.data;
}

/**
 * RGB to RGBA, as a canvas gives it.
 * @param {Uint8Array} rgb
 */
export function withAlpha(rgb) {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let pixel = 0; pixel < rgb.length / 3; pixel += 1) rgba.set(rgb.subarray(pixel * 3, pixel * 3 + 3), pixel * 4);
  return rgba;
}
