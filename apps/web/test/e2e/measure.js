/**
 * Not a test: what a first visit transfers and takes, and how many frames of the camera are segmented in a second. A
 * relay between browser and server counts, so that nothing is left out: neither workers nor the service worker.
 *
 * S2M_EDGE_BUNDLES: JSON list of folders; the first is what the page opens with. Prints JSON.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';

import { DESKTOP, downloaded, given, openPage, openSample, startBrowser, startServer, waitForBadge } from './harness.js';

const SAMPLES = ['polyp-validation_0009.jpg', 'skin-ISIC_0014270.jpg'];
const CAMERA_SECONDS = 30;

/**
 * Hand everything on, and count it.
 * @param {string} target
 */
async function relay(target) {
  /** @type {Record<string, number>} bytes of bodies, by kind of file */
  const bytes = {};
  const server = http.createServer((request, response) => {
    const { hostname, port } = new URL(target);
    const asked = http.request({ hostname, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('data', (chunk) => {
        const kind = kindOf(new URL(request.url ?? '', target).pathname);
        bytes[kind] = (bytes[kind] ?? 0) + chunk.length;
      });
      answer.pipe(response);
    });
    asked.on('error', () => response.destroy());
    request.pipe(asked);
  });
  await new Promise((resolve) => server.listen(0, 'localhost', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://localhost:${port}/`, bytes, close: () => server.close() };
}

/** @param {string} path */
function kindOf(path) {
  if (path.startsWith('/ort/')) return 'runtime';
  if (/golden\.safetensors/.test(path)) return 'golden inputs';
  if (path.startsWith('/bundles/')) return /\.onnx/.test(path) ? 'network' : 'other files of the bundle';
  return path.startsWith('/samples/') ? 'samples' : 'page';
}

const server = await startServer(JSON.parse(given('S2M_EDGE_BUNDLES')));
const counted = await relay(server.url);
const browser = await startBrowser(DESKTOP);
try {
  const { page } = await openPage(browser.window, counted.url);
  await waitForBadge(page, 'passed');
  const milliseconds = await page.evaluate(() => Math.round(performance.now()));
  await page.waitForFunction(() => /Ready for offline use/.test(document.querySelector('#offline')?.textContent ?? ''));
  const bytes = { ...counted.bytes, all: Object.values(counted.bytes).reduce((sum, count) => sum + count, 0) };
  /** @type {Record<string, string>} */
  const masks = {};
  for (const sample of SAMPLES) {
    await openSample(page, sample);
    masks[sample] = createHash('sha256').update(readFileSync((await downloaded(page, 'Mask (PNG)')).file)).digest('hex').slice(0, 16);
  }
  await page.getByRole('button', { name: 'Camera', exact: true }).click();
  await page.waitForFunction(() => /\d frames per second/.test(document.querySelector('#live-text')?.textContent ?? ''));
  const frames = await page.evaluate(async (seconds) => {
    let count = 0;
    const watch = new MutationObserver(() => (count += 1));
    watch.observe(/** @type {Element} */ (document.querySelector('#live-text')), { childList: true });
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return (count * 1000) / (performance.now() - began);
  }, CAMERA_SECONDS);
  const time = await page.locator('.time').innerText();
  console.log(JSON.stringify({ bytes, milliseconds, frames_per_second: Number(frames.toFixed(3)), time, masks }, null, 2));
} finally {
  await browser.close();
  counted.close();
  await server.stop();
}
