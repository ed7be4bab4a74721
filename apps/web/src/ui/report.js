/** What was found, in words and numbers: the result, the model's facts, the self-test. */

import { describe, element, make } from './page.js';
import { grouped, megabytes, milliseconds, networkName, percent, precisionName, providerName, scientific, sentence } from './text.js';

/**
 * @typedef {import('./engine.js').Opened} Opened
 * @typedef {import('./engine.js').Decision} Decision
 * @typedef {{ id: string, opened: Opened }} Shown
 */

/** @param {Opened} opened */
export function modelTitle({ contract }) {
  return `${networkName(contract.checkpoint.file)}, ${precisionName(contract.precision)}`;
}

/**
 * @param {Decision} decision
 * @param {Shown[]} shown
 */
export function showResult(decision, shown) {
  const { width, height, answers, between } = decision;
  const blocks = answers.map((answer, index) => {
    const { contract } = shown[index].opened;
    const rows = contract.classes.map(({ name, colour }, place) => {
      const swatch = make('span', { class: 'swatch' });
      swatch.style.background = `rgb(${colour.join(' ')})`;
      const pixels = answer.areas[place];
      return make(
        'div',
        { class: 'figure-row' },
        swatch,
        make('span', { class: 'name' }, sentence(name)),
        make('span', { class: 'share' }, percent(pixels / (width * height))),
        make('span', { class: 'pixels' }, `${grouped(pixels)} of ${grouped(width * height)} pixels`),
      );
    });
    const time = `${milliseconds(answer.milliseconds)} per image, the network ${milliseconds(answer.networkMilliseconds)}`;
    const title = answers.length > 1 ? [make('h3', {}, modelTitle(shown[index].opened))] : [];
    return make('div', { class: 'answer' }, ...title, ...rows, make('p', { class: 'time muted' }, time));
  });
  if (between) {
    const agreement = `${(between.agreement * 100).toFixed(3)} %`;
    blocks.push(make('p', { class: 'between' }, `The masks agree on ${agreement} of the pixels, Dice ${between.dice.toFixed(4)}.`));
  }
  element('result-body').replaceChildren(...blocks);
}

export function clearResult() {
  element('result-body').replaceChildren(
    make('p', { class: 'muted' }, 'The area that the mask covers, and the time it took, appear here.'),
  );
}

/**
 * One sentence on a result.
 * @param {import('../worker/index.js').Answer} answer
 * @param {Decision} decision
 * @param {Opened} opened
 */
export function resultSentence(answer, { width, height }, { contract }) {
  const parts = contract.classes.map(
    ({ name }, place) => `${name} ${percent(answer.areas[place] / (width * height))}, ${grouped(answer.areas[place])} pixels`,
  );
  return `${sentence(parts.join('; '))}. ${milliseconds(answer.milliseconds)}.`;
}

/** @param {Opened} opened */
export function showFacts(opened) {
  const { contract, parity, selfTest } = opened;
  const { provenance } = contract.checkpoint;
  const { size, channels } = contract.preprocessing;
  describe(element('facts'), [
    ['Precision', precisionName(contract.precision)],
    ['Runs on', providerName(selfTest)],
    ['Size', megabytes(contract.artifact.bytes)],
  ]);
  /** @type {[string, unknown][]} */
  const rows = [
    ['Trained on', provenance.dataset],
    ['Test Dice', provenance.test_dice ?? provenance.test_dice_window],
    ['Limits', provenance.limits],
    ['Data licence', provenance.data_licence],
    ['Input', `${size} x ${size}, ${channels === 1 ? 'grey' : 'colour'}`],
    ['Classes', contract.classes.map(({ name }) => name).join(', ')],
    ['Spectral filter', contract.spectral],
    ['Exported', contract.exportedAt.replace('T', ' ').replace('+00:00', ' UTC')],
    ['Parity at export', `${parity.verdict}, ${parity.imageCount} images, smallest mask agreement ${parity.summary?.min_mask_agreement?.toFixed(5)}`],
    ['Checkpoint', `${contract.checkpoint.file}, SHA-256 ${contract.checkpoint.sha256.slice(0, 12)}…`],
    ['Artifact', `SHA-256 ${contract.artifact.sha256[contract.artifact.file].slice(0, 12)}…`],
    ['Runtime', `onnxruntime-web ${selfTest.version}`],
    ['Intended use', contract.intendedUse],
  ];
  describe(
    element('about-list'),
    rows.filter(([, text]) => text !== undefined && text !== null).map(([term, text]) => [term, String(text)]),
  );
}

const BADGES = { waiting: 'Getting ready', passed: 'Self-test passed', failed: 'Self-test failed' };

/** @param {'waiting' | 'passed' | 'failed'} state */
export function showBadge(state) {
  element('badge').dataset.state = state;
  element('badge-text').textContent = BADGES[state];
}

/**
 * The self-test of each model, or why there is none.
 * @param {{ title: string, opened?: Opened, error?: string }[]} entries
 */
export function showSelfTest(entries) {
  const intro = make(
    'p',
    { class: 'muted' },
    'Each bundle brings pictures with the answers of the PyTorch reference. They were run on this device just now; a model that answers otherwise shows no masks.',
  );
  const blocks = entries.flatMap(({ title, opened, error }) => {
    if (!opened) return [make('h3', {}, title), make('p', {}, error ?? 'The model is being loaded.')];
    return [make('h3', {}, `${title}: ${opened.selfTest.passed ? 'passed' : 'failed'}`), ...selfTestOf(opened)];
  });
  element('self-test-body').replaceChildren(intro, ...blocks);
}

/**
 * @param {Opened} opened
 * @returns {HTMLElement[]}
 */
function selfTestOf({ selfTest, gate }) {
  const limit = (/** @type {number | null} */ value, /** @type {string} */ sign) => (value === null ? 'not gated' : `${sign} ${value}`);
  const cells = (/** @type {string} */ tag, /** @type {string[]} */ texts) => make('tr', {}, ...texts.map((text) => make(tag, {}, text)));
  const head = make('thead', {}, cells('th', ['Picture', 'Probability error', 'Mask agreement', 'Dice', 'Time']));
  const rows = selfTest.images.map((image) =>
    cells('td', [
      image.name,
      scientific(image.probabilityError),
      image.maskAgreement.toFixed(6),
      image.maskDice.toFixed(6),
      milliseconds(image.milliseconds),
    ]),
  );
  const gates = cells('td', [
    'Gate',
    limit(gate.probability_error, 'at most'),
    limit(gate.mask_agreement, 'at least'),
    limit(gate.mask_dice, 'at least'),
    '',
  ]);
  const table = make('div', { class: 'table-wrap', tabIndex: 0, role: 'group', 'aria-label': 'Figures of the self-test' }, make('table', {}, head, make('tbody', {}, ...rows, gates)));
  const notes = [...selfTest.breaches, ...selfTest.notes].map((text) => make('p', {}, text));
  return [make('p', { class: 'muted' }, providerName(selfTest)), table, ...notes];
}
