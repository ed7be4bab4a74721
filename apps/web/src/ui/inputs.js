/** Where pictures come from: files, drops, the clipboard, samples. Bundles come as folders. */

import { CONTRACT_FILE } from '../core/bundle.js';
import { AppError } from '../core/errors.js';
import { button, element, input, make } from './page.js';
import { sampleName } from './text.js';

/**
 * @typedef {{ file: string, domain: string, bytes: number, sha256: string }} Sample
 * @typedef {{
 *   picture: (blob: Blob, name: string) => void,
 *   bundle: (files: File[]) => void,
 *   problem: (error: unknown) => void,
 * }} Receivers
 */

/** @param {Receivers} receivers */
export function listenForPictures(receivers) {
  const take = (/** @type {File[]} */ files) => takeFiles(files, receivers);
  for (const [opener, chooser] of [['open', 'file'], ['open-bundle', 'bundle-folder']]) {
    button(opener).addEventListener('click', () => input(chooser).click());
    input(chooser).addEventListener('change', () => {
      take([...(input(chooser).files ?? [])]);
      input(chooser).value = ''; // so that the same file can be chosen again
    });
  }
  button('paste').addEventListener('click', () => readClipboard(receivers));
  document.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) take(files);
  });
  listenForDrops(receivers, take);
}

/**
 * @param {Receivers} receivers
 * @param {(files: File[]) => void} take
 */
function listenForDrops(receivers, take) {
  const hint = element('drop-hint');
  const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  let depth = 0;
  document.addEventListener('dragenter', (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    hint.hidden = false;
  });
  document.addEventListener('dragleave', () => {
    depth = Math.max(0, depth - 1);
    hint.hidden = depth === 0;
  });
  document.addEventListener('dragover', (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener('drop', async (event) => {
    depth = 0;
    hint.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    try {
      take(await droppedFiles(/** @type {DataTransfer} */ (event.dataTransfer)));
    } catch (error) {
      receivers.problem(error);
    }
  });
}

/**
 * The files of a drop, those of a dropped folder included.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
async function droppedFiles(transfer) {
  const files = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const folder = entries.find((entry) => entry?.isDirectory);
  if (!folder) return files;
  const reader = /** @type {FileSystemDirectoryEntry} */ (folder).createReader();
  /** @type {FileSystemEntry[]} */
  const found = [];
  for (;;) {
    // A reader gives its entries in portions.
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) break;
    found.push(...portion);
  }
  const inside = /** @type {FileSystemFileEntry[]} */ (found.filter((entry) => entry.isFile));
  return Promise.all(inside.map((entry) => new Promise((resolve, reject) => entry.file(resolve, reject))));
}

/**
 * A bundle where there is a contract among the files, else the first as a picture.
 * @param {File[]} files
 * @param {Receivers} receivers
 */
function takeFiles(files, receivers) {
  if (files.length === 0) return;
  if (files.some(({ name }) => name === CONTRACT_FILE)) receivers.bundle(files);
  else if (files[0].webkitRelativePath) receivers.problem(new AppError('the folder holds no bundle', 'Export one: s2m-edge export.'));
  else receivers.picture(files[0], files[0].name);
}

/** @param {Receivers} receivers */
async function readClipboard(receivers) {
  try {
    const items = await navigator.clipboard.read();
    for (const item of items) {
      const kind = item.types.find((type) => type.startsWith('image/'));
      if (kind) {
        receivers.picture(await item.getType(kind), 'pasted picture');
        return;
      }
    }
    receivers.problem(new AppError('the clipboard holds no picture', 'Copy one first.'));
  } catch {
    receivers.problem(new AppError('the clipboard cannot be read', 'Press Ctrl+V (⌘V on a Mac) instead.'));
  }
}

/**
 * Sample pictures as buttons, those of the network's own domain first.
 * @param {Sample[]} samples
 * @param {string} domain
 * @param {(sample: Sample) => string} address
 * @param {Receivers} receivers
 */
export function showSamples(samples, domain, address, receivers) {
  const ordered = [...samples].sort((a, b) => Number(b.domain === domain) - Number(a.domain === domain));
  const items = ordered.map((sample) => {
    const picture = make('img', { src: address(sample), alt: '', loading: 'lazy', width: 86, height: 86 });
    const opener = make('button', { type: 'button', 'aria-pressed': 'false', 'data-sample': sample.file }, picture, sampleName(sample.file));
    opener.addEventListener('click', async () => {
      try {
        const response = await fetch(address(sample));
        if (!response.ok) throw new AppError(`${sample.file} cannot be fetched (HTTP ${response.status})`, 'Reload the page.');
        receivers.picture(await response.blob(), sample.file);
      } catch (error) {
        receivers.problem(error);
      }
    });
    return make('li', {}, opener);
  });
  element('samples').replaceChildren(...items);
}

/** @param {string} name of the picture that is shown */
export function markSample(name) {
  for (const opener of element('samples').querySelectorAll('button')) {
    opener.setAttribute('aria-pressed', String(opener.dataset.sample === name));
  }
}
