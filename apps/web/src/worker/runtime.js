/** onnxruntime-web: which build, how many threads, one session per model. Its files are served beside the page. */

import { within } from '../core/deadline.js';
import { ADAPTER_FAILED, AppError, messageOf, RELOAD } from '../core/errors.js';
import { PACKED, unpack } from '../core/gzip.js';
import { download, fetched, notDownloaded } from './download.js';

/**
 * @typedef {'webgpu' | 'wasm'} Provider
 * @typedef {typeof import('onnxruntime-web')} Ort
 * @typedef {{ base: string, tally: import('./download.js').Tally }} Place URL of the folder `ort/`, and who counts what comes from it
 * @typedef {{
 *   provider: Provider,
 *   threads: number,
 *   version: string,
 *   files: string[],
 *   run: (input: Float32Array | Uint8Array) => Promise<import('../core/answer.js').Answer>,
 *   release: () => Promise<void>,
 * }} Session
 */

const MAXIMUM_THREADS = 8;
const ADAPTER_PATIENCE = 10_000;

/** The files of each build, below `ort/`. */
const BUILDS = {
  wasm: { module: 'ort.wasm.min.mjs', loader: 'ort-wasm-simd-threaded.mjs', binary: 'ort-wasm-simd-threaded.wasm' },
  webgpu: { module: 'ort.webgpu.min.mjs', loader: 'ort-wasm-simd-threaded.asyncify.mjs', binary: 'ort-wasm-simd-threaded.asyncify.wasm' },
};

/** How large each binary is, packed and unpacked; the build writes it (plugins/offline.js). */
const SIZES = 'sizes.json';

/**
 * What the page keeps for offline use.
 * @param {Provider} provider
 */
function filesOf(provider) {
  const { module, loader, binary } = BUILDS[provider];
  return [SIZES, module, loader, binary + PACKED];
}

/** @type {Map<Provider, Promise<Ort>>} */
const loaded = new Map();

/**
 * The graphics adapter that this browser has for WebGPU: one made of software is far slower than WebAssembly, and one that
 * was lost while it worked stays so until the page is loaded again. `half`: it computes in float16.
 * @typedef {{ kind: 'hardware' | 'software' | 'lost' | 'none', half: boolean }} Adapter
 */

/** @type {Adapter} */
export const NO_ADAPTER = { kind: 'none', half: false };

/** Whether a device was lost in use. All sessions share it, and what the runtime makes of its loss is not relied on. */
let lost = false;

/** @returns {Promise<Adapter>} */
export async function webGpuAdapter() {
  if (lost) return { kind: 'lost', half: false };
  const gpu = /** @type {any} */ (navigator).gpu;
  try {
    const adapter = gpu ? await within(gpu.requestAdapter(), ADAPTER_PATIENCE) : null;
    if (!adapter) return NO_ADAPTER;
    const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter;
    return { kind: software ? 'software' : 'hardware', half: adapter.features.has('shader-f16') };
  } catch {
    return NO_ADAPTER;
  }
}

/**
 * What ends the wait for a device that is lost: what runs on it may never answer.
 * @param {Ort} ort with a session on WebGPU
 * @param {() => boolean} released whether that session is: the runtime destroys a device that no session uses
 * @returns {Promise<never>}
 */
async function lossOf(ort, released) {
  const device = /** @type {any} */ (await ort.env.webgpu.device);
  const { message = '' } = (await device?.lost) ?? {};
  if (released() || !device) return new Promise(() => {});
  lost = true;
  throw new AppError(`the graphics adapter was lost${message ? ` (${firstLine(message)})` : ''}`, RELOAD, ADAPTER_FAILED);
}

/** @returns {number} threads that the wasm build gets; 1 where the page is not cross-origin isolated */
export function threadCount() {
  if (!self.crossOriginIsolated || typeof SharedArrayBuffer === 'undefined') return 1;
  return Math.max(1, Math.min(navigator.hardwareConcurrency || 1, MAXIMUM_THREADS));
}

/**
 * The runtime, fetched once.
 * @param {Provider} provider
 * @param {Place} place
 * @returns {Promise<Ort>}
 */
export function loadRuntime(provider, place) {
  let runtime = loaded.get(provider);
  if (!runtime) {
    runtime = importRuntime(provider, place);
    runtime.catch(() => loaded.delete(provider)); // a failed download may be tried again
    loaded.set(provider, runtime);
  }
  return runtime;
}

/**
 * @param {Provider} provider
 * @param {Place} place
 * @returns {Promise<Ort>}
 */
async function importRuntime(provider, { base, tally }) {
  const { module, loader, binary } = BUILDS[provider];
  const { [binary]: size } = await (await fetched(new URL(SIZES, base).href, SIZES)).json();
  tally.expect(size.packed);
  const packed = await download(new URL(binary + PACKED, base).href, binary, size.packed, tally);
  const ort = await import(/* @vite-ignore */ new URL(module, base).href).catch((error) => {
    throw notDownloaded(module, messageOf(error));
  });
  ort.env.logLevel = 'fatal';
  ort.env.wasm.wasmPaths = { mjs: new URL(loader, base).href };
  ort.env.wasm.wasmBinary = await unpack(packed, binary, size.unpacked);
  ort.env.wasm.numThreads = threadCount();
  return ort;
}

/**
 * A session on one execution provider.
 * @param {Uint8Array} artifact
 * @param {import('../core/contract.js').Contract} contract
 * @param {Provider} provider
 * @param {Place} place
 * @returns {Promise<Session>}
 */
export async function createSession(artifact, contract, provider, place) {
  const ort = await loadRuntime(provider, place);
  const { input, output, preprocessing } = contract;
  /** @type {import('onnxruntime-web').InferenceSession} */
  let session;
  try {
    session = await ort.InferenceSession.create(artifact, {
      executionProviders: [provider],
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
    });
  } catch (error) {
    throw new AppError(`the model does not load on ${provider} (${firstLine(error)})`, 'Export it again.');
  }
  const names = [...session.inputNames, ...session.outputNames];
  if (String(names) !== String([input.name, output.name])) {
    throw new AppError(`the model has the tensors ${names.join(', ')}, the contract says otherwise`, 'Export it again.');
  }
  let released = false;
  const loss = provider === 'webgpu' ? lossOf(ort, () => released) : null;
  loss?.catch(() => {}); // who runs the network hears of it
  const { height, width, channels } = preprocessing;
  const shape = input.layout === 'NHWC' ? [1, height, width, channels] : [1, channels, height, width];
  const runOnce = async (/** @type {Float32Array | Uint8Array} */ values) => {
    const type = input.dtype === 'uint8' ? 'uint8' : 'float32';
    const tensor = new ort.Tensor(/** @type {any} */ (type), values, shape);
    const results = await session.run({ [input.name]: tensor });
    const found = results[output.name];
    const data = await found.getData();
    // What WebAssembly memory holds is overwritten by the next run.
    const answer = { values: data instanceof Float32Array ? data.slice() : data, shape: [...found.dims] };
    found.dispose();
    return answer;
  };
  return {
    provider,
    threads: provider === 'wasm' ? threadCount() : 1,
    version: ort.env.versions?.web ?? ort.env.versions?.common ?? 'unknown',
    files: filesOf(provider),
    run: (values) => {
      const answer = runOnce(values);
      return loss ? Promise.race([answer, loss]) : answer;
    },
    release: () => {
      released = true;
      return session.release();
    },
  };
}

/** @param {unknown} error */
function firstLine(error) {
  return messageOf(error).split('\n')[0].slice(0, 200);
}
