/** Offline, with the server stopped; what lies in the caches is trusted by its hash alone; a new version is offered. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { DESKTOP, given, openPage, openSample, paintedPixels, startBrowser, startServer, waitForBadge } from './harness.js';

const bundles = JSON.parse(given('S2M_EDGE_BUNDLES'));
const POLYP = 'polyp-validation_0009.jpg';

/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;
/** @type {import('playwright-core').Page} */
let page;

before(async () => {
  browser = await startBrowser(DESKTOP);
});

after(() => browser.close());

test('after one visit the page starts, tests itself and segments with the server stopped', async () => {
  const server = await startServer([bundles.float32]);
  ({ page } = await openPage(browser.window, server.url));
  await waitForBadge(page, 'passed');
  await page.getByText('Ready for offline use.').waitFor();
  const { code } = await server.stop();
  assert.equal(code, 0);
  await assert.rejects(fetch(server.url), 'the server is really gone');
  await page.reload();
  await waitForBadge(page, 'passed');
  assert.equal(await page.evaluate(() => crossOriginIsolated), true, 'threads need an isolated page offline too');
  await openSample(page, POLYP);
  assert.ok((await paintedPixels(page, 'fill')) > 0);
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
