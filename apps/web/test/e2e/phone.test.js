/** The page on a phone, at night: the camera, what it looks like without one, and that everything fits. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  given, openPage, openSample, PHONE, startBrowser, startServer, tooWide, violations, WAIT, waitForBadge,
} from './harness.js';

const bundles = JSON.parse(given('S2M_EDGE_BUNDLES'));

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;

before(async () => {
  server = await startServer([bundles.float32, bundles.float16]);
});

after(async () => {
  await server.stop();
});

test('the live camera is segmented with a frame rate, and a frame can be kept', async () => {
  const browser = await startBrowser({ ...PHONE, colorScheme: 'dark' });
  try {
    const { page, faults } = await openPage(browser.window, server.url);
    await waitForBadge(page, 'passed');
    await page.getByRole('button', { name: 'Camera', exact: true }).click();
    await page.waitForFunction(() => /\d\.\d frames per second/.test(document.querySelector('#live-text')?.textContent ?? ''));
    assert.equal(await page.locator('#camera').getAttribute('aria-pressed'), 'true');
    const first = await page.locator('canvas.picture').evaluate(snapshot);
    const moved = async () => (await page.locator('canvas.picture').evaluate(snapshot)) !== first;
    let seen = await moved();
    for (const end = Date.now() + WAIT; !seen && Date.now() < end; seen = await moved()) await page.waitForTimeout(200);
    assert.ok(seen, 'the picture stands still');
    assert.match((await page.locator('#about-list').textContent()) ?? '', /Live camera\d+\.\d frames per second/);
    await page.getByRole('button', { name: 'Keep this picture' }).click();
    await page.locator('.view[aria-label^="camera-"][aria-label*="with the mask"]').waitFor();
    assert.equal(await page.locator('#live').isHidden(), true);
    assert.equal(await page.locator('#video').evaluate((video) => /** @type {HTMLVideoElement} */ (video).srcObject), null);
    await page.getByRole('button', { name: 'Mask (PNG)' }).waitFor();
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
});

test('a camera that is refused is explained, and pictures still work', async () => {
  const browser = await startBrowser(PHONE, ['--deny-permission-prompts']);
  try {
    const { page } = await openPage(browser.window, server.url);
    await waitForBadge(page, 'passed');
    await page.getByRole('button', { name: 'Camera', exact: true }).click();
    await page.locator('#message').getByText(/The camera was refused\. Allow it/).waitFor();
    assert.equal(await page.locator('#live').isHidden(), true);
    await openSample(page, 'polyp-validation_0009.jpg');
    assert.equal(await page.locator('#message').isHidden(), true);
  } finally {
    await browser.close();
  }
});

test('everything fits, by day and at night, and can be touched', async () => {
  const browser = await startBrowser({ ...PHONE, colorScheme: 'light' });
  try {
    const { page } = await openPage(browser.window, server.url);
    await waitForBadge(page, 'passed');
    const colours = new Set();
    for (const name of ['light', 'dark', 'system']) {
      await page.locator('#theme').click();
      assert.match((await page.locator('#theme').getAttribute('aria-label')) ?? '', new RegExp(name));
      colours.add(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor));
    }
    assert.equal(colours.size, 2, 'a light paper and a dark one');
    await openSample(page, 'polyp-validation_0009.jpg');
    await page.getByLabel('Compare with').selectOption({ index: 2 });
    await page.locator('.between').waitFor();
    await page.locator('#about summary').click();
    for (const width of [320, 360, 390, 412]) {
      await page.setViewportSize({ width, height: 840 });
      assert.deepEqual(await tooWide(page), [], `at ${width}`);
    }
    await page.setViewportSize({ width: 320, height: 840 });
    await page.locator('#badge').click();
    assert.deepEqual(await tooWide(page), [], 'with the figures of the self-test');
    await page.keyboard.press('Escape');
    for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      assert.deepEqual(await violations(page), [], colorScheme);
    }
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button:not(.link), select, .segments span')]
        .filter((found) => /** @type {HTMLElement} */ (found).checkVisibility())
        .map((found) => ({ what: found.id || found.textContent, height: found.getBoundingClientRect().height }))
        .filter(({ height }) => height < 36),
    );
    assert.deepEqual(small, []);
    await page.locator('#install').evaluate((found) => /** @type {HTMLElement} */ (found).toggleAttribute('hidden', false));
    const [title, buttons] = await Promise.all(['.brand h1', '.bar-end'].map((found) => page.locator(found).boundingBox()));
    assert.ok(title && buttons);
    assert.ok(title.height < 30, 'the name is broken into lines');
    assert.ok(title.x + title.width <= buttons.x || title.y + title.height <= buttons.y, 'buttons lie on the name');
  } finally {
    await browser.close();
  }
});

/**
 * A number that changes with the picture.
 * @param {Element} canvas
 */
function snapshot(canvas) {
  const source = /** @type {HTMLCanvasElement} */ (canvas);
  const copy = new OffscreenCanvas(64, 64);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (copy.getContext('2d'));
  context.drawImage(source, 0, 0, 64, 64);
  return context.getImageData(0, 0, 64, 64).data.reduce((sum, value, place) => (sum * 31 + value * (place + 1)) % 1e9, 0);
}
