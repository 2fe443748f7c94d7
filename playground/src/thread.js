/**
 * The conversation that is shown: its prompts and answers, each made once and then kept up to date.
 *
 * @import { AnswerActions } from './answer.js'
 * @import { Answer, Message, Prompt } from './model.js'
 * @import { Run } from './run.js'
 */

import { AnswerView } from './answer.js';
import { copyButton } from './copy.js';
import { h, icon, part } from './dom.js';
import { Versions } from './versions.js';

/**
 * @typedef {object} PromptActions
 * @property {(prompt: Prompt) => void} edit
 * @property {(message: Message) => void} choose shows this version in place of another
 */

/** @typedef {Omit<AnswerActions, 'edit'> & PromptActions} Actions */

export class Thread {
  #element = part('thread', HTMLElement);
  #empty = part('empty', HTMLElement);
  #actions;
  /** @type {Message[]} */
  #messages = [];
  /** @type {Map<string, { element: HTMLElement, versions: Versions, view?: AnswerView }>} */
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
   * @param {(message: Message) => Message[]} versions
   */
  show(messages, runs, versions) {
    this.#messages = messages;
    this.#empty.hidden = messages.length > 0;
    this.#element.hidden = messages.length === 0;
    const wanted = new Set(messages.map(({ id }) => id));
    for (const [id, { element }] of this.#parts) {
      if (wanted.has(id)) continue;
      element.remove();
      this.#parts.delete(id);
    }
    messages.forEach((message, at) => {
      const { element, versions: shown } = this.#partOf(message);
      shown.update(versions(message), message);
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
   * @param {Answer} answer
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
      const noun = message.role === 'assistant' ? 'answer' : 'prompt';
      const versions = new Versions(noun, (wanted) => this.#choose(wanted));
      part = { ...(message.role === 'assistant' ? this.#answer(message, versions) : this.#prompt(message, versions)), versions };
      this.#parts.set(message.id, part);
    }
    return part;
  }

  /** @param {Message} message */
  #choose(message) {
    const focused = document.activeElement;
    const later = focused?.classList.contains('later') ?? false;
    this.#actions.choose(message);
    if (focused && !focused.isConnected) this.#parts.get(message.id)?.versions.focus(later);
  }

  /**
   * @param {Answer} answer
   * @param {Versions} versions
   */
  #answer(answer, versions) {
    const { regenerate, retry } = this.#actions;
    const view = new AnswerView(answer, versions.element, {
      regenerate,
      retry,
      edit: () => {
        const at = this.#messages.findIndex(({ id }) => id === answer.id);
        this.#edit(this.#messages[at - 1]);
      },
    });
    return { element: view.element, view };
  }

  /** @param {Message | undefined} message */
  #edit(message) {
    if (message?.role === 'user') this.#actions.edit(message);
  }

  /**
   * @param {Prompt} prompt as it was when it was first shown: what is read anew consists of other objects
   * @param {Versions} versions
   */
  #prompt(prompt, versions) {
    const edit = h('button', { type: 'button', class: 'icon small', 'aria-label': 'Edit the prompt', title: 'Edit', onclick: () => this.#edit(this.#messages.find(({ id }) => id === prompt.id)) }, icon('edit'));
    const element = h(
      'article',
      { class: 'prompt', 'aria-label': 'Your prompt' },
      h('p', {}, prompt.text),
      h('div', { class: 'actions' }, versions.element, copyButton(() => prompt.text, 'Copy the prompt'), edit),
    );
    return { element };
  }
}
