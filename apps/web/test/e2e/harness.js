/** What the end-to-end tests share: the real server, Debian's Chromium, and the page's own words. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium, devices } from 'playwright-core';

export const PHONE = devices['Pixel 7'];
export const DESKTOP = { viewport: { width: 1280, height: 860 } };
export const SAMPLES = fileURLToPath(new URL('../../../../s2m_edge/assets/samples/images/', import.meta.url));
export const WAIT = 120_000;

/** Chromium's own adapter for WebGPU, which computes on the processor. */
export const SOFTWARE_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
];

/**
 * A value that the pytest driver hands over.
 * @param {string} name
 */
export function given(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is set by tests/apps/web; run these tests through pytest`);
  return value;
}

/**
 * Start `s2m-edge demo web` with some bundles.
 * @param {string[]} bundles
 * @returns {Promise<{ url: string, stop: () => Promise<{ code: number | null, printed: string }> }>}
 */
export async function startServer(bundles) {
  const command = ['-m', 's2m_edge.cli.main', 'demo', 'web', ...bundles, '--no-browser', '--port', '0'];
  const process_ = spawn(given('S2M_EDGE_PYTHON'), command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const ended = new Promise((resolve) => process_.on('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    const read = (/** @type {Buffer} */ chunk) => {
      printed += chunk;
      const found = printed.match(/http:\/\/localhost:\d+\//);
      if (found) resolve(found[0]);
    };
    process_.stdout.on('data', read);
    process_.stderr.on('data', read);
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${printed}`)));
  });
  const stop = async () => {
    process_.kill('SIGINT');
    return { code: await ended, printed };
  };
  return { url, stop };
}

/**
 * A browser with a profile of its own, one window.
 * @param {Record<string, any>} options of the window
 * @param {string[]} flags
 */
export async function startBrowser(options, flags = ['--use-fake-ui-for-media-stream']) {
  const profile = mkdtempSync(path.join(tmpdir(), 's2m-edge-chromium-'));
  const window_ = await chromium.launchPersistentContext(profile, {
    executablePath: given('S2M_EDGE_CHROMIUM'),
    args: [...FLAGS, ...(flags === SOFTWARE_WEBGPU ? [] : ['--disable-gpu']), ...flags],
    acceptDownloads: true,
    ...options,
  });
  const close = async () => {
    await window_.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { window: window_, close };
}

/**
 * Open the page; anything that it reports as an error, and any request to another host, fails the test.
 * @param {import('playwright-core').BrowserContext} window_
 * @param {string} url
 */
export async function openPage(window_, url) {
  const page = await window_.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith('http') && host !== new URL(url).host) faults.push(`a request to ${host}`);
  });
  page.setDefaultTimeout(WAIT);
  await page.goto(url);
  return { page, faults };
}

/**
 * Wait for the badge to say how the self-test ended, or why there was none.
 * @param {import('playwright-core').Page} page
 * @param {'passed' | 'failed' | 'absent'} state
 */
export async function waitForBadge(page, state) {
  await page.locator('#badge:not([data-state=waiting])').waitFor();
  const text = await page.locator('#badge').innerText();
  const why = await page.locator('#refusal').innerText();
  assert.equal(await page.locator('#badge').getAttribute('data-state'), state, `${text} ${why}`);
}

/**
 * Do something that shows a picture, and wait until its result is there.
 * @param {import('playwright-core').Page} page
 * @param {() => Promise<unknown>} action
 * @param {string} name of the picture
 */
export async function segment(page, action, name) {
  await action();
  await page.locator(`.view[aria-label^="${name} with the mask"]`).first().waitFor();
  await page.locator('#stage[aria-busy=false]').waitFor();
}

/**
 * Open a sample by its button.
 * @param {import('playwright-core').Page} page
 * @param {string} file
 */
export async function openSample(page, file) {
  await segment(page, () => page.locator(`button[data-sample="${file}"]`).click(), file);
}

/**
 * How many pixels of a pane's layer are not transparent.
 * @param {import('playwright-core').Page} page
 * @param {'fill' | 'line'} layer
 */
export async function paintedPixels(page, layer) {
  return page.locator(`canvas.${layer}`).first().evaluate((canvas) => {
    const source = /** @type {HTMLCanvasElement} */ (canvas);
    const copy = new OffscreenCanvas(source.width, source.height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (copy.getContext('2d'));
    context.drawImage(source, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) if (data[at] > 0) count += 1;
    return count;
  });
}

/**
 * The pixels that the result says are covered, of the first class.
 * @param {import('playwright-core').Page} page
 */
export async function reportedPixels(page) {
  const text = await page.locator('.figure-row .pixels').first().innerText();
  return Number(text.split(' of ')[0].replaceAll(',', ''));
}

/**
 * What axe finds against WCAG 2.2, levels A and AA, and its own good practice.
 * @param {import('playwright-core').Page} page
 * @returns {Promise<string[]>} rule and element of each violation
 */
export async function violations(page) {
  await page.evaluate(readFileSync(fileURLToPath(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf-8'));
  return page.evaluate(async () => {
    const { axe } = /** @type {any} */ (window);
    for (let frame = 0; frame < 2; frame += 1) await new Promise((resolve) => requestAnimationFrame(resolve));
    const changing = document.getAnimations().filter(({ effect }) => effect?.getTiming().iterations !== Infinity);
    await Promise.allSettled(changing.map(({ finished }) => finished)); // colours that fade have no contrast yet
    const { violations: found } = await axe.run(document);
    return found.flatMap((/** @type {any} */ { id, nodes }) => nodes.map((/** @type {any} */ { target }) => `${id} ${target}`));
  });
}

/**
 * What is wider than the window: the page itself, or an element outside of what scrolls sideways.
 * @param {import('playwright-core').Page} page
 * @returns {Promise<string[]>}
 */
export async function tooWide(page) {
  return page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    const scrolls = (/** @type {Element | null} */ found) => {
      for (let outer = found?.parentElement; outer; outer = outer.parentElement) {
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(outer).overflowX)) return true;
      }
      return false;
    };
    const wide = [...document.querySelectorAll('body *')]
      .filter((found) => found.checkVisibility() && !found.closest('.visually-hidden, svg') && !scrolls(found))
      .filter((found) => {
        const { left, right } = found.getBoundingClientRect();
        return left < -0.5 || right > clientWidth + 0.5;
      })
      .map((found) => `${found.tagName} #${found.id} .${found.className}`);
    return scrollWidth > clientWidth ? [`the page, ${scrollWidth} of ${clientWidth}`, ...wide] : wide;
  });
}

/**
 * Wait until the live region says something; what it says later is about something later.
 * @param {import('playwright-core').Page} page
 * @param {string} start of what is said
 */
export async function waitForAnnouncement(page, start) {
  await page.waitForFunction((text) => document.querySelector('#announcer')?.textContent?.startsWith(text), start);
}

/**
 * What a click downloads.
 * @param {import('playwright-core').Page} page
 * @param {string} name of the button
 * @returns {Promise<{ name: string, file: string }>}
 */
export async function downloaded(page, name) {
  const waiting = page.waitForEvent('download');
  await page.getByRole('button', { name, exact: true }).click();
  const download = await waiting;
  return { name: download.suggestedFilename(), file: await download.path() };
}
