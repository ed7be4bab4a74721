import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spread } from '../../src/core/intensity.js';
import { requireOpenable } from '../../src/core/kinds.js';
import { crc32 } from '../../src/core/png.js';
import { pixelsOf } from '../../src/core/raster.js';
import { isPng, readPng } from '../../src/core/unpng.js';
import { isWebp, takeOrientation } from '../../src/core/webp.js';
import { difference, ENCODED } from './encoded.js';

const PNGS = ENCODED.filter(({ bytes }) => isPng(bytes));
const anySize = () => {};

test('every PNG of the vectors is read as it is stored, upright, deep ones by the rule of the network', async () => {
  assert.ok(PNGS.length >= 30);
  for (const { name, file, bytes, pixels, intensity, width, height } of PNGS) {
    const read = pixelsOf(await readPng(bytes, file, anySize));
    assert.deepEqual([read.width, read.height], [width, height], name);
    assert.equal(difference(read.under(intensity), pixels), 0, name);
  }
});

test('deep values are spread as in Python: nearest ranks, halves up, black where there is nothing between', () => {
  const over = /** @type {const} */ ('slice');
  const values = Uint16Array.from([0, 1, 2, 3, 4]);
  assert.deepEqual([...spread(values, { rule: 'percentiles', low: 0, high: 100, over })], [0, 64, 128, 191, 255]);
  assert.deepEqual([...spread(values, { rule: 'percentiles', low: 30, high: 60, over })], [0, 0, 255, 255, 255]);
  assert.deepEqual([...spread(values, { rule: 'window', low: -1, high: 1, over })], [128, 255, 255, 255, 255]);
  assert.deepEqual([...spread(values, { rule: 'percentiles', low: 40, high: 41, over })], [0, 0, 0, 0, 0]);
});

const rgb = /** @type {import('./encoded.js').Encoded} */ (ENCODED.find(({ name }) => name === 'png-rgb'));

/**
 * The file with one byte changed, and the chunk's checksum set right again.
 * @param {string} kind of the chunk
 * @param {number} place in it
 * @param {number} value
 */
function changed(kind, place, value) {
  const bytes = rgb.bytes.slice();
  const at = Buffer.from(bytes).indexOf(kind);
  const view = new DataView(bytes.buffer);
  bytes[at + 4 + place] = value;
  view.setUint32(at + 4 + view.getUint32(at - 4), crc32(bytes.subarray(at, at + 4 + view.getUint32(at - 4))));
  return bytes;
}

test('a damaged PNG is refused with what is wrong', async () => {
  const flipped = rgb.bytes.slice();
  flipped[60] ^= 1;
  /** @type {[Uint8Array<ArrayBuffer>, RegExp][]} */
  const cases = [
    [rgb.bytes.slice(0, rgb.bytes.length - 5), /truncated/],
    [rgb.bytes.slice(0, 20), /truncated/],
    [flipped, /checksum/],
    [changed('IHDR', 8, 3), /header/],
    [changed('IHDR', 9, 5), /header/],
    [changed('IHDR', 3, 0), /header/],
    [changed('IHDR', 9, 3), /palette/],
    [changed('IHDR', 7, 99), /truncated/],
    [changed('IDAT', 0, 0), /pixels are damaged/],
    [Uint8Array.from([...rgb.bytes.slice(0, 33), ...rgb.bytes.slice(-12)]), /no pixels/],
  ];
  for (const [bytes, says] of cases) {
    await assert.rejects(readPng(bytes, 'a.png', anySize), (/** @type {Error} */ error) => says.test(error.message) && /^a\.png cannot/.test(error.message), String(says));
  }
});

test('a picture is refused for its size before anything is allocated for it', async () => {
  const large = changed('IHDR', 0, 0x7f);
  const refuse = (/** @type {number} */ width) => {
    throw new RangeError(`${width}`);
  };
  await assert.rejects(readPng(large, 'a.png', refuse), RangeError);
});

test('files of medicine and TIFF are named as what they are, with what opens them', () => {
  const at = (/** @type {number} */ place, /** @type {string} */ word) => Uint8Array.from([...new Uint8Array(place), ...Buffer.from(word, 'latin1')]);
  const nothing = new Uint8Array(400);
  /** @type {[Uint8Array, string, string | null][]} */
  const cases = [
    [at(128, 'DICM'), 'scan', null],
    [nothing, 'scan.DCM', 'dicom'],
    [at(344, 'n+1\0'), 'heart', 'nifti'],
    [at(344, 'ni1\0'), 'heart.img', 'nifti'],
    [at(4, 'n+2\0'), 'heart', 'nifti'],
    [Uint8Array.from([0x1f, 0x8b, 8]), 'Heart.nii.gz', 'nifti'],
    [at(0, 'II*\0'), 'pages.tif', 'tiff'],
    [at(0, 'MM\0*'), 'pages', 'tiff'],
    [nothing, 'colon.png', null],
    [rgb.bytes, rgb.file, null],
  ];
  for (const [bytes, name, reason] of cases) {
    if (reason === null) requireOpenable(bytes, name);
    else {
      assert.throws(
        () => requireOpenable(bytes, name),
        (/** @type {any} */ error) => error.reason === reason && error.message.startsWith(name) && /s2m-edge predict and the desktop app/.test(error.message),
        name,
      );
    }
  }
});

test('the orientation of a WebP is read, and hidden from the browser', () => {
  const webp = /** @type {import('./encoded.js').Encoded} */ (ENCODED.find(({ name }) => name === 'exif-webp')).bytes.slice();
  assert.ok(isWebp(webp) && !isWebp(rgb.bytes));
  assert.equal(takeOrientation(webp), 6);
  assert.equal(takeOrientation(webp), 1, 'it is gone');
  assert.equal(takeOrientation(webp.slice(0, 40)), 1);
});
