/** A picture as stored, and as the 8-bit RGBA that everything else here works on. */

import { spread } from './intensity.js';

/**
 * @typedef {import('./intensity.js').Intensity} Intensity
 * @typedef {import('./unpng.js').Raster} Raster
 */

/**
 * @param {Raster} raster
 * @returns {{ width: number, height: number, under: (intensity: Intensity) => Uint8ClampedArray<ArrayBuffer> }}
 */
export function pixelsOf({ width, height, channels, values }) {
  if (values instanceof Uint8Array) {
    const rgba = opaque(values, channels);
    return { width, height, under: () => rgba };
  }
  return { width, height, under: (intensity) => opaque(spread(values, intensity), channels) };
}

/**
 * @param {Uint8Array} levels
 * @param {number} channels 1: grey, 3: RGB
 */
function opaque(levels, channels) {
  const rgba = new Uint8ClampedArray((levels.length / channels) * 4).fill(255);
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2];
  for (let from = 0, to = 0; from < levels.length; from += channels, to += 4) {
    rgba[to] = levels[from];
    rgba[to + 1] = levels[from + green];
    rgba[to + 2] = levels[from + blue];
  }
  return rgba;
}
