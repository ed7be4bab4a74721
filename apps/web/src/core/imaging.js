/**
 * Before and after the network, exactly as the deployment contract says. The definition is Python's
 * (s2m_edge/imaging/resample.py, preprocess.py, overlay.py); apps/vectors holds this module to it.
 *
 * Sums run in double precision and are rounded to float32 where the definition has float32 arrays.
 */

/**
 * Weights of one axis: for target i the sources first[i] .. first[i] + weights[i].length - 1.
 * @typedef {{ first: Int32Array, weights: Float32Array[] }} Taps
 */

/**
 * Before the network, from the contract; height and width are of the network's input. `window` says how it slides over
 * the picture; null: the whole picture is stretched.
 * @typedef {{
 *   height: number, width: number, channels: number, scale: number, mean: number[], standard_deviation: number[],
 *   intensity: import('./intensity.js').Intensity, fit: 'stretch' | 'window', window: import('./window.js').Window | null,
 * }} Preprocessing
 */

const LUMA = [Math.fround(0.299), Math.fround(0.587), Math.fround(0.114)];
const PIXELS_PER_OUTLINE = 250;

/**
 * A triangle of radius max(1, in / out) around (i + 0.5) * in / out - 0.5; weights sum to one.
 * @param {number} length source length
 * @param {number} newLength target length
 * @returns {Taps}
 */
export function resampleTaps(length, newLength) {
  const scale = length / newLength;
  const radius = Math.max(1, scale);
  const first = new Int32Array(newLength);
  const weights = [];
  for (let target = 0; target < newLength; target += 1) {
    const centre = (target + 0.5) * scale - 0.5;
    const start = Math.max(0, Math.ceil(centre - radius));
    const end = Math.min(length - 1, Math.floor(centre + radius));
    const row = [];
    let sum = 0;
    for (let source = start; source <= end; source += 1) {
      const weight = Math.max(0, 1 - Math.abs(source - centre) / radius);
      row.push(weight);
      sum += weight;
    }
    first[target] = start;
    weights.push(Float32Array.from(row, (weight) => weight / sum));
  }
  return { first, weights };
}

/**
 * Columns of one plane: height x width to height x newWidth. Sums are of doubles, rounded to float32 once, at the end:
 * rounded in between, a pixel half-way between two levels would be one in this language and the other in the next.
 * @param {Float32Array | Float64Array} plane
 * @param {number} height
 * @param {number} width
 * @param {Taps} taps
 * @returns {Float64Array}
 */
function resampleColumns(plane, height, width, taps) {
  const newWidth = taps.weights.length;
  const result = new Float64Array(height * newWidth);
  for (let column = 0; column < newWidth; column += 1) {
    const weights = taps.weights[column];
    const count = weights.length;
    let source = taps.first[column];
    let target = column;
    for (let row = 0; row < height; row += 1) {
      let sum = 0;
      for (let tap = 0; tap < count; tap += 1) sum += weights[tap] * plane[source + tap];
      result[target] = sum;
      source += width;
      target += newWidth;
    }
  }
  return result;
}

/**
 * One row of a plane resampled along its height, into `result`, float32.
 * @param {Float64Array} plane
 * @param {number} width
 * @param {Taps} taps
 * @param {number} row
 * @param {Float32Array} result width values
 */
function resampleRow(plane, width, taps, row, result) {
  const weights = taps.weights[row];
  const start = taps.first[row] * width;
  for (let column = 0; column < width; column += 1) {
    let sum = 0;
    let source = start + column;
    for (let tap = 0; tap < weights.length; tap += 1) {
      sum += weights[tap] * plane[source];
      source += width;
    }
    result[column] = sum;
  }
}

/**
 * One plane resampled, the columns first, float32.
 * @param {Float32Array} plane height x width
 * @param {number} height
 * @param {number} width
 * @param {number} newHeight
 * @param {number} newWidth
 * @returns {Float32Array} newHeight x newWidth
 */
export function resample(plane, height, width, newHeight, newWidth) {
  const narrowed = resampleColumns(plane, height, width, resampleTaps(width, newWidth));
  const rows = resampleTaps(height, newHeight);
  const result = new Float32Array(newHeight * newWidth);
  for (let row = 0; row < newHeight; row += 1) {
    resampleRow(narrowed, newWidth, rows, row, result.subarray(row * newWidth, (row + 1) * newWidth));
  }
  return result;
}

/**
 * One channel of an RGBA picture; with `channels` 1 its ITU-R BT.601 luma, not rounded, which doubles hold exactly.
 * @param {Uint8Array | Uint8ClampedArray} rgba
 * @param {number} channel
 * @param {number} channels
 * @returns {Float32Array | Float64Array}
 */
function planeOf(rgba, channel, channels) {
  const count = rgba.length / 4;
  const plane = channels === 1 ? new Float64Array(count) : new Float32Array(count);
  for (let pixel = 0, at = 0; pixel < count; pixel += 1, at += 4) {
    plane[pixel] =
      channels === 1 ? LUMA[0] * rgba[at] + LUMA[1] * rgba[at + 1] + LUMA[2] * rgba[at + 2] : rgba[at + channel];
  }
  return plane;
}

/**
 * Stretch a picture to the network's size.
 * @param {Uint8Array | Uint8ClampedArray} rgba height x width x 4; alpha is dropped
 * @param {number} height
 * @param {number} width
 * @param {Preprocessing} preprocessing
 * @returns {Uint8Array} the network's height x width x channels, rounded half up
 */
export function fitToNetwork(rgba, height, width, preprocessing) {
  const { height: newHeight, width: newWidth, channels } = preprocessing;
  const fitted = new Uint8Array(newHeight * newWidth * channels);
  if (height === newHeight && width === newWidth) {
    for (let channel = 0; channel < channels; channel += 1) {
      putRow(Float32Array.from(planeOf(rgba, channel, channels)), fitted, channel, channels);
    }
    return fitted;
  }
  const columns = resampleTaps(width, newWidth);
  const rows = resampleTaps(height, newHeight);
  const line = new Float32Array(newWidth);
  for (let channel = 0; channel < channels; channel += 1) {
    const narrowed = resampleColumns(planeOf(rgba, channel, channels), height, width, columns);
    for (let row = 0; row < newHeight; row += 1) {
      resampleRow(narrowed, newWidth, rows, row, line);
      putRow(line, fitted, row * newWidth * channels + channel, channels);
    }
  }
  return fitted;
}

/**
 * Values of one channel, rounded half up to 8 bits.
 * @param {Float32Array} values
 * @param {Uint8Array} fitted
 * @param {number} start
 * @param {number} channels
 */
function putRow(values, fitted, start, channels) {
  for (let place = 0, at = start; place < values.length; place += 1, at += channels) {
    fitted[at] = Math.floor(Math.min(255, Math.max(0, values[place])) + 0.5);
  }
}

/**
 * The network's float32 input, 1 x channels x height x width: (fitted * scale - mean) / standard deviation.
 * @param {Uint8Array} fitted height x width x channels
 * @param {Preprocessing} preprocessing
 * @returns {Float32Array}
 */
export function normalise(fitted, preprocessing) {
  const { height, width, channels } = preprocessing;
  const scale = Math.fround(preprocessing.scale);
  const area = height * width;
  const planes = new Float32Array(area * channels);
  for (let channel = 0; channel < channels; channel += 1) {
    const mean = Math.fround(preprocessing.mean[channel]);
    const deviation = Math.fround(preprocessing.standard_deviation[channel]);
    const table = new Float32Array(256);
    for (let level = 0; level < 256; level += 1) {
      table[level] = Math.fround(Math.fround(level * scale) - mean) / deviation;
    }
    const offset = channel * area;
    for (let pixel = 0, at = channel; pixel < area; pixel += 1, at += channels) {
      planes[offset + pixel] = table[fitted[at]];
    }
  }
  return planes;
}

/**
 * Labels from probabilities of one size: with one class 1 where p >= threshold, else the first of the largest.
 * @param {Float32Array} probabilities classes x height x width
 * @param {number} classes
 * @param {number} threshold
 * @returns {Uint8Array}
 */
export function decide(probabilities, classes, threshold) {
  const area = probabilities.length / classes;
  const labels = new Uint8Array(area);
  if (classes === 1) {
    const limit = Math.fround(threshold);
    for (let pixel = 0; pixel < area; pixel += 1) labels[pixel] = probabilities[pixel] >= limit ? 1 : 0;
    return labels;
  }
  for (let pixel = 0; pixel < area; pixel += 1) {
    let best = 0;
    let largest = probabilities[pixel];
    for (let label = 1, at = pixel + area; label < classes; label += 1, at += area) {
      if (probabilities[at] > largest) {
        largest = probabilities[at];
        best = label;
      }
    }
    labels[pixel] = best;
  }
  return labels;
}

/**
 * Labels in the picture's own size: probabilities are resampled first, then decided.
 * @param {Float32Array} probabilities of the network's output
 * @param {number[]} shape of the output: 1, classes, and the network's height and width
 * @param {number} height of the picture
 * @param {number} width
 * @param {number} threshold
 * @returns {Uint8Array} height x width
 */
export function maskInOriginalSize(probabilities, [, classes, oldHeight, oldWidth], height, width, threshold) {
  if (height === oldHeight && width === oldWidth) return decide(probabilities, classes, threshold);
  const columns = resampleTaps(oldWidth, width);
  const rows = resampleTaps(oldHeight, height);
  const area = oldHeight * oldWidth;
  const planes = [];
  for (let label = 0; label < classes; label += 1) {
    const plane = probabilities.subarray(label * area, (label + 1) * area);
    planes.push(resampleColumns(plane, oldHeight, oldWidth, columns));
  }
  const labels = new Uint8Array(height * width);
  const lines = new Float32Array(classes * width);
  for (let row = 0; row < height; row += 1) {
    for (let label = 0; label < classes; label += 1) {
      resampleRow(planes[label], width, rows, row, lines.subarray(label * width, (label + 1) * width));
    }
    labels.set(decide(lines, classes, threshold), row * width);
  }
  return labels;
}

/**
 * How many pixels have each label, background first.
 * @param {Uint8Array} labels
 * @param {number} count number of labels
 * @returns {number[]}
 */
export function countLabels(labels, count) {
  const counts = new Array(count).fill(0);
  for (let pixel = 0; pixel < labels.length; pixel += 1) counts[labels[pixel]] += 1;
  return counts;
}

/**
 * Pixels that an outline is drawn with.
 * @param {number} height
 * @param {number} width
 * @returns {number}
 */
export function outlineThickness(height, width) {
  const exact = Math.min(height, width) / PIXELS_PER_OUTLINE;
  const rounded = exact % 1 === 0.5 ? 2 * Math.round(exact / 2) : Math.round(exact); // half to even, as Python rounds
  return Math.max(1, rounded);
}

/**
 * The label where a pixel lies within `thickness` steps of another label, else 0. The picture's edge is no border.
 * @param {Uint8Array} labels height x width
 * @param {number} height
 * @param {number} width
 * @param {number} thickness
 * @returns {Uint8Array}
 */
export function outline(labels, height, width, thickness) {
  let inner = labels.slice();
  for (let step = 0; step < thickness; step += 1) {
    const before = inner.slice();
    for (let row = 0, at = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1, at += 1) {
        const label = before[at];
        if (label === 0) continue;
        const inside =
          (row === 0 || before[at - width] === label) &&
          (row === height - 1 || before[at + width] === label) &&
          (column === 0 || before[at - 1] === label) &&
          (column === width - 1 || before[at + 1] === label);
        if (!inside) inner[at] = 0;
      }
    }
  }
  const result = labels.slice();
  for (let at = 0; at < result.length; at += 1) if (inner[at] !== 0) result[at] = 0;
  return result;
}
