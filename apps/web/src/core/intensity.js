/** How values deeper than 8 bits become levels: the rule of the network (s2m_edge/imaging/intensity.py). */

/**
 * "percentiles": what lies between two of them is spread over 0..255; "window": low to high in the values' own units.
 * @typedef {{ rule: 'percentiles' | 'window', low: number, high: number, over: 'slice' | 'volume' }} Intensity
 */

const LEVELS = 2 ** 16;

/**
 * @param {Uint16Array | Float64Array} values of all channels together
 * @param {Intensity} intensity
 * @param {Float64Array} [judged] whose percentiles count, where not all values' do
 * @returns {Uint8Array}
 */
export function spread(values, { rule, low, high }, judged) {
  if (values instanceof Float64Array) {
    return rule === 'window' ? levelsBetween(values, low, high) : levelsBetween(values, ...ranked(judged ?? values, low, high));
  }
  const [lowest, highest] = rule === 'window' ? [low, high] : percentiles(values, low, high);
  const table = new Uint8Array(LEVELS);
  if (highest > lowest) {
    for (let value = 0; value < LEVELS; value += 1) {
      table[value] = Math.floor(Math.min(255, Math.max(0, ((value - lowest) * 255) / (highest - lowest))) + 0.5);
    }
  }
  const levels = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at += 1) levels[at] = table[values[at]];
  return levels;
}

/**
 * `low` to `high` as 0..255, clipped, rounded half up; all 0 where there is nothing between them.
 * @param {Float64Array} values
 * @param {number} low
 * @param {number} high
 * @returns {Uint8Array}
 */
export function levelsBetween(values, low, high) {
  if (!(high > low)) return new Uint8Array(values.length);
  return Uint8Array.from(values, (value) => Math.floor(Math.min(255, Math.max(0, ((value - low) * 255) / (high - low))) + 0.5));
}

/**
 * By nearest rank: values that occur.
 * @param {Float64Array} values
 * @param {number} low in percent
 * @param {number} high
 * @returns {[number, number]}
 */
function ranked(values, low, high) {
  const sorted = values.slice().sort();
  const at = (/** @type {number} */ percent) => sorted[Math.floor((percent / 100) * (values.length - 1) + 0.5)];
  return [at(low), at(high)];
}

/**
 * By nearest rank: values that occur.
 * @param {Uint16Array} values
 * @param {number} low in percent
 * @param {number} high
 */
function percentiles(values, low, high) {
  const counts = new Uint32Array(LEVELS);
  for (const value of values) counts[value] += 1;
  return [low, high].map((percent) => {
    const rank = Math.floor((percent / 100) * (values.length - 1) + 0.5);
    let value = 0;
    for (let before = counts[0]; before <= rank; before += counts[value]) value += 1;
    return value;
  });
}
