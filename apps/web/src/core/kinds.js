/** Files that the page does not open, by what they are and what does open them. */

import { AppError } from './errors.js';

export const TOOLKIT = 's2m-edge predict and the desktop app (s2m-edge demo desktop) open it.';

/**
 * @param {Uint8Array} bytes the first few hundred of the file
 * @param {string} name
 * @throws {AppError} whose `reason` is dicom, nifti or tiff
 */
export function requireOpenable(bytes, name) {
  const text = (/** @type {number} */ at, /** @type {number} */ length) => String.fromCharCode(...bytes.subarray(at, at + length));
  const lower = name.toLowerCase();
  if (text(128, 4) !== 'DICM' && /\.(dcm|dicom|ima)$/.test(lower)) {
    throw new AppError(`${name} is DICOM without its preamble, which this page does not open`, TOOLKIT, 'dicom');
  }
  const magic = [text(344, 4), text(4, 4)]; // of versions 1 and 2
  if (magic.some((word) => /^n[i+][12]\0$/.test(word)) || /\.nii(\.gz)?$/.test(lower)) {
    throw new AppError(`${name} is a NIfTI volume, which browsers do not open`, TOOLKIT, 'nifti');
  }
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text(0, 4))) {
    throw new AppError(`${name} is a TIFF, which browsers do not open`, `${TOOLKIT} Or save it as PNG.`, 'tiff');
  }
}
