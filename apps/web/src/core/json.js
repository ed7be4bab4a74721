/** JSON as RFC 8259 has it, and no more: JSON.parse takes the last of several equal keys, and makes 1e999 infinite. */

import { AppError } from './errors.js';

const AGAIN = 'Export the bundle again.';
const DEEPEST = 32;
const MARKS = /["{}]/g;

/**
 * @param {Uint8Array} bytes
 * @param {string} source for errors
 * @returns {any}
 * @throws {AppError} not UTF-8, not JSON, a key twice, nested too deep, or a number that is not finite
 */
export function parseJson(bytes, source) {
  /** @type {any} */
  let values;
  let text = '';
  try {
    // A byte order mark is left in, where JSON.parse refuses it as every other reader does.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    values = JSON.parse(text);
  } catch {
    throw new AppError(`${source} is no readable JSON`, AGAIN, 'not-json');
  }
  if (hasKeyTwice(text)) throw new AppError(`${source} has a key twice`, AGAIN, 'duplicate-key');
  requirePlain(values, source);
  return values;
}

/**
 * Whether an object of sound JSON text has a key twice.
 * @param {string} text
 */
function hasKeyTwice(text) {
  /** @type {Set<string>[]} the keys of the objects that are open, the innermost last */
  const open = [];
  MARKS.lastIndex = 0;
  for (let found = MARKS.exec(text); found; found = MARKS.exec(text)) {
    if (found[0] === '{') open.push(new Set());
    else if (found[0] === '}') open.pop();
    else {
      const end = endOfString(text, found.index);
      MARKS.lastIndex = end;
      if (!colonFollows(text, end)) continue;
      const key = JSON.parse(text.slice(found.index, end)); // escapes undone: "\u0061" is "a"
      const keys = open[open.length - 1];
      if (keys.has(key)) return true;
      keys.add(key);
    }
  }
  return false;
}

/**
 * The place behind the closing quotation mark of the string that begins at `start`.
 * @param {string} text
 * @param {number} start
 */
function endOfString(text, start) {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/**
 * Whether a string that ends here is a key: only behind keys there is a colon.
 * @param {string} text
 * @param {number} at
 */
function colonFollows(text, at) {
  let next = at;
  while (' \t\r\n'.includes(text[next] ?? 'x')) next += 1;
  return text[next] === ':';
}

/**
 * Depth and numbers, without recursion, which a file could exhaust.
 * @param {any} values
 * @param {string} source
 */
function requirePlain(values, source) {
  let deep = false;
  let finite = true;
  /** @type {[number, any][]} */
  const waiting = [[0, values]];
  for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
    const [depth, value] = entry;
    if (depth > DEEPEST) deep = true;
    if (typeof value === 'number' && !Number.isFinite(value)) finite = false;
    if (typeof value === 'object' && value !== null) {
      for (const inner of Object.values(value)) waiting.push([depth + 1, inner]);
    }
  }
  if (deep) throw new AppError(`${source} is no readable JSON (nested too deep)`, AGAIN, 'not-json');
  if (!finite) throw new AppError(`${source} is damaged: it holds a number that is not finite`, AGAIN, 'damaged');
}
