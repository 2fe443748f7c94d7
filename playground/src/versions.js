/** The small switch between the versions of a prompt or an answer: `2 / 3`, with a way to each side. */

import { announce } from './announce.js';
import { h, icon, setText } from './dom.js';

/** @import { Message } from './model.js' */

export class Versions {
  #count = h('span', {});
  #earlier;
  #later;
  /** @type {Message[]} */
  #all = [];
  #at = 0;
  element = h('div', { class: 'versions', role: 'group', hidden: true });

  /**
   * @param {string} noun what there are versions of
   * @param {(message: Message) => void} choose
   */
  constructor(noun, choose) {
    const button = (/** @type {string} */ name, /** @type {number} */ by) =>
      h(
        'button',
        {
          type: 'button',
          class: `icon small ${name}`,
          'aria-label': `The ${name} ${noun}`,
          title: `The ${name} ${noun}`,
          onclick: () => {
            const wanted = this.#all[this.#at + by];
            if (!wanted) return;
            const at = this.#at + by;
            choose(wanted);
            announce(`Shown is ${noun} ${at + 1} of ${this.#all.length}.`);
          },
        },
        icon('chevron'),
      );
    this.#earlier = button('earlier', -1);
    this.#later = button('later', 1);
    this.element.setAttribute('aria-label', `Versions of the ${noun}`);
    this.element.append(this.#earlier, this.#count, this.#later);
  }

  /**
   * @param {Message[]} all in their order
   * @param {Message} shown
   */
  update(all, shown) {
    this.#all = all;
    this.#at = all.findIndex(({ id }) => id === shown.id);
    this.element.hidden = all.length < 2;
    setText(this.#count, `${this.#at + 1} / ${all.length}`);
    this.#earlier.disabled = this.#at <= 0;
    this.#later.disabled = this.#at >= all.length - 1;
  }

  /**
   * Takes over the focus of another version's switch, which is gone from the page.
   *
   * @param {boolean} later whether that was on its later side
   */
  focus(later) {
    const [wanted, other] = later ? [this.#later, this.#earlier] : [this.#earlier, this.#later];
    (wanted.disabled ? other : wanted).focus();
  }
}
