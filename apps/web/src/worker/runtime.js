/** onnxruntime-web: which build, how many threads, one session per model. Its files are served beside the page. */

import { within } from '../core/deadline.js';
import { AppError, messageOf } from '../core/errors.js';

/**
 * @typedef {'webgpu' | 'wasm'} Provider
 * @typedef {typeof import('onnxruntime-web')} Ort
 * @typedef {{
 *   provider: Provider,
 *   threads: number,
 *   version: string,
 *   files: string[],
 *   run: (input: Float32Array | Uint8Array) => Promise<Float32Array>,
 *   release: () => Promise<void>,
 * }} Session
 */

const MAXIMUM_THREADS = 8;
const ADAPTER_PATIENCE = 10_000;

/** The files of each build, below `ort/`; the page keeps those that it used for offline use. */
const FILES = {
  wasm: ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  webgpu: ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'],
};

/** @type {Map<Provider, Promise<Ort>>} */
const loaded = new Map();

/**
 * @returns {Promise<boolean>} whether this browser has a graphics adapter for WebGPU; one made of software does not
 *   count: it is far slower than WebAssembly
 */
export async function hasWebGpu() {
  const gpu = /** @type {any} */ (navigator).gpu;
  try {
    const adapter = gpu ? await within(gpu.requestAdapter(), ADAPTER_PATIENCE) : null;
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

/** @returns {number} threads that the wasm build gets; 1 where the page is not cross-origin isolated */
export function threadCount() {
  if (!self.crossOriginIsolated || typeof SharedArrayBuffer === 'undefined') return 1;
  return Math.max(1, Math.min(navigator.hardwareConcurrency || 1, MAXIMUM_THREADS));
}

/**
 * @param {Provider} provider
 * @param {string} base URL of the folder `ort/`
 * @returns {Promise<Ort>}
 */
function loadRuntime(provider, base) {
  let runtime = loaded.get(provider);
  if (!runtime) {
    runtime = importRuntime(provider, base);
    runtime.catch(() => loaded.delete(provider)); // a failed download may be tried again
    loaded.set(provider, runtime);
  }
  return runtime;
}

/**
 * @param {Provider} provider
 * @param {string} base
 * @returns {Promise<Ort>}
 */
async function importRuntime(provider, base) {
  const ort = await import(/* @vite-ignore */ new URL(FILES[provider][0], base).href);
  ort.env.logLevel = 'fatal';
  ort.env.wasm.wasmPaths = base;
  ort.env.wasm.numThreads = threadCount();
  return ort;
}

/**
 * A session on one execution provider.
 * @param {Uint8Array} artifact
 * @param {import('../core/contract.js').Contract} contract
 * @param {Provider} provider
 * @param {string} base URL of the folder `ort/`
 * @returns {Promise<Session>}
 */
export async function createSession(artifact, contract, provider, base) {
  const ort = await loadRuntime(provider, base);
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
  const { size, channels } = preprocessing;
  const shape = input.layout === 'NHWC' ? [1, size, size, channels] : [1, channels, size, size];
  const count = output.shape.reduce((product, side) => product * side, 1);
  return {
    provider,
    threads: provider === 'wasm' ? threadCount() : 1,
    version: ort.env.versions?.web ?? ort.env.versions?.common ?? 'unknown',
    files: FILES[provider],
    run: async (values) => {
      const type = input.dtype === 'uint8' ? 'uint8' : 'float32';
      const tensor = new ort.Tensor(/** @type {any} */ (type), values, shape);
      const results = await session.run({ [input.name]: tensor });
      const found = results[output.name];
      const data = await found.getData();
      if (!(data instanceof Float32Array) || data.length !== count) {
        throw new AppError(`the model gives ${found.type} ${found.dims}, the contract says otherwise`, 'Export it again.');
      }
      const copy = data.slice(); // what WebAssembly memory holds is overwritten by the next run
      found.dispose();
      return copy;
    },
    release: () => session.release(),
  };
}

/** @param {unknown} error */
function firstLine(error) {
  return messageOf(error).split('\n')[0].slice(0, 200);
}
