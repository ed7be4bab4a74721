import assert from 'node:assert/strict';
import { test } from 'node:test';

import { countLabels, decide, fitToNetwork } from '../../src/core/imaging.js';
import { bands, padding, positions, weights, windowCount } from '../../src/core/window.js';
import { segment } from '../../src/worker/segment.js';
import { standIn, standInModel } from './stand-in.js';
import { tensor, vectors, withAlpha } from './vectors.js';

assert.ok(vectors.windows.length >= 17);

for (const { name, why, height, width, preprocessing, postprocessing, output, rows, columns, area } of vectors.windows) {
  const outputs = output.shape[1];
  const { window } = preprocessing;
  const picture = { rgba: withAlpha(tensor(`${name}.picture`)), height, width, name };

  test(`${name}: ${why}`, async (t) => {
    await t.test('windows lie where they have to, and weigh what they have to', () => {
      assert.deepEqual(positions(height, preprocessing.height, window.overlap), rows);
      assert.deepEqual(positions(width, preprocessing.width, window.overlap), columns);
      assert.equal(windowCount(picture, preprocessing), rows.length * columns.length);
      const found = weights(preprocessing.height, preprocessing.width, window.sigma);
      const expected = tensor(`${name}.weights`);
      assert.equal(found.length, expected.length);
      for (let at = 0; at < found.length; at += 1) assert.ok(Math.abs(found[at] - expected[at]) <= 1e-6);
    });
    await t.test('the mask is the same to the last pixel', async () => {
      const mask = new Uint8Array(height * width);
      let next = 0;
      const predict = async (/** @type {any} */ rgba) =>
        standIn(fitToNetwork(rgba, preprocessing.height, preprocessing.width, preprocessing), preprocessing, outputs);
      for await (const { top, rows: count, probabilities } of bands(predict, picture, preprocessing, outputs)) {
        assert.equal(top, next, 'strips follow each other');
        assert.ok(count <= preprocessing.height, 'no more than a window’s height is held');
        mask.set(decide(probabilities, outputs, postprocessing.threshold), top * width);
        next += count;
      }
      assert.equal(next, height);
      assert.deepEqual(mask, tensor(`${name}.mask`));
      assert.deepEqual(countLabels(mask, area.length), area);
    });
    await t.test('and so is what the worker keeps of it, at the contract’s threshold', async () => {
      const model = standInModel(preprocessing, outputs, postprocessing.threshold);
      const { labels, windows } = await segment(model, picture);
      assert.equal(windows, rows.length * columns.length);
      assert.deepEqual(labels(postprocessing.threshold), tensor(`${name}.mask`));
    });
  });
}

test('an odd pixel of padding is behind the picture', () => {
  assert.deepEqual([16, 15, 14, 1, 17].map((length) => padding(length, 16)), [0, 0, 1, 7, 0]);
});

test('a strip that would not fit into memory is refused before anything is computed', async () => {
  const never = () => assert.fail('the network ran');
  const wide = { rgba: new Uint8Array(0), height: 256, width: 1_000_000 };
  const sliding = { height: 256, width: 256, window: { overlap: 0.5, sigma: 0.125 } };
  await assert.rejects(bands(never, wide, sliding, 1).next(), /1000000 pixels wide takes too much memory.*Cut it into parts/);
});
