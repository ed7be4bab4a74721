/** The service worker, from the page's side: keep what was used, offer updates, say what works offline. */

import { offerUrls } from './catalogue.js';
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
 * @param {import('./catalogue.js').Offer[]} offers
 */
export async function keepOffline(urls, listed, offers) {
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
    if (kept) await sayOffline(offers);
    else say('Not all of it could be kept for offline use.');
    if (navigator.onLine) ready.active?.postMessage({ kind: 'forget', urls: listed });
  } catch {
    say('This browser keeps nothing for offline use.');
  }
}

/**
 * Say which networks are kept whole on this device.
 * @param {import('./catalogue.js').Offer[]} offers
 */
export async function sayOffline(offers) {
  const kept = await Promise.all(
    offers.map(async (offer) => {
      const urls = offerUrls(offer);
      const found = await Promise.all(urls.map((url) => caches.match(url)));
      return urls.length > 0 && found.every(Boolean) ? [offer.title] : [];
    }),
  );
  const titles = kept.flat();
  say(titles.length > 0 ? `Ready for offline use: ${titles.join('; ')}.` : 'No network is ready for offline use.');
}
