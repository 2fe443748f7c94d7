/**
 * A Markdown text that grows. Blocks that are complete become nodes once and stay; only the last one is
 * made again when more of it has come.
 *
 * @import { Token } from '../vendor/marked/marked.esm.js'
 */

import { caretPlace } from './caret.js';
import { colour } from './code.js';
import { h } from './dom.js';
import { GrowingCode } from './growing.js';
import { blocksOf, nodesOf } from './markdown.js';
import { mend } from './mending.js';

/** Longer code gets its colours when it is whole, not with each piece that comes. */
const MOST_LIVE = 6000;

export class Writing {
  /** What it is written into. */
  element = h('div', { class: 'prose' });
  #last = h('div', { class: 'last' });
  #caret = h('span', { class: 'caret', 'aria-hidden': 'true' });
  /** How much of the text is in blocks that stay. */
  #settled = 0;
  #shown = '';
  #writing = false;
  /** The code that is being written, if it is long. @type {GrowingCode | undefined} */
  #growing;
  /** The links that complete blocks have named. @type {import('./markdown.js').Links} */
  #links = {};

  constructor() {
    this.element.append(this.#last);
  }

  /**
   * Shows this text, of which what was shown before is the beginning.
   *
   * @param {string} text
   * @param {boolean} writing whether more is to come
   */
  show(text, writing) {
    if (text === this.#shown && writing === this.#writing) return;
    this.#shown = text;
    this.#writing = writing;
    const all = lines(text);
    if (writing && this.#growing?.show(all)) return;
    this.#growing = undefined;
    let blocks = blocksOf(all.slice(this.#settled), this.#links);
    const names = blocks.some(({ type }) => type === 'def') || Object.keys(this.#links).length > 0;
    if (!writing && names) blocks = this.#startAnew();
    const complete = writing ? blocks.slice(0, firstOpen(blocks)) : blocks;
    for (const block of complete) {
      this.#settled += block.raw.length;
      if (block.type === 'def') this.#links[block.tag] ??= { href: block.href, title: block.title };
      const nodes = nodesOf(block);
      void colour(nodes);
      this.#last.before(nodes);
    }
    this.#show(blocks.slice(complete.length), all);
  }

  /** What was named at the end may have been meant before: all blocks are made again. */
  #startAnew() {
    this.#settled = 0;
    this.#links = {};
    this.element.replaceChildren(this.#last);
    return blocksOf(lines(this.#shown), {});
  }

  /**
   * @param {Token[]} blocks those that still grow
   * @param {string} all
   */
  #show(blocks, all) {
    this.#caret.remove();
    const last = blocks.at(-1);
    const lengthened = blocks.length === 1 && last && this.#lengthen(last);
    if (!lengthened) this.#last.replaceChildren(...this.#nodesOf(blocks));
    if (last?.type === 'code') {
      // Its caret is drawn by the style sheet, since colouring makes the nodes of the code anew.
      if (last.text.length < MOST_LIVE) void colour(this.#last);
      else if (this.#writing) this.#growing = GrowingCode.of(last, this.#last.querySelector('pre > code'), all);
    } else if (this.#writing) caretPlace(this.#last, all).append(this.#caret);
  }

  /** @param {Token[]} blocks */
  #nodesOf(blocks) {
    const text = blocks.map(({ raw }) => raw).join('');
    if (blocks.at(-1)?.type === 'code') return blocks.map(nodesOf);
    return blocksOf(mend(text), this.#links).map(nodesOf);
  }

  /**
   * Code that grows keeps its nodes, with what is scrolled, selected or focused in them.
   *
   * @param {Token} block
   */
  #lengthen(block) {
    const shown = this.#last.firstElementChild;
    if (block.type !== 'code' || !(shown instanceof HTMLElement)) return false;
    const code = shown.querySelector('pre > code');
    const language = /^\S*/.exec(block.lang ?? '')?.[0];
    if (!code || shown.dataset.language !== language) return false;
    code.textContent = block.text.replace(/\n$/, '');
    return true;
  }
}

/**
 * Which is the first block that more text may change. Spaces belong to no block; and before a line is
 * complete, it may still turn out to go on with the list before it.
 *
 * @param {Token[]} blocks
 */
function firstOpen(blocks) {
  const before = (/** @type {number} */ end) =>
    blocks.slice(0, end).findLastIndex(({ type }) => type !== 'space');
  const last = before(blocks.length);
  const previous = before(last);
  const goesOn = blocks[previous]?.type === 'list' && !blocks[last]?.raw.includes('\n');
  return Math.max(0, goesOn ? previous : last);
}

/**
 * Line ends as Markdown's parser has them, which counts after it has made them so.
 *
 * @param {string} text
 */
function lines(text) {
  return text.replace(/\r\n|\r/g, '\n');
}
