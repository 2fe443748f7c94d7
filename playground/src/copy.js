/** Copying, with a word that it was done. */

import { h, icon, setIcon } from './dom.js';
import { announce } from './announce.js';

const SHOWN_MS = 1600;

/**
 * @param {() => string} text
 * @param {string} label
 */
export function copyButton(text, label) {
  const button = h('button', { type: 'button', class: 'icon small', 'aria-label': label, title: label }, icon('copy'));
  button.addEventListener('click', async () => {
    const done = await copy(text());
    setIcon(button, done ? 'check' : 'alert');
    announce(done ? 'Copied' : 'Copying is not possible here');
    setTimeout(() => setIcon(button, 'copy'), SHOWN_MS);
  });
  return button;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages of plain http origins have no clipboard, but can copy what is selected.
    const area = h('textarea', { class: 'visually-hidden', value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
