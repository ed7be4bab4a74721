import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { openBundle } from '../../src/core/bundle.js';
import { AppError } from '../../src/core/errors.js';
import { filesOf, given, REFUSALS } from './bundles.js';

const { cases } = JSON.parse(readFileSync(path.join(REFUSALS, 'index.json'), 'utf-8'));
assert.ok(cases.length >= 60);

/**
 * Why a bundle is refused; null where it opens.
 * @param {import('../../src/core/bundle.js').Source} source
 */
async function reasonOf(source) {
  try {
    await openBundle(source);
    return null;
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    assert.match(error.message, /^[^\n]{10,600}\.$/u, 'one line, cause and remedy');
    return error.reason;
  }
}

for (const { name, why, reason, needs } of cases) {
  // A page sees no links: a browser hands out what they lead to.
  const expected = needs === 'links' ? null : reason;
  test(`${name} (${why}): ${expected ?? 'opens'}`, async () => {
    assert.equal(await reasonOf(given(filesOf(path.join(REFUSALS, name)))), expected);
  });
}

test('what this page cannot see is links, and nothing else', () => {
  assert.deepEqual(
    cases.filter((/** @type {any} */ { needs }) => needs === 'links').map((/** @type {any} */ { name }) => name),
    ['link'],
  );
});
