/** Keeps the end of what is written in sight, until the reader scrolls up. */

import { part } from './dom.js';

/** So near to the end counts as being there. */
const NEAR = 40;

export class EndFollower {
  #scroller = part('scroller', HTMLElement);
  #jump = part('jump', HTMLButtonElement);
  #following = true;
  #top = 0;

  constructor() {
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener('click', () => {
      this.follow();
      part('prompt', HTMLTextAreaElement).focus({ preventScroll: true });
    });
    // What grows by itself, such as a picture or the composer, moves the end too.
    new ResizeObserver(() => this.settle()).observe(this.#scroller);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight <= NEAR;
    // Only the reader scrolls up.
    if (atEnd) this.#following = true;
    else if (scrollTop < this.#top - 1) this.#following = false;
    this.#top = scrollTop;
    this.#jump.hidden = this.#following || atEnd;
  }

  /** Goes to the end and stays there. */
  follow() {
    this.#following = true;
    this.settle();
  }

  /** After something was written: the end is in sight, if it is followed. */
  settle() {
    if (this.#following) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
    }
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#jump.hidden = scrollHeight - scrollTop - clientHeight <= NEAR;
  }
}
