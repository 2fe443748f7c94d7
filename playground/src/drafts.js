/**
 * What is written and not sent, for each conversation. It is kept with each key, and has to be there when
 * the page is gone the next moment: so it is in localStorage, which waits for nothing.
 */

const PREFIX = 'tailrace.draft.';

/** The conversation that has not begun. */
const NEW = 'new';

export class Drafts {
  #current = NEW;
  /** What the browser does not keep, it knows as long as the page is open. @type {Map<string, string>} */
  #texts = new Map();

  /** @param {string | null} conversation the one that is written in from now on */
  set current(conversation) {
    this.#current = conversation ?? NEW;
  }

  /** What is written in it so far. */
  get text() {
    const known = this.#texts.get(this.#current);
    if (known !== undefined) return known;
    try {
      return localStorage.getItem(PREFIX + this.#current) ?? '';
    } catch {
      return '';
    }
  }

  set text(text) {
    this.#texts.set(this.#current, text);
    try {
      if (text === '') localStorage.removeItem(PREFIX + this.#current);
      else localStorage.setItem(PREFIX + this.#current, text);
    } catch {
      // It is too long for that, or nothing is kept for this page.
    }
  }

  /** @param {string} conversation one that is deleted */
  forget(conversation) {
    this.#texts.delete(conversation);
    try {
      localStorage.removeItem(PREFIX + conversation);
    } catch {
      // Then it was not kept either.
    }
  }
}
