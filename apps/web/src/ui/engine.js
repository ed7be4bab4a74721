/** The worker, as promises. */

import { AppError } from '../core/errors.js';

/**
 * @typedef {{ step: string, done: number, total: number, bitmap?: ImageBitmap }} Progress
 * What was opened; `bytes` were fetched for it, from the server or from what this device keeps.
 * @typedef {{
 *   contract: import('../core/contract.js').Contract,
 *   gate: import('../core/parity.js').Gate,
 *   selfTest: import('../worker/models.js').SelfTest,
 *   bytes: number,
 * }} Opened
 * @typedef {import('../worker/index.js').Decision} Decision
 * @typedef {{ resolve: (value: any) => void, reject: (error: Error) => void, progress?: (progress: Progress) => void }} Pending
 */

export class Engine {
  /** @param {(id: string, selfTest: import('../worker/models.js').SelfTest) => void} fallen called when a model moved to another provider */
  constructor(fallen) {
    this.fallen = fallen;
    this.worker = new Worker(new URL('../worker/index.js', import.meta.url), { type: 'module', name: 's2m-edge' });
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    this.count = 0;
    this.worker.addEventListener('message', ({ data }) => this.#receive(data));
    this.worker.addEventListener('error', (event) => this.#fail(event.message || 'the worker did not start'));
  }

  /**
   * Open a model and self-test it.
   * @param {{ id: string, source: import('./catalogue.js').Origin, provider: string }} what
   * @param {(progress: Progress) => void} progress
   * @returns {Promise<Opened>}
   */
  open(what, progress) {
    return this.#ask('open', { ...what, base: new URL('ort/', document.baseURI).href }, [], progress);
  }

  /** @param {string} id @returns {Promise<void>} */
  close(id) {
    return this.#ask('close', { id });
  }

  /**
   * Segment a picture. A frame is handed over: it cannot be used here afterwards.
   * @param {{ picture: Blob | ImageBitmap, name: string, ids: string[], threshold: number | null }} what
   * @param {(progress: Progress) => void} progress
   * @param {AbortSignal} signal ends it before the next run of the network; the promise is then rejected as cancelled
   * @returns {Promise<Decision>}
   */
  analyse(what, progress, signal) {
    const { picture } = what;
    return this.#ask('analyse', what, picture instanceof ImageBitmap ? [picture] : [], progress, signal);
  }

  /** @param {number | null} threshold @returns {Promise<Decision>} */
  decide(threshold) {
    return this.#ask('decide', { threshold });
  }

  /** @param {string} id @returns {Promise<Blob>} */
  mask(id) {
    return this.#ask('mask', { id });
  }

  /**
   * @param {string} kind
   * @param {Record<string, any>} message
   * @param {Transferable[]} transfer
   * @param {(progress: Progress) => void} [progress]
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #ask(kind, message, transfer = [], progress, signal) {
    this.count += 1;
    const request = this.count;
    return new Promise((resolve, reject) => {
      this.pending.set(request, { resolve, reject, progress });
      this.worker.postMessage({ request, kind, ...message }, transfer);
      const cancel = () => this.pending.has(request) && this.worker.postMessage({ request, kind: 'cancel' });
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted) cancel();
    });
  }

  /** @param {any} data */
  #receive({ request, progress, value, error, reason, fallen }) {
    if (fallen) this.fallen(fallen.id, fallen.selfTest);
    const waiting = this.pending.get(request);
    if (!waiting) return;
    if (progress) {
      waiting.progress?.(progress);
      return;
    }
    this.pending.delete(request);
    if (error === undefined) waiting.resolve(value);
    else waiting.reject(reason === undefined ? new Error(error) : Object.assign(new AppError('', '', reason), { message: error }));
  }

  /** @param {string} reason */
  #fail(reason) {
    for (const { reject } of this.pending.values()) reject(new AppError(`the engine failed (${reason})`, 'Reload the page.'));
    this.pending.clear();
  }
}
