/**
 * The worker: everything that computes. It keeps the open models, the present picture and its probabilities, and
 * answers one message at a time. A model that did not pass its self-test never gets a picture.
 */

import { sourceOfFiles } from '../core/bundle.js';
import { ADAPTER_FAILED, AppError, CANCELLED, messageOf } from '../core/errors.js';
import { measure } from '../core/figures.js';
import { judge } from '../core/guard.js';
import { countLabels, fitToNetwork } from '../core/imaging.js';
import { compareMasks } from '../core/parity.js';
import { maskPng } from '../core/png.js';
import { sourceOfUrl, Tally } from './download.js';
import { fallBack, openModel, requirePassed } from './models.js';
import { bitmapFor, paintLabels, readPicture } from './pixels.js';
import { runsFor, segment } from './segment.js';

/**
 * One model's answer for the present picture; `guard` is null where its bundle has none.
 * @typedef {import('../core/guard.js').GuardVerdict} GuardVerdict
 * @typedef {{
 *   id: string, areas: number[], windows: number, networkMilliseconds: number, milliseconds: number,
 *   guard: GuardVerdict | null, fill: ImageBitmap, line: ImageBitmap, millimetres: import('../core/figures.js').Figures[] | null,
 * }} Answer
 * @typedef {{ width: number, height: number } & import('../core/spacing.js').Known} Place what is known of the picture
 * @typedef {Place & { answers: Answer[], between: { agreement: number, dice: number } | null }} Decision
 * @typedef {Omit<import('./segment.js').Segmented, 'stretched'> & { id: string, milliseconds: number, guard: GuardVerdict | null }} Outcome
 */

/** @type {Map<string, import('./models.js').Model>} */
const models = new Map();

/** @type {Map<string, string>} URL of the folder `ort/`, by model */
const bases = new Map();

/** @type {Place & { outcomes: Outcome[] } | null} */
let present = null;

/** @type {Map<string, Uint8Array>} the labels last shown, by model */
const shown = new Map();

/** How long a verdict on a camera's frame holds for the next ones: milliseconds, and times what it took to judge. */
const VERDICT_HOLDS = { least: 1000, times: 50 };

/** @type {Map<string, { until: number, verdict: GuardVerdict | null }>} the last verdict on a frame, by model */
const verdicts = new Map();

/** @type {Set<number>} requests that are to end as soon as they can */
const cancelled = new Set();

/** @typedef {(step: string, done: number, total: number, bitmap?: ImageBitmap) => void} Notify */
/** @typedef {{ notify: Notify, cancelled: () => boolean }} Caller */

/** @type {Record<string, (message: any, caller: Caller) => Promise<{ value: any, transfer?: Transferable[] }>>} */
const HANDLERS = {
  /** Open a model from URLs or from files given by hand, and self-test it. */
  async open({ id, source, provider, base }, { notify }) {
    await close(id);
    const tally = new Tally((done, total) => notify('loading', done, total));
    const opened = Array.isArray(source) ? sourceOfFiles(source) : sourceOfUrl(source, tally);
    const model = await openModel(opened, provider, { base, tally }, notify);
    models.set(id, model);
    bases.set(id, base);
    const { contract, gate } = model.bundle;
    return { value: { contract, gate, selfTest: model.selfTest, bytes: tally.done } };
  },

  async close({ id }) {
    await close(id);
    return { value: null };
  },

  /** Segment a picture with each of the named models, one after the other, so that their times can be compared. */
  async analyse({ picture: source, name, ids, threshold }, { notify, cancelled: ended }) {
    /** @type {{ id: string, model: import('./models.js').Model }[]} */
    const chosen = ids.map((/** @type {string} */ id) => ({ id, model: requirePassed(models.get(id)) }));
    present = null; // what was there before is of another picture, whatever becomes of this one
    shown.clear();
    const pixels = await readPicture(source, name);
    const { width, height, spacing = null, unmeasured = '' } = pixels;
    const pictures = chosen.map(({ model }) => ({ name, width, height, rgba: pixels.under(model.bundle.contract.preprocessing.intensity) }));
    notify('picture', 0, 0, await bitmapFor(pictures[0].rgba, pixels)); // it can be looked at while the network runs
    const runs = chosen.map(({ model }) => runsFor(pixels, model.bundle.contract.preprocessing));
    const total = runs.reduce((sum, count) => sum + count, 0);
    let before = 0;
    const outcomes = [];
    for (const [place, { id, model }] of chosen.entries()) {
      const picture = pictures[place];
      const began = performance.now();
      const progress = (/** @type {number} */ done) => notify('window', before + done, total);
      const { stretched, ...segmented } = await segment(model, picture, { progress, cancelled: ended }).catch((error) =>
        withoutAdapter(id, model, error, notify),
      );
      const milliseconds = performance.now() - began; // the guard is no part of the mask's time
      const verdict = () => verdictOn(model, picture, stretched);
      const guard = source instanceof ImageBitmap ? heldVerdict(id, verdict) : verdict();
      outcomes.push({ id, ...segmented, milliseconds, guard });
      before += runs[place];
    }
    present = { width, height, spacing, unmeasured, outcomes };
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
  verdicts.delete(id);
  if (present) present = { ...present, outcomes: present.outcomes.filter((outcome) => outcome.id !== id) };
  bases.delete(id);
  await model?.session.release();
}

/**
 * Give a model whose graphics adapter failed to WebAssembly, and end what it was asked for: the page asks again.
 * @param {string} id
 * @param {import('./models.js').Model} model
 * @param {unknown} error
 * @param {Notify} notify
 * @returns {Promise<never>}
 */
async function withoutAdapter(id, model, error, notify) {
  if (!(error instanceof AppError && error.reason === ADAPTER_FAILED)) throw error;
  const tally = new Tally((done, total) => notify('loading', done, total));
  const fallen = await fallBack(model, error, { base: bases.get(id) ?? '', tally }, notify);
  models.set(id, fallen);
  self.postMessage({ fallen: { id, selfTest: fallen.selfTest } });
  throw new AppError('the graphics adapter failed', '', CANCELLED);
}

/**
 * @param {import('./models.js').Model} model
 * @param {import('../core/window.js').Picture} picture
 * @param {Uint8Array | null} stretched the picture at the network's size, where that was made already
 * @returns {GuardVerdict | null}
 */
function verdictOn({ bundle: { contract, guard } }, { rgba, height, width }, stretched) {
  const { preprocessing } = contract;
  return guard && judge(guard, stretched ?? fitToNetwork(rgba, height, width, preprocessing), preprocessing);
}

/**
 * A verdict on a camera's frame, of which not each one is judged.
 * @param {string} id
 * @param {() => GuardVerdict | null} judged
 */
function heldVerdict(id, judged) {
  const now = performance.now();
  const last = verdicts.get(id);
  if (last && now < last.until) return last.verdict;
  const verdict = judged();
  const took = performance.now() - now;
  verdicts.set(id, { until: now + Math.max(VERDICT_HOLDS.least, VERDICT_HOLDS.times * took), verdict });
  return verdict;
}

/**
 * @param {number | null} threshold of one class; the contract's where null
 * @param {boolean} timed whether the decision belongs to the time per image
 * @returns {Decision}
 */
function decideAll(threshold, timed) {
  if (!present) throw new AppError('there is no picture yet', 'Open one first.');
  const { width, height, spacing, unmeasured, outcomes } = present;
  const answers = outcomes.map((outcome) => {
    const { contract } = requirePassed(models.get(outcome.id)).bundle;
    const began = performance.now();
    const labels = outcome.labels(threshold ?? contract.threshold);
    if (timed) outcome.milliseconds += performance.now() - began;
    shown.set(outcome.id, labels);
    const { id, windows, networkMilliseconds, milliseconds, guard } = outcome;
    const areas = countLabels(labels, contract.classes.length + 1).slice(1);
    const millimetres = spacing && measure(labels, height, width, spacing, contract.classes.length);
    return { id, areas, millimetres, windows, networkMilliseconds, milliseconds, guard, ...paintLabels(labels, height, width, contract.classes) };
  });
  const [first, second] = outcomes.map(({ id }) => /** @type {Uint8Array} */ (shown.get(id)));
  return { width, height, spacing, unmeasured, answers, between: second ? compareMasks(first, second) : null };
}

/** @param {Decision} decision */
function bitmapsOf({ answers }) {
  return answers.flatMap(({ fill, line }) => [fill, line]);
}

/** One message after the other: sessions are not made for calls that overlap. */
let queue = Promise.resolve();

self.addEventListener('message', (/** @type {MessageEvent} */ { data }) => {
  const { request, kind, ...message } = data;
  if (kind === 'cancel') {
    cancelled.add(request); // not queued: it is about what runs now, or waits
    return;
  }
  /** @type {Notify} */
  const notify = (step, done, total, bitmap) =>
    self.postMessage({ request, progress: { step, done, total, bitmap } }, { transfer: bitmap ? [bitmap] : [] });
  queue = queue.then(async () => {
    try {
      const { value, transfer = [] } = await HANDLERS[kind](message, { notify, cancelled: () => cancelled.has(request) });
      self.postMessage({ request, value }, { transfer });
    } catch (error) {
      const reason = error instanceof AppError ? error.reason : undefined;
      self.postMessage({ request, error: messageOf(error), reason });
    }
    cancelled.delete(request);
  });
});
