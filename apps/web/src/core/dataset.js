/** The elements of a DICOM data set in little-endian order (PS3.5), of a file or of an item of a sequence. */

/** @typedef {{ vr: string, from: number, length: number }} Element the VR is empty where it is implicit */

export const PREAMBLE = 128;
export const IMPLICIT = '1.2.840.10008.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
const SYNTAX = 0x00020010;
const UNDEFINED = 0xffffffff;
const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const [ITEM, ITEM_END, SEQUENCE_END] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
const DEEPEST = 32;
const LONGEST = 1024; // of a text that is looked at

/** @type {Record<string, [size: number, read: (view: DataView, at: number) => number]>} */
const NUMBERS = {
  FD: [8, (view, at) => view.getFloat64(at, true)],
  FL: [4, (view, at) => view.getFloat32(at, true)],
  SL: [4, (view, at) => view.getInt32(at, true)],
  SS: [2, (view, at) => view.getInt16(at, true)],
  UL: [4, (view, at) => view.getUint32(at, true)],
  US: [2, (view, at) => view.getUint16(at, true)],
};

/**
 * Read a file up to an element, whose content may be cut off; all before it is looked at, sequences as a whole.
 * @param {Uint8Array} bytes with the preamble
 * @param {number} last
 * @returns {{ file: DataSet, syntax: string }} nothing but the syntax where that is another than the two that are read
 * @throws {RangeError} of a file that is damaged
 */
export function openDataSet(bytes, last) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = new DataSet(view, true, last);
  let at = PREAMBLE + 4;
  while (at + 8 <= bytes.length && view.getUint16(at, true) === 2) at = header.read(at);
  const syntax = header.text(SYNTAX);
  const file = new DataSet(view, syntax !== IMPLICIT, last);
  if (syntax !== IMPLICIT && syntax !== EXPLICIT) return { file, syntax };
  while (at + 8 <= bytes.length && !file.holds(last)) at = file.read(at);
  if (at < bytes.length && !file.holds(last)) throw new RangeError('cut off');
  return { file, syntax };
}

export class DataSet {
  /** @type {Map<number, Element>} */
  #found = new Map();

  /**
   * @param {DataView} view of the whole file
   * @param {boolean} explicit whether elements say their VR
   * @param {number} last the element that may be cut off
   * @param {number} depth how many sequences it lies in
   */
  constructor(view, explicit, last, depth = 0) {
    this.view = view;
    this.explicit = explicit;
    this.last = last;
    this.depth = depth;
  }

  /** @param {number} tag */
  holds(tag) {
    return this.#found.has(tag);
  }

  /**
   * Whether there is an element that is not empty.
   * @param {number} tag
   */
  has(tag) {
    const element = this.#found.get(tag);
    return element !== undefined && element.length > 0;
  }

  /** @param {number} tag that is there */
  bytes(tag) {
    const { from, length } = /** @type {Element} */ (this.#found.get(tag));
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
    const element = this.#found.get(tag);
    return element && element.length >= 2 ? this.view.getUint16(element.from, true) : 0;
  }

  /**
   * The one number of an element, of whichever VR.
   * @param {number} tag
   * @param {string} standard the VR that it has by the standard, which counts where the file says none
   * @returns {number | null} nothing where there is none that is finite, or where there are several
   */
  value(tag, standard) {
    if (!this.has(tag)) return null;
    const { vr, from, length } = /** @type {Element} */ (this.#found.get(tag));
    const type = vr === '' || vr === 'UN' ? standard : vr;
    /** @type {number[]} */
    let values = [];
    if (type === 'DS' || type === 'IS') values = this.numbers(tag);
    else if (type in NUMBERS) {
      const [size, read] = NUMBERS[type];
      if (length === size && from + size <= this.view.byteLength) values = [read(this.view, from)];
    }
    return values.length === 1 && Number.isFinite(values[0]) ? values[0] : null;
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
   * The items of a sequence.
   * @param {number} tag
   * @returns {DataSet[]} none where there is none, or it is damaged
   */
  items(tag) {
    if (!this.has(tag)) return [];
    const { vr, from, length } = /** @type {Element} */ (this.#found.get(tag));
    if (vr !== '' && vr !== 'SQ' && vr !== 'UN') return [];
    /** @type {DataSet[]} */
    const items = [];
    try {
      this.#items(from, from + length, vr, items);
    } catch {
      return [];
    }
    return items;
  }

  /**
   * Read one element; of a sequence of unknown length all that is in it is passed over.
   * @param {number} at
   * @returns {number} where the next one begins
   * @throws {RangeError} where the file ends before it does
   */
  read(at) {
    const { view } = this;
    const tag = tagAt(view, at);
    let vr = '';
    let length = view.getUint32(at + 4, true);
    let from = at + 8;
    if (this.explicit && tag < ITEM) {
      vr = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5));
      if (LONG.has(vr)) [length, from] = [view.getUint32(at + 8, true), at + 12];
      else length = view.getUint16(at + 6, true);
    }
    let end = from + length;
    if (length === UNDEFINED) {
      if (tag === this.last) throw new RangeError('pieces of a compression');
      end = this.#items(from, Infinity, vr, null);
    } else if (end > view.byteLength && tag !== this.last) throw new RangeError('cut off');
    this.#found.set(tag, { vr, from, length: end - from });
    return end;
  }

  /**
   * @param {number} at
   * @param {number} end where a sequence of known length ends
   * @param {string} vr of the sequence: items in one of an unknown VR are implicit (PS3.5 6.2.2, note 2)
   * @param {DataSet[] | null} into nothing where the sequence is passed over, and what is in items of known length not looked at
   * @returns {number} where it ends
   */
  #items(at, end, vr, into) {
    if (this.depth >= DEEPEST) throw new RangeError('nested too deep');
    while (at < end) {
      const tag = tagAt(this.view, at);
      const length = this.view.getUint32(at + 4, true);
      at += 8;
      if (tag === SEQUENCE_END) return at;
      if (tag !== ITEM) throw new RangeError('no item');
      const item = new DataSet(this.view, this.explicit && vr !== 'UN', this.last, this.depth + 1);
      into?.push(item);
      if (length === UNDEFINED) {
        while (tagAt(this.view, at) !== ITEM_END) at = item.read(at);
        at += 8;
      } else {
        const stop = at + length;
        while (into && at < stop) at = item.read(at);
        at = stop;
      }
    }
    return at;
  }
}

/**
 * @param {DataView} view
 * @param {number} at
 */
function tagAt(view, at) {
  return view.getUint16(at, true) * 0x10000 + view.getUint16(at + 2, true);
}
