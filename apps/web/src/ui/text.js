/** Numbers and names for people. */

/** @param {number} value */
export function grouped(value) {
  return value.toLocaleString('en-GB');
}

/** @param {number} fraction 0..1 */
export function percent(fraction) {
  if (fraction > 0 && fraction < 0.0005) return '< 0.1 %';
  return `${(fraction * 100).toFixed(1)} %`;
}

/** @param {number} value */
export function milliseconds(value) {
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
 * A network's name from its checkpoint's file: "Polyp 352" of s2mnet-polyp-352.safetensors.
 * @param {string} file
 */
export function networkName(file) {
  const stem = file.replace(/\.safetensors$/, '').replace(/^s2mnet-/, '').replace(/-int8$/, '');
  return sentence(stem.replaceAll('-', ' '));
}

/**
 * What a precision means here: with half-precision weights the arithmetic is still in single precision.
 * @param {string} precision
 */
export function precisionName(precision) {
  return precision === 'float16' ? 'float16 weights' : precision;
}

/**
 * @param {import('../worker/models.js').SelfTest} test
 */
export function providerName({ provider, threads }) {
  if (provider === 'webgpu') return 'WebGPU';
  return `WebAssembly, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}

/** @param {string} file of a sample */
export function sampleName(file) {
  const [domain, ...rest] = file.replace(/\.\w+$/, '').split('-');
  const digits = rest.join('-').match(/(\d+)\w*$/);
  return `${sentence(domain)} ${digits ? Number(digits[1]) : ''}`.trim();
}
