/** Where prompts are written and sent, and answers stopped. */

import { part } from './dom.js';

/**
 * @typedef {object} ComposerActions
 * @property {(text: string) => boolean} send gives whether it was sent
 * @property {() => void} stop
 * @property {() => void} cut
 * @property {() => void} leaveEditing
 */

export class Composer {
  #text = part('prompt', HTMLTextAreaElement);
  #send = part('send', HTMLButtonElement);
  #stop = part('stop', HTMLButtonElement);
  #cut = part('cut', HTMLButtonElement);
  #editing = part('editing', HTMLElement);
  #busy = false;
  #actions;

  /** @param {ComposerActions} actions */
  constructor(actions) {
    this.#actions = actions;
    part('composer', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('input', () => this.#fit());
    this.#text.addEventListener('keydown', (event) => this.#key(event));
    this.#stop.addEventListener('click', () => actions.stop());
    this.#cut.addEventListener('click', () => actions.cut());
    part('editing-leave', HTMLButtonElement).addEventListener('click', () => actions.leaveEditing());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'Escape' && !this.#editing.hidden) {
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
    if (text === '' || this.#busy) return;
    // What was not sent stays, for it is nowhere else.
    if (!this.#actions.send(text)) return;
    this.#text.value = '';
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

  /** @param {string} text */
  edit(text) {
    this.#editing.hidden = false;
    this.#text.value = text;
    this.#fit();
    this.focus();
  }

  leaveEditing() {
    if (this.#editing.hidden) return;
    this.#editing.hidden = true;
    this.#text.value = '';
    this.#fit();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }
}
