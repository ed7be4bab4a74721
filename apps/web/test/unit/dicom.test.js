import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { isDicom, readDicom } from '../../src/core/dicom.js';
import { measure } from '../../src/core/figures.js';
import { millimetresOf, spacingSentence } from '../../src/ui/text.js';

const FOLDER = new URL('../../../vectors/dicom/', import.meta.url);
const index = JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf-8'));
const bytesOf = (/** @type {string} */ file) => new Uint8Array(readFileSync(new URL(file, FOLDER)));
const anySize = () => {};

test('every DICOM file of the vectors is shown as Python shows it, under every rule, and says how large its pixels are', () => {
  assert.ok(index.pictures.length >= 24);
  for (const { file, height, width, spacing, unmeasured, shown } of index.pictures) {
    const bytes = bytesOf(file);
    assert.ok(isDicom(bytes), file);
    const read = readDicom(bytes, file, anySize);
    assert.deepEqual([read.height, read.width, read.spacing, read.unmeasured], [height, width, spacing, unmeasured], file);
    for (const { intensity, levels } of shown) {
      const rgba = read.under(intensity);
      const channels = levels.length / (height * width);
      const found = levels.map((/** @type {number} */ _, /** @type {number} */ at) => rgba[4 * Math.floor(at / channels) + (at % channels)]);
      assert.deepEqual(found, levels, `${file}, ${intensity.rule}`);
      assert.ok(rgba.every((value, at) => at % 4 !== 3 || value === 255));
    }
  }
  assert.ok(index.pictures.some((/** @type {any} */ { spacing }) => spacing === null), 'of some nothing is known');
  assert.equal(index.pictures.filter((/** @type {any} */ { unmeasured }) => unmeasured !== '').length, 6, 'and of some it is said why');
  assert.equal(index.pictures.filter((/** @type {any} */ { spacing }) => spacing?.part).length, 2);
});

test('areas and diameters in mm are those of Python', () => {
  assert.ok(index.masks.length >= 11);
  for (const { name, labels, spacing, part, area_mm2: areas, diameter_mm: diameters, unmeasured: reasons } of index.masks) {
    const values = Uint8Array.from(labels.join('').replaceAll('.', '0'), Number);
    const [rows, columns] = spacing;
    const found = measure(values, labels.length, labels[0].length, { rows, columns, from: 'PixelSpacing', part }, 2);
    found.forEach(({ areaMm2, diameterMm, unmeasured }, place) => {
      assert.equal(unmeasured, reasons[place], name);
      if (areas[place] === null) assert.equal(areaMm2, null, name);
      else assert.ok(Math.abs(/** @type {number} */ (areaMm2) - areas[place]) < 1e-9, name);
      if (diameters[place] === null) assert.equal(diameterMm, null, name);
      else assert.ok(Math.abs(/** @type {number} */ (diameterMm) - diameters[place]) < 1e-9, name);
    });
  }
});

/**
 * The file with the 16 bits after an element's header changed.
 * @param {number} group
 * @param {number} element
 * @param {number} value
 */
function changed(group, element, value) {
  const bytes = bytesOf('mr-12-bits.dcm');
  const tag = Buffer.from([group & 255, group >> 8, element & 255, element >> 8]);
  const at = Buffer.from(bytes).indexOf(tag);
  assert.ok(at > 0);
  new DataView(bytes.buffer).setUint16(at + 8, value, true);
  return bytes;
}

test('what is not read here is refused by name, with what opens it', () => {
  const compressed = Buffer.from(bytesOf('ct.dcm'));
  compressed.write('1.2.840.10008.1.2.4.50', compressed.indexOf('1.2.840.10008.1.2.1'), 'latin1');
  /** @type {[Uint8Array, RegExp][]} */
  const cases = [
    [compressed, /compressed or big-endian|cut off or damaged/],
    [changed(0x28, 0x100, 32), /bits in 32/],
    [changed(0x28, 0x102, 15), /12 bits in 16/],
    [changed(0x28, 0x2, 3), /fewer pixels than it says/],
    [changed(0x28, 0x2, 0x201), /fewer pixels than it says/],
    [changed(0x28, 0x10, 500), /fewer pixels than it says/],
    [bytesOf('ct.dcm').slice(0, 300), /cut off or damaged/],
    [Uint8Array.from([...new Uint8Array(128), ...Buffer.from('DICM')]), /compressed or big-endian/],
  ];
  for (const [bytes, says] of cases) {
    assert.throws(
      () => readDicom(bytes, 'scan', anySize),
      (/** @type {any} */ error) => error.reason === 'dicom' && says.test(error.message) && error.message.startsWith('scan '),
      String(says),
    );
  }
});

test('no damaged byte does anything but show a picture or be refused', () => {
  for (const file of ['padding-implicit.dcm', 'ultrasound.dcm', 'ultrasound-implicit.dcm']) {
    const whole = bytesOf(file);
    for (let at = 128; at < whole.length; at += 1) {
      for (const value of [0, 0xff]) {
        const bytes = whole.slice();
        bytes[at] = value;
        try {
          readDicom(bytes, 'scan', (width, height) => assert.ok(width * height >= 0)).under(index.pictures[0].shown[1].intensity);
        } catch (error) {
          assert.equal(/** @type {any} */ (error).name, 'AppError', `${file}, byte ${at}: ${error}`);
        }
      }
    }
  }
});

test('a size is refused before the pixels are looked at', () => {
  const refuse = (/** @type {number} */ width) => {
    throw new RangeError(`${width}`);
  };
  assert.throws(() => readDicom(bytesOf('ct.dcm'), 'scan', refuse), RangeError);
});

test('figures in mm are said with the size of a pixel, and where it is from', () => {
  assert.equal(millimetresOf({ areaMm2: 1234.56, diameterMm: 40.04, unmeasured: '' }), '1,234.6 mm², 40.0 mm across');
  assert.equal(millimetresOf({ areaMm2: 0, diameterMm: null, unmeasured: '' }), '0.0 mm²');
  assert.equal(millimetresOf({ areaMm2: null, diameterMm: null, unmeasured: '3 of its pixels lie outside' }), 'not in mm: 3 of its pixels lie outside');
  assert.equal(spacingSentence({ rows: 0.703125, columns: 0.5, from: 'PixelSpacing', part: null }), 'Pixels of 0.7031 x 0.5 mm (PixelSpacing).');
  assert.match(spacingSentence({ rows: 0.143, columns: 0.143, from: 'ImagerPixelSpacing', part: null }), /at the detector; in the body they are smaller\.$/);
  const part = { top: 0, left: 0, bottom: 4, right: 4 };
  assert.match(spacingSentence({ rows: 0.5, columns: 0.2, from: 'SequenceOfUltrasoundRegions', part }), /in the one region of the picture that says so\.$/);
});
