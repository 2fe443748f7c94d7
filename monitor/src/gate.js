/** Asks for the token, and says what was wrong with the last one. */

import { part, setText } from '../../src/dom.js';
import { tokenIn } from './token.js';

/** @import { Refusal } from './feed.js' */

const gate = part('gate', HTMLElement);
const text = part('gate-token', HTMLTextAreaElement);
const error = part('gate-error', HTMLElement);
const form = part('gate-form', HTMLFormElement);

/**
 * @param {Refusal} refusal
 * @returns {string}
 */
function words({ status, code, message }) {
  if (status === 403) return `This token is valid, and does not allow this: ${message}.`;
  if (status === 404) return `There is nothing to watch: ${message}.`;
  if (code === 'token_expired') return 'The token has expired. With another one, everything goes on.';
  const how = 'If the server has keys in its configuration file, that is FILE in the command above.';
  return `The server does not accept this token: ${message}. ${how}`;
}

/**
 * @param {(token: string) => void} use
 */
export function startGate(use) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const token = tokenIn(text.value);
    if (!token) {
      setText(error, 'A token is three parts with dots between them. Was it copied whole?');
      text.focus();
      return;
    }
    text.value = '';
    use(token);
  });
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    form.requestSubmit();
  });
}

/** @param {Refusal} [refusal] */
export function showGate(refusal) {
  gate.hidden = false;
  setText(error, refusal ? words(refusal) : '');
  text.focus();
}

export function hideGate() {
  gate.hidden = true;
}
