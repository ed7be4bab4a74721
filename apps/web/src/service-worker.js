/**
 * Offline use. The shell is one versioned cache, filled whole or not at all; models and pictures lie in another, each
 * under an address that holds its SHA-256. Nothing enters a cache whose hash is not the expected one.
 *
 * The build puts the version and the hash of every file of the shell in place of the two constants.
 */

/** @type {ServiceWorkerGlobalScope} */
const worker = /** @type {any} */ (self);

/** @type {string} */
const VERSION = '__VERSION__';
/** @type {Record<string, string>} path to SHA-256 */
const SHELL = /** @type {any} */ ('__SHELL__');

const SHELL_CACHE = `s2m-edge-shell-${VERSION}`;
const CONTENT_CACHE = 's2m-edge-content-1';
const PAGE = 'index.html';
const ON_DEMAND = 'ort/'; // large, and only one of two runtimes is ever needed
const FRESH_FIRST = ['bundles/index.json', 'samples/index.json'];

/** Threads need these headers, and static hosts seldom send them. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** @param {URL | string} url */
function pathOf(url) {
  return decodeURIComponent(new URL(url).pathname.slice(new URL(worker.registration.scope).pathname.length));
}

/** @param {string} path */
function urlOf(path) {
  return new URL(path, worker.registration.scope).href;
}

/** @param {BufferSource} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * A response of our own with the headers of the server and those of isolation.
 * @param {Response} response
 * @param {BodyInit | null} body
 */
function isolated(response, body) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  headers.delete('Content-Encoding'); // the body is decoded already
  headers.delete('Content-Length');
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}

/** What was fetched is not what was expected. */
class MismatchError extends Error {}

/**
 * Fetch a file and compare its hash.
 * @param {string} url
 * @param {string} expected
 */
async function fetchVerified(url, expected) {
  const response = await fetch(url, { cache: 'no-cache', credentials: 'same-origin' });
  if (!response.ok) throw new Error(`HTTP ${response.status} for ${url}`);
  const bytes = await response.arrayBuffer();
  if ((await sha256(bytes)) !== expected) throw new MismatchError();
  return isolated(response, bytes);
}

/**
 * From the cache, else fetched, verified and kept.
 * @param {string} cacheName
 * @param {string} url
 * @param {string} expected
 */
async function fromCache(cacheName, url, expected) {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(url);
  if (kept) return kept;
  const response = await fetchVerified(url, expected);
  await cache.put(url, response.clone());
  return response;
}

/**
 * From the network, kept; from the cache where there is none.
 * @param {string} url
 */
async function freshFirst(url) {
  const cache = await caches.open(CONTENT_CACHE);
  try {
    const response = await fetch(url, { cache: 'no-cache' });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const kept = isolated(response, await response.arrayBuffer());
    await cache.put(url, kept.clone());
    return kept;
  } catch (error) {
    const kept = await cache.match(url);
    if (kept) return kept;
    throw error;
  }
}

/**
 * The answer to a request, or null where it is not ours.
 * @param {Request} request
 * @returns {Promise<Response> | null}
 */
function answer(request) {
  const url = new URL(request.url);
  if (request.method !== 'GET' || !url.href.startsWith(worker.registration.scope)) return null;
  const path = request.mode === 'navigate' ? PAGE : pathOf(url);
  const hash = url.searchParams.get('sha256');
  if (path in SHELL) return fromCache(SHELL_CACHE, urlOf(path), SHELL[path]);
  if (FRESH_FIRST.includes(path)) return freshFirst(urlOf(path));
  if (hash) return fromCache(CONTENT_CACHE, url.href, hash);
  return null;
}

worker.addEventListener('install', (event) => {
  const wanted = Object.keys(SHELL).filter((path) => !path.startsWith(ON_DEMAND));
  event.waitUntil(Promise.all(wanted.map((path) => fromCache(SHELL_CACHE, urlOf(path), SHELL[path]))));
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      const old = names.filter((name) => name.startsWith('s2m-edge-') && ![SHELL_CACHE, CONTENT_CACHE].includes(name));
      await Promise.all(old.map((name) => caches.delete(name)));
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('fetch', (event) => {
  const response = answer(event.request);
  if (!response) return;
  const refused = () => new Response('its SHA-256 differs', { status: 502, headers: ISOLATION });
  event.respondWith(response.catch((error) => (error instanceof MismatchError ? refused() : Response.error())));
});

/** What pages ask for: to keep files for offline use, to forget contents that no index lists, to take over. */
worker.addEventListener('message', (event) => {
  const { kind, urls = [] } = event.data ?? {};
  if (kind === 'take over') worker.skipWaiting();
  if (kind === 'keep') event.waitUntil(keep(urls).then((kept) => event.ports[0].postMessage({ kept })));
  if (kind === 'forget') event.waitUntil(forget(new Set(urls)));
});

/**
 * @param {string[]} urls
 * @returns {Promise<boolean>} whether all of them are kept now
 */
async function keep(urls) {
  const results = await Promise.allSettled(
    urls.map((url) => answer(new Request(url)) ?? Promise.reject(new Error(`${url} is not kept`))),
  );
  return results.every(({ status }) => status === 'fulfilled');
}

/** @param {Set<string>} listed the contents that are still offered */
async function forget(listed) {
  const cache = await caches.open(CONTENT_CACHE);
  for (const request of await cache.keys()) {
    if (!listed.has(request.url) && !FRESH_FIRST.includes(pathOf(request.url))) await cache.delete(request);
  }
}
