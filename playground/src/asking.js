/**
 * What is asked of the server, and the answer to it before anything has come.
 *
 * @import { Answer, Message } from './model.js'
 */

import { newFigures } from './figures.js';
import { newId } from './store.js';

/**
 * @typedef {object} Parameters
 * @property {string | undefined} model
 * @property {boolean} isDemo
 * @property {string} system
 * @property {(more: Record<string, string>) => Partial<import('../client/shapes.js').CreateStream>} fields
 */

/**
 * @param {string} conversation
 * @param {Message[]} messages its messages so far
 * @param {Parameters} parameters
 * @param {Record<string, string>} knobs
 * @param {{ seed?: number }} over over the parameters
 * @returns {Answer}
 */
export function newAnswer(conversation, messages, { model, system, fields }, knobs, over) {
  return {
    role: 'assistant',
    id: newId(),
    conversation,
    ...placeAfter(messages.at(-1)),
    status: 'running',
    request: {
      ...(model !== undefined && { model }),
      messages: [
        ...(system ? [{ role: /** @type {const} */ ('system'), content: system }] : []),
        ...messages
          .filter(({ text }) => text !== '')
          .map(({ role, text }) => ({ role, content: text })),
      ],
      ...fields(knobs),
      ...over,
      on_disconnect: 'continue',
    },
    key: newId(),
    model: model ?? 'model',
    stream: null,
    seq: -1,
    reasoning: '',
    reasoningMs: 0,
    text: '',
    refusal: '',
    tools: [],
    finish: null,
    trouble: null,
    figures: newFigures(performance.timeOrigin + performance.now()),
  };
}

/**
 * The place of a message that is made now.
 *
 * @param {Message | undefined} message what it comes after
 * @returns {import('./model.js').Place}
 */
export function placeAfter(message) {
  const now = Date.now();
  return { parent: message?.id ?? null, made: now, chosen: now };
}

/**
 * Whether nothing has come of an answer.
 *
 * @param {Answer} answer
 */
export function isEmpty({ text, reasoning, refusal, tools }) {
  return text === '' && reasoning === '' && refusal === '' && tools.length === 0;
}

/**
 * Forgets what has come of an answer, for its stream is to be read from the start.
 *
 * @param {Answer} answer
 */
export function readAnew(answer) {
  Object.assign(answer, { seq: -1, reasoning: '', reasoningMs: 0, text: '', refusal: '', tools: [] });
  answer.figures = newFigures(performance.timeOrigin + performance.now());
}
