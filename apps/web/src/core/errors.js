/** Errors that a person is meant to read: the cause, then what to do about it. */

export class AppError extends Error {
  /**
   * @param {string} cause one sentence without a full stop
   * @param {string} [remedy] what to do about it
   * @param {string} [reason] for programs; of a bundle that is refused, one of docs/contract.md
   */
  constructor(cause, remedy = '', reason = '') {
    super(remedy ? `${cause}. ${remedy}` : `${cause}.`);
    this.name = 'AppError';
    this.reason = reason;
  }
}

/** The reason where a file could not be fetched: nothing is known of it, and nothing is wrong with it. */
export const NOT_DOWNLOADED = 'not-downloaded';

/** The reason of work that a person, or a newer wish, put an end to. */
export const CANCELLED = 'cancelled';

/** What to do where nothing else helps. */
export const RELOAD = 'Reload the page.';

/** The reason where the graphics adapter gave no answer any more: another provider may. */
export const ADAPTER_FAILED = 'adapter-failed';

/**
 * Whether something thrown is an end that was asked for.
 * @param {unknown} error
 */
export function isCancelled(error) {
  return error instanceof AppError && error.reason === CANCELLED;
}

/**
 * The text of anything thrown.
 * @param {unknown} error
 * @returns {string}
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
