/** 8-bit grey PNG, so that a saved mask holds its labels and nothing else; as `s2m-edge predict` writes it. */

export const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/**
 * @param {string} kind four letters
 * @param {Uint8Array} content
 */
function chunk(kind, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  for (let at = 0; at < 4; at += 1) bytes[4 + at] = kind.charCodeAt(at);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

/**
 * @param {Uint8Array} labels height x width
 * @param {number} height
 * @param {number} width
 * @param {number} classes output channels: with one, 1 is written as 255
 * @returns {Promise<Blob>} image/png
 */
export async function maskPng(labels, height, width, classes) {
  const rows = new Uint8Array(height * (width + 1)); // each row is led by its filter, 0: none
  for (let row = 0; row < height; row += 1) {
    const line = labels.subarray(row * width, (row + 1) * width);
    rows.set(classes === 1 ? line.map((label) => label * 255) : line, row * (width + 1) + 1);
  }
  const deflated = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'));
  const content = new Uint8Array(await new Response(deflated).arrayBuffer());
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 0, 0, 0, 0], 8); // 8 bits, grey, deflate, adaptive filters, not interlaced
  const parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', header), chunk('IDAT', content)];
  return new Blob([...parts, chunk('IEND', new Uint8Array(0))], { type: 'image/png' });
}
