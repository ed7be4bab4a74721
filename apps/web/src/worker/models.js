/** Models: opened, self-tested on the golden inputs, and only then allowed to look at pictures. */

import { openBundle } from '../core/bundle.js';
import { within } from '../core/deadline.js';
import { AppError, messageOf } from '../core/errors.js';
import { normalise } from '../core/imaging.js';
import { breaches, compare } from '../core/parity.js';
import { createSession, hasWebGpu } from './runtime.js';

/**
 * @typedef {import('./runtime.js').Provider} Provider
 * @typedef {import('../core/parity.js').Comparison & { milliseconds: number }} GoldenFigures
 * @typedef {{
 *   passed: boolean, provider: Provider, threads: number, version: string, files: string[],
 *   images: GoldenFigures[], breaches: string[], notes: string[],
 * }} SelfTest
 * @typedef {{
 *   bundle: import('../core/bundle.js').Bundle,
 *   session: import('./runtime.js').Session,
 *   selfTest: SelfTest,
 * }} Model
 * @typedef {(step: string, done: number, total: number) => void} Notify
 */

/** Longest time for WebGPU to load, compile its shaders and pass the self-test; a driver may hang instead of failing. */
const WEBGPU_PATIENCE = 60_000;

/**
 * Open a bundle and run its golden inputs. WebGPU that fails to load, does not answer, or answers otherwise than the
 * reference, gives way to WebAssembly; what fails there too is not let through.
 * @param {(name: string) => Promise<Uint8Array>} read
 * @param {'auto' | Provider} wanted
 * @param {string} base URL of the folder `ort/`
 * @param {Notify} notify
 * @returns {Promise<Model>} whose self-test may have failed
 */
export async function openModel(read, wanted, base, notify) {
  const bundle = await openBundle(read);
  /** @type {string[]} */
  const notes = [];
  const gpu = wanted !== 'wasm' && (await hasWebGpu());
  if (wanted === 'webgpu' && !gpu) notes.push('This browser gives no WebGPU adapter; WebAssembly is used.');
  if (gpu) {
    let waiting = true;
    try {
      /** @type {Notify} */
      const heard = (...progress) => {
        if (waiting) notify(...progress);
      };
      const attempt = tryProvider(bundle, 'webgpu', base, heard);
      const model = await within(attempt, WEBGPU_PATIENCE, (late) => late.session.release());
      if (model.selfTest.passed) return model;
      notes.push(`WebGPU answers otherwise than the reference (${model.selfTest.breaches[0]}); WebAssembly is used.`);
      await model.session.release();
    } catch (error) {
      notes.push(`WebGPU failed (${messageOf(error)}); WebAssembly is used.`);
    } finally {
      waiting = false;
    }
  }
  const model = await tryProvider(bundle, 'wasm', base, notify);
  model.selfTest.notes.push(...notes);
  return model;
}

/**
 * @param {import('../core/bundle.js').Bundle} bundle
 * @param {Provider} provider
 * @param {string} base
 * @param {Notify} notify
 * @returns {Promise<Model>}
 */
async function tryProvider(bundle, provider, base, notify) {
  notify('starting', 0, 0);
  const session = await createSession(bundle.artifact, bundle.contract, provider, base);
  const { contract, golden, gate } = bundle;
  /** @type {GoldenFigures[]} */
  const images = [];
  for (const [index, entry] of golden.entries()) {
    notify('self-test', index, golden.length);
    const began = performance.now();
    const edge = await runNetwork({ bundle, session }, entry.image);
    const milliseconds = performance.now() - began;
    const figures = compare(entry.name, entry.logits, edge, contract.output.shape[1], contract.threshold);
    images.push({ ...figures, milliseconds });
  }
  const found = images.flatMap((figures) => breaches(gate, figures));
  const { threads, version, files } = session;
  const passed = found.length === 0 && images.length > 0;
  return { bundle, session, selfTest: { passed, provider, threads, version, files, images, breaches: found, notes: [] } };
}

/**
 * @param {Pick<Model, 'bundle' | 'session'>} model
 * @param {Uint8Array} fitted size x size x channels
 * @returns {Promise<Float32Array>} probabilities, classes x size x size
 */
export async function runNetwork({ bundle, session }, fitted) {
  const { contract } = bundle;
  return session.run(inputOf(fitted, contract));
}

/**
 * The artifact's input from a fitted picture, in the dtype and layout of the contract.
 * @param {Uint8Array} fitted size x size x channels
 * @param {import('../core/contract.js').Contract} contract
 * @returns {Float32Array | Uint8Array}
 */
export function inputOf(fitted, contract) {
  const { input, preprocessing } = contract;
  const { size, channels } = preprocessing;
  const planar = input.layout !== 'NHWC';
  if (input.normalised_inside) {
    const levels = planar ? toPlanes(fitted, channels, size * size) : fitted;
    return input.dtype === 'uint8' ? levels : Float32Array.from(levels);
  }
  const planes = normalise(fitted, preprocessing);
  return planar ? planes : toPixels(planes, channels, size * size);
}

/**
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @param {number} area
 */
function toPlanes(pixels, channels, area) {
  const planes = new Uint8Array(pixels.length);
  for (let at = 0; at < pixels.length; at += 1) planes[(at % channels) * area + Math.floor(at / channels)] = pixels[at];
  return planes;
}

/**
 * @param {Float32Array} planes
 * @param {number} channels
 * @param {number} area
 */
function toPixels(planes, channels, area) {
  const pixels = new Float32Array(planes.length);
  for (let at = 0; at < planes.length; at += 1) pixels[at] = planes[(at % channels) * area + Math.floor(at / channels)];
  return pixels;
}

/**
 * Refuse a model whose self-test did not pass.
 * @param {Model | undefined} model
 * @returns {Model}
 */
export function requirePassed(model) {
  if (!model) throw new AppError('the model is not open', 'Choose it again.');
  if (!model.selfTest.passed) throw new AppError('the self-test failed', 'No masks are shown.');
  return model;
}
