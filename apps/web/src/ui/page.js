/** The page's elements, by id, and two ways to make new ones. Whatever is shown passes through here as plain text. */

import { plain } from './text.js';

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {string} id */
export const button = (id) => /** @type {HTMLButtonElement} */ (element(id));

/** @param {string} id */
export const input = (id) => /** @type {HTMLInputElement} */ (element(id));

/** @param {string} id */
export const select = (id) => /** @type {HTMLSelectElement} */ (element(id));

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [properties] set on it; `class` and `aria-*` as attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class' || name.includes('-')) made.setAttribute(name, plain(String(value)));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children.map((child) => (typeof child === 'string' ? plain(child) : child)));
  return made;
}

/**
 * Rows of a description list.
 * @param {HTMLElement} list
 * @param {[string, string][]} rows
 */
export function describe(list, rows) {
  list.replaceChildren(...rows.flatMap(([term, text]) => [make('dt', {}, term), make('dd', {}, text)]));
}

/**
 * Say something to whoever listens instead of looking.
 * @param {string} text
 */
export function announce(text) {
  element('announcer').textContent = plain(text);
}

const remembered = 's2m-edge-';

/**
 * What a person chose last time; null where there is nothing, or nothing may be stored.
 * @param {string} name
 */
export function recall(name) {
  try {
    return localStorage.getItem(remembered + name);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(remembered + name, value);
  } catch {
    // private windows may store nothing: the choice is then for this visit
  }
}
