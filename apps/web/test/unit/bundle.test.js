import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { openBundle, readerOfFiles } from '../../src/core/bundle.js';
import { NOTICE } from '../../src/core/contract.js';

const SIZE = 32;
const encoder = new TextEncoder();

/** @param {Uint8Array} bytes */
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * A safetensors file.
 * @param {Record<string, { dtype: string, shape: number[], bytes: Uint8Array }>} tensors
 * @param {Record<string, string>} metadata
 */
function safetensors(tensors, metadata) {
  /** @type {Record<string, any>} */
  const header = { __metadata__: metadata };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const text = encoder.encode(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, ...Object.values(tensors).map(({ bytes }) => bytes)]));
}

/** The files of a sound little bundle, as values that a test can spoil. */
function sound() {
  const artifact = encoder.encode('the network');
  const image = { dtype: 'U8', shape: [SIZE, SIZE, 3], bytes: new Uint8Array(SIZE * SIZE * 3).fill(7) };
  const logits = { dtype: 'F32', shape: [1, SIZE, SIZE], bytes: new Uint8Array(SIZE * SIZE * 4) };
  const contract = {
    schema_version: 1,
    exported_at: '2026-11-24T00:00:00+00:00',
    target: 'onnx',
    precision: 'float32',
    spectral: 'matmul',
    artifact: { file: 's2mnet.onnx', bytes: artifact.length, sha256: { 's2mnet.onnx': hash(artifact) } },
    input: { name: 'image', dtype: 'float32', layout: 'NCHW', colour: 'RGB', normalised_inside: false },
    preprocessing: {
      size: SIZE, channels: 3, scale: 1 / 255, mean: [0, 0, 0], standard_deviation: [1, 1, 1], fit: 'stretch',
    },
    output: { name: 'probabilities', shape: [1, 1, SIZE, SIZE], activation: 'sigmoid' },
    postprocessing: { resize: '', threshold: 0.5 },
    classes: [{ name: 'polyp', colour: [0, 200, 120] }],
    checkpoint: { file: 'a.safetensors', sha256: 'a'.repeat(64), provenance: {} },
    tools: {},
    intended_use: 'research',
    notice: NOTICE,
  };
  const parity = { passed: true, gate: { probability_error: 1e-4, mask_agreement: 0.9999, mask_dice: null } };
  const golden = {
    tensors: { 'image.0': image, 'logits.0': logits },
    metadata: { count: '1', 'name.0': 'first.jpg', checkpoint_sha256: 'a'.repeat(64) },
  };
  return { contract, parity, golden, artifact };
}

/** @param {ReturnType<typeof sound>} parts */
function open({ contract, parity, golden, artifact }) {
  /** @type {Record<string, Uint8Array>} */
  const files = {
    'contract.json': encoder.encode(JSON.stringify(contract)),
    'parity.json': encoder.encode(JSON.stringify(parity)),
    'golden.safetensors': safetensors(golden.tensors, golden.metadata),
    's2mnet.onnx': artifact,
  };
  return openBundle(async (name) => files[name]);
}

test('a sound bundle opens with its contract, golden inputs, gate and artifact', async () => {
  const bundle = await open(sound());
  assert.equal(bundle.contract.preprocessing.size, SIZE);
  assert.equal(bundle.golden.length, 1);
  assert.equal(bundle.golden[0].name, 'first.jpg');
  assert.equal(bundle.golden[0].image[0], 7);
  assert.deepEqual(bundle.gate, { probability_error: 1e-4, mask_agreement: 0.9999, mask_dice: null });
});

/** @type {[string, RegExp, (parts: any) => void][]} */
const HARMS = [
  ['an artifact with one other bit', /s2mnet\.onnx .* SHA-256 differs/, (parts) => { parts.artifact[0] ^= 1; }],
  ['a contract of a newer version', /newer than this app reads/, (parts) => { parts.contract.schema_version = 2; }],
  ['a contract without its notice', /damaged at notice/, (parts) => { parts.contract.notice = ''; }],
  ['a contract that crops instead of stretching', /damaged at preprocessing\/fit/, (parts) => {
    parts.contract.preprocessing.fit = 'crop';
  }],
  ['an artifact outside the bundle', /damaged at artifact\/file/, (parts) => {
    parts.contract.artifact.file = '../s2mnet.onnx';
  }],
  ['a bundle of another target', /target coreml; this app runs onnx/, (parts) => { parts.contract.target = 'coreml'; }],
  ['classes that do not fit the output', /damaged at classes/, (parts) => {
    parts.contract.output.shape = [1, 4, SIZE, SIZE];
  }],
  ['a report that did not pass', /did not pass its parity gate/, (parts) => { parts.parity.passed = false; }],
  ['a report without a gate', /states no gate/, (parts) => { parts.parity.gate = {}; }],
  ['a gate that nothing could breach', /states no gate/, (parts) => { parts.parity.gate.probability_error = 1e9; }],
  ['golden outputs of another network', /of another checkpoint/, (parts) => {
    parts.golden.metadata.checkpoint_sha256 = 'b'.repeat(64);
  }],
  ['no golden outputs', /no golden outputs/, (parts) => { parts.golden.metadata.count = '0'; }],
  ['golden outputs of another size', /does not fit the contract/, (parts) => {
    parts.golden.tensors['logits.0'].shape = [SIZE, SIZE, 1];
  }],
];

for (const [name, reason, harm] of HARMS) {
  test(`${name} is refused`, async () => {
    const parts = sound();
    harm(parts);
    await assert.rejects(open(parts), reason);
  });
}

test('every cut through the golden file is refused', async () => {
  const parts = sound();
  const whole = safetensors(parts.golden.tensors, parts.golden.metadata);
  const { readSafetensors } = await import('../../src/core/safetensors.js');
  assert.equal(readSafetensors(whole, 'g').tensors.size, 2);
  for (const kept of [0, 7, 8, 20, 100, 1000, whole.length - 1]) {
    assert.throws(() => readSafetensors(whole.subarray(0, kept), 'g'), /g is damaged/);
  }
});

test('files given by hand are found by name, and a missing one is named', async () => {
  const read = readerOfFiles([new File(['{}'], 'contract.json')]);
  assert.equal(new TextDecoder().decode(await read('contract.json')), '{}');
  await assert.rejects(read('s2mnet.onnx'), /lacks s2mnet\.onnx/);
});
