/**
 * The worker: everything that computes. It keeps the open models, the present picture and its probabilities, and
 * answers one message at a time. A model that did not pass its self-test never gets a picture.
 */

import { readerOfFiles } from '../core/bundle.js';
import { AppError, messageOf } from '../core/errors.js';
import { countLabels, fitToNetwork, maskInOriginalSize } from '../core/imaging.js';
import { compareMasks } from '../core/parity.js';
import { maskPng } from '../core/png.js';
import { readerOfUrl } from './download.js';
import { openModel, requirePassed, runNetwork } from './models.js';
import { paintLabels, readPicture } from './pixels.js';

/**
 * One model's answer for the present picture.
 * @typedef {{
 *   id: string, areas: number[], networkMilliseconds: number, milliseconds: number, fill: ImageBitmap, line: ImageBitmap,
 * }} Answer
 * @typedef {{ width: number, height: number, answers: Answer[], between: { agreement: number, dice: number } | null }} Decision
 * @typedef {{ id: string, probabilities: Float32Array, networkMilliseconds: number, milliseconds: number }} Outcome
 */

/** @type {Map<string, import('./models.js').Model>} */
const models = new Map();

/** @type {{ width: number, height: number, outcomes: Outcome[] } | null} */
let present = null;

/** @type {Map<string, Uint8Array>} the labels last shown, by model */
const shown = new Map();

/** @typedef {(step: string, done: number, total: number, bitmap?: ImageBitmap) => void} Notify */

/** @type {Record<string, (message: any, notify: Notify) => Promise<{ value: any, transfer?: Transferable[] }>>} */
const HANDLERS = {
  /** Open a model from URLs or from files given by hand, and self-test it. */
  async open({ id, source, provider, base }, notify) {
    await close(id);
    const read = Array.isArray(source) ? readerOfFiles(source) : readerOfUrl(source, notify);
    const model = await openModel(read, provider, base, notify);
    models.set(id, model);
    const { contract, gate, parity } = model.bundle;
    const { summary, verdict, image_count: imageCount, edge_device: device } = parity;
    return { value: { contract, gate, parity: { summary, verdict, imageCount, device }, selfTest: model.selfTest } };
  },

  async close({ id }) {
    await close(id);
    return { value: null };
  },

  /** Segment a picture with each of the named models, one after the other, so that their times can be compared. */
  async analyse({ picture: source, name, ids, threshold }, notify) {
    const chosen = ids.map((/** @type {string} */ id) => ({ id, model: requirePassed(models.get(id)) }));
    const picture = await readPicture(source, name);
    const { rgba, width, height, bitmap } = picture;
    notify('picture', 0, chosen.length, bitmap); // handed over: it can be looked at while the network runs
    const outcomes = [];
    for (const { id, model } of chosen) {
      const began = performance.now();
      const fitted = fitToNetwork(rgba, height, width, model.bundle.contract.preprocessing);
      const started = performance.now();
      const probabilities = await runNetwork(model, fitted);
      const networkMilliseconds = performance.now() - started;
      for (const value of probabilities) {
        if (!(value >= 0 && value <= 1)) throw new AppError('the model gave values that are no probabilities', 'Reload.');
      }
      outcomes.push({ id, probabilities, networkMilliseconds, milliseconds: performance.now() - began });
    }
    present = { width, height, outcomes };
    const decision = decideAll(threshold, true);
    return { value: decision, transfer: bitmapsOf(decision) };
  },

  /** Decide anew, with another threshold. */
  async decide({ threshold }) {
    const decision = decideAll(threshold, false);
    return { value: decision, transfer: bitmapsOf(decision) };
  },

  /** The mask of one model as PNG. */
  async mask({ id }) {
    const labels = shown.get(id);
    const { bundle } = requirePassed(models.get(id));
    if (!labels || !present) throw new AppError('there is no mask yet', 'Open a picture first.');
    return { value: await maskPng(labels, present.height, present.width, bundle.contract.output.shape[1]) };
  },
};

/** @param {string} id */
async function close(id) {
  const model = models.get(id);
  models.delete(id);
  shown.delete(id);
  if (present) present = { ...present, outcomes: present.outcomes.filter((outcome) => outcome.id !== id) };
  await model?.session.release();
}

/**
 * @param {number | null} threshold of one class; the contract's where null
 * @param {boolean} timed whether the decision belongs to the time per image
 * @returns {Decision}
 */
function decideAll(threshold, timed) {
  if (!present) throw new AppError('there is no picture yet', 'Open one first.');
  const { width, height, outcomes } = present;
  const answers = outcomes.map((outcome) => {
    const { contract } = requirePassed(models.get(outcome.id)).bundle;
    const [, classes, size] = contract.output.shape;
    const began = performance.now();
    const limit = threshold ?? contract.threshold;
    const labels = maskInOriginalSize(outcome.probabilities, classes, size, height, width, limit);
    if (timed) outcome.milliseconds += performance.now() - began;
    shown.set(outcome.id, labels);
    const { id, networkMilliseconds, milliseconds } = outcome;
    const areas = countLabels(labels, contract.classes.length + 1).slice(1);
    return { id, areas, networkMilliseconds, milliseconds, ...paintLabels(labels, height, width, contract.classes) };
  });
  const [first, second] = outcomes.map(({ id }) => /** @type {Uint8Array} */ (shown.get(id)));
  return { width, height, answers, between: second ? compareMasks(first, second) : null };
}

/** @param {Decision} decision */
function bitmapsOf({ answers }) {
  return answers.flatMap(({ fill, line }) => [fill, line]);
}

/** One message after the other: sessions are not made for calls that overlap. */
let queue = Promise.resolve();

self.addEventListener('message', (/** @type {MessageEvent} */ { data }) => {
  const { request, kind, ...message } = data;
  /** @type {Notify} */
  const notify = (step, done, total, bitmap) =>
    self.postMessage({ request, progress: { step, done, total, bitmap } }, { transfer: bitmap ? [bitmap] : [] });
  queue = queue.then(async () => {
    try {
      const { value, transfer = [] } = await HANDLERS[kind](message, notify);
      self.postMessage({ request, value }, { transfer });
    } catch (error) {
      self.postMessage({ request, error: messageOf(error), expected: error instanceof AppError });
    }
  });
});
