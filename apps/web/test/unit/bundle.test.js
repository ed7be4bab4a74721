import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { openBundle } from '../../src/core/bundle.js';
import { readSafetensors } from '../../src/core/safetensors.js';
import { filesOf, given, REFUSALS } from './bundles.js';

const encoder = new TextEncoder();

/** @param {Uint8Array} bytes */
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** The parts of a sound little bundle, as values that a test can spoil. */
function sound() {
  const files = filesOf(path.join(REFUSALS, 'sound'));
  return { files, contract: JSON.parse(String(files.get('contract.json'))) };
}

/** @param {ReturnType<typeof sound>} parts @param {string[]} [targets] */
function open({ files, contract }, targets) {
  return openBundle(given(new Map([...files, ['contract.json', Buffer.from(JSON.stringify(contract))]])), targets);
}

test('a sound bundle opens with its contract, golden inputs, gate and artifact', async () => {
  const bundle = await open(sound());
  assert.equal(bundle.contract.preprocessing.height, 12);
  assert.equal(bundle.contract.preprocessing.width, 16);
  assert.equal(bundle.contract.network.architecture, 'none');
  assert.equal(bundle.golden.length, 1);
  assert.equal(bundle.golden[0].name, 'golden-0');
  assert.equal(bundle.golden[0].image.length, 12 * 16 * 3);
  assert.deepEqual(bundle.gate, {
    probability_error: 1e-4, mean_probability_error: null, mask_agreement: 0.9999, mask_dice: null,
  });
  assert.equal(new TextDecoder().decode(bundle.artifact), 'no runtime opens this\n');
});

/**
 * A bundle with a guard, hashed as it is.
 * @param {Uint8Array} guard
 */
function withGuard(guard) {
  const parts = sound();
  parts.files.set('guard.safetensors', Buffer.from(guard));
  parts.contract.files['guard.safetensors'] = hash(guard);
  return parts;
}

/** @param {string} name */
const guardFile = (name) => readFileSync(new URL(`../../../vectors/guard-${name}.safetensors`, import.meta.url));

test('a guard comes with the bundle, where there is one', async () => {
  assert.equal((await open(sound())).guard, null);
  const { guard } = await open(withGuard(guardFile('colour')));
  assert.equal(guard?.channels, 3);
  assert.ok(guard.threshold > 0);
});

test('a guard that is damaged, or about other pictures, refuses the bundle', async () => {
  const whole = guardFile('colour');
  await assert.rejects(open(withGuard(whole.subarray(0, whole.length - 4))), { reason: 'damaged', message: /guard\.safetensors is damaged/ });
  await assert.rejects(open(withGuard(guardFile('grey'))), { reason: 'damaged', message: /pictures of "1" channels, the network about 3/ });
  const changed = withGuard(whole);
  changed.files.get('guard.safetensors')?.fill(0, whole.length - 4);
  await assert.rejects(open(changed), { reason: 'hash-differs' });
});

test('a guard that the contract does not name is a foreign file', async () => {
  const parts = sound();
  parts.files.set('guard.safetensors', guardFile('colour'));
  await assert.rejects(open(parts), { reason: 'extra-file' });
});

test('a network that slides says how', async () => {
  const { contract } = await openBundle(given(filesOf(path.join(REFUSALS, 'window'))));
  assert.deepEqual(
    { overlap: contract.preprocessing.window?.overlap, sigma: contract.preprocessing.window?.sigma },
    { overlap: 0.5, sigma: 0.125 },
  );
});

test('a network without a spectral filter opens', async () => {
  const parts = sound();
  parts.contract.spectral = 'none';
  assert.equal((await open(parts)).contract.spectral, 'none');
});

test('a bundle of another target is refused, and that is a matter of what this app can run', async () => {
  const parts = sound();
  parts.contract.target = 'coreml';
  await assert.rejects(open(parts), /target coreml; this app runs onnx bundles\. Export one/);
  assert.equal((await open(parts, ['coreml'])).contract.target, 'coreml');
});

/** Faults of which apps/vectors has none. @type {[string, RegExp, string, (parts: ReturnType<typeof sound>) => void][]} */
const HARMS = [
  ['one size for both sides', /damaged at preprocessing \(lacks height\)/, 'damaged', ({ contract }) => {
    contract.preprocessing.size = 12;
    delete contract.preprocessing.height;
  }],
  ['a foreign entry deep inside', /damaged at classes\/0\/link/, 'damaged', ({ contract }) => { contract.classes[0].link = 'x'; }],
  ['a name of an object’s own property', /damaged at constructor/, 'damaged', ({ contract }) => { contract.constructor = 1; }],
  ['a hash that is none', /damaged at files\/parity\.json/, 'damaged', ({ contract }) => { contract.files['parity.json'] = 'a'; }],
  ['a line feed behind a name', /damaged at network\/name/, 'damaged', ({ contract }) => { contract.network.name = 'a\n'; }],
  ['true for a number', /damaged at postprocessing\/threshold/, 'damaged', ({ contract }) => { contract.postprocessing.threshold = true; }],
  ['more pictures with the object than pictures', /damaged at parity\/images_with_foreground/, 'damaged', ({ contract }) => {
    contract.parity.images_with_foreground = 2;
  }],
  ['a window of a network that is stretched', /damaged at preprocessing\/window/, 'damaged', ({ contract }) => {
    contract.preprocessing.window = { overlap: 0.5, blending: 'gaussian', sigma: 0.125, padding: 'black', scale: 1 };
  }],
  ['a gate that promises nothing', /states no gate/, 'damaged', ({ contract }) => { contract.parity.gate = { mask_dice: null }; }],
  ['a promise that is not measured here', /limits hausdorff.*Update the app/, 'damaged', ({ contract }) => {
    contract.parity.gate.hausdorff = 0.5;
  }],
  ['a contract of two megabytes', /longer than 1048576 bytes/, 'too-large', ({ contract }) => {
    contract.checkpoint.provenance.note = 'x'.repeat(2 ** 21);
  }],
  ['a file in a folder that nobody named', /holds more\/notes\.txt/, 'extra-file', ({ files }) => {
    files.set('more/notes.txt', Buffer.from('mine'));
  }],
];

for (const [name, message, reason, harm] of HARMS) {
  test(`${name} is refused`, async () => {
    const parts = sound();
    harm(parts);
    await assert.rejects(open(parts), { message, reason });
  });
}

test('every cut through the golden file is refused, hashed or not', async () => {
  const whole = new Uint8Array(/** @type {Buffer} */ (sound().files.get('golden.safetensors')));
  assert.equal(readSafetensors(whole, 'g').tensors.size, 3);
  for (const kept of [0, 7, 8, 20, 100, 1000, whole.length - 1]) {
    assert.throws(() => readSafetensors(whole.subarray(0, kept), 'g'), /g is damaged/);
    const parts = sound();
    const cut = Buffer.from(whole.subarray(0, kept));
    parts.files.set('golden.safetensors', cut);
    parts.contract.files['golden.safetensors'] = hash(cut);
    await assert.rejects(open(parts), { reason: 'golden-damaged' });
  }
});

/**
 * A safetensors file.
 * @param {Record<string, any>} header
 * @param {number} bytes of arrays
 */
function safetensors(header, bytes) {
  const text = encoder.encode(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, Buffer.alloc(bytes)]));
}

test('arrays that overlap, leave gaps, or have sides that are none are refused', () => {
  const entry = (/** @type {any} */ shape, /** @type {any} */ offsets, dtype = 'U8') => ({ dtype, shape, data_offsets: offsets });
  assert.equal(readSafetensors(safetensors({ a: entry([2], [0, 2]), b: entry([1], [2, 10], 'I64') }, 10), 'g').tensors.size, 1);
  for (const header of [
    { a: entry([2], [0, 2]), b: entry([2], [1, 3]) },
    { a: entry([2], [0, 2]), b: entry([1], [3, 4]) },
    { a: entry([2], [0, 2]) },
    { a: entry([-1, -4], [0, 4]) },
    { a: entry([0.5, 8], [0, 4]) },
    { a: entry(['4'], [0, 4]) },
    { a: entry([4], [0, 4], '__proto__') },
    { a: entry([4], [0, 4]), __metadata__: { count: 1 } },
    { a: null },
    [],
  ]) {
    assert.throws(() => readSafetensors(safetensors(header, 4), 'g'), /g is damaged/, JSON.stringify(header));
  }
});

test('a file that went away since it was chosen is named', async () => {
  const { files } = sound();
  const source = given(files);
  const gone = { ...source, read: given(new Map()).read };
  await assert.rejects(openBundle(gone), /contract\.json cannot be read any more/);
});

test('the schema that the page follows is the one that Python follows', () => {
  const own = readFileSync(new URL('../../src/core/contract-2.json', import.meta.url));
  const definition = readFileSync(new URL('../../../../s2m_edge/schemas/contract-2.json', import.meta.url));
  assert.equal(hash(own), hash(definition));
});
