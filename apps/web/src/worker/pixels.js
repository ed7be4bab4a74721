/** Pixels of a picture, and pictures of a mask. Runs in the worker, on OffscreenCanvas. */

import { AppError } from '../core/errors.js';
import { outline, outlineThickness } from '../core/imaging.js';

export const MINIMUM_SIDE = 8;
const MAXIMUM_PIXELS = 50_000_000;

/** @typedef {{ rgba: Uint8ClampedArray, width: number, height: number, bitmap: ImageBitmap }} Picture */

/**
 * Decode a file, or take a camera's frame: upright, colours as stored.
 * @param {Blob | ImageBitmap} source
 * @param {string} name for errors
 * @returns {Promise<Picture>}
 */
export async function readPicture(source, name) {
  const bitmap = source instanceof ImageBitmap ? source : await decode(source, name);
  const { width, height } = bitmap;
  if (Math.min(width, height) < MINIMUM_SIDE) {
    throw new AppError(`${name} is ${width} x ${height} pixels`, `Pictures need at least ${MINIMUM_SIDE} on each side.`);
  }
  if (width * height > MAXIMUM_PIXELS) {
    throw new AppError(`${name} has ${Math.round((width * height) / 1e6)} million pixels`, 'Use a smaller picture.');
  }
  const context = contextOf(width, height);
  context.drawImage(bitmap, 0, 0);
  return { rgba: context.getImageData(0, 0, width, height).data, width, height, bitmap };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
async function decode(blob, name) {
  if (blob.size === 0) throw new AppError(`${name} is empty (0 bytes)`, 'Copy it again.');
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
