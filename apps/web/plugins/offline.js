/** Vite plugins: onnxruntime-web's files beside the page, and the service worker with the hash of every file. */

import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { PACKED } from '../src/core/gzip.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RUNTIME = path.join(ROOT, 'node_modules', 'onnxruntime-web');

/** What each of the two builds needs; see src/worker/runtime.js. */
const RUNTIME_FILES = [
  'ort.wasm.min.mjs',
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort.webgpu.min.mjs',
  'ort-wasm-simd-threaded.asyncify.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

/** @param {string | Uint8Array} content */
const sha256 = (content) => createHash('sha256').update(content).digest('hex');

/**
 * Copies the runtime to `ort/`: its modules without the trailing reference to a source map that is not shipped, its
 * binaries packed, because few servers would do it, with their sizes.
 * @returns {import('vite').Plugin}
 */
export function runtime() {
  let out = '';
  return {
    name: 'runtime',
    apply: 'build',
    configResolved: (config) => {
      out = path.resolve(config.root, config.build.outDir);
    },
    closeBundle: {
      order: 'pre',
      sequential: true,
      handler: async () => {
        await mkdir(path.join(out, 'ort'), { recursive: true });
        /** @type {Record<string, { packed: number, unpacked: number }>} */
        const sizes = {};
        for (const name of RUNTIME_FILES) {
          const source = path.join(RUNTIME, 'dist', name);
          const target = path.join(out, 'ort', name);
          if (name.endsWith('.wasm')) {
            const binary = await readFile(source);
            const packed = gzipSync(binary, { level: 9 });
            sizes[name] = { packed: packed.length, unpacked: binary.length };
            await writeFile(target + PACKED, packed);
          } else {
            const text = await readFile(source, 'utf-8');
            await writeFile(target, text.replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, '\n'));
          }
        }
        await writeFile(path.join(out, 'ort', 'sizes.json'), JSON.stringify(sizes));
      },
    },
  };
}

/**
 * Writes service-worker.js with the list of all other files and their hashes; its version is the list's hash.
 * @returns {import('vite').Plugin}
 */
export function serviceWorker() {
  let out = '';
  return {
    name: 'service-worker',
    apply: 'build',
    configResolved: (config) => {
      out = path.resolve(config.root, config.build.outDir);
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      handler: async () => {
        const entries = await readdir(out, { recursive: true, withFileTypes: true });
        /** @type {Record<string, string>} */
        const shell = {};
        for (const entry of entries.filter((found) => found.isFile())) {
          const file = path.join(entry.parentPath, entry.name);
          shell[path.relative(out, file).split(path.sep).join('/')] = sha256(await readFile(file));
        }
        const listed = JSON.stringify(Object.fromEntries(Object.entries(shell).sort()));
        const source = await readFile(path.join(ROOT, 'src', 'service-worker.js'), 'utf-8');
        const version = sha256(listed + source).slice(0, 16);
        const written = source.replace("'__VERSION__'", JSON.stringify(version)).replace("'__SHELL__'", () => listed);
        await writeFile(path.join(out, 'service-worker.js'), written);
      },
    },
  };
}
