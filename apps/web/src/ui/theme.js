/** Light, dark, or as the system says. */

import { announce, button, recall, remember } from './page.js';

const THEMES = /** @type {const} */ (['system', 'light', 'dark']);

export function startTheme() {
  let current = Math.max(0, THEMES.findIndex((name) => name === recall('theme')));
  const apply = () => {
    const name = THEMES[current];
    if (name === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button('theme').setAttribute('aria-label', `Colours: ${name === 'system' ? 'as the system' : name}`);
    button('theme').querySelector('use')?.setAttribute('href', `#i-${name}`);
  };
  apply();
  button('theme').addEventListener('click', () => {
    current = (current + 1) % THEMES.length;
    remember('theme', THEMES[current]);
    apply();
    announce(button('theme').getAttribute('aria-label') ?? '');
  });
}
