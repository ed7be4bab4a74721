/** Numbers and names for people. */

/**
 * Text of others (names of files, of networks, of classes) without control characters and without those that turn the
 * direction of writing, which could make one name look like another.
 * @param {string} text
 */
export function plain(text) {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** @param {number} value */
export function grouped(value) {
  return value.toLocaleString('en-GB');
}

/**
 * Area and longest line of a class.
 * @param {import('../core/figures.js').Figures} figures
 */
export function millimetresOf({ areaMm2, diameterMm, unmeasured }) {
  if (areaMm2 === null) return `not in mm: ${unmeasured}`;
  const one = (/** @type {number} */ value) => value.toLocaleString('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${one(areaMm2)} mm²${diameterMm === null ? '' : `, ${one(diameterMm)} mm across`}`;
}

/** @param {import('../core/spacing.js').Spacing} spacing */
export function spacingSentence({ rows, columns, from }) {
  const size = `Pixels of ${Number(rows.toPrecision(4))} x ${Number(columns.toPrecision(4))} mm (${from})`;
  if (from === 'ImagerPixelSpacing') return `${size}: at the detector; in the body they are smaller.`;
  return from === 'PixelSpacing' ? `${size}.` : `${size}, in the one region of the picture that says so.`;
}

/** @param {number} fraction 0..1 */
export function percent(fraction) {
  if (fraction > 0 && fraction < 0.0005) return '< 0.1 %';
  return `${(fraction * 100).toFixed(1)} %`;
}

/** @param {number} value in milliseconds */
export function seconds(value) {
  return `${(value / 1000).toFixed(1)} s`;
}

/** @param {number} value */
export function milliseconds(value) {
  if (value >= 10_000) return seconds(value);
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {number} value a figure of the self-test */
export function scientific(value) {
  return Number.isFinite(value) ? value.toExponential(1) : String(value);
}

/**
 * With a capital at its beginning, unless it begins with a file's name.
 * @param {string} text
 */
export function sentence(text) {
  if (/^\S*\.\S/.test(text)) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * A network's name for people: "Polyp 352" of s2mnet-polyp-352.
 * @param {string} name of the contract
 */
export function networkName(name) {
  return sentence(name.replace(/^s2mnet-/, '').replaceAll('-', ' '));
}

/**
 * What a precision means here: with half-precision weights alone the arithmetic is still in single precision.
 * @param {string} precision
 */
export function precisionName(precision) {
  return { float16: 'float16 weights', 'float16-mixed': 'float16 arithmetic' }[precision] ?? precision;
}

/**
 * @param {import('../worker/models.js').SelfTest} test
 */
export function providerName({ provider, threads, arithmetic }) {
  const name = provider === 'webgpu' ? 'WebGPU' : `WebAssembly, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return arithmetic ? `${name}, in ${arithmetic}` : name;
}

/**
 * What is said of an unusual picture.
 * @param {import('../core/guard.js').GuardVerdict} verdict
 */
export function warningOf({ score, threshold }) {
  const figures = `score ${score.toFixed(1)}, usual up to ${threshold.toFixed(1)}`;
  return `Warning: this picture looks unlike the pictures this network was trained on (${figures}); the mask may mean nothing.`;
}

/** @param {string} file of a sample */
export function sampleName(file) {
  const [domain, ...rest] = file.replace(/\.\w+$/, '').split('-');
  const digits = rest.join('-').match(/(\d+)\w*$/);
  return `${sentence(domain)} ${digits ? Number(digits[1]) : ''}`.trim();
}
