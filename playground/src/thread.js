/**
 * The conversation that is shown: its prompts and answers, each made once and then kept up to date.
 *
 * @import { AnswerActions } from './answer.js'
 * @import { Message, Prompt } from './model.js'
 * @import { Run } from './run.js'
 */

import { AnswerView } from './answer.js';
import { copyButton } from './copy.js';
import { h, icon, part } from './dom.js';

/** @typedef {AnswerActions & { edit: (prompt: Prompt) => void }} Actions */

export class Thread {
  #element = part('thread', HTMLElement);
  #empty = part('empty', HTMLElement);
  #actions;
  /** @type {Map<string, { element: HTMLElement, view?: AnswerView }>} */
  #parts = new Map();

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * Shows these messages, and nothing else.
   *
   * @param {Message[]} messages
   * @param {Map<string, Run>} runs
   */
  show(messages, runs) {
    this.#empty.hidden = messages.length > 0;
    this.#element.hidden = messages.length === 0;
    const wanted = new Set(messages.map(({ id }) => id));
    for (const [id, { element }] of this.#parts) {
      if (wanted.has(id)) continue;
      element.remove();
      this.#parts.delete(id);
    }
    messages.forEach((message, at) => {
      const { element } = this.#partOf(message);
      if (this.#element.children[at] !== element) {
        this.#element.insertBefore(element, this.#element.children[at] ?? null);
      }
      if (message.role === 'assistant') this.update(message, runs.get(message.id));
    });
  }

  /**
   * Shows what is new of an answer, if it is shown at all. One that cannot be shown is reported, and
   * does not keep the others from being.
   *
   * @param {import('./model.js').Answer} answer
   * @param {Run | undefined} run
   */
  update(answer, run) {
    try {
      this.#parts.get(answer.id)?.view?.update(answer, run);
    } catch (error) {
      reportError(error);
    }
  }

  /** @param {Message} message */
  #partOf(message) {
    let part = this.#parts.get(message.id);
    if (!part) {
      if (message.role === 'assistant') {
        const view = new AnswerView(message, this.#actions);
        part = { element: view.element, view };
      } else part = { element: this.#prompt(message) };
      this.#parts.set(message.id, part);
    }
    return part;
  }

  /** @param {Prompt} prompt */
  #prompt(prompt) {
    const edit = h('button', { type: 'button', class: 'icon small', 'aria-label': 'Edit the prompt', title: 'Edit', onclick: () => this.#actions.edit(prompt) }, icon('edit'));
    return h(
      'article',
      { class: 'prompt', 'aria-label': 'Your prompt' },
      h('p', {}, prompt.text),
      h('div', { class: 'actions' }, copyButton(() => prompt.text, 'Copy the prompt'), edit),
    );
  }
}
