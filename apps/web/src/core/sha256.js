/** SHA-256 by the browser's own Web Crypto. */

/**
 * @param {BufferSource} bytes
 * @returns {Promise<string>} in hexadecimal
 */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
