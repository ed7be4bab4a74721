/** The stage: one or two panes, each a picture with two transparent layers above it; progress; what is refused. */

import { button, element, make } from './page.js';
import { plain } from './text.js';

/** @typedef {{ figure: HTMLElement, view: HTMLElement, layers: Record<'picture' | 'fill' | 'line', HTMLCanvasElement>, caption: HTMLElement }} Pane */

/** @type {Pane[]} */
let panes = [];

/**
 * As many panes as models are shown.
 * @param {number} count
 */
export function setPanes(count) {
  if (panes.length === count) return;
  panes = Array.from({ length: count }, makePane);
  const host = element('panes');
  host.dataset.count = String(count);
  host.replaceChildren(...panes.map(({ figure }) => figure));
}

/** @returns {Pane} */
function makePane() {
  const layer = (/** @type {string} */ name) => /** @type {HTMLCanvasElement} */ (make('canvas', { class: name }));
  const layers = { picture: layer('picture'), fill: layer('fill'), line: layer('line') };
  const view = make('div', { class: 'view', role: 'img' }, layers.picture, layers.fill, layers.line);
  const caption = make('figcaption');
  return { figure: make('figure', { class: 'pane' }, view, caption), view, layers, caption };
}

/**
 * Show a picture in every pane. Its masks, if there are any, come later: what was there of another picture goes.
 * @param {ImageBitmap} bitmap
 * @param {string} name
 */
export async function showPicture(bitmap, name) {
  const copies = await Promise.all(panes.slice(1).map(() => createImageBitmap(bitmap)));
  const shape = [bitmap.width, bitmap.height];
  [bitmap, ...copies].forEach((picture, index) => {
    const { layers, view, caption } = panes[index];
    view.style.setProperty('--ratio', String(shape[0] / shape[1]));
    put(layers.picture, picture);
    clear(layers.fill);
    clear(layers.line);
    caption.replaceChildren();
    view.setAttribute('aria-label', plain(`${name}, no mask yet`));
  });
  element('stage').dataset.empty = 'false';
  element('welcome').hidden = true;
}

/**
 * Lay one model's mask over the picture of its pane.
 * @param {number} index
 * @param {import('../worker/index.js').Answer} answer
 * @param {string} label for those who do not see it
 * @param {string} title
 * @param {string[]} facts
 */
export function showMask(index, answer, label, title, facts) {
  const { layers, view, caption } = panes[index];
  put(layers.fill, answer.fill);
  put(layers.line, answer.line);
  view.setAttribute('aria-label', plain(label));
  caption.replaceChildren(make('strong', {}, title), ...facts.map((fact) => make('span', {}, fact)));
}

/** Take every mask away. */
export function clearMasks() {
  for (const { layers, caption, view } of panes) {
    clear(layers.fill);
    clear(layers.line);
    caption.replaceChildren();
    view.setAttribute('aria-label', 'Picture without a mask');
  }
}

/**
 * @param {string} style both, outline, fill or none
 * @param {number} opacity 0..1
 */
export function setStyle(style, opacity) {
  const host = element('panes');
  host.style.setProperty('--fill', String(['both', 'fill'].includes(style) ? opacity : 0));
  host.style.setProperty('--outline', String(style === 'both' ? 1 : style === 'outline' ? opacity : 0));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap} bitmap handed over
 */
function put(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap);
}

/** @param {HTMLCanvasElement} canvas */
function clear(canvas) {
  canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(null);
}

/**
 * @param {string} text nothing: no progress to be seen
 * @param {number} [fraction] unknown where left out
 * @param {boolean} [stoppable] whether a person may end it
 */
export function showProgress(text, fraction, stoppable = false) {
  const focused = document.activeElement === button('stop');
  element('progress').hidden = text === '';
  button('stop').hidden = !stoppable;
  if (focused && !stoppable) element('stage').focus(); // what had the focus is gone
  if (element('progress-text').textContent !== plain(text)) element('progress-text').textContent = plain(text);
  const bar = /** @type {HTMLProgressElement} */ (element('progress-bar'));
  if (fraction === undefined) bar.removeAttribute('value');
  else bar.value = fraction;
}

/**
 * @param {string} text nothing: masks are shown
 * @param {string} [title]
 */
export function showRefusal(text, title = 'No masks are shown') {
  element('refusal-title').textContent = plain(title);
  element('refusal').hidden = text === '';
  element('refusal-text').textContent = plain(text);
}

/** @param {string} text nothing: nothing to say */
export function showMessage(text) {
  element('message').hidden = text === '';
  element('message-text').textContent = plain(text);
}
