/** The page on WebGPU where something is missing: float16 arithmetic, which this adapter lacks, and the adapter itself. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  DESKTOP, given, openPage, openSample, paintedPixels, reportedPixels, SOFTWARE_WEBGPU, startBrowser, startServer, waitForBadge,
} from './harness.js';

const FIRST = 'polyp-validation_0009.jpg';
const SECOND = 'polyp-validation_0013.jpg';
const bundles = JSON.parse(given('S2M_EDGE_BUNDLES'));

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let faults;
/** @type {number} what WebAssembly finds on the second picture */
let expected;

before(async () => {
  server = await startServer([bundles.float32, bundles['float16-mixed']]);
  browser = await startBrowser(DESKTOP, SOFTWARE_WEBGPU);
  ({ page, faults } = await openPage(browser.window, server.url));
  page.setDefaultTimeout(600_000); // shaders are compiled and run in software
  await waitForBadge(page, 'passed');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** @param {string} text part of the model's name */
async function chooseModel(text) {
  const value = await page.locator('#model option', { hasText: text }).getAttribute('value');
  await page.locator('#model').selectOption(value);
  await waitForBadge(page, 'passed');
}

/** What the page says the network runs on, and the notes of its self-test. */
async function said() {
  const facts = await page.locator('#facts').evaluate((list) => list.textContent ?? '');
  const notes = await page.locator('#self-test-body').evaluate((body) => body.textContent ?? '');
  return { facts, notes };
}

test('without being asked the page leaves an adapter made of software alone', async () => {
  await openSample(page, SECOND);
  expected = await reportedPixels(page);
  assert.ok(expected > 0);
  const { facts } = await said();
  assert.match(facts, /WebAssembly/);
  assert.doesNotMatch(facts, / in float/); // of float32 nothing else is to be expected
});

test('float16 arithmetic that the adapter lacks is computed in float32 by WebAssembly, and the page says so', async () => {
  await chooseModel('float16 arithmetic');
  await page.locator('#provider').selectOption('webgpu');
  await waitForBadge(page, 'passed');
  const { facts, notes } = await said();
  assert.match(facts, /WebAssembly, \d+ threads?, in float32/);
  assert.match(notes, /no float16 arithmetic \(shader-f16\)/);
});

test('an adapter that is lost in the middle of a picture gives way to WebAssembly, which repeats it', async () => {
  const [worker] = page.workers();
  await worker.evaluate(() => {
    const { GPUAdapter, GPUQueue } = /** @type {any} */ (self);
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (/** @type {any} */ ...given_) {
      const device = await requestDevice.apply(this, given_);
      Object.assign(self, { device });
      return device;
    };
    const { submit } = GPUQueue.prototype;
    Object.assign(self, { losing: false });
    GPUQueue.prototype.submit = function (/** @type {any} */ ...given_) {
      submit.apply(this, given_);
      const state = /** @type {any} */ (self);
      if (state.losing) state.device.destroy();
      state.losing = false;
    };
  });
  await chooseModel('float32');
  await openSample(page, FIRST);
  assert.match((await said()).facts, /WebGPU/);

  await worker.evaluate(() => Object.assign(self, { losing: true }));
  await openSample(page, SECOND);
  assert.match(await page.locator('#message-text').innerText(), /^The graphics adapter was lost.*; WebAssembly is used\.$/);
  const { facts, notes } = await said();
  assert.match(facts, /WebAssembly/);
  assert.match(notes, /passedWebAssembly/); // the figures are those of the self-test there
  assert.equal(await reportedPixels(page), expected);
  assert.equal(await paintedPixels(page, 'fill'), expected);
});

test('the lost adapter is not tried again', async () => {
  await chooseModel('float16 arithmetic');
  const { facts, notes } = await said();
  assert.match(facts, /WebAssembly/);
  assert.match(notes, /graphics adapter was lost; WebAssembly is used until the page is loaded again/);
  assert.deepEqual(faults, []);
});
