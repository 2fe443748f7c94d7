/** Where prompts are written and sent, and answers stopped. */

import { announce } from './announce.js';
import { part } from './dom.js';

/**
 * @typedef {object} ComposerActions
 * @property {(text: string) => boolean} send gives whether it was sent
 * @property {() => void} stop
 * @property {() => void} cut
 * @property {() => void} leaveEditing
 * @property {(text: string) => void} written there is another text, which is not an edit of an earlier one
 */

export class Composer {
  #text = part('prompt', HTMLTextAreaElement);
  #send = part('send', HTMLButtonElement);
  #stop = part('stop', HTMLButtonElement);
  #cut = part('cut', HTMLButtonElement);
  #editing = part('editing', HTMLElement);
  #waiting = part('waiting', HTMLElement);
  #busy = false;
  #actions;

  /** @param {ComposerActions} actions */
  constructor(actions) {
    this.#actions = actions;
    part('composer', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('input', () => {
      // What is still being written is not to be sent by itself.
      this.hold();
      this.#written();
    });
    this.#text.addEventListener('keydown', (event) => this.#key(event));
    this.#stop.addEventListener('click', () => actions.stop());
    this.#cut.addEventListener('click', () => actions.cut());
    part('editing-leave', HTMLButtonElement).addEventListener('click', () => actions.leaveEditing());
    part('waiting-leave', HTMLButtonElement).addEventListener('click', () => {
      this.hold();
      this.focus();
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'Escape' && !this.#waiting.hidden) {
      event.stopPropagation();
      this.hold();
    } else if (event.key === 'Escape' && !this.#editing.hidden) {
      event.stopPropagation();
      this.#actions.leaveEditing();
    }
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    // On a phone the key makes a line, and the button sends.
    if (matchMedia('(pointer: coarse) and (hover: none)').matches) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === '') return;
    if (this.#busy) {
      this.#waiting.hidden = false;
      announce('It is sent as soon as the answer is complete.');
      return;
    }
    const draft = this.#editing.hidden;
    // What was not sent stays, for it is nowhere else.
    if (this.#actions.send(text) && draft) this.write('');
  }

  /** The answer is complete: what has waited for that is sent. */
  release() {
    if (this.#waiting.hidden) return;
    this.hold();
    this.#submit();
  }

  /** What has waited waits no more, and stays where it is. */
  hold() {
    this.#waiting.hidden = true;
  }

  get text() {
    return this.#text.value;
  }

  #written() {
    if (this.#editing.hidden) this.#actions.written(this.#text.value);
    this.#fit();
  }

  /** As high as its text, where the style sheet alone cannot do it. */
  #fit() {
    this.#send.disabled = this.#busy || this.#text.value.trim() === '';
    if (CSS.supports('field-sizing', 'content')) return;
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  /**
   * @param {boolean} busy whether an answer is being generated
   * @param {boolean} canCut whether there is a connection to cut
   */
  set(busy, canCut) {
    const hadFocus = [this.#stop, this.#cut].some((button) => button === document.activeElement);
    this.#busy = busy;
    this.#stop.hidden = !busy;
    this.#send.hidden = busy;
    this.#cut.hidden = !busy;
    this.#cut.disabled = !canCut;
    this.#fit();
    // Who pressed a button that is gone goes on at the prompt.
    if (!busy && hadFocus) this.focus();
  }

  /**
   * Puts a text in place of what is there.
   *
   * @param {string} text
   */
  write(text) {
    this.hold();
    this.#text.value = text;
    this.#written();
  }

  /** @param {string} text */
  edit(text) {
    this.#editing.hidden = false;
    this.write(text);
    this.focus();
  }

  /** @param {string} draft what was written before */
  leaveEditing(draft) {
    if (this.#editing.hidden) return;
    this.#editing.hidden = true;
    this.write(draft);
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }
}
