/**
 * One class's probabilities as a byte for each pixel, exact for every threshold that the page's slider can be set to:
 * how many of those thresholds the probability reaches. A picture under a sliding network has no small map of
 * probabilities that could be decided anew, and its own in float32 would take four times the memory.
 */

import { AppError } from './errors.js';

export const SLIDER_STEPS = 100;

/**
 * The thresholds, ascending, rounded to float32 as a decision rounds them: those of the slider, and the contract's.
 * @param {number} threshold of the contract
 * @returns {Float32Array}
 */
export function thresholdsOf(threshold) {
  const grid = Array.from({ length: SLIDER_STEPS + 1 }, (_, step) => Math.fround(step / SLIDER_STEPS));
  return Float32Array.from(new Set([...grid, Math.fround(threshold)])).sort();
}

/**
 * How many thresholds each probability reaches.
 * @param {Float32Array} probabilities
 * @param {Float32Array} thresholds ascending, fewer than 256
 * @returns {Uint8Array}
 */
export function levelsOf(probabilities, thresholds) {
  return Uint8Array.from(probabilities, (probability) => {
    let low = 0;
    let high = thresholds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (probability >= thresholds[middle]) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/**
 * The mask at one of the thresholds, as `decide` gives it of the probabilities.
 * @param {Uint8Array} levels
 * @param {Float32Array} thresholds
 * @param {number} threshold
 * @returns {Uint8Array}
 */
export function decideLevels(levels, thresholds, threshold) {
  const place = thresholds.indexOf(Math.fround(threshold));
  if (place < 0) throw new AppError(`a threshold of ${threshold} lies between the slider’s steps`, `Choose a multiple of ${1 / SLIDER_STEPS}.`);
  return levels.map((level) => (level > place ? 1 : 0));
}
