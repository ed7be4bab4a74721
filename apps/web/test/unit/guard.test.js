import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { describe, judge, readGuard, scoreOf } from '../../src/core/guard.js';
import { tensor, vectors } from './vectors.js';

const folder = new URL('../../../vectors/', import.meta.url);
/** @type {Map<string, Uint8Array>} */
const files = new Map();
for (const { file, sha256 } of vectors.guard_files) {
  const bytes = readFileSync(new URL(file, folder));
  assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
  files.set(file, new Uint8Array(bytes));
}

assert.ok(vectors.guards.length >= 8);
assert.deepEqual(new Set(vectors.guards.map((/** @type {any} */ { unusual }) => unusual)), new Set([true, false]));

for (const { name, why, picture, guard: file, score, threshold, unusual } of vectors.guards) {
  const [height, width, channels] = vectors.tensors.entries[picture].shape;

  test(`${name}: ${why}`, () => {
    const found = describe(tensor(picture), height, width, channels);
    const expected = tensor(`${name}.descriptor`);
    assert.equal(found.length, expected.length);
    found.forEach((value, at) => assertNear(value, expected[at], `number ${at}`));
    const guard = readGuard(bytesOf(file), channels);
    assertNear(scoreOf(guard, found), score, 'the score');
    assertNear(guard.threshold, threshold, 'the threshold');
    assert.equal(scoreOf(guard, found) > guard.threshold, unusual);
  });

  test(`${name}: the verdict is ${unusual ? 'unusual' : 'usual'}`, () => {
    const verdict = judge(readGuard(bytesOf(file), channels), tensor(picture), { height, width, channels });
    assertNear(verdict.score, score, 'the score');
    assertNear(verdict.threshold, threshold, 'the threshold');
    assert.equal(verdict.unusual, unusual);
  });
}

test('a guard that is none, cut off, of another network or out of range is refused', () => {
  const grey = bytesOf('guard-grey.safetensors');
  const refuses = (/** @type {Uint8Array} */ bytes, /** @type {number} */ channels, /** @type {RegExp} */ message) =>
    assert.throws(() => readGuard(bytes, channels), { name: 'AppError', reason: 'damaged', message });
  refuses(grey, 3, /pictures of "1" channels/);
  refuses(grey.subarray(0, grey.length - 40), 1, /damaged/);
  refuses(withHeader(grey, 's2m-edge-guard', 's2m-edge-gaurd'), 1, /it is no guard/);
  refuses(withHeader(grey, 'thumbnail-cosine-1', 'thumbnail-cosine-9'), 1, /Update the app/);
  refuses(withHeader(grey, 'thumbnail-cosine-1', 'thumbnail-cosine\\n'), 1, /^[^\n]*cosine\\n"[^\n]*$/);
  refuses(withHeader(grey, '"threshold":"5.75"', '"threshold":"none"'), 1, /threshold/);
  refuses(withHeader(grey, '"deviations"', '"elsewhere!"'), 1, /lacks/);
  const spoilt = grey.slice();
  spoilt.fill(0xff, spoilt.length - 4); // not a number
  refuses(spoilt, 1, /out of range/);
});

/**
 * @param {number} found
 * @param {number} expected
 * @param {string} what
 */
function assertNear(found, expected, what) {
  const limit = vectors.tolerance.guard * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(found - expected) <= limit, `${what} is ${found}, expected ${expected}`);
}

/** @param {string} name */
function bytesOf(name) {
  const found = files.get(name);
  if (!found) throw new Error(`there is no guard ${name}`);
  return found;
}

/**
 * A copy with a text of the header replaced by another of the same length.
 * @param {Uint8Array} bytes
 * @param {string} text
 * @param {string} other
 */
function withHeader(bytes, text, other) {
  assert.equal(text.length, other.length);
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(text);
  assert.ok(at >= 0, `no ${text}`);
  copy.write(other, at, 'latin1');
  return new Uint8Array(copy);
}
