import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { test } from 'node:test';

import { within } from '../../src/core/deadline.js';

test('work that ends in time gives its value, and its own error', async () => {
  assert.equal(await within(Promise.resolve(7), 1000), 7);
  await assert.rejects(within(Promise.reject(new Error('device lost')), 1000), /device lost/);
});

test('work that never ends is given up', async () => {
  await assert.rejects(within(new Promise(() => {}), 20), /no answer within 0.02 s/);
});

test('what comes too late is discarded, once', async () => {
  /** @type {string[]} */
  const discarded = [];
  const late = wait(40, 'session');
  await assert.rejects(
    within(late, 10, (value) => discarded.push(value)),
    /no answer/,
  );
  assert.equal(discarded.length, 0);
  await late;
  await wait(1);
  assert.deepEqual(discarded, ['session']);
  await within(Promise.resolve('in time'), 10, (value) => discarded.push(value));
  await wait(20);
  assert.deepEqual(discarded, ['session']);
});
