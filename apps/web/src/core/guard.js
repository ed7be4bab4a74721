/**
 * The input guard: how unlike a network's training pictures a fitted picture is. The definition is Python's
 * (s2m_edge/imaging/descriptor.py, s2m_edge/deploy/guard.py); apps/vectors holds this module to it, to 1e-3.
 */

import { AppError } from './errors.js';
import { resample } from './imaging.js';
import { readSafetensors } from './safetensors.js';

export const GUARD_FILE = 'guard.safetensors';
const DAMAGED = 'damaged';
const FORMAT = 's2m-edge-guard';
const FORMAT_VERSION = '1';
const DESCRIPTOR = 'thumbnail-cosine-1';
const SIDE = 64;
const CELLS = 4;
const BANDS = 6; // the n-th from 2^n below 2^(n + 1)
const FAINTEST = 1e-6;
const END = 0.1;
const DARKEST_CONTRAST = 0.05;
const DARKEST_COLOUR = 0.1;
const LUMA = [0.299, 0.587, 0.114];

/**
 * A Gaussian of low rank over descriptors; directions are rows of as many numbers as the mean has.
 * @typedef {{
 *   channels: number, mean: Float32Array, scale: Float32Array, directions: Float32Array, deviations: Float32Array,
 *   residual: number, threshold: number,
 * }} Guard
 *
 * How unlike the training pictures a picture is, and the largest usual score.
 * @typedef {{ score: number, threshold: number, unusual: boolean }} GuardVerdict
 */

/** The orthonormal cosine transform, frequency x position. */
const COSINES = Float64Array.from({ length: SIDE * SIDE }, (_, at) => {
  const frequency = Math.floor(at / SIDE);
  if (frequency === 0) return Math.sqrt(1 / SIDE);
  return Math.sqrt(2 / SIDE) * Math.cos((Math.PI * ((at % SIDE) + 0.5) * frequency) / SIDE);
});

/**
 * @param {number} channels
 * @returns {number} how many numbers `describe` gives
 */
function descriptorLength(channels) {
  const rest = BANDS + 3;
  return channels === 3 ? 3 * (CELLS * CELLS + BANDS) + rest + 4 : CELLS * CELLS + BANDS + rest;
}

/**
 * Layout, detail, exposure and colour of a picture.
 * @param {Uint8Array} fitted height x width x channels
 * @param {number} height
 * @param {number} width
 * @param {number} channels 1 or 3
 * @returns {number[]}
 */
export function describe(fitted, height, width, channels) {
  const thumbnail = [];
  for (let channel = 0; channel < channels; channel += 1) {
    const plane = Float32Array.from({ length: height * width }, (_, at) => fitted[at * channels + channel]);
    thumbnail.push(Float64Array.from(resample(plane, height, width, SIDE, SIDE), (value) => value / 255));
  }
  const [red, green, blue] = thumbnail;
  /** @type {Float64Array[]} */
  let planes = thumbnail;
  const colour = [];
  if (channels === 3) {
    planes = [
      red.map((value, at) => LUMA[0] * value + LUMA[1] * green[at] + LUMA[2] * blue[at]),
      red.map((value, at) => value - green[at]),
      red.map((value, at) => (value + green[at]) / 2 - blue[at]),
    ];
    const largest = red.map((value, at) => Math.max(value, green[at], blue[at]));
    const saturation = largest.map((value, at) => value - Math.min(red[at], green[at], blue[at]));
    const relative = saturation.map((value, at) => value / (largest[at] + DARKEST_COLOUR));
    colour.push(meanOf(relative), deviationOf(relative), meanOf(saturation), deviationOf(saturation));
  }
  const luma = planes[0];
  return [
    ...planes.flatMap((plane) => [...cellMeans(plane), ...bandEnergies(plane)]),
    ...bandEnergies(luma.map((value) => Math.log10(value + DARKEST_CONTRAST))),
    deviationOf(luma),
    meanOf(luma.map((value) => clip((END - value) / END))),
    meanOf(luma.map((value) => clip((value - (1 - END)) / END))),
    ...colour,
  ];
}

/**
 * The Mahalanobis distance of a descriptor.
 * @param {Guard} guard
 * @param {number[]} descriptor
 * @returns {number}
 */
export function scoreOf(guard, descriptor) {
  const { mean, scale, directions, deviations, residual } = guard;
  const length = mean.length;
  const centred = descriptor.map((value, at) => (value - mean[at]) / scale[at]);
  let left = centred.reduce((sum, value) => sum + value * value, 0);
  let squared = 0;
  for (let direction = 0; direction < deviations.length; direction += 1) {
    let along = 0;
    for (let at = 0; at < length; at += 1) along += directions[direction * length + at] * centred[at];
    left -= along * along;
    squared += (along / deviations[direction]) ** 2;
  }
  return Math.sqrt(squared + Math.max(0, left) / residual ** 2);
}

/**
 * @param {Guard} guard
 * @param {Uint8Array} fitted the whole picture, stretched to height x width x channels, also for a network that slides
 * @param {{ height: number, width: number, channels: number }} size
 * @returns {GuardVerdict}
 */
export function judge(guard, fitted, { height, width, channels }) {
  const score = scoreOf(guard, describe(fitted, height, width, channels));
  return { score, threshold: guard.threshold, unusual: score > guard.threshold };
}

/**
 * @param {Uint8Array} bytes of guard.safetensors
 * @param {number} channels of the network
 * @returns {Guard}
 * @throws {AppError} with the reason `damaged`: no guard, of another version, or about other pictures
 */
export function readGuard(bytes, channels) {
  const damaged = (/** @type {string} */ why) =>
    new AppError(`${GUARD_FILE} is damaged (${why})`, 'Make it again with s2m-edge guard, and export again.', DAMAGED);
  const said = (/** @type {unknown} */ text) => JSON.stringify(String(text).slice(0, 40)); // one line, however long it is
  const { tensors, metadata } = readSafetensors(bytes, GUARD_FILE, DAMAGED);
  if (metadata.format !== FORMAT) throw damaged('it is no guard');
  if (metadata.format_version !== FORMAT_VERSION || metadata.descriptor !== DESCRIPTOR) {
    throw new AppError(
      `${GUARD_FILE} is of version ${said(metadata.format_version)} with the descriptor ${said(metadata.descriptor)}, ` +
        `and this app knows ${FORMAT_VERSION} with ${DESCRIPTOR}`,
      'Update the app, or export the bundle again.',
      DAMAGED,
    );
  }
  if (Number(metadata.channels) !== channels) {
    throw damaged(`it is about pictures of ${said(metadata.channels)} channels, the network about ${channels}`);
  }
  const length = descriptorLength(channels);
  const kept = tensors.get('deviations')?.shape[0] ?? 0;
  const shapes = { mean: [length], scale: [length], directions: [kept, length], deviations: [kept], residual: [1] };
  /** @type {Record<string, Float32Array>} */
  const found = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const tensor = tensors.get(name);
    if (!tensor || tensor.dtype !== 'F32' || String(tensor.shape) !== String(shape)) throw damaged(`it lacks ${name}`);
    const positive = name !== 'mean' && name !== 'directions';
    found[name] = /** @type {Float32Array} */ (tensor.data);
    if (!found[name].every((value) => Number.isFinite(value) && (!positive || value > 0))) {
      throw damaged(`${name} is out of range`);
    }
  }
  const threshold = Number(metadata.threshold);
  if (!(threshold > 0 && Number.isFinite(threshold))) throw damaged(`the threshold is ${said(metadata.threshold)}`);
  const { mean, scale, directions, deviations, residual } = found;
  return { channels, mean, scale, directions, deviations, residual: residual[0], threshold };
}

/**
 * Row by row, 16 numbers.
 * @param {Float64Array} plane
 */
function cellMeans(plane) {
  const edge = SIDE / CELLS;
  const means = new Array(CELLS * CELLS).fill(0);
  plane.forEach((value, at) => {
    const row = Math.floor(Math.floor(at / SIDE) / edge);
    means[row * CELLS + Math.floor((at % SIDE) / edge)] += value / edge ** 2;
  });
  return means;
}

/**
 * The decimal logarithm of what each band adds to the plane's variance, coarse to fine.
 * @param {Float64Array} plane
 */
function bandEnergies(plane) {
  const half = new Float64Array(SIDE * SIDE); // frequency of the rows x column
  for (let v = 0; v < SIDE; v += 1) {
    for (let row = 0; row < SIDE; row += 1) {
      const weight = COSINES[v * SIDE + row];
      for (let x = 0; x < SIDE; x += 1) half[v * SIDE + x] += weight * plane[row * SIDE + x];
    }
  }
  const sums = new Array(BANDS).fill(0);
  for (let v = 0; v < SIDE; v += 1) {
    for (let u = 0; u < SIDE; u += 1) {
      const frequency = Math.max(u, v);
      if (frequency === 0) continue;
      let coefficient = 0;
      for (let x = 0; x < SIDE; x += 1) coefficient += half[v * SIDE + x] * COSINES[u * SIDE + x];
      sums[31 - Math.clz32(frequency)] += coefficient ** 2 / SIDE ** 2;
    }
  }
  return sums.map((energy) => Math.log10(energy + FAINTEST));
}

/** @param {Float64Array} values */
function meanOf(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** @param {Float64Array} values */
function deviationOf(values) {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2)));
}

/** @param {number} value */
function clip(value) {
  return Math.min(1, Math.max(0, value));
}
