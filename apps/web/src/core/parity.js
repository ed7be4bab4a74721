/** The self-test's comparison and its gate. Figures as in targets/measure/parity/compare.py, limits from the bundle. */

import { decide } from './imaging.js';

/**
 * Limits that every image must keep; null where a precision does not promise that figure.
 * @typedef {{
 *   probability_error: number | null, mean_probability_error: number | null,
 *   mask_agreement: number | null, mask_dice: number | null,
 * }} Gate
 * @typedef {{
 *   name: string, probabilityError: number, meanProbabilityError: number,
 *   maskAgreement: number, maskDice: number, maskFraction: number,
 * }} Comparison
 */

/**
 * Probabilities of logits: sigmoid for one class, softmax for more.
 * @param {Float32Array} logits classes x height x width
 * @param {number} classes
 * @returns {Float32Array}
 */
export function probabilitiesOf(logits, classes) {
  const result = new Float32Array(logits.length);
  if (classes === 1) {
    for (let at = 0; at < logits.length; at += 1) result[at] = 1 / (1 + Math.exp(-logits[at]));
    return result;
  }
  const area = logits.length / classes;
  for (let pixel = 0; pixel < area; pixel += 1) {
    let largest = -Infinity;
    for (let label = 0; label < classes; label += 1) largest = Math.max(largest, logits[label * area + pixel]);
    let sum = 0;
    for (let label = 0; label < classes; label += 1) sum += Math.exp(logits[label * area + pixel] - largest);
    for (let label = 0; label < classes; label += 1) {
      const at = label * area + pixel;
      result[at] = Math.exp(logits[at] - largest) / sum;
    }
  }
  return result;
}

/**
 * Agreement and Dice of two label maps: Dice is the mean over the foreground labels that occur in either, 1 if none does.
 * @param {Uint8Array} reference
 * @param {Uint8Array} edge
 * @returns {{ agreement: number, dice: number }}
 */
export function compareMasks(reference, edge) {
  const inReference = new Float64Array(256);
  const inEdge = new Float64Array(256);
  const inBoth = new Float64Array(256);
  let same = 0;
  for (let at = 0; at < reference.length; at += 1) {
    inReference[reference[at]] += 1;
    inEdge[edge[at]] += 1;
    if (reference[at] === edge[at]) {
      same += 1;
      inBoth[reference[at]] += 1;
    }
  }
  let sum = 0;
  let count = 0;
  for (let label = 1; label < 256; label += 1) {
    const total = inReference[label] + inEdge[label];
    if (total > 0) {
      sum += (2 * inBoth[label]) / total;
      count += 1;
    }
  }
  return { agreement: same / reference.length, dice: count > 0 ? sum / count : 1 };
}

/**
 * Compare what this device gives with what the reference gave.
 * @param {string} name
 * @param {Float32Array} logits of the reference, classes x height x width
 * @param {Float32Array} edge probabilities of this device, alike
 * @param {number} classes
 * @param {number} threshold
 * @returns {Comparison}
 */
export function compare(name, logits, edge, classes, threshold) {
  const reference = probabilitiesOf(logits, classes);
  let largest = 0;
  let sum = 0;
  for (let at = 0; at < reference.length; at += 1) {
    const difference = Math.abs(reference[at] - edge[at]);
    largest = Math.max(largest, difference); // which keeps a NaN, as the sum does
    sum += difference;
  }
  const masks = [decide(reference, classes, threshold), decide(edge, classes, threshold)];
  const { agreement, dice } = compareMasks(masks[0], masks[1]);
  let foreground = 0;
  for (const label of masks[0]) if (label > 0) foreground += 1;
  return {
    name,
    probabilityError: largest,
    meanProbabilityError: sum / reference.length,
    maskAgreement: agreement,
    maskDice: dice,
    maskFraction: foreground / masks[0].length,
  };
}

/**
 * What lies outside the gate, as sentences; empty where it holds. A figure that is not finite is a breach, limited or not.
 * @param {Gate} gate
 * @param {Comparison} figures
 * @returns {string[]}
 */
export function breaches(gate, figures) {
  const { name, probabilityError, meanProbabilityError, maskAgreement, maskDice } = figures;
  /** @type {[string, number, number | null][]} */
  const errors = [
    ['largest probability error', probabilityError, gate.probability_error],
    ['mean probability error', meanProbabilityError, gate.mean_probability_error],
  ];
  /** @type {[string, number, number | null][]} */
  const likenesses = [
    ['mask agreement', maskAgreement, gate.mask_agreement],
    ['Dice between masks', maskDice, gate.mask_dice],
  ];
  const found = [];
  for (const [title, figure, limit] of errors) {
    if (!Number.isFinite(figure)) found.push(`${name}: ${title} ${figure}: outputs are not finite`);
    else if (limit !== null && figure > limit) found.push(`${name}: ${title} ${figure.toPrecision(3)} above ${limit}`);
  }
  for (const [title, figure, limit] of likenesses) {
    if (!Number.isFinite(figure)) found.push(`${name}: ${title} ${figure}: it is not finite`);
    else if (limit !== null && figure < limit) found.push(`${name}: ${title} ${figure.toFixed(6)} below ${limit}`);
  }
  return found;
}

/**
 * What of a whole self-test lies outside the gate: the breaches of every input, and that none shows the object. Where
 * the reference finds nothing, a network that never finds anything would pass too.
 * @param {Gate} gate
 * @param {Comparison[]} images
 * @returns {string[]}
 */
export function selfTestBreaches(gate, images) {
  const found = images.flatMap((figures) => breaches(gate, figures));
  if (!images.some(({ maskFraction }) => maskFraction > 0)) {
    found.push('the reference finds nothing on any golden input, and equal empty masks prove nothing');
  }
  return found;
}
