/** The page with a network that slides over the picture: how far it is, ending it, and thresholds afterwards. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import {
  DESKTOP, downloaded, given, openPage, openSample, paintedPixels, reportedPixels, startBrowser, startServer, waitForBadge,
} from './harness.js';

const POLYP = 'polyp-validation_0009.jpg';
const LONG = 'skin-ISIC_0014270.jpg';
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
  server = await startServer([bundles.sliding]);
  browser = await startBrowser({ ...DESKTOP, colorScheme: 'light' });
  ({ page, faults } = await openPage(browser.window, server.url));
  await waitForBadge(page, 'passed');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Begin the long picture, and wait until some of its windows are done. */
async function beginLong() {
  await page.locator(`button[data-sample="${LONG}"]`).click();
  await longIsUnderWay();
}

/** Both in one look: between two the page may have begun anew. */
async function longIsUnderWay() {
  await page.waitForFunction(() => {
    const text = document.querySelector('#progress-text')?.textContent ?? '';
    const stop = document.querySelector('#stop');
    return /^Segmenting, window \d+ of 294$/.test(text) && stop instanceof HTMLElement && !stop.hidden;
  });
}

/** That the long picture is there, and nothing that a mask could be taken for. */
async function assertNoMask() {
  await page.locator('#stage[aria-busy=false]').waitFor();
  assert.equal(await page.locator('#progress').isHidden(), true);
  assert.equal(await paintedPixels(page, 'fill'), 0);
  assert.equal(await paintedPixels(page, 'line'), 0);
  assert.equal(await page.locator('.figure-row').count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Mask (PNG)' }).count(), 0);
}

test('the figure beside the model is that of the way it segments here', async () => {
  const facts = await page.locator('#about-list').evaluate((list) => list.textContent);
  assert.match(facts ?? '', /Test Dice0\.75/);
  assert.match(facts ?? '', /96 x 96, colour, in windows over the picture at its own size/);
});

test('a picture is segmented in windows, and the figures say in how many', async () => {
  await openSample(page, POLYP);
  assert.equal(await paintedPixels(page, 'fill'), await reportedPixels(page));
  assert.match(await page.locator('#result').innerText(), /of 123,904 pixels[\s\S]* in 49 windows/);
  const figures = JSON.parse(readFileSync((await downloaded(page, 'Figures (JSON)')).file, 'utf-8'));
  assert.equal(figures.windows, 49);
  assert.equal(figures.area_pixels.polyp, await reportedPixels(page));
  assert.ok(figures.network_milliseconds > 0 && figures.network_milliseconds < figures.milliseconds);
});

test('the threshold decides anew without the network', async () => {
  const before_ = await reportedPixels(page);
  const time = await page.locator('.time').innerText();
  const at = async (/** @type {string} */ value, /** @type {(pixels: number) => boolean} */ holds) => {
    await page.getByLabel('Threshold').fill(value);
    for (let attempt = 0; attempt < 100 && !holds(await reportedPixels(page)); attempt += 1) await page.waitForTimeout(50);
    const pixels = await reportedPixels(page);
    assert.ok(holds(pixels), `${pixels} pixels at ${value}`);
    assert.equal(pixels, await paintedPixels(page, 'fill'));
    return pixels;
  };
  await at('0', (pixels) => pixels === 352 * 352);
  const strict = await at('0.95', (pixels) => pixels < before_);
  const lax = await at('0.3', (pixels) => pixels > before_);
  assert.ok(strict > 0 && lax < 352 * 352, 'thresholds between all and nothing');
  await page.getByRole('button', { name: /contract/ }).click();
  await page.waitForFunction((wanted) => document.querySelector('.pixels')?.textContent?.startsWith(wanted), before_.toLocaleString('en-GB'));
  assert.equal(await page.locator('.time').innerText(), time, 'nothing ran again');
});

test('a long picture tells how far it is, the page answers meanwhile, and it can be ended', async () => {
  await beginLong();
  const [share, worst] = await page.evaluate(async () => {
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
    }, 5);
    const bar = /** @type {HTMLProgressElement} */ (document.querySelector('#progress-bar'));
    const from = bar.value;
    const end = performance.now() + 20_000;
    while (bar.value - from < 3.5 / 294 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    clearInterval(timer);
    return [bar.value - from, longest];
  });
  assert.ok(share > 3 / 294 && share < 0.9, `the bar went on by ${share}`);
  assert.ok(worst < 500, `the page stood still for ${worst.toFixed(0)} ms`);
  await page.locator('#stop').click();
  await page.getByText(`Stopped: ${LONG} has no mask`).waitFor();
  await assertNoMask();
});

test('what was ended leaves nothing behind that a threshold could decide', async () => {
  await page.getByLabel('Threshold').fill('0.2');
  await page.waitForTimeout(500);
  await assertNoMask();
  await page.getByRole('button', { name: /contract/ }).click();
  await page.waitForTimeout(300);
  await assertNoMask();
});

test('the keyboard ends it too', async () => {
  await beginLong();
  assert.equal(await page.locator('#message').isHidden(), true, 'the old message is gone');
  await page.keyboard.press('Escape');
  await page.getByText(`Stopped: ${LONG} has no mask`).waitFor();
  await assertNoMask();
});

test('another picture does not wait for the long one, whose mask never comes', async () => {
  await beginLong();
  const began = Date.now();
  await openSample(page, POLYP);
  const waited = Date.now() - began;
  const { milliseconds } = JSON.parse(readFileSync((await downloaded(page, 'Figures (JSON)')).file, 'utf-8'));
  assert.ok(waited < 2.5 * milliseconds + 2000, `${waited} ms for a picture that takes ${milliseconds}`);
  assert.equal(await page.locator('#message').isHidden(), true, 'it was not a person who ended it');
  assert.equal(await paintedPixels(page, 'fill'), await reportedPixels(page));
});

test('the camera tells how far a frame is, and is stopped without waiting for it', async () => {
  await page.getByRole('button', { name: 'Camera', exact: true }).click();
  await page.waitForFunction(() => /^Live, window [2-9] of \d{3}$/.test(document.querySelector('#live-text')?.textContent ?? ''));
  assert.equal(await paintedPixels(page, 'fill'), await reportedPixels(page), 'the old picture stays whole until a frame is');
  const began = Date.now();
  await page.locator('#stop-camera').click();
  await page.locator(`.view[aria-label^="${POLYP} with the mask"]`).waitFor();
  await page.locator('#stage[aria-busy=false]').waitFor();
  assert.equal(await page.locator('#live').isHidden(), true);
  assert.ok(Date.now() - began < 60_000);
  assert.equal(await page.locator('#message').isHidden(), true);
});

/** The badge has said from now on that it waits, and says something else again: on a fast machine within a moment, which nobody would catch by looking now and then. */
const badgeWaited = () => page.evaluate(() => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error('the badge never waited')), 120_000);
  new MutationObserver((changes) => {
    if (changes.some((change) => change.oldValue === 'waiting')) resolve(null);
  }).observe(/** @type {Element} */ (document.querySelector('#badge')), { attributeFilter: ['data-state'], attributeOldValue: true });
}));

test('a model that is taken away does not finish the long picture first', async () => {
  await beginLong();
  const waited = badgeWaited();
  await page.getByLabel('Run on').selectOption('wasm');
  await waited;
  await waitForBadge(page, 'passed');
  await longIsUnderWay(); // of itself: the picture that is there is segmented by the model that came
  await page.locator('#stop').click();
  await page.getByText(`Stopped: ${LONG} has no mask`).waitFor();
  await assertNoMask();
  assert.deepEqual(faults, []);
});
