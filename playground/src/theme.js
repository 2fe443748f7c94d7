/** Light, dark, or as the system has it. */

import { part, setIcon } from './dom.js';
import { announce } from './announce.js';

const KEY = 'tailrace.theme';
const THEMES = /** @type {const} */ (['auto', 'light', 'dark']);
const WORDS = { auto: 'as the system has it', light: 'light', dark: 'dark' };
const ICONS = { auto: 'auto', light: 'sun', dark: 'moon' };

export function startTheme() {
  const button = part('theme', HTMLButtonElement);
  const kept = localStorage.getItem(KEY);
  let theme = THEMES.find((name) => name === kept) ?? 'auto';
  const apply = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    setIcon(button, ICONS[theme]);
    const label = `Colours: ${WORDS[theme]}`;
    button.setAttribute('aria-label', label);
    button.title = label;
  };
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'auto';
    localStorage.setItem(KEY, theme);
    apply();
    announce(`Colours: ${WORDS[theme]}`);
  });
  apply();
}
