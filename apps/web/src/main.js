/** The page: wires the catalogue, the models, the viewer and the controls together. */

import { messageOf } from './core/errors.js';
import { fetchOffers, fetchSamples, offerUrls, sampleUrl, sharedUrls } from './ui/catalogue.js';
import { Engine } from './ui/engine.js';
import { listenForPictures } from './ui/inputs.js';
import { keepOffline, sayOffline, startOffline } from './ui/offline.js';
import { announce, button, element, input, make, recall, remember, select } from './ui/page.js';
import { showBadge, showMeasured, showSelfTest } from './ui/report.js';
import { showSamples } from './ui/samples.js';
import { Slots } from './ui/slots.js';
import { setPanes, setStyle, showMessage, showProgress, showRefusal } from './ui/stage.js';
import { startTheme } from './ui/theme.js';
import { megabytes, networkName, seconds, sentence } from './ui/text.js';
import { Viewer } from './ui/viewer.js';

/**
 * @typedef {import('./ui/catalogue.js').Offer} Offer
 * @typedef {import('./ui/samples.js').Sample} Sample
 */

/** @type {Offer[]} */
let offers = [];
/** @type {Sample[]} */
let samples = [];
let noted = false;
const firstVisit = !navigator.serviceWorker?.controller && recall('first-visit') === null;

const engine = new Engine((id, selfTest) => slots.moved(id, selfTest));
const slots = new Slots(engine, modelsChanged);
const viewer = new Viewer(engine, () => slots.ready, showThreshold);

const receivers = {
  picture: (/** @type {Blob} */ blob, /** @type {string} */ name) => viewer.open(blob, name),
  bundle: offerByHand,
  problem: (/** @type {unknown} */ error) => viewer.problem(error),
};

/** @param {string} id */
const offerOf = (id) => offers.find((offer) => offer.id === id);

function modelsChanged() {
  const usable = slots.ready.length > 0;
  learnOffers();
  if (usable) noteVisit();
  // While a model loads, a picture may be chosen already; once it is known that there will be no mask, none may.
  for (const id of ['open', 'camera', 'paste']) button(id).disabled = slots.blocked;
  for (const opener of element('samples').querySelectorAll('button')) opener.disabled = slots.blocked;
  if (slots.blocked) viewer.stopLive();
  showThreshold();
  viewer.modelsChanged();
  if (usable) keepUsed();
  else if (slots.state === 'absent') sayOffline(offers);
}

/** How long it took until the first model was ready, this time and the first time, when nothing of it was here. */
function noteVisit() {
  if (noted) return;
  noted = true;
  const loaded = slots.ready.reduce((sum, { opened }) => sum + opened.bytes, 0);
  const text = `ready after ${seconds(performance.now())}, network and runtime ${megabytes(loaded)}`;
  if (firstVisit) remember('first-visit', text);
  else showMeasured('This visit', `ready after ${seconds(performance.now())}`);
  const first = recall('first-visit');
  if (first) showMeasured('First visit', first);
}

/** What a bundle that was opened by hand says of itself, once it is open. */
function learnOffers() {
  for (const { offer, opened } of slots.slots) {
    if (!opened || offer.network) continue;
    const { network, checkpoint } = opened.contract;
    offer.network = networkName(network.name);
    offer.domain = String(checkpoint.provenance.domain ?? '');
    if (offer === slots.slots[0].offer) showSamplesFor(offer);
  }
}

/** @param {Offer} offer */
function showSamplesFor(offer) {
  showSamples(samples, offer, offers, { ...receivers, address: sampleUrl, choose });
}

function keepUsed() {
  const files = [...new Set(slots.ready.flatMap(({ opened }) => opened.selfTest.files))];
  const shared = sharedUrls(files, samples);
  const used = slots.slots.flatMap(({ offer }) => offerUrls(offer));
  keepOffline([...shared, ...used], [...shared, ...offers.flatMap(offerUrls)], offers);
}

/**
 * A bundle opened from a folder: offered from now on, and chosen.
 * @param {import('./core/bundle.js').GivenFile[]} files
 * @param {string} folder
 */
function offerByHand(files, folder) {
  const id = `by hand ${offers.length} ${folder}`;
  offers = [...offers, { id, title: `${folder || 'folder'} (opened by hand)`, network: '', domain: '', dataset: '', source: files }];
  fillModels();
  select('model').value = id;
  chooseModels();
}

function fillModels() {
  const option = (/** @type {string} */ value, /** @type {string} */ text) => make('option', { value }, text);
  for (const [id, none] of /** @type {const} */ ([['model', ''], ['second', 'Nothing']])) {
    const chosen = select(id).value;
    const first = none ? [option('', none)] : [];
    select(id).replaceChildren(...first, ...offers.map((offer) => option(offer.id, offer.title)));
    if (offerOf(chosen)) select(id).value = chosen;
  }
}

async function chooseModels() {
  const first = offerOf(select('model').value);
  if (!first) return;
  const second = offerOf(select('second').value);
  for (const choice of select('second').options) choice.disabled = choice.value === first.id;
  const chosen = second && second !== first ? [first, second] : [first];
  if (chosen.length === 1) select('second').value = '';
  remember('model', first.id);
  viewer.threshold = null;
  showSamplesFor(first);
  await slots.choose(chosen, select('provider').value);
}

/** @param {Offer} offer */
function choose({ id }) {
  select('model').value = id;
  select('model').focus();
  chooseModels();
}

function showThreshold() {
  const contract = slots.ready[0]?.opened.contract;
  const slider = input('threshold');
  const single = contract?.classes.length === 1 && contract.output.shape[1] === 1;
  slider.disabled = !single;
  element('threshold-note').textContent = contract && !single ? 'Several classes: the most probable one is taken.' : '';
  if (contract && viewer.threshold === null) slider.value = String(contract.threshold);
  element('threshold-value').textContent = Number(slider.value).toFixed(2);
  button('threshold-reset').hidden = !single || viewer.threshold === null || viewer.threshold === contract?.threshold;
}

function listenForControls() {
  for (const id of ['model', 'second', 'provider']) select(id).addEventListener('change', chooseModels);
  const restyle = () => {
    const chosen = /** @type {HTMLInputElement | null} */ (document.querySelector('input[name=style]:checked'));
    setStyle(chosen?.value ?? 'both', Number(input('opacity').value) / 100);
    element('opacity-value').textContent = `${input('opacity').value} %`;
  };
  for (const choice of document.querySelectorAll('input[name=style]')) choice.addEventListener('change', restyle);
  input('opacity').addEventListener('input', restyle);
  restyle();
  const rethreshold = () => {
    viewer.setThreshold(Number(input('threshold').value));
    showThreshold();
  };
  input('threshold').addEventListener('input', rethreshold);
  button('threshold-reset').addEventListener('click', () => {
    viewer.setThreshold(null); // not by way of the slider, whose steps may miss the contract's value
    showThreshold();
    input('threshold').focus();
  });
  button('camera').addEventListener('click', () => (viewer.live ? viewer.stopLive() : viewer.startLive()));
  button('shutter').addEventListener('click', () => viewer.shoot().catch(receivers.problem));
  button('switch-camera').addEventListener('click', () => viewer.startLive(true));
  button('stop-camera').addEventListener('click', () => {
    viewer.stopLive();
    button('camera').focus();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) viewer.stopLive();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (viewer.live) viewer.stopLive();
    else if (!button('stop').hidden) viewer.stop();
  });
  button('stop').addEventListener('click', () => viewer.stop());
  window.addEventListener('online', () => slots.state === 'absent' && chooseModels());
  button('message-close').addEventListener('click', () => showMessage(''));
  const dialog = /** @type {HTMLDialogElement} */ (element('self-test'));
  button('badge').addEventListener('click', () => dialog.showModal());
  button('self-test-close').addEventListener('click', () => dialog.close());
}

/** Browsers that can install the page say so once. */
function listenForInstall() {
  /** @type {any} */
  let prompt = null;
  window.addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    prompt = event;
    button('install').hidden = false;
  });
  button('install').addEventListener('click', async () => {
    button('install').hidden = true;
    await prompt?.prompt();
  });
}

async function start() {
  startTheme();
  startOffline();
  listenForInstall();
  listenForControls();
  listenForPictures(receivers);
  setPanes(1);
  showBadge('waiting');
  showSelfTest([]);
  showProgress('Looking for models');
  try {
    [offers, samples] = await Promise.all([fetchOffers(), fetchSamples()]);
    if (offers.length === 0) throw new Error('The server offers no model. Open a bundle’s folder below.');
  } catch (error) {
    showProgress('');
    showBadge('failed');
    showRefusal(sentence(messageOf(error)));
    announce(sentence(messageOf(error)));
    return;
  }
  fillModels();
  const remembered = recall('model');
  if (remembered && offerOf(remembered)) select('model').value = remembered;
  await chooseModels();
}

start();
