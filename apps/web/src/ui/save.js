/** Saving: the mask as PNG in the picture's own size, the figures as JSON. */

import { NOTICE } from '../core/contract.js';
import { announce, element, make } from './page.js';
import { modelTitle } from './report.js';

/**
 * @typedef {{
 *   name: string, decision: import('./engine.js').Decision, shown: import('./report.js').Shown[], threshold: number | null,
 * }} Finding
 */

/**
 * @param {Finding} finding
 * @param {(id: string) => Promise<Blob>} mask
 * @param {(error: unknown) => void} problem
 */
export function showSave(finding, mask, problem) {
  const rows = finding.shown.map(({ id, opened }, index) => {
    const stem = `${finding.name.replace(/\.[^.]*$/, '').replaceAll(/[^\w.-]+/g, '-')}-${opened.contract.precision}`;
    const attempt = (/** @type {() => Promise<Blob>} */ produce, /** @type {string} */ name) => async () => {
      try {
        download(await produce(), name);
        announce(`Saved ${name}.`);
      } catch (error) {
        problem(error);
      }
    };
    const json = async () =>
      new Blob([`${JSON.stringify(summary(finding, index), null, 2)}\n`], { type: 'application/json' });
    const title = modelTitle(opened);
    const several = finding.shown.length > 1;
    const savers = [
      saver('Mask (PNG)', several ? `Mask of ${title} as PNG` : '', attempt(() => mask(id), `${stem}-mask.png`)),
      saver('Figures (JSON)', several ? `Figures of ${title} as JSON` : '', attempt(json, `${stem}.json`)),
    ];
    return make('div', { class: 'save-row' }, ...(several ? [make('h3', {}, title)] : []), ...savers);
  });
  element('save').replaceChildren(...rows);
}

export function clearSave() {
  element('save').replaceChildren(
    make('p', { class: 'muted' }, 'Mask as PNG in the picture’s own size, figures as JSON.'),
  );
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} action
 */
function saver(text, label, action) {
  const made = make('button', { class: 'quiet', type: 'button' }, text);
  if (label) made.setAttribute('aria-label', label);
  made.addEventListener('click', action);
  return made;
}

/**
 * The figures of one model, in the words of `s2m-edge predict --json`.
 * @param {Finding} finding
 * @param {number} index
 */
export function summary({ name, decision, shown, threshold }, index) {
  const { width, height, spacing, unmeasured } = decision;
  const { contract, selfTest } = shown[index].opened;
  const answer = decision.answers[index];
  const names = contract.classes.map((entry) => entry.name);
  const round = (/** @type {number} */ value) => Math.round(value * 100) / 100;
  const { guard, millimetres } = answer;
  const inMillimetres = (/** @type {'areaMm2' | 'diameterMm'} */ figure) =>
    millimetres && Object.fromEntries(names.map((label, place) => [label, millimetres[place][figure]]));
  return {
    image: name,
    width,
    height,
    area_pixels: Object.fromEntries(names.map((label, place) => [label, answer.areas[place]])),
    area_fraction: Object.fromEntries(names.map((label, place) => [label, answer.areas[place] / (width * height)])),
    spacing_mm: spacing && [spacing.rows, spacing.columns],
    spacing_from: spacing ? spacing.from : '',
    area_mm2: inMillimetres('areaMm2'),
    diameter_mm: inMillimetres('diameterMm'),
    remarks: [
      ...(unmeasured ? [`there is no spacing: ${unmeasured}`] : []),
      ...names.flatMap((label, place) => (millimetres?.[place].unmeasured ? [`${label}: ${millimetres[place].unmeasured}`] : [])),
    ],
    threshold: contract.output.shape[1] === 1 ? (threshold ?? contract.threshold) : null,
    guard: guard && { score: Number(guard.score.toFixed(3)), threshold: Number(guard.threshold.toFixed(3)), unusual: guard.unusual },
    windows: answer.windows,
    network_milliseconds: round(answer.networkMilliseconds),
    milliseconds: round(answer.milliseconds),
    model: {
      network: contract.network.name,
      checkpoint: contract.checkpoint.file,
      checkpoint_sha256: contract.checkpoint.sha256,
      weights_sha256: contract.network.weights_sha256,
      artifact_sha256: contract.files[contract.artifact.file],
      precision: contract.precision,
      spectral: contract.spectral,
    },
    device: {
      runtime: `onnxruntime-web ${selfTest.version}`,
      execution_provider: selfTest.provider,
      threads: selfTest.threads,
      ...(selfTest.arithmetic ? { arithmetic: selfTest.arithmetic } : {}),
      browser: navigator.userAgent,
    },
    self_test: { passed: selfTest.passed, images: selfTest.images.length },
    made_at: new Date().toISOString(),
    notice: NOTICE,
  };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function download(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = make('a', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
