/**
 * A Markdown text that grows. Blocks that are complete become nodes once and stay; only the last one is
 * made again when more of it has come.
 *
 * @import { Token } from '../vendor/marked/marked.esm.js'
 */

import { colour } from './code.js';
import { h } from './dom.js';
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
  /** @type {Record<string, any>} */
  #links = Object.create(null);

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
    const blocks = blocksOf(lines(text).slice(this.#settled), this.#links);
    // Spaces belong to no block: a list, for one, goes on after them.
    let last = blocks.length - 1;
    while (last > 0 && blocks[last]?.type === 'space') last -= 1;
    const complete = writing ? blocks.slice(0, Math.max(0, last)) : blocks;
    for (const block of complete) {
      this.#settled += block.raw.length;
      const nodes = nodesOf(block);
      void colour(nodes);
      this.#last.before(nodes);
    }
    const open = writing ? blocks[last] : undefined;
    this.#show(open);
  }

  /** @param {Token | undefined} block the one that still grows */
  #show(block) {
    this.#caret.remove();
    if (!block) this.#last.replaceChildren();
    else if (!this.#lengthen(block)) this.#last.replaceChildren(...this.#nodesOf(block));
    if (block?.type === 'code') {
      // Its caret is drawn by the style sheet, since colouring makes the nodes of the code anew.
      if (block.text.length < MOST_LIVE) void colour(this.#last);
    } else if (this.#writing) deepest(this.#last).append(this.#caret);
  }

  /** @param {Token} block */
  #nodesOf(block) {
    if (block.type === 'code') return [nodesOf(block)];
    return blocksOf(mend(block.raw), this.#links).map(nodesOf);
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
    code.textContent = block.text;
    return true;
  }
}

/**
 * Line ends as Markdown's parser has them, which counts after it has made them so.
 *
 * @param {string} text
 */
function lines(text) {
  return text.replace(/\r\n|\r/g, '\n');
}

/**
 * Where the text ends in these nodes.
 *
 * @param {Element} element
 */
function deepest(element) {
  for (;;) {
    const last = element.lastChild;
    const next = last instanceof HTMLElement ? last : blankAfter(last);
    if (!next || ['BR', 'IMG', 'HR', 'BUTTON'].includes(next.nodeName)) return element;
    element = next;
  }
}

/**
 * Markdown's HTML has line ends between its blocks; the text is in the element before one.
 *
 * @param {Node | null} node
 */
function blankAfter(node) {
  const before = node?.previousSibling;
  const blank = node instanceof Text && node.data.trim() === '';
  return blank && before instanceof HTMLElement ? before : undefined;
}
