/** Opening a bundle: its contract, every file against its hash, its golden inputs, its gate, its guard, and its artifact. */

import { CONTRACT_FILE, readContract, requireContractSize, requireProved } from './contract.js';
import { AppError } from './errors.js';
import { GUARD_FILE, readGuard } from './guard.js';
import { readSafetensors } from './safetensors.js';
import { sha256 } from './sha256.js';

export { CONTRACT_FILE };
export const GOLDEN_FILE = 'golden.safetensors';
export const TARGETS = ['onnx'];
const MOST_GOLDEN = 1000;
const LIMITS = ['probability_error', 'mean_probability_error', 'mask_agreement', 'mask_dice'];
const DROPPINGS = ['.DS_Store', 'Thumbs.db', 'desktop.ini'];
const AGAIN = 'Export the bundle again.';
const COPY_AGAIN = 'Copy the whole bundle, or export it again.';

/**
 * Where a bundle's files come from: their paths inside it with their lengths, and the content of one.
 * @typedef {{ sizes: Map<string, number>, read: (path: string) => Promise<Uint8Array> }} Source
 *
 * A file given by hand, chosen or dropped, with its path inside the folder.
 * @typedef {{ path: string, file: File }} GivenFile
 *
 * One recorded input: the fitted picture, height x width x channels, the reference's logits, outputs x height x width,
 * and its mask, height x width.
 * @typedef {{ name: string, image: Uint8Array, logits: Float32Array, mask: Uint8Array }} Golden
 * @typedef {{
 *   contract: import('./contract.js').Contract,
 *   golden: Golden[],
 *   gate: import('./parity.js').Gate,
 *   artifact: Uint8Array,
 *   guard: import('./guard.js').Guard | null,
 * }} Bundle
 */

/**
 * @param {Source} source
 * @param {string[]} targets that can be run
 * @returns {Promise<Bundle>}
 * @throws {AppError} whose `reason` says why it is refused
 */
export async function openBundle(source, targets = TARGETS) {
  const { read } = source;
  const length = source.sizes.get(CONTRACT_FILE);
  if (length === undefined) {
    throw new AppError(`this is no bundle: it has no ${CONTRACT_FILE}`, 'Make one with s2m-edge export.', 'no-bundle');
  }
  requireContractSize(length);
  const contract = readContract(await read(CONTRACT_FILE));
  if (!targets.includes(contract.target)) {
    throw new AppError(
      `the bundle is for the target ${contract.target}; this app runs ${targets.join(', ')} bundles`,
      `Export one: s2m-edge export --target ${targets[0]}.`,
    );
  }
  requireProved(contract);
  const gate = readGate(contract.parity.gate);
  const kept = await readWhole(source, contract);
  const golden = readGolden(/** @type {Uint8Array} */ (kept.get(GOLDEN_FILE)), contract);
  const artifact = kept.get(contract.artifact.file);
  if (!artifact) throw new AppError(`${contract.artifact.file} is a folder; this app runs single files`, AGAIN);
  const guardBytes = kept.get(GUARD_FILE);
  const guard = guardBytes ? readGuard(guardBytes, contract.preprocessing.channels) : null;
  return { contract, golden, gate, artifact, guard };
}

/**
 * The golden file, the artifact and the guard where there is one, after every file was found and compared with its hash.
 * @param {Source} source
 * @param {import('./contract.js').Contract} contract
 * @returns {Promise<Map<string, Uint8Array>>}
 */
async function readWhole({ sizes, read }, contract) {
  const expected = Object.keys(contract.files).sort();
  for (const name of expected) {
    if (!sizes.has(name)) throw new AppError(`the bundle lacks ${name}`, COPY_AGAIN, 'missing-file');
  }
  const foreign = [...sizes.keys()].sort().find((name) => !isDropping(name) && name !== CONTRACT_FILE && !Object.hasOwn(contract.files, name));
  if (foreign !== undefined) {
    throw new AppError(`the bundle holds ${foreign.slice(0, 200)}, which its contract does not name`, 'Remove it.', 'extra-file');
  }
  /** @type {Map<string, Uint8Array>} */
  const kept = new Map();
  for (const [name, digest] of Object.entries(contract.files)) {
    const bytes = await read(name);
    if ((await sha256(/** @type {Uint8Array<ArrayBuffer>} */ (bytes))) !== digest) {
      throw new AppError(`${name} is not the file that was exported (its SHA-256 differs)`, COPY_AGAIN, 'hash-differs');
    }
    if ([GOLDEN_FILE, GUARD_FILE, contract.artifact.file].includes(name)) kept.set(name, bytes);
  }
  return kept;
}

/**
 * What file managers leave in folders that people look at; it is not opened.
 * @param {string} path
 */
function isDropping(path) {
  return path.split('/').some((name) => DROPPINGS.includes(name) || name.startsWith('._'));
}

/**
 * The limits that a self-test has to keep. One that is not measured here is a promise that nobody would hold.
 * @param {Record<string, number | null>} gate of the contract
 * @returns {import('./parity.js').Gate}
 */
function readGate(gate) {
  const unknown = Object.keys(gate).find((name) => gate[name] !== null && !LIMITS.includes(name));
  if (unknown !== undefined) throw new AppError(`the bundle’s gate limits ${unknown}, which this app does not measure`, 'Update the app.', 'damaged');
  const limits = LIMITS.map((name) => gate[name] ?? null);
  if (limits.every((limit) => limit === null)) throw new AppError('the bundle states no gate', AGAIN, 'damaged');
  return /** @type {any} */ (Object.fromEntries(LIMITS.map((name, place) => [name, limits[place]])));
}

/**
 * @param {Uint8Array} bytes of golden.safetensors
 * @param {import('./contract.js').Contract} contract
 * @returns {Golden[]}
 */
function readGolden(bytes, contract) {
  const damaged = (/** @type {string} */ why) => new AppError(`${GOLDEN_FILE} is damaged (${why})`, AGAIN, 'golden-damaged');
  const { tensors, metadata } = readSafetensors(bytes, GOLDEN_FILE, 'golden-damaged');
  const count = /^\d{1,9}$/.test(metadata.count ?? '') ? Number(metadata.count) : 0;
  if (count < 1 || count > MOST_GOLDEN) throw damaged(`it says that it holds ${String(metadata.count).slice(0, 20)} pictures`);
  const { height, width, channels } = contract.preprocessing;
  const outputs = contract.output.shape.slice(1);
  const wanted = /** @type {const} */ ([
    ['image', Uint8Array, [height, width, channels]],
    ['logits', Float32Array, outputs],
    ['mask', Uint8Array, outputs.slice(1)],
  ]);
  const golden = Array.from({ length: count }, (_, index) => {
    if (metadata[`name.${index}`] === undefined) throw damaged(`picture ${index} has no name`);
    const found = wanted.map(([name]) => tensors.get(`${name}.${index}`));
    if (found.includes(undefined)) throw damaged(`picture ${index} is not there`);
    return { index, found };
  });
  if (metadata.weights_sha256 !== contract.network.weights_sha256) {
    throw new AppError(`${GOLDEN_FILE} was recorded with another network`, AGAIN, 'golden-foreign');
  }
  const checked = golden.map(({ index, found }) => {
    const [image, logits, mask] = wanted.map(([name, kind, shape], place) => {
      const { data, shape: given } = /** @type {import('./safetensors.js').Tensor} */ (found[place]);
      if (!(data instanceof kind) || String(given) !== String(shape)) throw damaged(`${name}.${index} is ${given}, not ${shape}`);
      return data;
    });
    if (!logits.every(Number.isFinite)) {
      throw new AppError(`${GOLDEN_FILE} holds outputs that are no numbers`, AGAIN, 'golden-not-finite');
    }
    return /** @type {Golden} */ ({ name: metadata[`name.${index}`], image, logits, mask });
  });
  if (!checked.some(({ mask }) => mask.some((label) => label > 0))) {
    throw new AppError(
      `${GOLDEN_FILE} shows no object in any picture, and proves nothing`,
      'Export it with --images that do.',
      'golden-empty',
    );
  }
  return checked;
}

/**
 * Files given by hand: the folder is known whole.
 * @param {GivenFile[]} files
 * @returns {Source}
 */
export function sourceOfFiles(files) {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  return {
    sizes: new Map(files.map(({ path, file }) => [path, file.size])),
    read: async (path) => {
      try {
        return new Uint8Array(await /** @type {File} */ (byPath.get(path)).arrayBuffer());
      } catch {
        throw new AppError(`${path} cannot be read any more`, 'Open the bundle’s folder again.', 'missing-file');
      }
    },
  };
}
