/** Areas and diameters in mm, where a file says how large its pixels are: s2m_edge/imaging/results/figures.py. */

/**
 * @typedef {import('./spacing.js').Spacing} Spacing
 * @typedef {{ areaMm2: number | null, diameterMm: number | null, unmeasured: string }} Figures of one class: no diameter where it
 *   has no pixel, and neither, with the reason, where it leaves the part that the spacing is of
 * @typedef {[row: number, column: number]} Point in mm
 */

/**
 * @param {Uint8Array} labels height x width
 * @param {number} height
 * @param {number} width
 * @param {Spacing} spacing
 * @param {number} classes
 * @returns {Figures[]} of the labels 1, 2, ...
 */
export function measure(labels, height, width, spacing, classes) {
  const figures = Array.from({ length: classes }, () => ({ pixels: 0, longest: -1 }));
  const beyond = spacing.part ? outsideOf(spacing.part, labels, width, classes) : new Array(classes).fill(0);
  const seen = new Uint8Array(labels.length);
  for (let at = 0; at < labels.length; at += 1) {
    const label = labels[at];
    if (label === 0 || seen[at]) continue;
    const { points, pixels } = piece(labels, seen, at, height, width, spacing);
    const entry = figures[label - 1];
    entry.pixels += pixels;
    entry.longest = Math.max(entry.longest, farthest(hull(points)));
  }
  return figures.map(({ pixels, longest }, place) => {
    if (beyond[place]) {
      const unmeasured = `${beyond[place]} of its pixels lie outside the part of the picture whose pixels have a known size`;
      return { areaMm2: null, diameterMm: null, unmeasured };
    }
    return { areaMm2: pixels * (spacing.rows * spacing.columns), diameterMm: longest < 0 ? null : longest, unmeasured: '' };
  });
}

/**
 * How many pixels of each class lie outside.
 * @param {import('./spacing.js').Part} part
 * @param {Uint8Array} labels
 * @param {number} width
 * @param {number} classes
 */
function outsideOf(part, labels, width, classes) {
  const counts = new Array(classes).fill(0);
  for (let at = 0; at < labels.length; at += 1) {
    if (labels[at] === 0) continue;
    const [row, column] = [Math.floor(at / width), at % width];
    const inside = row >= part.top && row < part.bottom && column >= part.left && column < part.right;
    if (!inside) counts[labels[at] - 1] += 1;
  }
  return counts;
}

/**
 * One piece, connected over corners too: how many pixels it has, and of its outline, which runs through the middles of the
 * edges between a pixel inside and one outside, the points that can be corners of the convex hull.
 * @param {Uint8Array} labels
 * @param {Uint8Array} seen marked
 * @param {number} start
 * @param {number} height
 * @param {number} width
 * @param {Spacing} spacing
 */
function piece(labels, seen, start, height, width, spacing) {
  const label = labels[start];
  /** @type {Map<number, [number, number]>} first and last column of each row */
  const rows = new Map();
  /** @type {Map<number, [number, number]>} first and last row of each column */
  const columns = new Map();
  const waiting = [start];
  let pixels = 0;
  seen[start] = 1;
  while (waiting.length > 0) {
    const at = /** @type {number} */ (waiting.pop());
    const [row, column] = [Math.floor(at / width), at % width];
    pixels += 1;
    widen(rows, row, column);
    widen(columns, column, row);
    for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y += 1) {
      for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x += 1) {
        const next = y * width + x;
        if (labels[next] !== label || seen[next]) continue;
        seen[next] = 1;
        waiting.push(next);
      }
    }
  }
  /** @type {Point[]} */
  const points = [];
  for (const [row, ends] of rows) for (const end of outside(ends)) points.push([row * spacing.rows, end * spacing.columns]);
  for (const [column, ends] of columns) for (const end of outside(ends)) points.push([end * spacing.rows, column * spacing.columns]);
  return { points, pixels };
}

/**
 * @param {Map<number, [number, number]>} lines
 * @param {number} line
 * @param {number} at
 */
function widen(lines, line, at) {
  const ends = lines.get(line);
  if (!ends) lines.set(line, [at, at]);
  else {
    ends[0] = Math.min(ends[0], at);
    ends[1] = Math.max(ends[1], at);
  }
}

/** @param {[number, number]} ends */
function outside([first, last]) {
  return [first - 0.5, last + 0.5];
}

/**
 * Corners of the convex hull (Andrew's monotone chain).
 * @param {Point[]} points
 */
function hull(points) {
  const sorted = [...points].sort(([a, b], [c, d]) => a - c || b - d);
  const turn = (/** @type {Point} */ [a, b], /** @type {Point} */ [c, d], /** @type {Point} */ [e, f]) => (c - a) * (f - b) - (d - b) * (e - a);
  const half = (/** @type {Point[]} */ ordered) => {
    /** @type {Point[]} */
    const kept = [];
    for (const point of ordered) {
      while (kept.length > 1 && turn(kept[kept.length - 2], kept[kept.length - 1], point) <= 0) kept.pop();
      kept.push(point);
    }
    return kept;
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** @param {Point[]} corners */
function farthest(corners) {
  let best = 0;
  corners.forEach(([a, b], at) => {
    for (const [c, d] of corners.slice(at + 1)) best = Math.max(best, (a - c) ** 2 + (b - d) ** 2);
  });
  return Math.sqrt(best);
}
