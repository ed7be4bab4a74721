/** Opening a bundle: its contract, its golden inputs, its gate, and its artifact with the hashes checked. */

import { readContract } from './contract.js';
import { AppError } from './errors.js';
import { readSafetensors } from './safetensors.js';
import { sha256 } from './sha256.js';

export const CONTRACT_FILE = 'contract.json';
export const GOLDEN_FILE = 'golden.safetensors';
export const PARITY_FILE = 'parity.json';
const AGAIN = 'Copy the whole bundle, or export it again.';

/**
 * One recorded input: the fitted picture, size x size x channels, and the reference's logits, classes x size x size.
 * @typedef {{ name: string, image: Uint8Array, logits: Float32Array }} Golden
 * @typedef {{
 *   contract: import('./contract.js').Contract,
 *   golden: Golden[],
 *   gate: import('./parity.js').Gate,
 *   parity: Record<string, any>,
 *   artifact: Uint8Array,
 * }} Bundle
 */

/**
 * @param {(name: string) => Promise<Uint8Array>} read gives a file of the bundle; throws where it is missing
 * @returns {Promise<Bundle>}
 */
export async function openBundle(read) {
  const contract = readContract(await read(CONTRACT_FILE));
  if (contract.target !== 'onnx') {
    throw new AppError(
      `the bundle is for the target ${contract.target}; this app runs onnx bundles`,
      'Export one: s2m-edge export --target onnx.',
    );
  }
  const parity = readParity(await read(PARITY_FILE));
  const golden = readGolden(await read(GOLDEN_FILE), contract);
  /** @type {Uint8Array | undefined} */
  let artifact;
  for (const [name, expected] of Object.entries(contract.artifact.sha256)) {
    const bytes = await read(name);
    if ((await sha256(/** @type {Uint8Array<ArrayBuffer>} */ (bytes))) !== expected) {
      throw new AppError(`${name} is not the file that was exported (its SHA-256 differs)`, AGAIN);
    }
    if (name === contract.artifact.file) artifact = bytes;
  }
  if (!artifact) throw new AppError('the contract names no artifact', AGAIN);
  return { contract, golden, gate: parity.gate, parity, artifact };
}

/**
 * @param {Uint8Array} bytes of parity.json
 * @returns {Record<string, any>}
 */
function readParity(bytes) {
  /** @type {any} */
  let parity;
  try {
    parity = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new AppError('parity.json is no readable JSON', AGAIN);
  }
  if (parity?.passed !== true) throw new AppError('the bundle did not pass its parity gate', 'Export it again.');
  const gate = parity.gate;
  const limits = ['probability_error', 'mask_agreement', 'mask_dice'].map((name) => gate?.[name] ?? null);
  const sound = limits.every((limit) => limit === null || (typeof limit === 'number' && limit >= 0 && limit <= 1));
  if (!sound || limits.every((limit) => limit === null)) throw new AppError('parity.json states no gate', AGAIN);
  const [probability_error, mask_agreement, mask_dice] = limits;
  return { ...parity, gate: { probability_error, mask_agreement, mask_dice } };
}

/**
 * @param {Uint8Array} bytes of golden.safetensors
 * @param {import('./contract.js').Contract} contract
 * @returns {Golden[]}
 */
function readGolden(bytes, contract) {
  const { tensors, metadata } = readSafetensors(bytes, GOLDEN_FILE);
  if (metadata.checkpoint_sha256 !== undefined && metadata.checkpoint_sha256 !== contract.checkpoint.sha256) {
    throw new AppError('the golden outputs are of another checkpoint', AGAIN);
  }
  const { size, channels } = contract.preprocessing;
  const wanted = { image: [size, size, channels], logits: contract.output.shape.slice(1) };
  const golden = [];
  for (let index = 0; index < Number(metadata.count); index += 1) {
    const image = tensors.get(`image.${index}`);
    const logits = tensors.get(`logits.${index}`);
    const fits =
      image?.data instanceof Uint8Array &&
      logits?.data instanceof Float32Array &&
      String(image.shape) === String(wanted.image) &&
      String(logits.shape) === String(wanted.logits);
    if (!fits) throw new AppError(`golden output ${index} does not fit the contract`, AGAIN);
    golden.push({
      name: metadata[`name.${index}`] ?? `golden ${index}`,
      image: /** @type {Uint8Array} */ (image.data),
      logits: /** @type {Float32Array} */ (logits.data),
    });
  }
  if (golden.length === 0) throw new AppError('the bundle has no golden outputs to test against', AGAIN);
  return golden;
}

/**
 * A reader for files given by hand (chosen, or dropped as a folder).
 * @param {File[]} files
 * @returns {(name: string) => Promise<Uint8Array>}
 */
export function readerOfFiles(files) {
  return async (name) => {
    const file = files.find((entry) => entry.name === name.split('/').pop());
    if (!file) throw new AppError(`the bundle lacks ${name}`, AGAIN);
    return new Uint8Array(await file.arrayBuffer());
  };
}
