import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { CANCELLED } from '../../src/core/errors.js';
import { decide, fitToNetwork } from '../../src/core/imaging.js';
import { decideLevels, levelsOf, SLIDER_STEPS, thresholdsOf } from '../../src/core/levels.js';
import { segment } from '../../src/worker/segment.js';
import { standInModel } from './stand-in.js';
import { tensor, vectors, withAlpha } from './vectors.js';

const { name, height, width, preprocessing, rows, columns } = vectors.windows.find((/** @type {any} */ entry) => entry.name === 'window-rest');
const picture = { rgba: withAlpha(tensor(`${name}.picture`)), height, width, name: 'fundus.png' };
const WAYS = { windows: preprocessing, stretch: { ...preprocessing, fit: 'stretch', window: null } };

for (const [way, given] of Object.entries(WAYS)) {
  for (const [what, says, spoil] of /** @type {[string, RegExp, (values: Float32Array) => any][]} */ ([
    ['NaN', /fundus\.png: the artifact failed on it, its answer is not a number; no mask/, (values) => ({ values: values.fill(NaN, 7, 8) })],
    ['Infinity', /fundus\.png: .*not a number/, (values) => ({ values: values.fill(Infinity, 200, 201) })],
    ['minus Infinity', /fundus\.png: .*not a number/, (values) => ({ values: values.fill(-Infinity) })],
    ['a logit', /fundus\.png: .*no probability/, (values) => ({ values: values.fill(1.5, 0, 1) })],
    ['another shape', /fundus\.png: .*it gives 1,1,8,32 where 1,1,16,16 was due/, (values) => ({ values, shape: [1, 1, 8, 32] })],
    ['fewer values', /fundus\.png: the artifact failed/, (values) => ({ values: values.subarray(1) })],
    ['another type', /fundus\.png: the artifact failed/, (values) => ({ values: Float64Array.from(values) })],
  ])) {
    test(`${way}: ${what} is no mask, of this picture alone`, async () => {
      let broken = true;
      const model = standInModel(given, 1, 0.25, (values) => (broken ? spoil(values) : { values }));
      await assert.rejects(segment(model, picture), { message: says });
      broken = false;
      assert.equal((await segment(model, picture)).labels(0.25).length, height * width);
    });
  }
}

test('what a network saw of the whole picture is handed on, of one that slides nothing', async () => {
  const { stretched } = await segment(standInModel(WAYS.stretch, 1, 0.25), picture);
  assert.deepEqual(stretched, fitToNetwork(picture.rgba, height, width, WAYS.stretch));
  assert.equal((await segment(standInModel(WAYS.windows, 1, 0.25), picture)).stretched, null);
});

test('the last of many windows is looked at as the first is', async () => {
  const total = (await segment(standInModel(preprocessing, 1, 0.25), picture)).windows;
  const model = standInModel(preprocessing, 1, 0.25, (values, run) => ({ values: run === total ? values.fill(NaN) : values }));
  await assert.rejects(segment(model, picture), /not a number/);
});

test('a runtime that throws is the artifact’s failure on that picture', async () => {
  const model = standInModel(preprocessing, 1, 0.25, () => {
    throw new Error('out of memory\nat 0x1');
  });
  await assert.rejects(segment(model, picture), { name: 'AppError', message: /^fundus\.png: .*\(out of memory\)\. Reload/ });
});

test('progress is told of every window, and the wish to end it is followed before the next one', async () => {
  const total = rows.length * columns.length;
  /** @type {number[]} */
  const told = [];
  const model = standInModel(preprocessing, 1, 0.25);
  const progress = (/** @type {number} */ done, /** @type {number} */ all) => {
    told.push(done);
    assert.equal(all, total);
  };
  await segment(model, picture, { progress });
  assert.deepEqual(told, Array.from({ length: total + 1 }, (_, place) => place));
  let runs = 0;
  const counted = standInModel(preprocessing, 1, 0.25, (values) => {
    runs += 1;
    return { values };
  });
  let wish = false;
  setTimeout(() => (wish = true)); // as a message comes: between two windows
  await assert.rejects(segment(counted, picture, { cancelled: () => wish }), { reason: CANCELLED });
  assert.ok(runs < 3, `${runs} windows ran`);
});

test('another threshold gives the mask that the probabilities would, at every step of the slider', () => {
  const usual = 0.333;
  const thresholds = thresholdsOf(usual);
  const steps = Array.from({ length: SLIDER_STEPS + 1 }, (_, step) => step / SLIDER_STEPS);
  const near = [...steps, usual].flatMap((value) => {
    const exact = Math.fround(value);
    return [exact, Math.min(1, exact * (1 + 2 ** -23)), exact * (1 - 2 ** -23)];
  });
  const probabilities = Float32Array.from([...near, ...Array.from({ length: 1000 }, (_, at) => (at * 0.618) % 1)]);
  const levels = levelsOf(probabilities, thresholds);
  for (const threshold of [...steps, usual]) {
    assert.deepEqual(decideLevels(levels, thresholds, threshold), decide(probabilities, 1, threshold), String(threshold));
  }
  assert.throws(() => decideLevels(levels, thresholds, 0.3331), /between the slider’s steps/);
});

test('the slider has the steps that are kept', () => {
  const page = readFileSync(new URL('../../index.html', import.meta.url), 'utf-8');
  const slider = page.match(/<input id="threshold"[^>]*>/)?.[0] ?? '';
  assert.match(slider, /min="0" max="1"/);
  assert.equal(Number(slider.match(/step="([^"]+)"/)?.[1]) * SLIDER_STEPS, 1);
});
