import assert from 'node:assert/strict';
import { test } from 'node:test';

import { breaches, compare, compareMasks, selfTestBreaches } from '../../src/core/parity.js';
import { sha256 } from '../../src/core/sha256.js';
import { tensor, vectors } from './vectors.js';

/** @param {number} found @param {number | null} expected */
function near(found, expected) {
  if (expected === null) return assert.ok(!Number.isFinite(found));
  return assert.ok(Math.abs(found - expected) <= vectors.tolerance.comparison, `${found} is not ${expected}`);
}

for (const entry of vectors.comparisons) {
  test(`${entry.name}: ${entry.why}`, () => {
    const logits = tensor(`${entry.name}.logits`);
    const edge = tensor(`${entry.name}.edge`);
    const figures = compare(entry.name, logits, edge, logits.length / 1024, entry.threshold);
    near(figures.probabilityError, entry.expected.max_probability_error);
    near(figures.meanProbabilityError, entry.expected.mean_probability_error);
    near(figures.maskAgreement, entry.expected.mask_agreement);
    near(figures.maskDice, entry.expected.mask_dice);
    near(figures.maskFraction, entry.expected.mask_fraction);
    const found = breaches(entry.gate, figures);
    assert.equal(found.length, entry.expected.breaches);
    assert.equal(selfTestBreaches(entry.gate, [figures]).length === 0, entry.expected.passed);
    for (const sentence of found) assert.ok(sentence.startsWith(`${entry.name}: `));
  });
}

test('a self-test needs an input that shows the object, and one is enough', () => {
  const entry = vectors.comparisons.find((/** @type {{ name: string }} */ { name }) => name === 'compare-empty');
  assert.ok(entry);
  const logits = tensor('compare-empty.logits');
  const empty = compare('empty', logits, tensor('compare-empty.edge'), 1, entry.threshold);
  const showing = compare('alike', tensor('compare-alike.logits'), tensor('compare-alike.edge'), 1, entry.threshold);
  assert.match(selfTestBreaches(entry.gate, [empty, empty])[0], /finds nothing on any golden input/);
  assert.deepEqual(selfTestBreaches(entry.gate, [empty, showing]), []);
  assert.equal(selfTestBreaches(entry.gate, []).length, 1);
});

test('a mask compared with itself agrees, an empty pair too', () => {
  assert.deepEqual(compareMasks(new Uint8Array(9), new Uint8Array(9)), { agreement: 1, dice: 1 });
  const mask = Uint8Array.from([0, 1, 1, 2]);
  assert.deepEqual(compareMasks(mask, mask), { agreement: 1, dice: 1 });
  assert.deepEqual(compareMasks(mask, Uint8Array.from([0, 1, 2, 2])), { agreement: 0.75, dice: 2 / 3 });
});

for (const { text, sha256: expected } of vectors.hashes) {
  test(`SHA-256 of ${JSON.stringify(text.slice(0, 20))}`, async () => {
    assert.equal(await sha256(new TextEncoder().encode(text)), expected);
  });
}
