/** Packed files come out whole, as long as they are due to be, or not at all. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { unpack } from '../../src/core/gzip.js';

const CONTENT = Uint8Array.from({ length: 100_000 }, (_, at) => at % 251);
const packed = () => new Uint8Array(gzipSync(CONTENT));

test('what was packed comes out as it was', async () => {
  assert.deepEqual(await unpack(packed(), 'file', CONTENT.length), CONTENT);
});

for (const [what, bytes, length] of /** @type {[string, Uint8Array<ArrayBuffer>, number][]} */ ([
  ['more than is due', packed(), CONTENT.length - 1],
  ['less than is due', packed(), CONTENT.length + 1],
  ['a file that is cut', packed().slice(0, -9), CONTENT.length],
  ['a file that is not packed', CONTENT, CONTENT.length],
])) {
  test(`${what} is refused`, async () => {
    await assert.rejects(unpack(bytes, 'file', length), { message: /^file cannot be unpacked\./, reason: 'hash-differs' });
  });
}
