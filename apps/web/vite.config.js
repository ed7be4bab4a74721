import { defineConfig } from 'vite';

import { runtime, serviceWorker } from './plugins/offline.js';

export default defineConfig({
  base: './',
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, reportCompressedSize: false },
  worker: { format: 'es' },
  plugins: [runtime(), serviceWorker()],
});
