/** Errors that a person is meant to read: the cause, then what to do about it. */

export class AppError extends Error {
  /**
   * @param {string} cause one sentence without a full stop
   * @param {string} [remedy] what to do about it
   */
  constructor(cause, remedy = '') {
    super(remedy ? `${cause}. ${remedy}` : `${cause}.`);
    this.name = 'AppError';
  }
}

/**
 * The text of anything thrown.
 * @param {unknown} error
 * @returns {string}
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
