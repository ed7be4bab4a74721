/** EXIF's orientation: read from its TIFF structure, and undone. */

const TAG = 0x0112;

/**
 * @param {Uint8Array} tiff as in a PNG's eXIf chunk
 * @returns {number} 1..8; 1 where none is given
 */
export function tiffOrientation(tiff) {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8 || ![0x4949, 0x4d4d].includes(view.getUint16(0))) return 1;
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  if (directory > tiff.length - 2) return 1;
  const entries = view.getUint16(directory, little);
  for (let index = 0, at = directory + 2; index < entries && at + 12 <= tiff.length; index += 1, at += 12) {
    if (view.getUint16(at, little) !== TAG) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/**
 * @template {Uint8Array | Uint8ClampedArray | Uint16Array} Values
 * @typedef {{ width: number, height: number, channels: number, values: Values }} Raster height x width x channels
 */

/**
 * A stored picture as it is to be seen.
 * @template {Uint8Array | Uint8ClampedArray | Uint16Array} Values
 * @param {Raster<Values>} stored
 * @param {number} orientation 1..8
 * @returns {Raster<Values>}
 */
export function upright(stored, orientation) {
  if (orientation === 1) return stored;
  const { width, height, channels, values } = stored;
  const lies = orientation >= 5;
  const [shownWidth, shownHeight] = lies ? [height, width] : [width, height];
  const mirrorX = [2, 3, 7, 8].includes(orientation);
  const mirrorY = [3, 4, 6, 7].includes(orientation);
  const shown = /** @type {Values} */ (values.slice());
  for (let y = 0, to = 0; y < shownHeight; y += 1) {
    for (let x = 0; x < shownWidth; x += 1) {
      const [column, row] = lies ? [y, x] : [x, y];
      const from = ((mirrorY ? height - 1 - row : row) * width + (mirrorX ? width - 1 - column : column)) * channels;
      for (let channel = 0; channel < channels; channel += 1, to += 1) shown[to] = values[from + channel];
    }
  }
  return { width: shownWidth, height: shownHeight, channels, values: shown };
}
