/** The page with a network that knows what its training pictures looked like: it warns of others, and blocks nothing. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import {
  DESKTOP, downloaded, given, openPage, openSample, reportedPixels, startBrowser, startServer, waitForBadge,
} from './harness.js';

const POLYPS = ['polyp-validation_0009.jpg', 'polyp-validation_0013.jpg', 'polyp-validation_0034.jpg'];
const OTHERS = ['vessel-Image_11L.jpg', 'skin-ISIC_0014270.jpg', 'cardiac-Part3_SC-HF-I-09-IM-0001-0207.png'];
const [, SKIN] = OTHERS;
const WARNING = /unlike the pictures this network was trained on \(score (\d+\.\d), usual up to 13\.7\); the mask may mean nothing\.$/;
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
  server = await startServer([bundles.guarded, bundles.float32]);
  browser = await startBrowser({ ...DESKTOP, colorScheme: 'light' });
  ({ page, faults } = await openPage(browser.window, server.url));
  await waitForBadge(page, 'passed');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What is warned of, as the status that assistive technology hears. */
const warning = () => page.locator('#result').getByRole('status').innerText();

/** The guard's verdict in the figures that are saved. */
async function savedVerdict() {
  return JSON.parse(readFileSync((await downloaded(page, 'Figures (JSON)')).file, 'utf-8')).guard;
}

/**
 * The contrast of the warning's text against its ground, by WCAG. The colours are what a canvas makes of them.
 * @returns {Promise<number>}
 */
async function contrast() {
  return page.locator('#unusual p').evaluate((text) => {
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(1, 1).getContext('2d'));
    const luminance = (/** @type {string} */ colour) => {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data].map((level) => {
        const share = level / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const { color, backgroundColor } = getComputedStyle(text);
    const [darker, lighter] = [luminance(color), luminance(backgroundColor)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  });
}

for (const sample of POLYPS) {
  test(`${sample} is like the training's pictures: no warning`, async () => {
    await openSample(page, sample);
    assert.equal(await warning(), '');
    const verdict = await savedVerdict();
    assert.ok(verdict.score > 0 && verdict.score < verdict.threshold, JSON.stringify(verdict));
    assert.equal(verdict.unusual, false);
  });
}

for (const sample of OTHERS) {
  test(`${sample} is warned of, and has its mask`, async () => {
    await openSample(page, sample);
    const score = Number((await warning()).match(WARNING)?.[1]);
    assert.ok(score > 13.7, await warning());
    assert.match(await page.locator('figcaption').innerText(), /unusual picture/);
    assert.ok((await reportedPixels(page)) > 0);
    await page.getByRole('button', { name: 'Mask (PNG)' }).waitFor();
    const verdict = await savedVerdict();
    assert.deepEqual({ ...verdict, score: Number(verdict.score.toFixed(1)) }, { score, threshold: 13.662, unusual: true });
  });
}

test('the warning can be read by day and by night', async () => {
  await openSample(page, SKIN);
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await page.emulateMedia({ colorScheme });
    assert.ok((await contrast()) >= 4.5, `${colorScheme}: ${await contrast()}`);
  }
});

test('another threshold leaves the warning as it is, the next usual picture takes it away', async () => {
  await openSample(page, POLYPS[0]); // the same picture twice in a row would be waited for in vain
  await openSample(page, SKIN);
  const said = await warning();
  assert.match(said, WARNING);
  await page.getByLabel('Threshold').fill('1');
  await page.waitForFunction(() => document.querySelector('.figure-row .pixels')?.textContent?.startsWith('0 of'));
  assert.equal(await warning(), said);
  await page.getByRole('button', { name: 'Back to the contract’s value' }).click();
  await openSample(page, POLYPS[0]);
  assert.equal(await warning(), '');
});

test('beside a network without a guard the warning says whose it is; alone that one says nothing', async () => {
  await openSample(page, SKIN);
  await page.getByLabel('Compare with').selectOption({ label: 'Small, float32' });
  await page.locator('.between').waitFor();
  assert.match(await warning(), /^Guarded, float32: Warning: /);
  assert.equal(await page.locator('#unusual p').count(), 1);
  await page.getByLabel('Compare with').selectOption({ label: 'Nothing' });
  await page.getByLabel('Network').selectOption({ label: 'Small, float32' });
  await waitForBadge(page, 'passed');
  await openSample(page, SKIN);
  assert.equal(await warning(), '');
  assert.equal(await savedVerdict(), null);
  await page.getByLabel('Network').selectOption({ label: 'Guarded, float32' });
  await waitForBadge(page, 'passed');
});

test('the camera’s frames are judged too, and what is warned of is read aloud once', async () => {
  await page.getByRole('button', { name: 'Camera', exact: true }).click();
  await page.waitForFunction(() => /\d\.\d frames per second/.test(document.querySelector('#live-text')?.textContent ?? ''));
  await page.locator('#unusual[aria-live=off] p').waitFor();
  assert.match(await warning(), WARNING);
  await page.keyboard.press('Escape');
  await openSample(page, POLYPS[0]);
  assert.equal(await warning(), '');
  assert.deepEqual(faults, []);
});
