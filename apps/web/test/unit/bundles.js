/** Bundles on disk, read as the page reads a folder that was given to it by hand. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { sourceOfFiles } from '../../src/core/bundle.js';

export const REFUSALS = fileURLToPath(new URL('../../../vectors/refusals/', import.meta.url));

/**
 * Every file of a folder, by its path inside.
 * @param {string} folder
 * @returns {Map<string, Buffer>}
 */
export function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return new Map(
    entries.map((entry) => {
      const whole = path.join(entry.parentPath, entry.name);
      return [path.relative(folder, whole).replaceAll(path.sep, '/'), readFileSync(whole)];
    }),
  );
}

/**
 * @param {Map<string, Uint8Array>} files
 * @returns {import('../../src/core/bundle.js').Source}
 */
export function given(files) {
  return sourceOfFiles([...files].map(([name, bytes]) => ({ path: name, file: new File([Buffer.from(bytes)], path.basename(name)) })));
}

/**
 * The contract of a bundle of the refusals, for tests that change it.
 * @param {string} name
 */
export function contractOf(name) {
  return JSON.parse(readFileSync(path.join(REFUSALS, name, 'contract.json'), 'utf-8'));
}
