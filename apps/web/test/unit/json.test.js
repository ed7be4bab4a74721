import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseJson } from '../../src/core/json.js';
import { firstProblem } from '../../src/core/schema.js';

/** @param {string} text */
const parse = (text) => parseJson(new TextEncoder().encode(text), 'f');

test('sound JSON is what JSON.parse makes of it', () => {
  for (const text of [
    '{"a": {"b": 1}, "b": {"a": 1}, "c": [{"a": 1}, {"a": 2}]}',
    '{"a": "\\"a\\": {", "b": "a", "c": ["b", "b"], "": {}}',
    '{"a\\\\": 1, "a": "x\\\\"}',
    ' [1, 2.5e-3, true, null, "\\u2028"]\n',
    '{"__proto__": 1, "constructor": 2}',
    '[' .repeat(33) + ']'.repeat(33),
  ]) {
    assert.deepEqual(parse(text), JSON.parse(text), text);
  }
});

for (const text of [
  '{"a": 1, "a": 1}',
  '{"a": 1, "b": {"c": [1, {"d": 1, "e": "}", "d" : 2}]}}',
  '{"a": 1, "\\u0061": 2}',
  '{"a": {"x": 1}, "a": 2}',
  '{"__proto__": 1, "__proto__": 2}',
  '{"":1,"":2}',
  '{"\\"": 1, "\\u0022": 2}',
]) {
  test(`a key twice is refused: ${text}`, () => assert.throws(() => parse(text), { reason: 'duplicate-key' }));
}

for (const text of ['', '{', '{"a": NaN}', '{"a": Infinity}', '[1,]', "{'a': 1}", '// a\n{}', '\ufeff{}', '{"a": 01}', '{} {}']) {
  test(`no JSON: ${JSON.stringify(text)}`, () => assert.throws(() => parse(text), { reason: 'not-json' }));
}

test('depth is bounded, and so are numbers; neither by recursion', () => {
  assert.throws(() => parse(`${'['.repeat(33)}1${']'.repeat(33)}`), { reason: 'not-json' });
  assert.throws(() => parse('['.repeat(500_000) + ']'.repeat(500_000)), { reason: 'not-json' });
  assert.throws(() => parse('{"a": [1e999]}'), { reason: 'damaged' });
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), 'f'), { reason: 'not-json' });
});

test('a schema’s word that is not known is an error, not a gap', () => {
  assert.throws(() => firstProblem(1, { multipleOf: 2 }), /multipleOf/);
  assert.equal(firstProblem({ a: [1, 2] }, { properties: { a: { items: { type: 'integer' } } } }), null);
  assert.deepEqual(firstProblem({ a: [1, 2.5] }, { properties: { a: { items: { type: 'integer' } } } }), {
    place: 'a/1', problem: 'is no integer',
  });
});
