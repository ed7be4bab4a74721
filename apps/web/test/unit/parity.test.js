import assert from 'node:assert/strict';
import { test } from 'node:test';

import { breaches, compare, compareMasks } from '../../src/core/parity.js';
import { sha256 } from '../../src/core/sha256.js';
import { tensor, vectors } from './vectors.js';

/** @param {number} found @param {number | null} expected */
function near(found, expected) {
  if (expected === null) return assert.ok(Number.isNaN(found));
  return assert.ok(Math.abs(found - expected) <= vectors.tolerance.comparison, `${found} is not ${expected}`);
}

for (const entry of vectors.comparisons) {
  test(`${entry.name}: ${entry.why}`, () => {
    const logits = tensor(`${entry.name}.logits`);
    const edge = tensor(`${entry.name}.edge`);
    const figures = compare(entry.name, logits, edge, logits.length / 1024, entry.threshold);
    near(figures.probabilityError, entry.expected.max_probability_error);
    near(figures.maskAgreement, entry.expected.mask_agreement);
    near(figures.maskDice, entry.expected.mask_dice);
    near(figures.maskFraction, entry.expected.mask_fraction);
    const found = breaches(entry.gate, figures);
    assert.equal(found.length, entry.expected.breaches);
    assert.equal(found.length === 0, entry.expected.passed);
    for (const sentence of found) assert.ok(sentence.startsWith(`${entry.name}: `));
  });
}

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
