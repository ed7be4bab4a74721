/** The deployment contract: read, checked for what this app relies on, refused where it is newer or another kind. */

import { AppError } from './errors.js';

export const SCHEMA_VERSION = 1;
export const NOTICE = 'Research use only. Not a medical device.';
const AGAIN = 'Export the bundle again.';

/**
 * @typedef {{ name: string, colour: [number, number, number] }} SegmentClass
 * @typedef {{
 *   target: string,
 *   precision: string,
 *   spectral: string,
 *   exportedAt: string,
 *   artifact: { file: string, bytes: number, sha256: Record<string, string> },
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
 */
export function readContract(bytes) {
  /** @type {any} */
  let values;
  try {
    values = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new AppError('contract.json is no readable JSON', AGAIN);
  }
  return parseContract(values);
}

/**
 * @param {any} values the JSON object
 * @returns {Contract}
 */
export function parseContract(values) {
  if (!Number.isInteger(values?.schema_version)) throw new AppError('contract.json is no deployment contract', AGAIN);
  if (values.schema_version > SCHEMA_VERSION) {
    throw new AppError(
      `the bundle follows contract version ${values.schema_version}, newer than this app reads (${SCHEMA_VERSION})`,
      'Update the app.',
    );
  }
  const require = (/** @type {boolean} */ holds, /** @type {string} */ where) => {
    if (!holds) throw new AppError(`contract.json is damaged at ${where}`, AGAIN);
  };
  const { artifact, input, output, checkpoint, classes } = values;
  require(values.notice === NOTICE, 'notice');
  require(typeof artifact?.file === 'string' && !/[/\\]/.test(artifact.file), 'artifact/file');
  require(isHashes(artifact.sha256), 'artifact/sha256');
  require(artifact.file in artifact.sha256, 'artifact/sha256');
  require(typeof input?.name === 'string' && typeof input.normalised_inside === 'boolean', 'input');
  require(['NCHW', 'NHWC', 'image'].includes(input.layout), 'input/layout');
  require(['uint8', 'float32'].includes(input.dtype), 'input/dtype');
  const shape = output?.shape;
  require(Array.isArray(shape) && shape.length === 4 && shape.every((side) => side > 0), 'output/shape');
  const threshold = values.postprocessing?.threshold;
  require(threshold >= 0 && threshold <= 1, 'postprocessing/threshold');
  require(Array.isArray(classes) && classes.length === Math.max(1, shape[1] - 1), 'classes');
  for (const entry of classes) require(typeof entry.name === 'string' && entry.colour?.length === 3, 'classes');
  const preprocessing = parsePreprocessing(values.preprocessing, require);
  require(shape[0] === 1 && shape[2] === preprocessing.size && shape[3] === preprocessing.size, 'output/shape');
  require(typeof checkpoint?.file === 'string' && typeof checkpoint.provenance === 'object', 'checkpoint');
  return {
    target: String(values.target),
    precision: String(values.precision),
    spectral: String(values.spectral),
    exportedAt: String(values.exported_at),
    artifact,
    input,
    preprocessing,
    output,
    threshold,
    classes,
    checkpoint,
    tools: values.tools ?? {},
    intendedUse: String(values.intended_use),
  };
}

/**
 * @param {any} entry
 * @param {(holds: boolean, where: string) => void} require
 * @returns {import('./imaging.js').Preprocessing}
 */
export function parsePreprocessing(entry, require) {
  const { size, channels, scale, mean, standard_deviation: deviation, fit } = entry ?? {};
  require(Number.isInteger(size) && size > 0, 'preprocessing/size');
  require(channels === 1 || channels === 3, 'preprocessing/channels');
  require(fit === 'stretch', 'preprocessing/fit');
  require(scale > 0, 'preprocessing/scale');
  require(Array.isArray(mean) && mean.length >= channels, 'preprocessing/mean');
  require(Array.isArray(deviation) && deviation.length >= channels, 'preprocessing/standard_deviation');
  require(deviation.every((/** @type {number} */ value) => value > 0), 'preprocessing/standard_deviation');
  return { size, channels, scale, mean, standard_deviation: deviation };
}

/** @param {any} hashes */
function isHashes(hashes) {
  return (
    typeof hashes === 'object' &&
    hashes !== null &&
    Object.keys(hashes).length > 0 &&
    Object.values(hashes).every((hash) => typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash))
  );
}
