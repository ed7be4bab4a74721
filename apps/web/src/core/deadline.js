/** Waiting that ends: what a driver never answers must not hold the page up for ever. */

import { AppError } from './errors.js';

/**
 * The outcome of `work`, or an error once the time is over. Nothing can stop the work itself: should it end later, what
 * it made is given to `discard`.
 * @template T
 * @param {Promise<T>} work
 * @param {number} milliseconds
 * @param {(late: T) => unknown} [discard]
 * @returns {Promise<T>}
 * @throws {AppError} no answer in time
 */
export async function within(work, milliseconds, discard) {
  let over = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => {
      over = true;
      reject(new AppError(`no answer within ${milliseconds / 1000} s`));
    }, milliseconds);
  });
  work.then(
    (late) => over && discard?.(late),
    () => {},
  );
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (limit)]);
  } finally {
    clearTimeout(timer);
  }
}
