/** The deployment contract: read, checked as the Python reader does (deploy/contract.py), refused for the same reasons. */

import schema from './contract-2.json' with { type: 'json' };
import { AppError } from './errors.js';
import { parseJson } from './json.js';
import { firstProblem } from './schema.js';

export const SCHEMA_VERSION = 2;
export const CONTRACT_FILE = 'contract.json';
export const LARGEST_CONTRACT = 2 ** 20;
export const NOTICE = 'Research use only. Not a medical device.';
const LARGEST_OUTPUT = 2 ** 27;
const AGAIN = 'Export the bundle again.';
const UPDATE = 'Update the app.';
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

/**
 * `files` has the SHA-256 of every file but the contract; `spectral` is "none" of a network without a spectral filter.
 * @typedef {{ name: string, colour: [number, number, number] }} SegmentClass
 * @typedef {{
 *   passed: boolean, verdict: string, images: number, images_with_foreground: number,
 *   gate: Record<string, number | null>, figures: Record<string, number | null>,
 * }} Parity
 * @typedef {{
 *   target: string,
 *   precision: string,
 *   spectral: string,
 *   network: { name: string, architecture: string, weights_sha256: string },
 *   exportedAt: string,
 *   artifact: { file: string, bytes: number },
 *   files: Record<string, string>,
 *   parity: Parity,
 *   input: { name: string, dtype: string, layout: string, colour: string, normalised_inside: boolean },
 *   preprocessing: import('./imaging.js').Preprocessing,
 *   output: { name: string, shape: number[], activation: string },
 *   threshold: number,
 *   classes: SegmentClass[],
 *   checkpoint: { file: string, sha256: string, provenance: Record<string, any> },
 *   tools: Record<string, string>,
 *   intendedUse: string,
 * }} Contract
 */

/**
 * @param {Uint8Array} bytes of contract.json
 * @returns {Contract}
 * @throws {AppError} whose `reason` says why
 */
export function readContract(bytes) {
  requireContractSize(bytes.length);
  return parseContract(parseJson(bytes, CONTRACT_FILE));
}

/** @param {number} length bytes of contract.json, known before they are read */
export function requireContractSize(length) {
  if (length <= LARGEST_CONTRACT) return;
  throw new AppError(`${CONTRACT_FILE} is longer than ${LARGEST_CONTRACT} bytes`, AGAIN, 'too-large');
}

/**
 * @param {any} values the JSON value
 * @returns {Contract}
 */
export function parseContract(values) {
  requireVersion(values);
  for (const name of /** @type {const} */ (['target', 'precision'])) {
    const word = values[name];
    if (typeof word === 'string' && !(/** @type {string[]} */ (schema.properties[name].enum).includes(word))) {
      throw new AppError(`the bundle is of the ${name} ${shown(word)}, which this app does not know`, UPDATE, `unknown-${name}`);
    }
  }
  requireBounded(values);
  for (const name of Object.keys(isObject(values.files) ? values.files : {})) requirePlainPath(name);
  const found = firstProblem(values, schema);
  if (found) throw damaged(`${found.place || 'its top level'} (${found.problem})`);
  const contradiction = firstContradiction(values);
  if (contradiction) throw damaged(contradiction);
  return {
    target: values.target,
    precision: values.precision,
    spectral: values.spectral,
    network: values.network,
    exportedAt: values.exported_at,
    artifact: values.artifact,
    files: values.files,
    parity: values.parity,
    input: values.input,
    preprocessing: values.preprocessing,
    output: values.output,
    threshold: values.postprocessing.threshold,
    classes: values.classes,
    checkpoint: values.checkpoint,
    tools: values.tools,
    intendedUse: values.intended_use,
  };
}

/** @param {string} where */
function damaged(where) {
  return new AppError(`${CONTRACT_FILE} is damaged at ${shown(where)}`, AGAIN, 'damaged');
}

/**
 * A stranger's text for a line of ours.
 * @param {string} text
 */
function shown(text) {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** @param {any} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {any} values */
function requireVersion(values) {
  const version = isObject(values) ? values.schema_version : undefined;
  if (!Number.isInteger(version)) throw new AppError(`${CONTRACT_FILE} is no deployment contract`, AGAIN, 'not-a-contract');
  if (version > SCHEMA_VERSION) {
    throw new AppError(
      `the bundle follows contract version ${version}, newer than this app reads (${SCHEMA_VERSION})`,
      UPDATE,
      'newer-version',
    );
  }
  if (version < SCHEMA_VERSION) {
    throw new AppError(
      `the bundle follows contract version ${version}, which this app no longer reads (it reads ${SCHEMA_VERSION})`,
      AGAIN,
      'older-version',
    );
  }
}

/**
 * Sizes before anything is allocated for them.
 * @param {any} values
 */
function requireBounded(values) {
  const side = schema.properties.preprocessing.properties.height.maximum;
  const outputs = /** @type {any} */ (schema.properties.output.properties.shape.prefixItems[1]).maximum;
  const files = schema.properties.files.maxProperties;
  const { preprocessing, output } = values;
  const shape = isObject(output) && Array.isArray(output.shape) ? output.shape.filter(Number.isInteger) : [];
  const tooLarge =
    (isObject(preprocessing) && [preprocessing.height, preprocessing.width].some((length) => Number.isInteger(length) && length > side)) ||
    (shape.length === 4 && shape[1] > outputs) ||
    (shape.length === 4 && shape.reduce((/** @type {number} */ product, /** @type {number} */ length) => product * length, 1) > LARGEST_OUTPUT) ||
    (isObject(values.files) && Object.keys(values.files).length > files);
  if (!tooLarge) return;
  throw new AppError(
    `the bundle asks for more memory than an app can give: it may have ${LARGEST_OUTPUT} output values, ${outputs} outputs, ${side} pixels a side and ${files} files`,
    'Export the network at a smaller size.',
    'too-large',
  );
}

/** @param {string} name that has to stay inside its folder */
function requirePlainPath(name) {
  if (name.length <= 250 && name.split('/').every((segment) => SEGMENT.test(segment))) return;
  throw new AppError(`${CONTRACT_FILE} names a file outside the bundle (${shown(name)})`, AGAIN, 'outside-bundle');
}

/**
 * What no schema can say: entries that do not go together.
 * @param {any} values
 * @returns {string | null}
 */
function firstContradiction({ input, preprocessing: fitted, output, classes, files, artifact, parity }) {
  const [, outputs, height, width] = output.shape;
  if (height !== fitted.height || width !== fitted.width) return `output/shape (${output.shape} for ${fitted.height} x ${fitted.width})`;
  if (input.colour !== (fitted.channels === 3 ? 'RGB' : 'grey')) return 'input/colour';
  if (input.normalised_inside !== (input.dtype === 'uint8')) return 'input/normalised_inside';
  if (output.activation !== (outputs === 1 ? 'sigmoid' : 'softmax')) return 'output/activation';
  if (classes.length !== Math.max(1, outputs - 1)) return `classes (${classes.length} for ${outputs} outputs)`;
  if (fitted.mean.length < fitted.channels) return 'preprocessing/mean';
  if (fitted.standard_deviation.length < fitted.channels) return 'preprocessing/standard_deviation';
  if ((fitted.window === null) !== (fitted.fit === 'stretch')) return 'preprocessing/window';
  const { rule, low, high } = fitted.intensity;
  if (!(low < high) || (rule === 'percentiles' && !(low >= 0 && high <= 100))) return `preprocessing/intensity (${rule} from ${low} to ${high})`;
  const ofArtifact = (/** @type {string} */ name) => name === artifact.file || name.startsWith(`${artifact.file}/`);
  if (!Object.keys(files).some(ofArtifact)) return `files (none of ${artifact.file})`;
  if (parity.images_with_foreground > parity.images) return 'parity/images_with_foreground';
  return null;
}

/**
 * Refuse a bundle that did not pass its gate on pictures that show something. There is no way round it here.
 * @param {Contract} contract
 */
export function requireProved({ parity }) {
  if (parity.images === 0 || parity.images_with_foreground === 0) {
    throw new AppError(
      'the bundle’s parity was never measured on a picture that shows the object',
      'Export it again with --images that do.',
      'not-measured',
    );
  }
  if (!parity.passed) {
    throw new AppError(
      'the bundle did not pass its parity gate: its masks are not the network’s',
      'Export it again in another precision.',
      'gate-failed',
    );
  }
}
