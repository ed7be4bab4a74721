/**
 * DICOM as a browser can read it by itself: one frame that is not compressed, grey or RGB, shown as s2m_edge/imaging/dicom.py
 * shows it, and the size of its pixels where the file says one. All else is refused, with what opens it.
 */

import { AppError } from './errors.js';
import { levelsBetween, spread } from './intensity.js';
import { TOOLKIT } from './kinds.js';

/**
 * The size of a pixel in mm, of DICOM's PixelSpacing, or of ImagerPixelSpacing, which is that of the detector.
 * @typedef {{ rows: number, columns: number, from: 'PixelSpacing' | 'ImagerPixelSpacing' }} Spacing
 * @typedef {{ vr: string, from: number, length: number }} Element
 * @typedef {{ width: number, height: number, under: (intensity: import('./intensity.js').Intensity) => Uint8ClampedArray<ArrayBuffer>, spacing: Spacing | null }} Read
 */

const PREAMBLE = 128;
const IMPLICIT = '1.2.840.10008.1.2';
const EXPLICIT = '1.2.840.10008.1.2.1';
const UNDEFINED = 0xffffffff;
const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const [ITEM, ITEM_END, SEQUENCE_END] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
const DEEPEST = 32;
const LONGEST = 1024; // of a text that is looked at
const TAG = {
  syntax: 0x00020010,
  imagerSpacing: 0x00181164,
  samples: 0x00280002,
  photometric: 0x00280004,
  planar: 0x00280006,
  frames: 0x00280008,
  rows: 0x00280010,
  columns: 0x00280011,
  spacing: 0x00280030,
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
  let file;
  try {
    file = new Elements(bytes);
  } catch {
    throw new AppError(`${name} cannot be read as DICOM: it is cut off or damaged`, 'Copy it again.', 'dicom');
  }
  if (file.syntax !== IMPLICIT && file.syntax !== EXPLICIT) throw refuse('compressed or big-endian DICOM');
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
  const spacing = spacingOf(file);
  if (![8, 16].includes(allocated) || stored < 1 || stored > allocated || (file.has(TAG.high) && file.short(TAG.high) !== stored - 1)) {
    throw refuse(`DICOM of ${stored} bits in ${allocated}`);
  }
  if (held.length < length) throw new AppError(`${name} holds fewer pixels than it says`, 'Copy it again.', 'dicom');
  if (photometric === 'RGB' && samples === 3 && allocated === 8) {
    const rgba = coloured(held, rows * columns, file.short(TAG.planar) === 1);
    return { width: columns, height: rows, under: () => rgba, spacing };
  }
  if (!/^MONOCHROME[12]$/.test(photometric) || samples !== 1) throw refuse(`DICOM of ${photometric} with ${allocated} bits`);
  const values = storedValues(held, rows * columns, allocated, stored, file.short(TAG.signed) === 1);
  const inverse = photometric === 'MONOCHROME1' || file.text(TAG.shape).toUpperCase() === 'INVERSE';
  const under = (/** @type {import('./intensity.js').Intensity} */ intensity) => {
    return grey(shownLevels(file, values, intensity), inverse);
  };
  return { width: columns, height: rows, under, spacing };
}

/** The elements of a file's data set, sequences passed over. */
class Elements {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    /** @type {Map<number, Element>} */
    this.found = new Map();
    let at = PREAMBLE + 4;
    while (at + 8 <= bytes.length && this.view.getUint16(at, true) === 2) at = this.#element(at, true, 0, this.found);
    this.syntax = this.text(TAG.syntax);
    const explicit = this.syntax !== IMPLICIT;
    if (explicit && this.syntax !== EXPLICIT) return;
    while (at + 8 <= bytes.length && !this.found.has(TAG.pixels)) at = this.#element(at, explicit, 0, this.found);
    if (at < bytes.length && !this.found.has(TAG.pixels)) throw new RangeError('cut off');
  }

  /** @param {number} tag */
  has(tag) {
    const element = this.found.get(tag);
    return element !== undefined && element.length > 0;
  }

  /** @param {number} tag */
  bytes(tag) {
    const { from, length } = /** @type {Element} */ (this.found.get(tag));
    const held = Math.min(length, this.view.byteLength - from);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + from, Math.max(0, held));
  }

  /** @param {number} tag */
  text(tag) {
    return this.has(tag) ? String.fromCharCode(...this.bytes(tag).subarray(0, LONGEST)).replaceAll('\0', ' ').trim() : '';
  }

  /**
   * @param {number} tag
   * @returns {number} 0 where there is none
   */
  short(tag) {
    const element = this.found.get(tag);
    return element && element.length >= 2 ? this.view.getUint16(element.from, true) : 0;
  }

  /**
   * All numbers of a decimal string.
   * @param {number} tag
   */
  numbers(tag) {
    const text = this.text(tag);
    return text ? text.split('\\').map((part) => (part.trim() ? Number(part) : NaN)) : [];
  }

  /**
   * The first number of a decimal string.
   * @param {number} tag
   * @param {number} otherwise where there is none that is finite
   */
  number(tag, otherwise) {
    const [first] = this.numbers(tag);
    return Number.isFinite(first) ? first : otherwise;
  }

  /**
   * Read one element, or pass over a sequence with all that is in it.
   * @param {number} at
   * @param {boolean} explicit
   * @param {number} depth
   * @param {Map<number, Element> | null} into
   * @returns {number} where the next one begins
   */
  #element(at, explicit, depth, into) {
    const { view } = this;
    const tag = view.getUint16(at, true) * 0x10000 + view.getUint16(at + 2, true);
    let vr = '';
    let length = view.getUint32(at + 4, true);
    let from = at + 8;
    if (explicit && tag < ITEM) {
      vr = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5));
      if (LONG.has(vr)) [length, from] = [view.getUint32(at + 8, true), at + 12];
      else length = view.getUint16(at + 6, true);
    }
    if (length !== UNDEFINED) {
      if (from + length > view.byteLength && tag !== TAG.pixels) throw new RangeError('cut off');
      into?.set(tag, { vr, from, length });
      return from + length;
    }
    if (tag === TAG.pixels) throw new RangeError('pieces of a compression');
    // A sequence, or one of an unknown VR, whose items are implicit (PS3.5 6.2.2, note 2).
    const end = this.#items(from, explicit && vr !== 'UN', depth + 1);
    into?.set(tag, { vr, from, length: end - from });
    return end;
  }

  /**
   * @param {number} at
   * @param {boolean} explicit
   * @param {number} depth
   */
  #items(at, explicit, depth) {
    if (depth > DEEPEST) throw new RangeError('nested too deep');
    for (;;) {
      const tag = this.view.getUint16(at, true) * 0x10000 + this.view.getUint16(at + 2, true);
      const length = this.view.getUint32(at + 4, true);
      at += 8;
      if (tag === SEQUENCE_END) return at;
      if (tag !== ITEM) throw new RangeError('no item');
      if (length !== UNDEFINED) {
        at += length;
        continue;
      }
      while (this.view.getUint16(at, true) * 0x10000 + this.view.getUint16(at + 2, true) !== ITEM_END) {
        at = this.#element(at, explicit, depth, null);
      }
      at += 8;
    }
  }

  /**
   * A value of a pixel: signed where the pixels are.
   * @param {number} tag that is there
   */
  pixelValue(tag) {
    const { vr, from, length } = /** @type {Element} */ (this.found.get(tag));
    if (length < 2) return 0;
    const signed = vr ? vr === 'SS' : this.short(TAG.signed) === 1;
    return signed ? this.view.getInt16(from, true) : this.view.getUint16(from, true);
  }
}

/**
 * @param {Elements} file
 * @returns {Spacing | null} nothing where the file says none: it is not guessed
 */
function spacingOf(file) {
  for (const [from, tag] of /** @type {const} */ ([['PixelSpacing', TAG.spacing], ['ImagerPixelSpacing', TAG.imagerSpacing]])) {
    const found = file.numbers(tag);
    if (found.length === 2 && found.every((side) => Number.isFinite(side) && side > 0)) {
      return { rows: found[0], columns: found[1], from };
    }
  }
  return null;
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
 * @param {Elements} file
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
 * @param {Elements} file
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
 * @param {Elements} file
 * @param {Float64Array} stored
 * @param {Float64Array} values
 */
function judged(file, stored, values) {
  if (!file.has(TAG.padding)) return values;
  const ends = [TAG.padding, TAG.paddingLimit].filter((tag) => file.has(tag)).map((tag) => file.pixelValue(tag));
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const inside = values.filter((_, at) => stored[at] < low || stored[at] > high);
  return inside.length > 0 ? inside : values;
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
