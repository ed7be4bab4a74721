/**
 * JSON schema, as much of draft 2020-12 as the contract's schema uses. The schema itself is the one that the Python
 * reader follows, so that both refuse the same files; a word that is not known here is an error, not a gap.
 */

/** @typedef {(value: any, limit: any, schema: any) => string | null} Check */

const KINDS = /** @type {Record<string, (value: any) => boolean>} */ ({
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
});

/** What says something of one value alone; each gives what is wrong, or null. @type {Record<string, Check>} */
const CHECKS = {
  type: (value, kinds) => ([kinds].flat().some((/** @type {string} */ kind) => KINDS[kind](value)) ? null : `is no ${[kinds].flat().join(' or ')}`),
  const: (value, expected) => (value === expected ? null : `is not ${JSON.stringify(expected)}`),
  enum: (value, allowed) => (allowed.includes(value) ? null : `is none of ${allowed.join(', ')}`),
  minimum: (value, limit) => (typeof value === 'number' && value < limit ? `is below ${limit}` : null),
  maximum: (value, limit) => (typeof value === 'number' && value > limit ? `is above ${limit}` : null),
  minLength: (value, limit) => (typeof value === 'string' && [...value].length < limit ? 'is too short' : null),
  maxLength: (value, limit) => (typeof value === 'string' && [...value].length > limit ? 'is too long' : null),
  pattern: (value, pattern) => (typeof value === 'string' && !expression(pattern).test(value) ? 'has characters that it may not have' : null),
  minItems: (value, limit) => (Array.isArray(value) && value.length < limit ? 'is too short' : null),
  maxItems: (value, limit) => (Array.isArray(value) && value.length > limit ? 'is too long' : null),
  minProperties: (value, limit) => (isObject(value) && Object.keys(value).length < limit ? 'has too few entries' : null),
  maxProperties: (value, limit) => (isObject(value) && Object.keys(value).length > limit ? 'has too many entries' : null),
  required: (value, names) => {
    const missing = isObject(value) && names.find((/** @type {string} */ name) => !Object.hasOwn(value, name));
    return missing ? `lacks ${missing}` : null;
  },
};

/** What leads to further schemas, or to nothing. */
const OTHERS = ['$schema', 'title', 'description', 'format', 'properties', 'additionalProperties', 'propertyNames', 'items', 'prefixItems'];

/** @type {Map<string, RegExp>} */
const expressions = new Map();

/** @param {string} pattern */
function expression(pattern) {
  const made = expressions.get(pattern) ?? new RegExp(pattern, 'u');
  expressions.set(pattern, made);
  return made;
}

/**
 * The first thing that is wrong with a value, with its place; null where it follows the schema.
 * @param {any} value
 * @param {any} schema an object, or false where nothing may stand
 * @param {string} place
 * @returns {{ place: string, problem: string } | null}
 */
export function firstProblem(value, schema, place = '') {
  if (schema === false) return { place, problem: 'does not belong there' };
  for (const [word, limit] of Object.entries(schema)) {
    if (OTHERS.includes(word)) continue;
    if (!CHECKS[word]) throw new Error(`the schema says ${word}, which this app does not know`);
    const problem = CHECKS[word](value, limit, schema);
    if (problem) return { place, problem };
  }
  for (const [inner, innerSchema, innerPlace] of children(value, schema, place)) {
    const found = firstProblem(inner, innerSchema, innerPlace);
    if (found) return found;
  }
  return null;
}

/**
 * @param {any} value
 * @param {any} schema
 * @param {string} place
 * @returns {Generator<[any, any, string]>}
 */
function* children(value, schema, place) {
  const inside = (/** @type {string | number} */ key) => (place ? `${place}/${key}` : String(key));
  if (Array.isArray(value)) {
    const first = schema.prefixItems ?? [];
    for (const [index, entry] of value.entries()) {
      const of = index < first.length ? first[index] : schema.items;
      if (of !== undefined) yield [entry, of, inside(index)];
    }
  } else if (isObject(value)) {
    const named = schema.properties ?? {};
    for (const [key, entry] of Object.entries(value)) {
      if (schema.propertyNames) yield [key, schema.propertyNames, inside(key)];
      const of = Object.hasOwn(named, key) ? named[key] : schema.additionalProperties;
      if (of !== undefined && of !== true) yield [entry, of, inside(key)];
    }
  }
}

/** @param {any} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
