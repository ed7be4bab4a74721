/** What was found, in words and numbers: the result, the model's facts, the self-test. */

import { describe, element, make } from './page.js';
import { grouped, megabytes, millimetresOf, milliseconds, networkName, percent, precisionName, providerName, scientific, sentence, spacingSentence, warningOf } from './text.js';

/**
 * @typedef {import('./engine.js').Opened} Opened
 * @typedef {import('./engine.js').Decision} Decision
 * @typedef {{ id: string, opened: Opened }} Shown
 */

const NOTHING_FOUND = 'No object found.';

/** @param {Opened} opened */
export function modelTitle({ contract }) {
  return `${networkName(contract.network.name)}, ${precisionName(contract.precision)}`;
}

/**
 * @param {Decision} decision
 * @param {Shown[]} shown
 */
export function showResult(decision, shown) {
  const { width, height, spacing, unmeasured, answers, between } = decision;
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
        ...(answer.millimetres ? [make('span', { class: 'pixels millimetres' }, millimetresOf(answer.millimetres[place]))] : []),
      );
    });
    const found = answer.areas.some((pixels) => pixels > 0) ? [] : [make('p', { class: 'nothing' }, NOTHING_FOUND)];
    const runs = answer.windows > 1 ? ` in ${answer.windows} windows` : '';
    const time = `${milliseconds(answer.milliseconds)} per image, the network ${milliseconds(answer.networkMilliseconds)}${runs}`;
    const title = answers.length > 1 ? [make('h3', {}, modelTitle(shown[index].opened))] : [];
    return make('div', { class: 'answer' }, ...title, ...found, ...rows, make('p', { class: 'time muted' }, time));
  });
  if (spacing) blocks.push(make('p', { class: 'spacing muted' }, spacingSentence(spacing)));
  if (unmeasured) blocks.push(make('p', { class: 'spacing muted' }, `No figures in mm: ${unmeasured}.`));
  if (between) blocks.push(make('p', { class: 'between' }, agreementSentence(between)));
  element('result-body').replaceChildren(...blocks);
  showUnusual(
    answers.flatMap(({ guard }, index) => {
      const title = answers.length > 1 ? `${modelTitle(shown[index].opened)}: ` : '';
      return guard?.unusual ? [title + warningOf(guard)] : [];
    }),
  );
}

/**
 * Warn beside the figures. A warning is read aloud when it appears, and not again with every frame of the camera.
 * @param {string[]} warnings
 */
function showUnusual(warnings) {
  const place = element('unusual');
  place.setAttribute('aria-live', place.hasChildNodes() ? 'off' : 'polite');
  place.replaceChildren(...warnings.map((text) => make('p', {}, text)));
}

export function clearResult() {
  showUnusual([]);
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
  if (answer.areas.every((pixels) => pixels === 0)) return `${NOTHING_FOUND} ${milliseconds(answer.milliseconds)}.`;
  const parts = contract.classes.map(
    ({ name }, place) => {
      const size = answer.millimetres ? `, ${millimetresOf(answer.millimetres[place])}` : '';
      return `${name} ${percent(answer.areas[place] / (width * height))}, ${grouped(answer.areas[place])} pixels${size}`;
    },
  );
  return `${sentence(parts.join('; '))}. ${milliseconds(answer.milliseconds)}.`;
}

/**
 * What is said of all models' answers.
 * @param {Decision} decision
 * @param {Opened[]} opened in the answers' order
 */
export function decisionSentence(decision, opened) {
  const { answers, between } = decision;
  const parts = answers.map((answer, index) => {
    const title = answers.length > 1 ? `${modelTitle(opened[index])}: ` : '';
    return title + resultSentence(answer, decision, opened[index]);
  });
  return [...parts, ...(between ? [agreementSentence(between)] : [])].join(' ');
}

/** @param {{ agreement: number, dice: number }} between */
function agreementSentence({ agreement, dice }) {
  return `The masks agree on ${(agreement * 100).toFixed(3)} % of the pixels, Dice ${dice.toFixed(4)}.`;
}

/**
 * The Dice that the training measured in the way this page segments: under sliding windows, or stretched. The other
 * figure is of masks that are not made here.
 * @param {Opened} opened
 * @returns {unknown} nothing where it was not measured so
 */
export function testDice({ contract }) {
  const { provenance } = contract.checkpoint;
  return contract.preprocessing.window ? provenance.test_dice_window : provenance.test_dice;
}

/**
 * @param {Opened} opened
 * @param {string} dataset its name for people; empty where only the bundle's own word is known
 */
export function showFacts(opened, dataset) {
  const { contract, selfTest } = opened;
  const { provenance } = contract.checkpoint;
  const { height, width, channels, window } = contract.preprocessing;
  const { parity } = contract;
  const agreement = parity.figures.min_mask_agreement;
  const { file, sha256 } = contract.checkpoint;
  describe(element('facts'), [
    ['Precision', precisionName(contract.precision)],
    ['Runs on', providerName(selfTest)],
    ['Size', megabytes(contract.artifact.bytes)],
  ]);
  /** @type {[string, unknown][]} */
  const rows = [
    ['Network', contract.network.name],
    ['Architecture', contract.network.architecture],
    ['Trained on', dataset || provenance.dataset],
    ['Test Dice', testDice(opened)],
    ['Limits', provenance.limits],
    ['Data licence', provenance.data_licence],
    ['Input', `${height} x ${width}, ${channels === 1 ? 'grey' : 'colour'}${window ? ', in windows over the picture at its own size' : ''}`],
    ['Classes', contract.classes.map(({ name }) => name).join(', ')],
    ['Spectral filter', contract.spectral === 'none' ? null : contract.spectral],
    ['Exported', contract.exportedAt.replace('T', ' ').replace('+00:00', ' UTC')],
    ['Parity at export', `${parity.verdict}, ${parity.images} images${agreement == null ? '' : `, smallest mask agreement ${agreement.toFixed(5)}`}`],
    ['Checkpoint', `${file ? `${file}, ` : ''}SHA-256 ${sha256.slice(0, 12)}…`],
    ['Artifact', `SHA-256 ${contract.files[contract.artifact.file].slice(0, 12)}…`],
    ['Runtime', `onnxruntime-web ${selfTest.version}`],
    ['Intended use', contract.intendedUse],
  ];
  about = rows.filter(([, text]) => text !== undefined && text !== null).map(([term, text]) => [term, String(text)]);
  showAbout();
}

/** @type {[string, string][]} */
let about = [];
/** @type {Map<string, string>} */
const measured = new Map();

/**
 * Something that was measured on this device, below what is known of the network.
 * @param {string} term
 * @param {string} text
 */
export function showMeasured(term, text) {
  measured.set(term, text);
  showAbout();
}

function showAbout() {
  describe(element('about-list'), [...about, ...measured]);
}

export const BADGES = { waiting: 'Getting ready', passed: 'Self-test passed', failed: 'Self-test failed', absent: 'Not downloaded' };

/** @param {import('./slots.js').State} state */
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
    'Each bundle brings pictures with the answers of the PyTorch reference. They were run on this device just now; a model that answers otherwise shows no masks. Error: the largest difference of a probability, and their mean; agreement and Dice: of the masks.',
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
  const limit = (/** @type {number | null} */ value, /** @type {string} */ sign) => (value === null ? 'any' : `${sign} ${value}`);
  const cells = (/** @type {string} */ tag, /** @type {string[]} */ texts) => make('tr', {}, ...texts.map((text) => make(tag, {}, text)));
  const head = make('thead', {}, cells('th', ['Picture', 'Error', 'Mean', 'Agreement', 'Dice', 'Time']));
  const rows = selfTest.images.map((image) =>
    cells('td', [
      image.name.replace(/\.\w+$/, ''),
      scientific(image.probabilityError),
      scientific(image.meanProbabilityError),
      image.maskAgreement.toFixed(5),
      image.maskDice.toFixed(5),
      milliseconds(image.milliseconds),
    ]),
  );
  const gates = cells('td', [
    'Gate',
    limit(gate.probability_error, '≤'),
    limit(gate.mean_probability_error, '≤'),
    limit(gate.mask_agreement, '≥'),
    limit(gate.mask_dice, '≥'),
    '',
  ]);
  const table = make('div', { class: 'table-wrap', tabIndex: 0, role: 'group', 'aria-label': 'Figures of the self-test' }, make('table', {}, head, make('tbody', {}, ...rows, gates)));
  const notes = [...selfTest.breaches, ...selfTest.notes].map((text) => make('p', {}, text));
  return [make('p', { class: 'muted' }, providerName(selfTest)), table, ...notes];
}
