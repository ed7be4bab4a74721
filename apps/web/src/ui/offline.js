/** The service worker, from the page's side: keep what was used, offer updates, say what works offline. */

import { button, element } from './page.js';

const SERVICE_WORKER = 'service-worker.js';

/** @type {Promise<ServiceWorkerRegistration> | null} */
let registration = null;

export function startOffline() {
  if (!('serviceWorker' in navigator) || !import.meta.env.PROD) return;
  registration = navigator.serviceWorker.register(SERVICE_WORKER, { updateViaCache: 'none' });
  registration.then(watchForUpdates).catch(() => say('This browser keeps nothing for offline use.'));
}

/** @param {string} text */
function say(text) {
  element('offline').textContent = text;
}

/** @param {ServiceWorkerRegistration} found */
function watchForUpdates(found) {
  const offer = () => {
    if (found.waiting && navigator.serviceWorker.controller) element('update').hidden = false;
  };
  offer();
  found.addEventListener('updatefound', () => found.installing?.addEventListener('statechange', offer));
  button('update-now').addEventListener('click', () => {
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
    found.waiting?.postMessage({ kind: 'take over' });
  });
}

/**
 * Keep files for offline use, and forget what is no longer offered.
 * @param {string[]} urls
 * @param {string[]} listed every content that is offered now
 */
export async function keepOffline(urls, listed) {
  if (!registration) return;
  try {
    await registration;
    const ready = await navigator.serviceWorker.ready;
    const channel = new MessageChannel();
    const answered = new Promise((resolve) => {
      channel.port1.onmessage = ({ data }) => resolve(data.kept);
    });
    ready.active?.postMessage({ kind: 'keep', urls }, [channel.port2]);
    const kept = await answered;
    say(kept ? 'Ready for offline use.' : 'Not all of it could be kept for offline use.');
    if (navigator.onLine) ready.active?.postMessage({ kind: 'forget', urls: listed });
  } catch {
    say('This browser keeps nothing for offline use.');
  }
}
