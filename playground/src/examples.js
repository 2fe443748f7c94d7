/** What a visitor may begin with. */

import { h, part } from './dom.js';

/**
 * @typedef {object} Example
 * @property {string} prompt
 * @property {string} hint
 * @property {Record<string, string>} knobs of the demonstration model
 */

/** For the demonstration model: each shows something of the server. @type {Example[]} */
const DEMO = [
  { prompt: 'Tell me about lighthouse keepers', hint: 'A list, some code, a table', knobs: {} },
  {
    prompt: 'Explain how rivers find the sea',
    hint: 'Slow enough to cut it, or to reload',
    knobs: { 'demo.tokens_per_second': '14' },
  },
  {
    prompt: 'Explain the colour of the sea',
    hint: 'It thinks before it speaks',
    knobs: { 'demo.reasoning': '60', 'demo.tokens_per_second': '30' },
  },
  {
    prompt: 'Tell me about broken dams',
    hint: 'The model fails half-way, and says so',
    knobs: { 'demo.fail_after': '70' },
  },
];

/** For any other. @type {Example[]} */
const OTHERS = [
  { prompt: 'Tell me about lighthouse keepers', hint: 'In three short paragraphs', knobs: {} },
  { prompt: 'Explain how rivers find the sea', hint: 'To somebody who is ten', knobs: {} },
  { prompt: 'Compare tidal and river power in a table', hint: 'With a sentence on each', knobs: {} },
  { prompt: 'Write a function that reverses a linked list', hint: 'In Rust, with a test', knobs: {} },
];

/**
 * @param {boolean} isDemo
 * @param {(text: string, knobs: Record<string, string>) => void} begin
 */
export function showExamples(isDemo, begin) {
  const items = (isDemo ? DEMO : OTHERS).map(({ prompt, hint, knobs }) => {
    const text = isDemo ? prompt : `${prompt}, ${hint.charAt(0).toLowerCase()}${hint.slice(1)}.`;
    const button = h(
      'button',
      { type: 'button', onclick: () => begin(text, knobs) },
      h('strong', {}, prompt),
      h('span', {}, hint),
    );
    return h('li', {}, button);
  });
  part('examples', HTMLElement).replaceChildren(...items);
}
