/** What the page draws of a picture: the pixels that it segments, upright, with the mask in its place. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { difference, ENCODED } from '../unit/encoded.js';
import { DESKTOP, downloaded, given, openPage, segment, startBrowser, startServer, waitForBadge } from './harness.js';

/** @type {Record<string, RegExp>} */
const SAYS = { tiff: /is a TIFF, which browsers do not open/, transparent: /has transparent parts/ };
const bundles = JSON.parse(given('S2M_EDGE_BUNDLES'));

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let faults;

before(async () => {
  server = await startServer([bundles.float32]);
  browser = await startBrowser({ ...DESKTOP, colorScheme: 'light' });
  ({ page, faults } = await openPage(browser.window, server.url));
  await waitForBadge(page, 'passed');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What the screen shows of the picture, brought to 24 x 16 pixels, RGBA. */
async function onScreen() {
  const screenshot = await page.locator('.view').first().screenshot();
  const data = await page.evaluate(async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(24, 16).getContext('2d'));
    context.imageSmoothingQuality = 'high';
    context.drawImage(image, 0, 0, 24, 16);
    return btoa(String.fromCharCode(...context.getImageData(0, 0, 24, 16).data));
  }, screenshot.toString('base64'));
  return Buffer.from(data, 'base64');
}

/**
 * Mean difference in levels.
 * @param {Buffer} one RGBA
 * @param {Buffer} other
 */
function apart(one, other) {
  return one.reduce((sum, value, at) => sum + Math.abs(value - other[at]), 0) / ((one.length * 3) / 4);
}

/** What the picture's layer holds, RGBA. */
async function drawnPixels() {
  const base64 = await page.locator('canvas.picture').first().evaluate((canvas) => {
    const { width, height } = /** @type {HTMLCanvasElement} */ (canvas);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext('2d'));
    context.drawImage(/** @type {HTMLCanvasElement} */ (canvas), 0, 0);
    return `${width} ${height} ${btoa(String.fromCharCode(...context.getImageData(0, 0, width, height).data))}`;
  });
  const [width, height, data] = base64.split(' ');
  return { width: Number(width), height: Number(height), rgba: Buffer.from(data, 'base64') };
}

test('every kind of picture is drawn and segmented as it is stored, or refused by its name', async () => {
  /** @type {Map<string, Buffer>} */
  const masks = new Map();
  /** @type {Map<string, Buffer>} */
  const seen = new Map();
  await page.getByRole('radio', { name: 'Off' }).check({ force: true });
  for (const { name, file, path: place, pixels, width, height, tolerance, refused, intensity } of ENCODED) {
    if (intensity.rule !== 'percentiles' || intensity.low !== 0 || intensity.high !== 100) continue; // of another network
    if (refused.page) {
      await page.locator('#file').setInputFiles(place);
      await page.locator('#message').getByText(SAYS[refused.page]).waitFor();
      assert.match(await page.locator('#message').innerText(), new RegExp(`^${file} `), name);
      await page.getByRole('button', { name: 'Dismiss' }).click();
      continue;
    }
    await segment(page, () => page.locator('#file').setInputFiles(place), file);
    const drawn = await drawnPixels();
    assert.deepEqual([drawn.width, drawn.height], [width, height], name);
    const found = difference(drawn.rgba, pixels);
    assert.ok(found <= tolerance, `${name}: ${found} levels`);
    if (/^exif-.-/.test(name)) seen.set(name, await onScreen());
    if (/^exif-.-png$/.test(name)) masks.set(name, readFileSync((await downloaded(page, 'Mask (PNG)')).file));
  }
  assert.equal(masks.size, 8);
  assert.equal(seen.size, 16);
  const first = /** @type {Buffer} */ (seen.get('exif-1-png'));
  for (const [name, shown] of seen) assert.ok(apart(shown, first) < 2, `${name} on the screen: ${apart(shown, first)} levels`);
  for (const [name, mask] of masks) assert.ok(mask.equals(/** @type {Buffer} */ (masks.get('exif-1-png'))), name);
});

test('areas and diameters in mm are shown where the file says how large its pixels are, and nowhere else', async () => {
  const place = (/** @type {string} */ file) => fileURLToPath(new URL(`../../../vectors/dicom/${file}`, import.meta.url));
  const body = page.locator('#result-body');
  await segment(page, () => page.locator('#file').setInputFiles(place('ct.dcm')), 'ct.dcm');
  assert.match(await body.innerText(), /mm²[^]*Pixels of 0\.75 x 0\.5 mm \(PixelSpacing\)\./);
  const saved = JSON.parse(readFileSync((await downloaded(page, 'Figures (JSON)')).file, 'utf-8'));
  const pixels = Object.values(saved.area_pixels).reduce((/** @type {number} */ sum, value) => sum + Number(value), 0);
  assert.deepEqual(saved.spacing_mm, [0.75, 0.5]);
  assert.ok(Math.abs(Object.values(saved.area_mm2).reduce((sum, value) => sum + Number(value), 0) - pixels * 0.375) < 1e-9);
  await segment(page, () => page.locator('#file').setInputFiles(place('detector.dcm')), 'detector.dcm');
  assert.match(await body.innerText(), /Pixels of 0\.143 x 0\.143 mm \(ImagerPixelSpacing\): at the detector/);
  await segment(page, () => page.locator('#file').setInputFiles(place('ultrasound.dcm')), 'ultrasound.dcm');
  assert.match(await body.innerText(), /Pixels of 0\.5 x 0\.2 mm \(SequenceOfUltrasoundRegions\), in the one region of the picture/);
  await segment(page, () => page.locator('#file').setInputFiles(place('ultrasound-overlap.dcm')), 'ultrasound-overlap.dcm');
  assert.match(await body.innerText(), /No figures in mm: another ultrasound region lies over the one in centimetres/);
  for (const { file, path } of ENCODED.filter(({ name }) => ['png-rgb', 'jpeg-plain', 'exif-1-jpeg'].includes(name))) {
    await segment(page, () => page.locator('#file').setInputFiles(path), file);
    assert.doesNotMatch(await body.innerText(), /mm/);
  }
  await segment(page, () => page.locator('#file').setInputFiles(place('bytes.dcm')), 'bytes.dcm');
  assert.doesNotMatch(await body.innerText(), /mm/, 'DICOM without a spacing');
});

test('nothing went wrong unseen', () => {
  assert.deepEqual(faults, []);
});
