/**
 * One picture through one model: stretched to the network, or under a network that slides over it. What is kept is what
 * another threshold needs: the network's own map, or a byte for each pixel.
 */

import { AppError, CANCELLED } from '../core/errors.js';
import { decide, fitToNetwork, maskInOriginalSize } from '../core/imaging.js';
import { decideLevels, levelsOf, thresholdsOf } from '../core/levels.js';
import { bands, windowCount } from '../core/window.js';
import { runNetwork } from './models.js';

/**
 * @typedef {import('../core/window.js').Picture & { name: string }} NamedPicture
 * @typedef {Pick<import('./models.js').Model, 'bundle' | 'session'>} Runnable
 * @typedef {(threshold: number) => Uint8Array} Labels the mask in the picture's own size, for a threshold
 * @typedef {{ labels: Labels, windows: number, networkMilliseconds: number, stretched: Uint8Array | null }} Segmented where the
 *   network saw the whole picture at once, `stretched` is what it saw, height x width x channels
 * @typedef {{ progress?: (done: number, total: number) => void, cancelled?: () => boolean }} Watch
 */

/**
 * @param {Runnable} model
 * @param {NamedPicture} picture
 * @param {Watch} watch called with windows done and in all, and asked before each window whether to go on
 * @returns {Promise<Segmented>}
 * @throws {AppError} the artifact's answer can be no mask, or it was cancelled
 */
export async function segment(model, picture, watch = {}) {
  let networkMilliseconds = 0;
  let windows = 0;
  const { preprocessing } = model.bundle.contract;
  /** @type {Uint8Array | null} */
  let seen = null;
  const predict = async (/** @type {Uint8Array} */ fitted) => {
    seen = fitted;
    const started = performance.now();
    const probabilities = await runNetwork(model, fitted, picture.name);
    networkMilliseconds += performance.now() - started;
    windows += 1;
    return probabilities;
  };
  const labels = await (preprocessing.window ? slide : stretch)(model, picture, predict, watch);
  return { labels, windows, networkMilliseconds, stretched: preprocessing.window ? null : seen };
}

/** @typedef {(fitted: Uint8Array) => Promise<Float32Array>} Predict */

/**
 * @param {Runnable} model
 * @param {NamedPicture} picture
 * @param {Predict} predict
 * @param {Watch} watch
 * @returns {Promise<Labels>}
 */
async function stretch({ bundle }, { rgba, height, width }, predict, { cancelled }) {
  const { preprocessing, output } = bundle.contract;
  if (cancelled?.()) throw stopped();
  const probabilities = await predict(fitToNetwork(rgba, height, width, preprocessing));
  return (threshold) => maskInOriginalSize(probabilities, output.shape, height, width, threshold);
}

/**
 * @param {Runnable} model
 * @param {NamedPicture} picture
 * @param {Predict} predict
 * @param {Watch} watch
 * @returns {Promise<Labels>}
 */
async function slide({ bundle }, picture, predict, { progress, cancelled }) {
  const { preprocessing, output, threshold: usual } = bundle.contract;
  const { height, width } = preprocessing;
  const sliding = { height, width, window: /** @type {import('../core/window.js').Window} */ (preprocessing.window) };
  const outputs = output.shape[1];
  const thresholds = thresholdsOf(usual);
  const kept = new Uint8Array(picture.height * picture.width);
  const ofWindow = (/** @type {Uint8ClampedArray} */ rgba) => predict(fitToNetwork(rgba, height, width, preprocessing));
  const watched = async (/** @type {number} */ done, /** @type {number} */ total) => {
    progress?.(done, total);
    await nextTask(); // lets a message in: the one that cancels
    if (cancelled?.()) throw stopped();
  };
  for await (const { top, probabilities } of bands(ofWindow, picture, sliding, outputs, watched)) {
    kept.set(outputs === 1 ? levelsOf(probabilities, thresholds) : decide(probabilities, outputs, usual), top * picture.width);
  }
  return outputs === 1 ? (threshold) => decideLevels(kept, thresholds, threshold) : () => kept;
}

/**
 * How often the network runs for a picture.
 * @param {{ height: number, width: number }} picture
 * @param {import('../core/imaging.js').Preprocessing} preprocessing
 */
export function runsFor(picture, { height, width, window }) {
  return window ? windowCount(picture, { height, width, window }) : 1;
}

function stopped() {
  return new AppError('stopped', '', CANCELLED);
}

/** The end of this task, so that messages that have come are heard. */
function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}
