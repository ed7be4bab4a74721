/** What stands in for the network and its runtime: apps/vectors/README.md defines it. */

import { contractOf } from './bundles.js';
import { parseContract } from '../../src/core/contract.js';

/**
 * @param {Uint8Array} fitted height x width x channels
 * @param {{ height: number, width: number, channels: number }} preprocessing
 * @param {number} outputs
 * @returns {Float32Array} outputs x height x width
 */
export function standIn(fitted, { height, width, channels }, outputs) {
  const result = new Float32Array(outputs * height * width);
  for (let output = 0, at = 0; output < outputs; output += 1) {
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1, at += 1) {
        const level = fitted[(row * width + column) * channels];
        result[at] = (((level * (output + 1)) % 256) / 256) * ((((31 * row + 17 * column + 5 * output) % 64) + 1) / 64);
      }
    }
  }
  return result;
}

/**
 * A model whose session is the stand-in, fed by the contract as any other.
 * @param {any} preprocessing
 * @param {number} outputs
 * @param {number} threshold
 * @param {(values: Float32Array, run: number) => { values: unknown, shape?: number[] }} [spoil] what it answers instead
 * @returns {any}
 */
export function standInModel(preprocessing, outputs, threshold, spoil = (values) => ({ values })) {
  const { height, width, channels } = preprocessing;
  const shape = [1, outputs, height, width];
  const values = contractOf('sound');
  values.preprocessing = preprocessing;
  values.input.colour = channels === 3 ? 'RGB' : 'grey';
  values.output = { ...values.output, shape, activation: outputs === 1 ? 'sigmoid' : 'softmax' };
  values.postprocessing.threshold = threshold;
  values.classes = Array.from({ length: Math.max(1, outputs - 1) }, (_, place) => ({ name: `c${place}`, colour: [place, 0, 0] }));
  const contract = parseContract(values);
  let runs = 0;
  const run = async (/** @type {Uint8Array} */ planes) => {
    const area = height * width;
    const fitted = Uint8Array.from(planes, (_, at) => planes[(at % channels) * area + Math.floor(at / channels)]);
    runs += 1;
    return { shape, ...spoil(standIn(fitted, preprocessing, outputs), runs) };
  };
  return { bundle: { contract }, session: { run } };
}
