/** Ends somebody's stream, if that is really meant, and says what came of it. */

/** @import { LiveStream } from './shapes.js' */

import { h, part, setText } from '../../src/dom.js';
import { counted, lasting, short } from './words.js';

const dialog = part('cancel', HTMLDialogElement);
const outcome = part('outcome', HTMLElement);

/** For how long an outcome stands there. What went wrong stands until somebody closes it. */
const SHOWN_MS = 12_000;

/** @type {number | undefined} */
let hiding;

part('outcome-close', HTMLButtonElement).addEventListener('click', () => {
  outcome.hidden = true;
});

/**
 * @param {string} words
 * @param {'done' | 'wrong'} look
 */
function say(words, look) {
  outcome.hidden = false;
  outcome.dataset.look = look;
  setText(part('outcome-words', HTMLElement), words);
  clearTimeout(hiding);
  if (look === 'wrong') return;
  hiding = setTimeout(() => {
    outcome.hidden = true;
  }, SHOWN_MS);
}

/**
 * Whether nothing can be cancelled, since there is no news of the server.
 *
 * @param {boolean} isOff
 */
export function turnCancelOff(isOff) {
  part('cancel-yes', HTMLButtonElement).disabled = isOff;
  part('cancel-off', HTMLElement).hidden = !isOff;
}

/** @param {LiveStream} stream */
function isMeant({ id, owner, issuer, model, plan, age_ms: age, tokens }) {
  const facts = Object.entries({ Stream: h('code', {}, id), Owner: owner, ...(issuer ? { Issuer: issuer } : {}), Model: model, Plan: plan });
  const about = facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
  part('cancel-stream', HTMLElement).replaceChildren(...about);
  const text = `It was asked for ${lasting(age / 1000)} ago, and ${counted(tokens, 'token')} have come.`;
  setText(part('cancel-text', HTMLElement), text);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  });
}

/**
 * @param {LiveStream} stream
 * @param {string} token
 */
export async function cancelStream(stream, token) {
  if (!(await isMeant(stream))) return;
  const name = `the stream ${short(stream.id)} of ${stream.owner}`;
  try {
    const path = `/v1/streams/${encodeURIComponent(stream.id)}/cancel`;
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(path, { method: 'POST', headers, signal: AbortSignal.timeout(10_000) });
    const answer = await response.json();
    if (response.ok) {
      const late = answer.finish_reason && answer.finish_reason !== 'cancelled';
      say(late ? `Nothing to cancel: ${name} had ended by itself.` : `Cancelled ${name}.`, 'done');
    } else if (response.status === 404 || response.status === 410) {
      say(`Nothing to cancel: ${name} is gone.`, 'done');
    } else {
      say(`Could not cancel ${name}: ${answer.message ?? `the server answered ${response.status}`}.`, 'wrong');
    }
  } catch {
    say(`Could not cancel ${name}: the server did not answer. It may run on.`, 'wrong');
  }
}
