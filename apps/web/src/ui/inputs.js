/** Where pictures come from: files, drops, the clipboard. Bundles come as folders. */

import { CONTRACT_FILE } from '../core/bundle.js';
import { AppError } from '../core/errors.js';
import { button, element, input } from './page.js';

/** More than a bundle's thousand files and what file managers leave; a home folder that is dropped ends here. */
const MOST_DROPPED = 2000;

/**
 * @typedef {import('../core/bundle.js').GivenFile} GivenFile
 * @typedef {{
 *   picture: (blob: Blob, name: string) => void,
 *   bundle: (files: GivenFile[], folder: string) => void,
 *   problem: (error: unknown) => void,
 * }} Receivers
 */

/** @param {Receivers} receivers */
export function listenForPictures(receivers) {
  const take = (/** @type {Given} */ given) => takeFiles(given, receivers);
  for (const [opener, chooser] of [['open', 'file'], ['open-bundle', 'bundle-folder']]) {
    button(opener).addEventListener('click', () => input(chooser).click());
    input(chooser).addEventListener('change', () => {
      take(chosenFiles([...(input(chooser).files ?? [])]));
      input(chooser).value = ''; // so that the same file can be chosen again
    });
  }
  button('paste').addEventListener('click', () => readClipboard(receivers));
  document.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) take(chosenFiles(files));
  });
  listenForDrops(receivers, take);
}

/**
 * @param {Receivers} receivers
 * @param {(given: Given) => void} take
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
 * What was given by hand; `folder` is the name of a folder that it is the whole of, else empty.
 * @typedef {{ files: GivenFile[], folder: string }} Given
 */

/**
 * Files of a chooser or the clipboard. A chosen folder's paths begin with its name.
 * @param {File[]} files
 * @returns {Given}
 */
function chosenFiles(files) {
  const folder = files[0]?.webkitRelativePath.split('/')[0] ?? '';
  const path = (/** @type {File} */ file) => (folder ? file.webkitRelativePath.slice(folder.length + 1) : file.name);
  return { folder, files: files.map((file) => ({ path: path(file), file })) };
}

/**
 * The files of a drop; of a dropped folder all that is in it, however deep, because a bundle holds nothing else.
 * @param {DataTransfer} transfer
 * @returns {Promise<Given>}
 */
export async function droppedFiles(transfer) {
  const files = [...transfer.files]; // asked for now: a drop is empty once its event is over
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const folder = entries.find((entry) => entry?.isDirectory);
  if (!folder) return chosenFiles(files);
  /** @type {GivenFile[]} */
  const found = [];
  /** @type {[string, FileSystemDirectoryEntry][]} */
  const waiting = [['', /** @type {FileSystemDirectoryEntry} */ (folder)]];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [place, inside] = next;
    for (const entry of await entriesOf(inside)) {
      const path = place + entry.name;
      if (entry.isDirectory) waiting.push([`${path}/`, /** @type {FileSystemDirectoryEntry} */ (entry)]);
      else found.push({ path, file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)) });
      if (found.length + waiting.length > MOST_DROPPED) throw new AppError(`${folder.name} holds more files than a bundle may have`, 'Drop the bundle’s own folder.');
    }
  }
  return { folder: folder.name, files: found };
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @returns {Promise<FileSystemEntry[]>}
 */
async function entriesOf(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const found = [];
  for (;;) {
    // A reader gives its entries in portions.
    /** @type {FileSystemEntry[]} */
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0 || found.length > MOST_DROPPED) return found;
    found.push(...portion);
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/**
 * A bundle where there is a contract among the files, else the first as a picture.
 * @param {Given} given
 * @param {Receivers} receivers
 */
function takeFiles({ files, folder }, receivers) {
  if (files.length === 0) return;
  if (files.some(({ path }) => path === CONTRACT_FILE)) receivers.bundle(files, folder);
  else if (folder) receivers.problem(new AppError('the folder holds no bundle', 'Export one: s2m-edge export.'));
  else receivers.picture(files[0].file, files[0].file.name);
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
