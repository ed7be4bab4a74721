import assert from 'node:assert/strict';
import { test } from 'node:test';

import { droppedFiles } from '../../src/ui/inputs.js';
import { plain } from '../../src/ui/text.js';

/** @typedef {{ [name: string]: Tree | string }} Tree */

/**
 * A folder as a browser gives it: its entries come in portions of two, then an empty one.
 * @param {string} name
 * @param {Tree | string} content
 * @returns {any}
 */
function entry(name, content) {
  if (typeof content === 'string') return { name, isFile: true, isDirectory: false, file: (/** @type {any} */ give) => give(new File([content], name)) };
  const createReader = () => {
    const waiting = Object.entries(content).map(([inner, value]) => entry(inner, value));
    return { readEntries: (/** @type {any} */ give) => give(waiting.splice(0, 2)) };
  };
  return { name, isFile: false, isDirectory: true, createReader };
}

/** @param {string} name @param {Tree | string} content @returns {any} */
const dropOf = (name, content) => ({ files: [new File([], name)], items: [{ webkitGetAsEntry: () => entry(name, content) }] });

test('of a dropped folder everything is seen, however deep', async () => {
  const { folder, files } = await droppedFiles(
    dropOf('my bundle', { 'contract.json': '{}', a: { 'x.bin': '1', b: { 'y.bin': '22' } }, 'z.bin': '3', empty: {} }),
  );
  assert.equal(folder, 'my bundle');
  assert.deepEqual(
    files.map(({ path, file }) => [path, file.size]).sort(),
    [['a/b/y.bin', 2], ['a/x.bin', 1], ['contract.json', 2], ['z.bin', 1]],
  );
});

test('a folder that no bundle could be is not read to its end', async () => {
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, place) => [`f${place}`, '']));
  await assert.rejects(droppedFiles(dropOf('home', many)), /home holds more files than a bundle may have/);
});

test('a dropped file is a picture, and of no folder', async () => {
  const file = new File(['x'], 'colon.png');
  Object.assign(file, { webkitRelativePath: '' });
  const { folder, files } = await droppedFiles(/** @type {any} */ ({ files: [file], items: [{}] }));
  assert.equal(folder, '');
  assert.deepEqual(files.map(({ path }) => path), ['colon.png']);
});

test('names are shown without what a terminal or a writing direction would follow', () => {
  assert.equal(plain('a\u001b[2Jb\u202etxt.exe\n'), 'a\ufffd[2Jb\ufffdtxt.exe\ufffd');
  assert.equal(plain('<b>Übersicht</b> 眼底.png'), '<b>Übersicht</b> 眼底.png');
});
