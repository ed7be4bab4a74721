import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  countLabels,
  decide,
  fitToNetwork,
  maskInOriginalSize,
  normalise,
  outline,
  outlineThickness,
  resampleTaps,
} from '../../src/core/imaging.js';
import { tensor, vectors, withAlpha } from './vectors.js';

assert.ok(vectors.cases.length >= 12);

for (const entry of vectors.cases) {
  const { name, why, height, width, preprocessing, postprocessing, output } = entry;
  const classes = output.shape[1];
  const labels = classes === 1 ? 2 : classes;

  test(`${name}: ${why}`, async (t) => {
    await t.test('the fitted picture is the same to the last bit', () => {
      assert.deepEqual(
        fitToNetwork(withAlpha(tensor(`${name}.picture`)), height, width, preprocessing),
        tensor(`${name}.fitted`),
      );
    });
    await t.test('the network is fed the same numbers', () => {
      const found = normalise(tensor(`${name}.fitted`), preprocessing);
      const expected = tensor(`${name}.normalised`);
      assert.equal(found.length, expected.length);
      let worst = 0;
      for (let at = 0; at < found.length; at += 1) worst = Math.max(worst, Math.abs(found[at] - expected[at]));
      assert.ok(worst <= vectors.tolerance.normalised, `differs by ${worst}`);
    });
    await t.test('masks are the same, in the network’s size and in the picture’s own', () => {
      const probabilities = tensor(`${name}.probabilities`);
      const { threshold } = postprocessing;
      const small = decide(probabilities, classes, threshold);
      assert.deepEqual(small, tensor(`${name}.network_mask`));
      assert.deepEqual(countLabels(small, labels), entry.area.network);
      const mask = maskInOriginalSize(probabilities, output.shape, height, width, threshold);
      assert.deepEqual(mask, tensor(`${name}.mask`));
      assert.deepEqual(countLabels(mask, labels), entry.area.original);
    });
    await t.test('the outline is the same', () => {
      assert.deepEqual(
        outline(tensor(`${name}.mask`), height, width, entry.outline_thickness),
        tensor(`${name}.outline`),
      );
    });
  });
}

test('an outline grows with the picture and is rounded as Python rounds, half to even', () => {
  const cases = [[8, 1], [352, 1], [375, 2], [500, 2], [625, 2], [626, 3], [875, 4], [1080, 4]];
  for (const [side, expected] of cases) assert.equal(outlineThickness(side, side + 100), expected);
});

test('an outline is as thick as it is asked to be, and spares the inside', () => {
  const labels = new Uint8Array(49).fill(1);
  labels[0] = 2;
  const thick = outline(labels, 7, 7, 2);
  assert.deepEqual([...thick.subarray(0, 4)], [2, 1, 1, 0]);
  assert.equal(thick[48], 0);
});

test('weights of every target sum to one and stay within the picture', () => {
  for (const [length, target] of [[1, 352], [352, 352], [353, 352], [5000, 352], [352, 5000]]) {
    const { first, weights } = resampleTaps(length, target);
    for (let at = 0; at < target; at += 1) {
      const sum = weights[at].reduce((total, weight) => total + weight, 0);
      assert.ok(Math.abs(sum - 1) < 1e-6);
      assert.ok(first[at] >= 0 && first[at] + weights[at].length <= length);
    }
  }
});
