/** What a network answers, checked before anything is made of it: no number, no mask. */

import { AppError } from './errors.js';

const REMEDY = 'Run it on WebAssembly, or export the bundle again, in float32 where it was not.';

/** @typedef {{ values: unknown, shape: readonly number[] }} Answer as the runtime gives it */

/**
 * The probabilities of an answer, outputs x height x width.
 * @param {Answer} answer
 * @param {number[]} shape that is due, with the leading 1
 * @param {string} picture its name, for the message
 * @returns {Float32Array}
 * @throws {AppError} of another shape or type, not a number, or no probability
 */
export function probabilitiesOfAnswer({ values, shape: given }, shape, picture) {
  const count = shape.reduce((product, side) => product * side, 1);
  if (!(values instanceof Float32Array) || String(given) !== String(shape) || values.length !== count) {
    throw new AppError(`${picture}: the artifact failed on it, it gives ${given} where ${shape} was due`, REMEDY);
  }
  for (const value of values) {
    if (value >= 0 && value <= 1) continue;
    const what = Number.isFinite(value) ? 'no probability' : 'not a number';
    throw new AppError(`${picture}: the artifact failed on it, its answer is ${what}; no mask is made of it`, REMEDY);
  }
  return values;
}
