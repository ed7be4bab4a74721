/** The page with a network that is not S2M-Net: its own words, its own sides, and no spectral filter. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import {
  DESKTOP, downloaded, given, openPage, openSample, paintedPixels, reportedPixels, startBrowser, startServer, waitForBadge,
} from './harness.js';

const POLYP = 'polyp-validation_0009.jpg';
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
  server = await startServer([bundles.foreign, bundles.float32]);
  browser = await startBrowser(DESKTOP);
  ({ page, faults } = await openPage(browser.window, server.url));
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What the page says of the model, by term. */
async function facts() {
  return page.locator('#about-list').evaluate((list) => {
    const texts = (/** @type {string} */ tag) => [...list.querySelectorAll(tag)].map((entry) => entry.textContent ?? '');
    const described = texts('dd');
    return Object.fromEntries(texts('dt').map((term, place) => [term, described[place]]));
  });
}

test('the page names the network and its two sides, and nothing that it does not have', async () => {
  await waitForBadge(page, 'passed');
  const found = await facts();
  assert.equal(found.Network, 'plain-unet');
  assert.equal(found.Architecture, 'plain U-Net');
  assert.equal(found.Input, '100 x 68, colour');
  assert.match(found.Checkpoint, /^SHA-256 [0-9a-f]{12}…$/);
  for (const term of ['Spectral filter', 'Trained on', 'Test Dice', 'Limits']) assert.ok(!(term in found), term);
  assert.ok(!(await page.title()).includes('S2M-Net'));
  assert.ok(!(await page.locator('header').innerText()).includes('S2M-Net'));
  assert.match(await page.locator('#model').innerText(), /Plain unet, float32/);
});

test('a picture gets its mask, and the figures say which network made it', async () => {
  await openSample(page, POLYP);
  const painted = await paintedPixels(page, 'fill');
  assert.equal(painted, await reportedPixels(page));
  assert.ok(painted > 0 && painted < 352 * 352);
  const { model } = JSON.parse(readFileSync((await downloaded(page, 'Figures (JSON)')).file, 'utf-8'));
  assert.equal(model.network, 'plain-unet');
  assert.equal(model.spectral, 'none');
});

test('beside S2M-Net, whose filter and training are told', async () => {
  await page.getByLabel('Compare with').selectOption({ label: 'Small, float32' });
  await page.locator('.between').waitFor();
  assert.match(await page.locator('#result').innerText(), /Plain unet, float32[\s\S]*Small, float32/);
  await page.getByLabel('Compare with').selectOption({ label: 'Nothing' });
  await page.locator('#model').selectOption({ label: 'Small, float32' });
  await waitForBadge(page, 'passed');
  const found = await facts();
  assert.equal(found.Architecture, 'S2M-Net');
  assert.equal(found.Input, '96 x 96, colour');
  assert.equal(found['Spectral filter'], 'matmul');
  assert.deepEqual(faults, []);
});
