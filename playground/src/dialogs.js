/** Sheets over the page: the browser's own dialogs, which keep the focus and close on Esc. */

import { h, part, setText } from './dom.js';

for (const dialog of document.querySelectorAll('dialog')) {
  for (const button of dialog.querySelectorAll('[data-close]')) {
    button.addEventListener('click', () => dialog.close());
  }
  // Beside the sheet is outside of it.
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog && dialog.id !== 'token') dialog.close();
  });
}

/** @param {HTMLDialogElement} dialog */
export function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
}

/**
 * Asks for a title, or only whether to do something.
 *
 * @param {{ title: string, text?: string, yes: string, value?: string }} question
 * @returns {Promise<string | undefined>} what was entered; undefined if not
 */
export function ask({ title, text = '', yes, value }) {
  const dialog = part('ask', HTMLDialogElement);
  const input = part('ask-input', HTMLInputElement);
  const form = part('ask-form', HTMLFormElement);
  setText(part('ask-title', HTMLElement), title);
  setText(part('ask-text', HTMLElement), text);
  setText(part('ask-yes', HTMLElement), yes);
  part('ask-text', HTMLElement).hidden = text === '';
  part('ask-field', HTMLElement).hidden = value === undefined;
  part('ask-yes', HTMLElement).classList.toggle('danger', value === undefined);
  input.value = value ?? '';
  dialog.returnValue = '';
  openDialog(dialog);
  if (value !== undefined) input.select();
  return new Promise((resolve) => {
    part('ask-no', HTMLButtonElement).onclick = () => dialog.close();
    form.onsubmit = () => {
      dialog.returnValue = 'yes';
    };
    dialog.onclose = () => resolve(dialog.returnValue === 'yes' ? input.value.trim() : undefined);
  });
}

/**
 * Asks for a token.
 *
 * @param {string} why
 * @returns {Promise<string | undefined>}
 */
export function askForToken(why) {
  const dialog = part('token', HTMLDialogElement);
  const text = part('token-text', HTMLTextAreaElement);
  const error = part('token-error', HTMLElement);
  setText(part('token-why', HTMLElement), why);
  setText(error, '');
  text.value = '';
  openDialog(dialog);
  return new Promise((resolve) => {
    /** @type {string | undefined} */
    let token;
    part('token-cancel', HTMLButtonElement).onclick = () => dialog.close();
    part('token-form', HTMLFormElement).onsubmit = (event) => {
      const given = text.value.replace(/^\s*bearer\s/i, '').replace(/\s/g, '');
      if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(given)) token = given;
      else {
        event.preventDefault();
        setText(error, 'A token is three parts with dots between them. Was it copied whole?');
        text.focus();
      }
    };
    text.onkeydown = (event) => {
      if (event.key === 'Enter') {
        event.preventDefault();
        part('token-form', HTMLFormElement).requestSubmit();
      }
    };
    dialog.onclose = () => {
      text.value = '';
      resolve(token);
    };
  });
}

/** @type {[string[], string][]} */
const SHORTCUTS = [
  [['Enter'], 'Send'],
  [['Shift', 'Enter'], 'New line'],
  [['/'], 'To the prompt'],
  [['Alt', 'N'], 'New conversation'],
  [['Alt', 'K'], 'Search conversations'],
  [['Alt', 'P'], 'Parameters'],
  [['Alt', 'S'], 'Stop the answer'],
  [['Alt', 'X'], 'Cut the connection'],
  [['Alt', 'R'], 'Answer again'],
  [['Esc'], 'Close what is open'],
  [['?'], 'This list'],
];

export function showShortcuts() {
  const list = part('shortcuts-list', HTMLElement);
  const rows = SHORTCUTS.map(([keys, words]) =>
    h('div', {}, h('dt', {}, words), h('dd', {}, ...keys.map((key) => h('kbd', {}, key)))),
  );
  list.replaceChildren(...rows);
  openDialog(part('shortcuts', HTMLDialogElement));
}
