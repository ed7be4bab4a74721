/**
 * Sliding a network over a picture at its own resolution, exactly as the deployment contract says. The definition is
 * Python's (s2m_edge/imaging/window.py); apps/vectors holds this module to it. Sums run in double precision, and a strip
 * as high as one window is held, never the whole picture's probabilities.
 */

import { AppError } from './errors.js';

const LEAST_WEIGHT = 1e-3;
const LARGEST_BAND = 2 ** 28;

/**
 * How windows are laid over a picture: the share of a side that the next one covers again, and the Gaussian's sigma in
 * sides of the window.
 * @typedef {{ overlap: number, sigma: number }} Window
 * @typedef {{ rgba: Uint8Array | Uint8ClampedArray, height: number, width: number }} Picture
 * @typedef {{ height: number, width: number, window: Window }} Sliding the window's sides, and how it is laid
 */

/**
 * First pixels of the windows along one axis.
 * @param {number} length of the picture
 * @param {number} side of the window
 * @param {number} overlap
 * @returns {number[]}
 */
export function positions(length, side, overlap) {
  if (length <= side) return [0];
  const step = Math.max(1, Math.floor(side * (1 - overlap)));
  const count = Math.ceil((length - side) / step) + 1;
  return Array.from({ length: count }, (_, index) => Math.min(index * step, length - side));
}

/**
 * The weight of each pixel of a window, height x width.
 * @param {number} height
 * @param {number} width
 * @param {number} sigma
 * @returns {Float64Array}
 */
export function weights(height, width, sigma) {
  const along = (/** @type {number} */ side) =>
    Float64Array.from({ length: side }, (_, at) => Math.exp(-((at - (side - 1) / 2) ** 2) / (2 * (sigma * side) ** 2)));
  const [down, across] = [along(height), along(width)];
  return Float64Array.from({ length: height * width }, (_, at) =>
    Math.max(LEAST_WEIGHT, down[Math.floor(at / width)] * across[at % width]),
  );
}

/**
 * Black pixels before a picture that is shorter than the window.
 * @param {number} length
 * @param {number} side
 */
export function padding(length, side) {
  return Math.floor(Math.max(0, side - length) / 2);
}

/**
 * How many windows cover a picture.
 * @param {{ height: number, width: number }} picture
 * @param {Sliding} sliding
 */
export function windowCount(picture, { height, width, window }) {
  return positions(picture.height, height, window.overlap).length * positions(picture.width, width, window.overlap).length;
}

/**
 * The window that begins at (top, left) of the padded picture; black outside.
 * @param {Picture} picture
 * @param {number} top
 * @param {number} left
 * @param {{ height: number, width: number }} side
 * @returns {Uint8ClampedArray} side.height x side.width x 4, opaque
 */
export function crop({ rgba, height, width }, top, left, side) {
  const result = new Uint8ClampedArray(side.height * side.width * 4);
  new Uint32Array(result.buffer).fill(new Uint32Array(Uint8Array.of(0, 0, 0, 255).buffer)[0]);
  const [first, start] = [top - padding(height, side.height), left - padding(width, side.width)];
  const from = Math.max(0, start);
  const to = Math.min(width, start + side.width);
  for (let row = Math.max(0, first); row < Math.min(height, first + side.height); row += 1) {
    result.set(rgba.subarray((row * width + from) * 4, (row * width + to) * 4), ((row - first) * side.width + from - start) * 4);
  }
  return result;
}

/**
 * Probabilities of a picture at its own resolution, some rows at a time.
 * @param {(window: Uint8ClampedArray) => Promise<Float32Array>} predict probabilities outputs x height x width of a
 *   window's RGBA pixels
 * @param {Picture} picture
 * @param {Sliding} sliding
 * @param {number} outputs
 * @param {(done: number, total: number) => Promise<void> | void} [progress] called before each window, and at the end
 * @returns {AsyncGenerator<{ top: number, rows: number, probabilities: Float32Array }>} the first row, and outputs x rows
 *   x the picture's width
 * @throws {AppError} a strip of the picture would not fit into memory
 */
export async function* bands(predict, picture, sliding, outputs, progress = () => {}) {
  const { height, width, window } = sliding;
  const tops = positions(picture.height, height, window.overlap);
  const lefts = positions(picture.width, width, window.overlap);
  const before = { rows: padding(picture.height, height), columns: padding(picture.width, width) };
  const padded = Math.max(picture.width, width);
  const area = height * padded;
  if (outputs * area * 8 > LARGEST_BAND) {
    throw new AppError(`a picture ${picture.width} pixels wide takes too much memory in windows`, 'Cut it into parts.');
  }
  const weight = weights(height, width, window.sigma);
  const counted = new Float64Array(area);
  const sums = new Float64Array(outputs * area);
  const total = tops.length * lefts.length;
  for (const [index, top] of tops.entries()) {
    for (const [number, left] of lefts.entries()) {
      await progress(index * lefts.length + number, total);
      const found = await predict(crop(picture, top, left, sliding));
      addWindow(sums, counted, found, weight, { height, width, padded, left, outputs });
    }
    const ready = index + 1 === tops.length ? height : tops[index + 1] - top;
    const rows = Math.min(ready, picture.height);
    yield { top, rows, probabilities: quotients(sums, counted, { rows, width: picture.width, before, padded, area, outputs }) };
    for (let output = 0; output < outputs; output += 1) moveUp(sums.subarray(output * area, (output + 1) * area), ready * padded);
    moveUp(counted, ready * padded);
  }
  await progress(total, total);
}

/**
 * @param {Float64Array} sums outputs x height x padded
 * @param {Float64Array} counted height x padded
 * @param {Float32Array} found outputs x height x width
 * @param {Float64Array} weight height x width
 * @param {{ height: number, width: number, padded: number, left: number, outputs: number }} where
 */
function addWindow(sums, counted, found, weight, { height, width, padded, left, outputs }) {
  for (let row = 0, at = 0; row < height; row += 1) {
    for (let target = row * padded + left, end = target + width; target < end; target += 1, at += 1) {
      counted[target] += weight[at];
      for (let output = 0; output < outputs; output += 1) {
        sums[output * height * padded + target] += weight[at] * found[output * height * width + at];
      }
    }
  }
}

/**
 * The rows that no later window reaches, without their padding.
 * @param {Float64Array} sums
 * @param {Float64Array} counted
 * @param {{
 *   rows: number, width: number, before: { rows: number, columns: number }, padded: number, area: number, outputs: number,
 * }} where
 * @returns {Float32Array} outputs x rows x width
 */
function quotients(sums, counted, { rows, width, before, padded, area, outputs }) {
  const result = new Float32Array(outputs * rows * width);
  for (let output = 0, at = 0; output < outputs; output += 1) {
    for (let row = 0; row < rows; row += 1) {
      let source = (row + before.rows) * padded + before.columns;
      for (let column = 0; column < width; column += 1, at += 1, source += 1) {
        result[at] = sums[output * area + source] / counted[source];
      }
    }
  }
  return result;
}

/**
 * @param {Float64Array} strip
 * @param {number} values that are done with
 */
function moveUp(strip, values) {
  strip.copyWithin(0, values);
  strip.fill(0, strip.length - values);
}
