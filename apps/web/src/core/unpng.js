/**
 * PNG, read here and not by the browser, which would keep the high byte of 16-bit values, multiply alpha into colours and
 * might apply a gamma. Colours come as stored, alpha is dropped, of an animation the first picture is taken.
 */

import { AppError } from './errors.js';
import { tiffOrientation, upright } from './orientation.js';
import { crc32, SIGNATURE } from './png.js';

/**
 * A picture as stored, upright; `values` height x width x channels (1: grey, 3: RGB), of 8 or of 16 bits.
 * @typedef {import('./orientation.js').Raster<Uint8Array | Uint16Array>} Raster
 * @typedef {{ width: number, height: number, depth: number, colour: number, interlaced: boolean }} Header
 */

const [GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA] = [0, 2, 3, 4, 6];
/** Samples of a pixel, and the depths that they may have. @type {Record<number, { samples: number, depths: number[] }>} */
const COLOURS = {
  [GREY]: { samples: 1, depths: [1, 2, 4, 8, 16] },
  [RGB]: { samples: 3, depths: [8, 16] },
  [PALETTE]: { samples: 1, depths: [1, 2, 4, 8] },
  [GREY_ALPHA]: { samples: 2, depths: [8, 16] },
  [RGB_ALPHA]: { samples: 4, depths: [8, 16] },
};
/** Adam7: first column and row, and their steps. */
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
const WHOLE = [[0, 0, 1, 1]];

/** @param {Uint8Array} bytes */
export function isPng(bytes) {
  return SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes of the file
 * @param {string} name for errors
 * @param {(width: number, height: number) => void} requireSize throws where it cannot be; asked before anything is allocated
 * @returns {Promise<Raster>}
 * @throws {AppError} it is damaged
 */
export async function readPng(bytes, name, requireSize) {
  try {
    return await read(bytes, requireSize);
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    throw new AppError(`${name} cannot be read as a picture (${error.message})`, 'It is corrupt: copy it again.');
  }
}

class Damage extends Error {}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {(width: number, height: number) => void} requireSize
 */
async function read(bytes, requireSize) {
  const { header, palette, data, orientation } = parts(bytes);
  requireSize(header.width, header.height);
  const lines = await inflate(data, dataLength(header));
  return upright(withPalette(samplesOf(lines, header), palette), orientation);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function parts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Header | null} */
  let header = null;
  /** @type {Uint8Array | null} */
  let palette = null;
  let orientation = 1;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const data = [];
  for (let at = SIGNATURE.length; ; ) {
    if (bytes.length - at < 12) throw new Damage('it is truncated');
    const length = view.getUint32(at);
    if (length > bytes.length - at - 12) throw new Damage('it is truncated');
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) throw new Damage('a checksum is wrong');
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === 'IHDR') header = headerOf(body);
    else if (kind === 'PLTE') palette = body;
    else if (kind === 'eXIf') orientation = tiffOrientation(body);
    else if (kind === 'IDAT') data.push(body);
    else if (kind === 'IEND') break;
    at += 12 + length;
  }
  if (!header || data.length === 0) throw new Damage('it holds no pixels');
  if (header.colour === PALETTE && !palette) throw new Damage('it has no palette');
  return { header, palette: header.colour === PALETTE ? palette : null, data, orientation };
}

/**
 * @param {Uint8Array} body of IHDR
 * @returns {Header}
 */
function headerOf(body) {
  if (body.length !== 13) throw new Damage('its header is damaged');
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colour, compression, filter, interlace] = body.subarray(8);
  const known = COLOURS[colour]?.depths.includes(depth) && compression === 0 && filter === 0 && interlace <= 1;
  if (!known || width === 0 || height === 0) throw new Damage('its header is damaged');
  return { width, height, depth, colour, interlaced: interlace === 1 };
}

/**
 * The sizes of the passes, empty ones left out.
 * @param {Header} header
 */
function passesOf({ width, height, depth, colour, interlaced }) {
  const bits = depth * COLOURS[colour].samples;
  return (interlaced ? PASSES : WHOLE)
    .map(([x, y, dx, dy]) => ({ x, y, dx, dy, columns: Math.ceil((width - x) / dx), rows: Math.ceil((height - y) / dy) }))
    .filter(({ columns, rows }) => columns > 0 && rows > 0)
    .map((pass) => ({ ...pass, stride: Math.ceil((pass.columns * bits) / 8) }));
}

/** @param {Header} header */
function dataLength(header) {
  return passesOf(header).reduce((sum, { rows, stride }) => sum + rows * (stride + 1), 0);
}

/**
 * Exactly `length` bytes; what may follow is not looked at, so that no file unpacks to more than its header says.
 * @param {Uint8Array<ArrayBuffer>[]} data
 * @param {number} length
 */
async function inflate(data, length) {
  const found = new Uint8Array(length);
  const reader = new Blob(data).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  let done = 0;
  try {
    while (done < length) {
      const { value, done: ended } = await reader.read();
      if (ended) throw new Damage('it is truncated');
      found.set(value.subarray(0, length - done), done);
      done += value.length;
    }
    reader.cancel().catch(() => {});
  } catch (error) {
    throw error instanceof Damage ? error : new Damage('its pixels are damaged');
  }
  return found;
}

/**
 * @param {Uint8Array} lines rows behind their filters
 * @param {Header} header
 * @returns {Raster} a palette's numbers where there is one
 */
function samplesOf(lines, header) {
  const { width, height, depth, colour } = header;
  const { samples } = COLOURS[colour];
  const channels = samples >= 3 ? 3 : 1;
  const values = new (depth === 16 ? Uint16Array : Uint8Array)(width * height * channels);
  const step = Math.max(1, (samples * depth) >> 3);
  const factor = colour === PALETTE || depth >= 8 ? 1 : 255 / (2 ** depth - 1);
  let at = 0;
  for (const { x, y, dx, dy, columns, rows, stride } of passesOf(header)) {
    /** @type {Uint8Array} */
    let above = new Uint8Array(stride);
    for (let row = 0; row < rows; row += 1, at += stride + 1) {
      const line = lines.subarray(at + 1, at + 1 + stride);
      unfilter(lines[at], line, above, step);
      above = line;
      let to = ((y + row * dy) * width + x) * channels;
      for (let column = 0, sample = 0; column < columns; column += 1, sample += samples, to += dx * channels) {
        for (let channel = 0; channel < channels; channel += 1) {
          const from = sample + channel;
          if (depth === 8) values[to + channel] = line[from];
          else if (depth === 16) values[to + channel] = (line[2 * from] << 8) | line[2 * from + 1];
          else values[to + channel] = ((line[(from * depth) >> 3] >> (8 - depth - ((from * depth) & 7))) & (2 ** depth - 1)) * factor;
        }
      }
    }
  }
  return { width, height, channels, values };
}

/**
 * Undo a row's filter, in its place.
 * @param {number} kind
 * @param {Uint8Array} line
 * @param {Uint8Array} above the row before, undone
 * @param {number} step bytes of a pixel
 */
function unfilter(kind, line, above, step) {
  if (kind > 4) throw new Damage('its pixels are damaged');
  if (kind === 0) return;
  for (let at = 0; at < line.length; at += 1) {
    const left = at < step ? 0 : line[at - step];
    if (kind === 1) line[at] += left;
    else if (kind === 2) line[at] += above[at];
    else if (kind === 3) line[at] += (left + above[at]) >> 1;
    else line[at] += paeth(left, above[at], at < step ? 0 : above[at - step]);
  }
}

/**
 * Whichever of three neighbours is nearest to left + above - corner.
 * @param {number} left
 * @param {number} above
 * @param {number} corner
 */
function paeth(left, above, corner) {
  const [toLeft, toAbove, toCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/**
 * @param {Raster} raster
 * @param {Uint8Array | null} palette of which the raster holds numbers
 * @returns {Raster}
 */
function withPalette(raster, palette) {
  if (!palette) return raster;
  const values = new Uint8Array(raster.values.length * 3);
  for (let at = 0; at < values.length; at += 1) values[at] = palette[raster.values[Math.floor(at / 3)] * 3 + (at % 3)] ?? 0;
  return { ...raster, channels: 3, values };
}
