/**
 * DICOM as a browser can read it by itself: one frame that is not compressed, grey or RGB, shown as s2m_edge/imaging/dicom.py
 * shows it, and the size of its pixels where the file says one. All else is refused, with what opens it.
 */

import { DataSet, EXPLICIT, IMPLICIT, openDataSet, PREAMBLE } from './dataset.js';
import { AppError } from './errors.js';
import { levelsBetween, spread } from './intensity.js';
import { TOOLKIT } from './kinds.js';
import { knownSpacing } from './spacing.js';

/**
 * @typedef {{ width: number, height: number, under: (intensity: import('./intensity.js').Intensity) => Uint8ClampedArray<ArrayBuffer> } & import('./spacing.js').Known} Read
 */

const TAG = {
  samples: 0x00280002,
  photometric: 0x00280004,
  planar: 0x00280006,
  frames: 0x00280008,
  rows: 0x00280010,
  columns: 0x00280011,
  allocated: 0x00280100,
  stored: 0x00280101,
  high: 0x00280102,
  signed: 0x00280103,
  padding: 0x00280120,
  paddingLimit: 0x00280121,
  centre: 0x00281050,
  width: 0x00281051,
  intercept: 0x00281052,
  slope: 0x00281053,
  voiFunction: 0x00281056,
  modalityTable: 0x00283000,
  voiTable: 0x00283010,
  shape: 0x20500020,
  sharedGroups: 0x52009229,
  frameGroups: 0x52009230,
  pixels: 0x7fe00010,
};
const TABLES = [TAG.modalityTable, TAG.voiTable, TAG.sharedGroups, TAG.frameGroups];

/** @param {Uint8Array} bytes */
export function isDicom(bytes) {
  return String.fromCharCode(...bytes.subarray(PREAMBLE, PREAMBLE + 4)) === 'DICM';
}

/**
 * @param {Uint8Array} bytes
 * @param {string} name for errors
 * @param {(width: number, height: number) => void} requireSize called before the pixels are looked at
 * @returns {Read}
 * @throws {AppError} with the reason `dicom`
 */
export function readDicom(bytes, name, requireSize) {
  const refuse = (/** @type {string} */ what) => new AppError(`${name} is ${what}, which this page does not open`, TOOLKIT, 'dicom');
  let file, syntax;
  try {
    ({ file, syntax } = openDataSet(bytes, TAG.pixels));
  } catch {
    throw new AppError(`${name} cannot be read as DICOM: it is cut off or damaged`, 'Copy it again.', 'dicom');
  }
  if (syntax !== IMPLICIT && syntax !== EXPLICIT) throw refuse('compressed or big-endian DICOM');
  if (!file.has(TAG.pixels)) throw refuse('DICOM without a picture');
  const [rows, columns] = [file.short(TAG.rows), file.short(TAG.columns)];
  if (file.number(TAG.frames, 1) > 1) throw refuse('DICOM of several frames');
  if (TABLES.some((tag) => file.has(tag))) throw refuse('DICOM with lookup tables or functional groups');
  requireSize(columns, rows);
  const photometric = file.text(TAG.photometric).toUpperCase() || 'MONOCHROME2';
  const samples = file.short(TAG.samples) || 1;
  const [allocated, stored] = [file.short(TAG.allocated), file.short(TAG.stored)];
  const length = (rows * columns * samples * allocated) / 8;
  const held = file.bytes(TAG.pixels);
  const known = knownSpacing(file);
  if (![8, 16].includes(allocated) || stored < 1 || stored > allocated || (file.has(TAG.high) && file.short(TAG.high) !== stored - 1)) {
    throw refuse(`DICOM of ${stored} bits in ${allocated}`);
  }
  if (held.length < length) throw new AppError(`${name} holds fewer pixels than it says`, 'Copy it again.', 'dicom');
  if (photometric === 'RGB' && samples === 3 && allocated === 8) {
    const rgba = coloured(held, rows * columns, file.short(TAG.planar) === 1);
    return { width: columns, height: rows, under: () => rgba, ...known };
  }
  if (!/^MONOCHROME[12]$/.test(photometric) || samples !== 1) throw refuse(`DICOM of ${photometric} with ${allocated} bits`);
  const values = storedValues(held, rows * columns, allocated, stored, file.short(TAG.signed) === 1);
  const inverse = photometric === 'MONOCHROME1' || file.text(TAG.shape).toUpperCase() === 'INVERSE';
  const under = (/** @type {import('./intensity.js').Intensity} */ intensity) => {
    return grey(shownLevels(file, values, intensity), inverse);
  };
  return { width: columns, height: rows, under, ...known };
}

/**
 * @param {Uint8Array} held
 * @param {number} count
 * @param {number} allocated
 * @param {number} stored bits that are part of a value
 * @param {boolean} signed
 */
function storedValues(held, count, allocated, stored, signed) {
  const view = new DataView(held.buffer, held.byteOffset, held.byteLength);
  const values = new Float64Array(count);
  const range = 2 ** stored;
  for (let at = 0; at < count; at += 1) {
    const value = (allocated === 8 ? held[at] : view.getUint16(2 * at, true)) % range;
    values[at] = signed && value >= range / 2 ? value - range : value;
  }
  return values;
}

/**
 * Grey values through modality and values of interest: `_shown` of s2m_edge/imaging/dicom.py.
 * @param {DataSet} file
 * @param {Float64Array} stored
 * @param {import('./intensity.js').Intensity} intensity
 */
function shownLevels(file, stored, intensity) {
  const slope = file.number(TAG.slope, 1) || 1;
  const intercept = file.number(TAG.intercept, 0);
  const same = slope === 1 && intercept === 0;
  const values = same ? stored : stored.map((value) => value * slope + intercept);
  const bytes = same && file.short(TAG.allocated) === 8 && file.short(TAG.signed) !== 1;
  if (intensity.rule === 'window' && !bytes) return spread(values, intensity);
  if (intensity.rule === 'percentiles') {
    const windowed = throughWindow(file, values);
    if (windowed) return windowed;
  }
  if (bytes && file.short(TAG.stored) === 8) return Uint8Array.from(stored);
  return spread(values, intensity, judged(file, stored, values));
}

/**
 * PS3.3 C.11.2.1.2 and .3.
 * @param {DataSet} file
 * @param {Float64Array} values
 * @returns {Uint8Array | null} nothing where there is no window that can be
 */
function throughWindow(file, values) {
  const [centre, width] = [file.number(TAG.centre, NaN), file.number(TAG.width, NaN)];
  if (Number.isNaN(centre) || !(width > 0)) return null;
  const rule = file.text(TAG.voiFunction).toUpperCase();
  if (rule === 'SIGMOID') return levelsBetween(values.map((value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width))), 0, 1);
  if (rule === 'LINEAR_EXACT') return levelsBetween(values, centre - width / 2, centre + width / 2);
  if (width < 1) return null;
  if (width === 1) return Uint8Array.from(values, (value) => (value > centre - 0.5 ? 255 : 0));
  return levelsBetween(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2);
}

/**
 * The values whose percentiles count: without the padding around a round field of view.
 * @param {DataSet} file
 * @param {Float64Array} stored
 * @param {Float64Array} values
 */
function judged(file, stored, values) {
  if (!file.has(TAG.padding)) return values;
  const ends = [TAG.padding, TAG.paddingLimit].filter((tag) => file.has(tag)).map((tag) => pixelValue(file, tag));
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const inside = values.filter((_, at) => stored[at] < low || stored[at] > high);
  return inside.length > 0 ? inside : values;
}

/**
 * A value of a pixel: signed where the pixels are.
 * @param {DataSet} file
 * @param {number} tag that is there
 */
function pixelValue(file, tag) {
  return file.value(tag, file.short(TAG.signed) === 1 ? 'SS' : 'US') ?? 0;
}

/**
 * @param {Uint8Array} shown
 * @param {boolean} inverse
 */
function grey(shown, inverse) {
  const rgba = new Uint8ClampedArray(shown.length * 4).fill(255);
  for (let at = 0; at < shown.length; at += 1) rgba.fill(inverse ? 255 - shown[at] : shown[at], 4 * at, 4 * at + 3);
  return rgba;
}

/**
 * @param {Uint8Array} held
 * @param {number} count
 * @param {boolean} planes whether all reds come first
 */
function coloured(held, count, planes) {
  const rgba = new Uint8ClampedArray(count * 4).fill(255);
  for (let at = 0; at < count; at += 1) {
    for (let colour = 0; colour < 3; colour += 1) rgba[4 * at + colour] = held[planes ? colour * count + at : 3 * at + colour];
  }
  return rgba;
}
