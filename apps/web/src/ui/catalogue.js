/** The bundles and samples that are offered, by the server's lists or by hand. */

import { AppError, messageOf } from '../core/errors.js';
import { addressOf as addressOfFile, fileUrl } from '../worker/download.js';
import { networkName, precisionName } from './text.js';

/**
 * @typedef {import('../core/bundle.js').GivenFile[] | import('../worker/download.js').Served} Origin
 * @typedef {{ id: string, title: string, network: string, domain: string, dataset: string, source: Origin }} Offer what it
 *   was trained on, and the data set's name, where that is known
 * @typedef {import('./samples.js').Sample} Sample
 */

export const BUNDLE_INDEX = 'bundles/index.json';
export const SAMPLE_INDEX = 'samples/index.json';

/** @param {string} path */
const addressOf = (path) => new URL(path, document.baseURI).href;

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
async function fetchJson(path) {
  let response;
  try {
    response = await fetch(addressOf(path));
  } catch (error) {
    throw new AppError(`${path} cannot be fetched (${messageOf(error)})`, 'Is the server running? Then reload the page.');
  }
  if (!response.ok) throw new AppError(`${path} cannot be fetched (HTTP ${response.status})`, 'Reload the page.');
  return response.json();
}

/** @returns {Promise<Offer[]>} */
export async function fetchOffers() {
  const { bundles } = await fetchJson(BUNDLE_INDEX);
  return bundles.map((/** @type {any} */ { id, network, precision, domain, dataset, files }) => ({
    id,
    title: `${networkName(network)}, ${precisionName(precision)}`,
    network: networkName(network),
    domain: domain ?? '',
    dataset: dataset ?? '',
    source: { base: addressOf(`bundles/${encodeURIComponent(id)}/`), files },
  }));
}

/** @returns {Promise<Sample[]>} */
export async function fetchSamples() {
  return (await fetchJson(SAMPLE_INDEX)).samples;
}

/** @param {Sample} sample */
export function sampleUrl(sample) {
  return fileUrl(addressOf('samples/'), sample.file, sample.sha256);
}

/**
 * The addresses of an offer's files; none where it was opened by hand.
 * @param {Offer} offer
 */
export function offerUrls({ source }) {
  if (Array.isArray(source)) return [];
  return Object.entries(source.files).map(([name, file]) => addressOfFile(source.base, name, file));
}

/**
 * What is needed offline besides models: the runtime's files, lists and samples.
 * @param {string[]} runtimeFiles
 * @param {Sample[]} samples
 */
export function sharedUrls(runtimeFiles, samples) {
  const lists = [addressOf(BUNDLE_INDEX), addressOf(SAMPLE_INDEX)];
  return [...runtimeFiles.map((name) => addressOf(`ort/${name}`)), ...lists, ...samples.map(sampleUrl)];
}
