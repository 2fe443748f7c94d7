/**
 * An answer as it is shown: its reasoning, its calls of tools, its text, what went wrong, its figures.
 *
 * @import { Answer } from './model.js'
 * @import { Run } from './run.js'
 */

import { isEmpty } from './asking.js';
import { copyButton } from './copy.js';
import { h, icon, setText } from './dom.js';
import { duration } from './figures.js';
import { NoticeView } from './notice.js';
import { Strip } from './strip.js';
import { finishWords } from './words.js';
import { Writing } from './writing.js';

/**
 * What can be done with an answer.
 *
 * @typedef {object} AnswerActions
 * @property {(answer: Answer) => void} regenerate
 * @property {(answer: Answer) => void} retry
 * @property {() => void} edit the prompt that it answers
 */

export class AnswerView {
  #writing = new Writing();
  #thought = h('details', { class: 'thought', hidden: true });
  #thoughtTitle = h('span', {});
  #thoughtText = h('p', {});
  #tools = h('div', { class: 'calls' });
  #refusal = h('p', { class: 'refusal', hidden: true });
  #begin = h('div', { class: 'begin', role: 'img', 'aria-label': 'Waiting for the first token' }, h('i'), h('i'), h('i'));
  #finish = h('p', { class: 'finish', hidden: true });
  #name = h('span', {});
  #strip = new Strip();
  #notice;
  /** What can be done with an answer that says something. */
  #doings;
  #actions;

  /**
   * @param {Answer} answer
   * @param {HTMLElement} versions the switch between this answer and others
   * @param {AnswerActions} actions
   */
  constructor(answer, versions, actions) {
    this.answer = answer;
    this.#notice = new NoticeView({ retry: () => actions.retry(this.answer), edit: actions.edit });
    const again = h('button', { type: 'button', class: 'icon small', 'aria-label': 'Answer again', title: 'Answer again', onclick: () => actions.regenerate(this.answer) }, icon('again'));
    this.#doings = h('div', {}, copyButton(() => this.answer.text, 'Copy the answer'), again);
    this.#actions = h('div', { class: 'actions' }, versions, this.#doings);
    this.#thought.append(
      h('summary', {}, icon('thought'), this.#thoughtTitle, icon('chevron')),
      this.#thoughtText,
    );
    this.element = h(
      'article',
      { class: 'answer', 'data-id': answer.id },
      h('header', {}, markOf(), this.#name),
      this.#thought,
      this.#writing.element,
      this.#tools,
      this.#refusal,
      this.#begin,
      this.#finish,
      this.#notice.element,
      h('footer', {}, this.#strip.element, this.#actions),
    );
  }

  /**
   * Shows what has come.
   *
   * @param {Answer} answer
   * @param {Run | undefined} run
   */
  update(answer, run) {
    this.answer = answer;
    const running = answer.status === 'running';
    setText(this.#name, answer.model);
    this.element.setAttribute('aria-label', `Answer of ${answer.model}`);
    this.element.setAttribute('aria-busy', String(running));
    this.element.classList.toggle('running', running);
    this.#begin.hidden = !(running && isEmpty(answer)) || run?.link.state === 'waiting';
    this.#showThought(answer, running);
    this.#writing.show(answer.text, running && answer.text !== '');
    this.#showTools(answer, running);
    this.#refusal.hidden = answer.refusal === '';
    setText(this.#refusal, answer.refusal);
    const finish = running ? undefined : finishWords(answer.finish);
    this.#finish.hidden = finish === undefined;
    setText(this.#finish, finish ?? '');
    this.#notice.update(answer, run);
    this.#strip.update(answer, run);
    this.#actions.hidden = running;
    this.#doings.hidden = isEmpty(answer) && answer.trouble !== null;
  }

  /**
   * @param {Answer} answer
   * @param {boolean} running
   */
  #showThought({ reasoning, reasoningMs }, running) {
    this.#thought.hidden = reasoning === '';
    const thinking = running && reasoningMs === 0;
    this.#thought.classList.toggle('thinking', thinking);
    setText(this.#thoughtTitle, thinking ? 'Thinking' : `Thought for ${reasoningMs < 1000 ? 'a moment' : duration(Math.round(reasoningMs / 1000) * 1000)}`);
    setText(this.#thoughtText, reasoning);
  }

  /**
   * @param {Answer} answer
   * @param {boolean} running
   */
  #showTools({ tools }, running) {
    tools.forEach((call, at) => {
      let card = this.#tools.children[at];
      if (!card) {
        card = h(
          'section',
          { class: 'call' },
          h('header', {}, icon('tool'), h('code'), h('span')),
          h('pre', { tabIndex: 0, role: 'region', 'aria-label': 'Arguments' }, h('code')),
        );
        this.#tools.append(card);
      }
      const [name, words] = [card.querySelector('header code'), card.querySelector('header span')];
      const text = card.querySelector('pre code');
      const last = running && at === tools.length - 1;
      if (name) setText(name, call.name || '…');
      if (words) setText(words, last ? 'calling' : 'called');
      if (text) setText(text, last ? call.arguments : pretty(call.arguments));
    });
  }
}

function markOf() {
  const svg = icon('x');
  svg.setAttribute('class', 'mark');
  svg.querySelector('use')?.setAttribute('href', '#mark');
  return svg;
}

/**
 * JSON with line ends, if it is JSON.
 *
 * @param {string} text
 */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
