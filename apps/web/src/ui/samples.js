/** Sample pictures: those for the chosen network first, and a word where the one that is shown is of another kind. */

import { AppError } from '../core/errors.js';
import { button, element, make } from './page.js';
import { sampleName } from './text.js';

/**
 * @typedef {{ file: string, domain: string, bytes: number, sha256: string }} Sample
 * @typedef {import('./catalogue.js').Offer} Offer
 * @typedef {{
 *   address: (sample: Sample) => string,
 *   picture: (blob: Blob, name: string) => void,
 *   problem: (error: unknown) => void,
 *   choose: (offer: Offer) => void,
 * }} Actions
 */

/** @type {{ samples: Sample[], offer: Offer, offers: Offer[], actions: Actions } | null} */
let present = null;
let marked = '';

/**
 * Sample pictures as buttons, in one group where it is not known what the network was trained on.
 * @param {Sample[]} samples
 * @param {Offer} offer that is chosen
 * @param {Offer[]} offers
 * @param {Actions} actions
 */
export function showSamples(samples, offer, offers, actions) {
  present = { samples, offer, offers, actions };
  const own = samples.filter(({ domain }) => domain === offer.domain);
  const others = samples.filter(({ domain }) => domain !== offer.domain);
  /** @type {[string, Sample[]][]} */
  const groups = offer.domain ? [[`Samples for ${offer.network}`, own], ['Of other kinds', others]] : [['Samples', samples]];
  const shown = groups.filter(([, members]) => members.length > 0);
  element('samples').replaceChildren(
    ...shown.map(([title, members]) =>
      make(
        'section',
        { 'aria-label': title },
        make('h2', {}, title),
        make('ul', {}, ...members.map((sample) => make('li', {}, openerOf(sample, actions)))),
      ),
    ),
  );
  markSample(marked);
}

/**
 * @param {Sample} sample
 * @param {Actions} actions
 */
function openerOf(sample, { address, picture, problem }) {
  const image = make('img', { src: address(sample), alt: '', loading: 'lazy', width: 86, height: 86 });
  const name = sampleName(sample.file);
  const opener = make('button', { type: 'button', 'aria-pressed': 'false', 'data-sample': sample.file }, image, name);
  opener.addEventListener('click', async () => {
    try {
      const response = await fetch(address(sample));
      if (!response.ok) throw new AppError(`${sample.file} cannot be fetched (HTTP ${response.status})`, 'Reload the page.');
      picture(await response.blob(), sample.file);
    } catch (error) {
      problem(error);
    }
  });
  return opener;
}

/** @param {string} name of the picture that is shown; nothing where it is the camera's */
export function markSample(name) {
  marked = name;
  for (const opener of element('samples').querySelectorAll('button')) {
    opener.setAttribute('aria-pressed', String(opener.dataset.sample === name));
  }
  showNote();
}

/** Say that the sample is not for the network, and offer the one that it is for. */
function showNote() {
  const sample = present?.samples.find(({ file }) => file === marked);
  const foreign = sample !== undefined && present?.offer.domain && sample.domain !== present.offer.domain;
  element('samples-note').hidden = !foreign;
  if (!present || !foreign) return;
  const { offer, offers, actions } = present;
  element('samples-note-text').textContent = `${sampleName(sample.file)} is no picture for ${offer.network}: the mask may mean nothing.`;
  const fitting = offers.find(({ domain }) => domain === sample.domain);
  const chooser = button('samples-switch');
  chooser.hidden = !fitting;
  chooser.textContent = fitting ? `Use ${fitting.title}` : '';
  chooser.onclick = () => fitting && actions.choose(fitting);
}
