/** Pixels of a picture, and pictures of a mask. Runs in the worker, on OffscreenCanvas. */

import { isDicom, readDicom } from '../core/dicom.js';
import { AppError } from '../core/errors.js';
import { outline, outlineThickness } from '../core/imaging.js';
import { requireOpenable } from '../core/kinds.js';
import { upright } from '../core/orientation.js';
import { pixelsOf } from '../core/raster.js';
import { isPng, readPng } from '../core/unpng.js';
import { isWebp, takeOrientation } from '../core/webp.js';

export const MINIMUM_SIDE = 8;
const MAXIMUM_PIXELS = 50_000_000;
const HEAD = 512; // bytes that tell what a file is

/**
 * A picture, upright, colours as stored. What its levels are is a matter of the network where the file is deeper than 8
 * bits: `under` gives them, RGBA without transparency. The size of a pixel is what the file says of the body: PNG, JPEG
 * and the like say at most how large to print them.
 * @typedef {import('../core/intensity.js').Intensity} Intensity
 * @typedef {import('../core/spacing.js').Spacing} Spacing
 * @typedef {{
 *   width: number, height: number, under: (intensity: Intensity) => Uint8ClampedArray<ArrayBuffer>, spacing?: Spacing | null,
 *   unmeasured?: string,
 * }} Pixels
 */

/**
 * Decode a file, or take a camera's frame.
 * @param {Blob | ImageBitmap} source
 * @param {string} name for errors
 * @returns {Promise<Pixels>}
 * @throws {AppError} a file that is none, or of a kind that cannot be shown as it is stored
 */
export async function readPicture(source, name) {
  if (source instanceof ImageBitmap) return drawn(source, name);
  if (source.size === 0) throw new AppError(`${name} is empty (0 bytes)`, 'Copy it again.');
  const head = new Uint8Array(await source.slice(0, HEAD).arrayBuffer());
  requireOpenable(head, name);
  if (isDicom(head)) {
    const bytes = new Uint8Array(await source.arrayBuffer());
    return readDicom(bytes, name, (width, height) => requireSize(width, height, name));
  }
  if (isPng(head)) return png(source, name);
  if (!isWebp(head)) return drawn(await decode(source, name), name);
  const bytes = new Uint8Array(await source.arrayBuffer());
  const orientation = takeOrientation(bytes);
  return drawn(await decode(new Blob([bytes]), name), name, orientation);
}

/**
 * The picture for the screen, made of the very levels that are segmented: the browser's own bitmap of a file keeps its
 * orientation beside its pixels, and a canvas with a "bitmaprenderer" does not turn it.
 * @param {Uint8ClampedArray<ArrayBuffer>} rgba
 * @param {Pixels} pixels
 */
export function bitmapFor(rgba, { width, height }) {
  return createImageBitmap(new ImageData(rgba, width, height));
}

/**
 * @param {number} width
 * @param {number} height
 * @param {string} name
 */
function requireSize(width, height, name) {
  if (Math.min(width, height) < MINIMUM_SIDE) {
    throw new AppError(`${name} is ${width} x ${height} pixels`, `Pictures need at least ${MINIMUM_SIDE} on each side.`);
  }
  if (width * height > MAXIMUM_PIXELS) {
    throw new AppError(`${name} has ${Math.round((width * height) / 1e6)} million pixels`, 'Use a smaller picture.');
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @returns {Promise<Pixels>}
 */
async function png(blob, name) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const raster = await readPng(bytes, name, (width, height) => requireSize(width, height, name));
  return pixelsOf(raster);
}

/**
 * @param {ImageBitmap} bitmap used up
 * @param {string} name
 * @param {number} orientation that the browser has not undone
 * @returns {Pixels}
 */
function drawn(bitmap, name, orientation = 1) {
  const { width, height } = bitmap;
  requireSize(width, height, name);
  const context = contextOf(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  for (let at = 3; at < rgba.length; at += 4) {
    if (rgba[at] !== 255) {
      // The canvas has multiplied its colours: what they were is lost.
      throw new AppError(`${name} has transparent parts, whose colours browsers change`, 'Save it as PNG.', 'transparent');
    }
  }
  const shown = upright({ width, height, channels: 4, values: rgba }, orientation);
  return { width: shown.width, height: shown.height, under: () => shown.values };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
async function decode(blob, name) {
  try {
    // The reference reads the stored values, so no colour profile is applied; orientation is.
    return await createImageBitmap(blob, { colorSpaceConversion: 'none', imageOrientation: 'from-image' });
  } catch {
    throw new AppError(`${name} cannot be read as a picture`, 'It is corrupt, or of a kind that this browser does not open.');
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function contextOf(width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new AppError('this browser gives no canvas of that size', 'Use a smaller picture.');
  return context;
}

/**
 * The labels as two transparent pictures: areas, and outlines.
 * @param {Uint8Array} labels height x width
 * @param {number} height
 * @param {number} width
 * @param {import('../core/contract.js').SegmentClass[]} classes
 * @returns {{ fill: ImageBitmap, line: ImageBitmap }}
 */
export function paintLabels(labels, height, width, classes) {
  const colours = new Uint32Array(256);
  const bytes = new Uint8Array(colours.buffer);
  classes.forEach(({ colour }, index) => bytes.set([...colour, 255], 4 * (index + 1)));
  const edges = outline(labels, height, width, outlineThickness(height, width));
  return { fill: bitmapOf(labels, height, width, colours), line: bitmapOf(edges, height, width, colours) };
}

/**
 * @param {Uint8Array} labels
 * @param {number} height
 * @param {number} width
 * @param {Uint32Array} colours RGBA of each label, in memory order
 */
function bitmapOf(labels, height, width, colours) {
  const context = contextOf(width, height);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < labels.length; at += 1) pixels[at] = colours[labels[at]];
  context.putImageData(image, 0, 0);
  return context.canvas.transferToImageBitmap();
}
