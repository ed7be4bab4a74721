/** Offline, with the server stopped; what lies in the caches is trusted by its hash alone. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  DESKTOP, given, openPage, openSample, paintedPixels, startBrowser, startServer, waitForAnnouncement, waitForBadge,
} from './harness.js';

const bundles = JSON.parse(given('S2M_EDGE_BUNDLES'));
const POLYP = 'polyp-validation_0009.jpg';

/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;
/** @type {import('playwright-core').Page} */
let page;

before(async () => {
  browser = await startBrowser(DESKTOP);
  await browser.window.addInitScript(() => {
    /** @type {[string, number][]} */
    const said = (/** @type {any} */ (window).said = []);
    document.addEventListener('DOMContentLoaded', () => {
      const [text, bar] = ['#progress-text', '#progress-bar'].map((found) => /** @type {Element} */ (document.querySelector(found)));
      new MutationObserver(() => said.push([text.textContent ?? '', /** @type {HTMLProgressElement} */ (bar).value])).observe(text, { childList: true });
    });
  });
});

after(() => browser.close());

test('after one visit the page starts, tests itself and segments with the server stopped', async () => {
  const server = await startServer([bundles.float32, bundles.float16]);
  ({ page } = await openPage(browser.window, server.url));
  await waitForBadge(page, 'passed');
  await assertBytesWereCounted();
  await page.getByText('Ready for offline use: Small, float32.', { exact: true }).waitFor();
  const { code } = await server.stop();
  assert.equal(code, 0);
  await assert.rejects(fetch(server.url), 'the server is really gone');
  await page.reload();
  await waitForBadge(page, 'passed');
  assert.equal(await page.evaluate(() => crossOriginIsolated), true, 'threads need an isolated page offline too');
  await openSample(page, POLYP);
  assert.ok((await paintedPixels(page, 'fill')) > 0);
});

/** Of all that was loaded, as one count that only grows. */
async function assertBytesWereCounted() {
  /** @type {[string, number][]} */
  const said = await page.evaluate(() => /** @type {any} */ (window).said);
  const counts = said.map(([text]) => text.match(/^Loading, (\d+\.\d) MB of (\d+\.\d) MB$/)).filter((found) => found !== null);
  assert.ok(counts.length > 1, JSON.stringify(said));
  const done = counts.map((found) => Number(found[1]));
  assert.deepEqual(done, done.toSorted((a, b) => a - b));
  const last = /** @type {RegExpMatchArray} */ (counts.at(-1));
  assert.equal(last[1], last[2]);
  assert.ok(Number(last[2]) > 4, 'the runtime alone has more');
  assert.match((await page.locator('#about-list').textContent()) ?? '', new RegExp(`First visitready after \\d+\\.\\d s, network and runtime ${last[2]} MB`));
}

test('a network that was not downloaded is said to be that, and one that was is still there', async () => {
  await page.getByLabel('Network').selectOption({ label: 'Small, float16 weights' });
  await waitForBadge(page, 'absent');
  await waitForAnnouncement(page, 'Not downloaded. Small, float16 weights: it could not be downloaded.');
  assert.match(await page.locator('#badge').innerText(), /Not downloaded/);
  assert.match(await page.locator('#refusal').innerText(), /^This network is not on this device\s+Small, float16 weights: it could not/);
  assert.equal(await paintedPixels(page, 'fill'), 0);
  await page.getByText('Ready for offline use: Small, float32.', { exact: true }).waitFor();
  await page.getByLabel('Network').selectOption({ label: 'Small, float32' });
  await waitForBadge(page, 'passed');
  assert.equal(await page.locator('#refusal').isHidden(), true);
});

test('a model that was changed in the cache is refused', async () => {
  await page.evaluate(async () => {
    const cache = await caches.open('s2m-edge-content-1');
    const [request] = (await cache.keys()).filter(({ url }) => url.includes('.onnx'));
    const kept = /** @type {Response} */ (await cache.match(request));
    const bytes = new Uint8Array(await kept.arrayBuffer());
    bytes[bytes.length - 1000] ^= 1;
    await cache.put(request, new Response(bytes, { headers: kept.headers }));
  });
  await page.reload();
  await waitForBadge(page, 'failed');
  assert.match(await page.locator('#refusal').innerText(), /SHA-256 differs/);
});
