/**
 * A long block of code while it is being written: only what is new of it is read and written, for reading
 * all of it again with each picture would cost more the longer it gets.
 *
 * @import { Token } from '../vendor/marked/marked.esm.js'
 */

/** The line that begins code, if nothing stands before it that each line of the code lacks then. */
const OPENING = /^(`{3,}|~{3,})[^\n]*\n/;

export class GrowingCode {
  #element;
  #closing;
  /** Where the code begins in the text. */
  #start;
  /** Where the first line begins that may still become its end. */
  #line;
  /** How much of the text has been written. */
  #written;
  /** @type {Text | undefined} */
  #node;

  /**
   * Goes on with a block that has been shown; nothing, if it is of a kind that is read again.
   *
   * @param {Token} block
   * @param {Element | null} element where its code stands
   * @param {string} text all of it, up to the end of the block
   */
  static of(block, element, text) {
    const opening = OPENING.exec(block.raw);
    if (!element || !opening?.[1] || !text.endsWith(block.raw)) return undefined;
    const start = text.length - block.raw.length + opening[0].length;
    const code = new GrowingCode(element, opening[1], start);
    return code.show(text) ? code : undefined;
  }

  /**
   * @param {Element} element
   * @param {string} fence
   * @param {number} start
   */
  constructor(element, fence, start) {
    this.#element = element;
    this.#closing = new RegExp(`^ {0,3}${fence}[~\`]* *$`, 'm');
    this.#start = this.#line = this.#written = start;
  }

  /**
   * Shows what is new.
   *
   * @param {string} text all of it
   * @returns {boolean} whether it is still this code that grows
   */
  show(text) {
    if (this.#closing.test(text.slice(this.#line))) return false;
    this.#line = Math.max(this.#line, text.lastIndexOf('\n') + 1);
    // The end of the last line, and an empty one after it, only count when there is more.
    const end = Math.max(this.#written, text.length - (/\n*$/.exec(text.slice(-2))?.[0].length ?? 0));
    if (this.#node && this.#element.firstChild === this.#node && !this.#node.nextSibling) {
      this.#node.appendData(text.slice(this.#written, end));
    } else {
      // Whoever colours it makes its nodes anew.
      this.#node = new Text(text.slice(this.#start, end));
      this.#element.replaceChildren(this.#node);
    }
    this.#written = end;
    return true;
  }
}
