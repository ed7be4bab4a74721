/** Models: opened, self-tested on the golden inputs, and only then allowed to look at pictures. */

import { probabilitiesOfAnswer } from '../core/answer.js';
import { openBundle } from '../core/bundle.js';
import { within } from '../core/deadline.js';
import { ADAPTER_FAILED, AppError, messageOf, RELOAD } from '../core/errors.js';
import { normalise } from '../core/imaging.js';
import { compare, selfTestBreaches } from '../core/parity.js';
import { createSession, loadRuntime, NO_ADAPTER, webGpuAdapter } from './runtime.js';

/**
 * @typedef {import('./runtime.js').Provider} Provider
 * @typedef {import('../core/parity.js').Comparison & { milliseconds: number }} GoldenFigures
 * `arithmetic` is said where the bundle leaves it to the provider.
 * @typedef {{
 *   passed: boolean, arithmetic: '' | 'float16' | 'float32', provider: Provider, threads: number, version: string, files: string[],
 *   images: GoldenFigures[], breaches: string[], notes: string[],
 * }} SelfTest
 * @typedef {{
 *   bundle: import('../core/bundle.js').Bundle,
 *   session: import('./runtime.js').Session,
 *   selfTest: SelfTest,
 * }} Model
 * @typedef {(step: string, done: number, total: number) => void} Notify
 */

/** The precision that computes in float16 where the provider does. */
const COMPUTES_IN_HALF = 'float16-mixed';

/**
 * Longest time for WebGPU to load, compile its shaders and pass the self-test; a driver may hang instead of failing. Who
 * chose WebGPU by name waits longer than who left the choice to the page.
 */
const WEBGPU_PATIENCE = { auto: 60_000, webgpu: 600_000 };

/**
 * Open a bundle and run its golden inputs. WebGPU that fails to load, does not answer, or answers otherwise than the
 * reference, gives way to WebAssembly; what fails there too is not let through.
 * @param {import('../core/bundle.js').Source} source
 * @param {'auto' | Provider} wanted
 * @param {import('./runtime.js').Place} place where the runtime comes from
 * @param {Notify} notify
 * @returns {Promise<Model>} whose self-test may have failed
 */
export async function openModel(source, wanted, place, notify) {
  /** @type {string[]} */
  const notes = [];
  const adapter = wanted === 'wasm' ? NO_ADAPTER : await webGpuAdapter();
  let gpu = adapter.kind === 'hardware' || (adapter.kind === 'software' && wanted === 'webgpu');
  loadRuntime(gpu ? 'webgpu' : 'wasm', place).catch(() => {}); // beside the bundle; who needs it hears what went wrong
  const bundle = await openBundle(source);
  if (adapter.kind === 'lost') notes.push('The graphics adapter was lost; WebAssembly is used until the page is loaded again.');
  else if (wanted === 'webgpu' && !gpu) notes.push('This browser gives no WebGPU adapter; WebAssembly is used.');
  if (gpu && !adapter.half && bundle.contract.precision === COMPUTES_IN_HALF) {
    gpu = false;
    notes.push('The graphics adapter has no float16 arithmetic (shader-f16); WebAssembly is used, which computes in float32.');
  }
  if (gpu && wanted !== 'wasm') {
    let waiting = true;
    try {
      /** @type {Notify} */
      const heard = (...progress) => {
        if (waiting) notify(...progress);
      };
      const attempt = tryProvider(bundle, 'webgpu', place, heard);
      const model = await within(attempt, WEBGPU_PATIENCE[wanted], (late) => late.session.release());
      if (model.selfTest.passed) {
        if (adapter.kind === 'software') model.selfTest.notes.push('The WebGPU adapter is made of software: WebAssembly is faster here.');
        return model;
      }
      notes.push(`WebGPU answers otherwise than the reference (${model.selfTest.breaches[0]}); WebAssembly is used.`);
      await model.session.release();
    } catch (error) {
      notes.push(`WebGPU failed (${messageOf(error)}); WebAssembly is used.`);
    } finally {
      waiting = false;
    }
  }
  const model = await tryProvider(bundle, 'wasm', place, notify);
  model.selfTest.notes.push(...notes);
  return model;
}

/**
 * The same bundle in WebAssembly, self-tested, where the graphics adapter gives no answer any more.
 * @param {Model} model used up
 * @param {unknown} error what its session ended with
 * @param {import('./runtime.js').Place} place
 * @param {Notify} notify
 * @returns {Promise<Model>} whose self-test may have failed
 */
export async function fallBack({ bundle, session }, error, place, notify) {
  session.release().catch(() => {}); // not waited for: its device may never answer
  const model = await tryProvider(bundle, 'wasm', place, notify);
  const why = messageOf(error).replace(RELOAD, '').trim().replace(/\.$/, ''); // there is no need to
  model.selfTest.notes.push(`${why}; WebAssembly is used.`);
  return model;
}

/**
 * @param {import('../core/bundle.js').Bundle} bundle
 * @param {Provider} provider
 * @param {import('./runtime.js').Place} place
 * @param {Notify} notify
 * @returns {Promise<Model>}
 */
async function tryProvider(bundle, provider, place, notify) {
  await loadRuntime(provider, place);
  notify('starting', 0, 0);
  const session = await createSession(bundle.artifact, bundle.contract, provider, place);
  const { contract, golden, gate } = bundle;
  /** @type {GoldenFigures[]} */
  const images = [];
  for (const [index, entry] of golden.entries()) {
    notify('self-test', index, golden.length);
    const began = performance.now();
    const edge = await runNetwork({ bundle, session }, entry.image, entry.name);
    const milliseconds = performance.now() - began;
    const figures = compare(entry.name, entry.logits, edge, contract.output.shape[1], contract.threshold);
    images.push({ ...figures, milliseconds });
  }
  const found = selfTestBreaches(gate, images);
  const { threads, version, files } = session;
  const passed = found.length === 0;
  const arithmetic = contract.precision !== COMPUTES_IN_HALF ? '' : provider === 'webgpu' ? 'float16' : 'float32';
  return { bundle, session, selfTest: { passed, arithmetic, provider, threads, version, files, images, breaches: found, notes: [] } };
}

/**
 * The one way to an answer, for self-tests, pictures, windows and the camera: what can be no mask does not come back.
 * @param {Pick<Model, 'bundle' | 'session'>} model
 * @param {Uint8Array} fitted height x width x channels
 * @param {string} picture its name, for errors
 * @returns {Promise<Float32Array>} probabilities, outputs x height x width
 * @throws {AppError} the artifact failed on it
 */
export async function runNetwork({ bundle, session }, fitted, picture) {
  const { contract } = bundle;
  let answer;
  try {
    answer = await session.run(inputOf(fitted, contract));
  } catch (error) {
    if (error instanceof AppError) throw error;
    const said = messageOf(error).split('\n')[0].slice(0, 200);
    const reason = session.provider === 'webgpu' ? ADAPTER_FAILED : '';
    throw new AppError(`${picture}: the artifact failed while running (${said})`, RELOAD, reason);
  }
  return probabilitiesOfAnswer(answer, contract.output.shape, picture);
}

/**
 * The artifact's input from a fitted picture, in the dtype and layout of the contract.
 * @param {Uint8Array} fitted height x width x channels
 * @param {import('../core/contract.js').Contract} contract
 * @returns {Float32Array | Uint8Array}
 */
export function inputOf(fitted, contract) {
  const { input, preprocessing } = contract;
  const { height, width, channels } = preprocessing;
  const planar = input.layout !== 'NHWC';
  if (input.normalised_inside) {
    const levels = planar ? toPlanes(fitted, channels, height * width) : fitted;
    return input.dtype === 'uint8' ? levels : Float32Array.from(levels);
  }
  const planes = normalise(fitted, preprocessing);
  return planar ? planes : toPixels(planes, channels, height * width);
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
