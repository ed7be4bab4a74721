/**
 * How large the pixels of a DICOM picture are, as the file says it and never guessed: s2m_edge/imaging/study/frames.py, and of
 * the regions of an ultrasound picture (PS3.3 C.8.5.5) s2m_edge/imaging/study/ultrasound.py.
 */

/**
 * A rectangle of pixels, without the row `bottom` and the column `right`.
 * @typedef {{ top: number, left: number, bottom: number, right: number }} Part
 */

/**
 * The size of a pixel in mm, of DICOM's PixelSpacing, of ImagerPixelSpacing, which is that of the detector, or of a region of
 * an ultrasound picture, which holds within that part of it.
 * @typedef {{ rows: number, columns: number, from: 'PixelSpacing' | 'ImagerPixelSpacing' | 'SequenceOfUltrasoundRegions', part: Part | null }} Spacing
 */

/**
 * What is known of the size of the pixels, and why nothing is where the file says something of it.
 * @typedef {{ spacing: Spacing | null, unmeasured: string }} Known
 */

/** @typedef {import('./dataset.js').DataSet} DataSet */

const SPACINGS = /** @type {const} */ ([['PixelSpacing', 0x00280030], ['ImagerPixelSpacing', 0x00181164]]);
const REGIONS = 0x00186011;
const REGION = {
  format: 0x00186012,
  left: 0x00186018,
  top: 0x0018601a,
  right: 0x0018601c,
  bottom: 0x0018601e,
  unitsAlong: 0x00186024,
  unitsDown: 0x00186026,
  along: 0x0018602c,
  down: 0x0018602e,
};
const CENTIMETRES = 3;
const TISSUE = 1; // a picture in two dimensions, no M-mode, spectrum, wave form or graphics

/**
 * @param {DataSet} file
 * @returns {Known}
 */
export function knownSpacing(file) {
  for (const [from, tag] of SPACINGS) {
    const found = file.numbers(tag);
    if (found.length === 2 && found.every((side) => Number.isFinite(side) && side > 0)) {
      return { spacing: { rows: found[0], columns: found[1], from, part: null }, unmeasured: '' };
    }
  }
  return ofRegions(file.items(REGIONS));
}

/**
 * That of the one two-dimensional region in centimetres both ways. Of several, or of one that another region lies over, none:
 * which of them a pixel belongs to would be a guess.
 * @param {DataSet[]} regions
 * @returns {Known}
 */
function ofRegions(regions) {
  const nothing = (/** @type {string} */ unmeasured) => ({ spacing: null, unmeasured });
  if (regions.length === 0) return nothing('');
  const measured = regions.filter(inCentimetres);
  if (measured.length !== 1) {
    const [count, are] = [measured.length || 'none', measured.length < 2 ? 'is' : 'are'];
    return nothing(
      `${count} of its ${regions.length} ultrasound regions ${are} a picture in centimetres both ways, and the pixels' size is taken where one is`,
    );
  }
  const part = partOf(measured[0]);
  const [down, along] = [measured[0].value(REGION.down, 'FD'), measured[0].value(REGION.along, 'FD')];
  if (!part || !down || !along) return nothing('its ultrasound region in centimetres has no place or no step that can be');
  const others = regions.filter((region) => region !== measured[0]).map(partOf);
  if (others.some((other) => !other || overlap(part, other))) {
    return nothing('another ultrasound region lies over the one in centimetres, or says no place');
  }
  return { spacing: { rows: 10 * Math.abs(down), columns: 10 * Math.abs(along), from: 'SequenceOfUltrasoundRegions', part }, unmeasured: '' };
}

/** @param {DataSet} region */
function inCentimetres(region) {
  const is = (/** @type {number} */ tag, /** @type {number} */ wanted) => whole(region, tag, 'US') === wanted;
  return is(REGION.unitsAlong, CENTIMETRES) && is(REGION.unitsDown, CENTIMETRES) && is(REGION.format, TISSUE);
}

/**
 * Where it lies: the file names its first and its last pixel.
 * @param {DataSet} region
 * @returns {Part | null}
 */
function partOf(region) {
  const [top, left, bottom, right] = [REGION.top, REGION.left, REGION.bottom, REGION.right].map((tag) => whole(region, tag, 'UL'));
  if (top === null || left === null || bottom === null || right === null || bottom <= top || right <= left) return null;
  return { top, left, bottom: bottom + 1, right: right + 1 };
}

/**
 * @param {DataSet} region
 * @param {number} tag
 * @param {string} standard
 */
function whole(region, tag, standard) {
  const found = region.value(tag, standard);
  return found === null ? null : Math.trunc(found);
}

/**
 * @param {Part} one
 * @param {Part} other
 */
function overlap(one, other) {
  const rows = Math.max(one.top, other.top) < Math.min(one.bottom, other.bottom);
  return rows && Math.max(one.left, other.left) < Math.min(one.right, other.right);
}
