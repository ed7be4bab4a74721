/**
 * Not a test: segments pictures with every model that the server offers, through the page as a person would, and saves
 * what the page saves. tests/apps/web compares it with the Python reference.
 *
 * S2M_EDGE_PICTURES: JSON list of files; S2M_EDGE_OUT: folder for NAME-mask.png and NAME.json, one folder per model;
 * S2M_EDGE_RUN_ON: what "Run on" is set to, "auto" without it. On WebGPU shaders.json says how many of the
 * shaders that were made for the model compute in float16.
 */

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import {
  DESKTOP, downloaded, given, openPage, segment, SOFTWARE_WEBGPU, startBrowser, startServer, waitForBadge,
} from './harness.js';

const pictures = JSON.parse(given('S2M_EDGE_PICTURES'));
const out = given('S2M_EDGE_OUT');
const server = await startServer(JSON.parse(given('S2M_EDGE_BUNDLES')));
const runOn = process.env.S2M_EDGE_RUN_ON ?? 'auto';
const browser = await startBrowser(DESKTOP, runOn === 'webgpu' ? SOFTWARE_WEBGPU : []);
try {
  const { page } = await openPage(browser.window, server.url);
  if (runOn === 'webgpu') page.setDefaultTimeout(600_000); // shaders are compiled and run in software
  const models = await page.locator('#model').evaluate(async (select) => {
    const list = /** @type {HTMLSelectElement} */ (select);
    while (list.options.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    return [...list.options].map(({ value }) => value);
  });
  const [worker] = page.workers();
  if (runOn === 'webgpu') await worker.evaluate(countShaders);
  await page.locator('#provider').selectOption(runOn);
  for (const model of models) {
    if (runOn === 'webgpu') await worker.evaluate(() => Object.assign(self, { halfShaders: 0 }));
    await page.locator('#model').selectOption(model);
    await waitForBadge(page, 'passed');
    mkdirSync(path.join(out, model), { recursive: true });
    if (runOn === 'webgpu') {
      const float16 = await worker.evaluate(() => /** @type {any} */ (self).halfShaders);
      writeFileSync(path.join(out, model, 'shaders.json'), JSON.stringify({ float16 }));
    }
    for (const picture of pictures) {
      const name = path.basename(picture);
      await segment(page, () => page.locator('#file').setInputFiles(picture), name);
      for (const [button, suffix] of [['Mask (PNG)', '-mask.png'], ['Figures (JSON)', '.json']]) {
        copyFileSync((await downloaded(page, button)).file, path.join(out, model, `${path.parse(name).name}${suffix}`));
      }
    }
  }
} finally {
  await browser.close();
  await server.stop();
}

/** In the worker: count the shaders that ask for float16, from now on. */
function countShaders() {
  const { GPUDevice } = /** @type {any} */ (self);
  const make = GPUDevice.prototype.createShaderModule;
  GPUDevice.prototype.createShaderModule = function (/** @type {{ code: string }} */ given) {
    if (/^\s*enable f16;/m.test(given.code)) /** @type {any} */ (self).halfShaders += 1;
    return make.call(this, given);
  };
}
