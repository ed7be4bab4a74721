import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';

import { maskPng } from '../../src/core/png.js';

/** @param {Blob} blob */
async function read(blob) {
  const bytes = Buffer.from(await blob.arrayBuffer());
  /** @type {Record<string, Buffer>} */
  const chunks = {};
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    chunks[bytes.toString('latin1', at + 4, at + 8)] = bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at));
  }
  return { chunks, pixels: inflateSync(chunks.IDAT) };
}

test('one class is written as 0 and 255, more classes as they are', async () => {
  const labels = Uint8Array.from([0, 1, 1, 1, 0, 0]);
  const one = await read(await maskPng(labels, 2, 3, 1));
  assert.deepEqual([...one.pixels], [0, 0, 255, 255, 0, 255, 0, 0]);
  assert.deepEqual([...one.chunks.IHDR], [0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 0]);
  const several = await read(await maskPng(Uint8Array.from([0, 1, 2, 3]), 2, 2, 4));
  assert.deepEqual([...several.pixels], [0, 0, 1, 0, 2, 3]);
});
