import assert from 'node:assert/strict';
import { test } from 'node:test';

import { summary } from '../../src/ui/save.js';
import { warningOf } from '../../src/ui/text.js';
import { standInModel } from './stand-in.js';
import { vectors } from './vectors.js';

Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'a test' }, configurable: true });

const { contract } = standInModel(vectors.windows[0].preprocessing, 1, 0.25).bundle;
const selfTest = { passed: true, provider: 'wasm', threads: 1, version: '1', files: [], images: [], breaches: [], notes: [] };

/**
 * What is saved of a picture with this verdict.
 * @param {import('../../src/core/guard.js').GuardVerdict | null} guard
 * @param {import('../../src/core/spacing.js').Spacing | null} [spacing]
 * @param {string} [unmeasured] why there is no spacing, or why the class has no figures in mm
 */
function saved(guard, spacing = null, unmeasured = '') {
  const known = { areaMm2: 12.5, diameterMm: 5, unmeasured };
  const millimetres = spacing && [unmeasured ? { ...known, areaMm2: null, diameterMm: null } : known];
  const answer = { id: 'a', areas: [50], millimetres, windows: 1, networkMilliseconds: 1, milliseconds: 2, guard };
  const decision = /** @type {any} */ ({ width: 10, height: 20, spacing, unmeasured: spacing ? '' : unmeasured, answers: [answer], between: null });
  const shown = /** @type {any} */ ([{ id: 'a', opened: { contract, selfTest } }]);
  return summary({ name: 'fundus.jpg', decision, shown, threshold: null }, 0);
}

test('the saved figures carry the verdict of the guard, in the words of the command line', () => {
  const verdict = { score: 26.75149, threshold: 13.66184616, unusual: true };
  assert.deepEqual(saved(verdict).guard, { score: 26.751, threshold: 13.662, unusual: true });
  assert.deepEqual(saved({ ...verdict, score: 8.5, unusual: false }).guard, { score: 8.5, threshold: 13.662, unusual: false });
  assert.deepEqual(saved(verdict).area_fraction, { c0: 0.25 });
});

test('without a guard they say so', () => {
  assert.equal(saved(null).guard, null);
});

test('figures in mm are saved where the file says how large its pixels are, and are null elsewhere', () => {
  const known = saved(null, { rows: 0.5, columns: 0.25, from: 'PixelSpacing', part: null });
  assert.deepEqual([known.spacing_mm, known.spacing_from, known.area_mm2, known.diameter_mm], [[0.5, 0.25], 'PixelSpacing', { c0: 12.5 }, { c0: 5 }]);
  assert.deepEqual(known.remarks, []);
  const unknown = saved(null);
  assert.deepEqual([unknown.spacing_mm, unknown.spacing_from, unknown.area_mm2, unknown.diameter_mm], [null, '', null, null]);
  assert.deepEqual(unknown.remarks, []);
});

test('why there are no figures in mm is saved in the words of the command line', () => {
  assert.deepEqual(saved(null, null, 'another region lies over it').remarks, ['there is no spacing: another region lies over it']);
  const part = { top: 0, left: 0, bottom: 4, right: 4 };
  const beyond = saved(null, { rows: 0.5, columns: 0.25, from: 'SequenceOfUltrasoundRegions', part }, '3 of its pixels lie outside');
  assert.deepEqual([beyond.area_mm2, beyond.diameter_mm, beyond.remarks], [{ c0: null }, { c0: null }, ['c0: 3 of its pixels lie outside']]);
});

test('the warning says the score, the usual one, and what follows', () => {
  assert.match(
    warningOf({ score: 26.75149, threshold: 13.66184616, unusual: true }),
    /looks unlike the pictures this network was trained on \(score 26\.8, usual up to 13\.7\); the mask may mean nothing\.$/,
  );
});
