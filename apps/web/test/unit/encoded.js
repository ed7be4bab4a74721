/** The encoded pictures of apps/vectors/pictures, with what has to be seen of them. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { readSafetensors } from '../../src/core/safetensors.js';

const folder = new URL('../../../vectors/pictures/', import.meta.url);
const index = JSON.parse(readFileSync(new URL('index.json', folder), 'utf-8'));
const stored = readFileSync(new URL(index.pixels.file, folder));
if (createHash('sha256').update(stored).digest('hex') !== index.pixels.sha256) {
  throw new Error('pixels.safetensors is not the file that index.json was written with');
}
const { tensors } = readSafetensors(new Uint8Array(stored), index.pixels.file);

/**
 * @typedef {{
 *   name: string, file: string, why: string, height: number, width: number, tolerance: number,
 *   refused: Record<string, string>, intensity: import('../../src/core/intensity.js').Intensity,
 *   path: string, bytes: Uint8Array<ArrayBuffer>, pixels: Uint8Array,
 * }} Encoded
 * @type {Encoded[]}
 */
export const ENCODED = index.cases.map((/** @type {any} */ entry) => ({
  ...entry,
  path: fileURLToPath(new URL(entry.file, folder)),
  bytes: new Uint8Array(readFileSync(new URL(entry.file, folder))),
  pixels: tensors.get(entry.name)?.data,
}));

/**
 * The largest difference in levels between what was read and what has to be seen.
 * @param {ArrayLike<number>} rgba
 * @param {Uint8Array} pixels RGB
 */
export function difference(rgba, pixels) {
  let largest = rgba.length === (pixels.length / 3) * 4 ? 0 : Infinity;
  for (let from = 0, at = 0; from < pixels.length; from += 1, at += from % 3 === 0 ? 2 : 1) {
    largest = Math.max(largest, Math.abs(rgba[at] - pixels[from]));
  }
  return largest;
}
