/**
 * From Markdown to nodes that do nothing but show it.
 *
 * What a model writes may be hostile: it may repeat a page that it was asked about. So markup in it is
 * shown as text, what is made of the rest is sanitised, and the Content-Security-Policy would stop what
 * both have missed.
 *
 * @import { Token, Tokens } from '../vendor/marked/marked.esm.js'
 */

import { Marked } from '../vendor/marked/marked.esm.js';
import { codeBlock } from './code.js';
import { h } from './dom.js';
import { PICTURE, sanitise } from './sanitise.js';

/** Markup that models write where Markdown has nothing, without any attributes. */
const HARMLESS = /^<\/?(?:br|kbd|sub|sup|mark)\s*\/?>$/i;

/** @param {string} text */
function escape(text) {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export const marked = new Marked({ gfm: true, breaks: false }).use({
  renderer: {
    html: ({ text }) => (HARMLESS.test(text.trim()) ? text : escape(text)),
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    // Pictures of other hosts would tell them who reads this: they are links.
    image: ({ href, text }) =>
      PICTURE.test(href)
        ? `<img src="${escape(href)}" alt="${escape(text)}">`
        : `<a href="${escape(href)}">Picture: ${escape(text || href)}</a>`,
  },
});

/** @typedef {Record<string, Pick<Tokens.Link | Tokens.Image, 'href' | 'title'>>} Links */

/** Who quotes deeper than this means no quotes, and the parser would go as deep for them. */
const TOO_DEEP = /^[ \t]*(?:>[ \t]?){100}/m;

/**
 * Markdown's blocks of a text. What nests so deep that the parser's stack does not suffice is one block
 * of plain text: a few kilobytes of a model's output must not make its conversation unopenable.
 *
 * @param {string} text
 * @param {Links} links those that were named before
 * @returns {Token[]}
 */
export function blocksOf(text, links) {
  try {
    if (!TOO_DEEP.test(text)) return lex(text, links);
  } catch {
    // It is looked for in smaller parts, so that the others keep their form.
  }
  const parts = text.split(/(?<=\n\n)/);
  if (parts.length > 1) return parts.flatMap((part) => blocksOf(part, links));
  return [{ type: 'plain', raw: text, text }];
}

/**
 * @param {string} text
 * @param {Links} links
 * @returns {Token[]}
 */
function lex(text, links) {
  const lexer = new marked.Lexer(marked.defaults);
  // A name may be any word, also one that objects have by themselves.
  lexer.tokens.links = Object.assign(Object.create(null), links);
  return lexer.lex(text);
}

/**
 * The nodes of one block; its text as it is, if they cannot be made of it.
 *
 * @param {Token} block
 * @returns {DocumentFragment}
 */
export function nodesOf(block) {
  try {
    if (block.type !== 'plain') return made(block);
  } catch {
    // It may have been read, but nest too deep for what comes after.
  }
  const fragment = document.createDocumentFragment();
  fragment.append(h('p', {}, block.raw));
  return fragment;
}

/**
 * @param {Token} block
 * @returns {DocumentFragment}
 */
function made(block) {
  const fragment = sanitise(marked.parser([block]));
  for (const pre of fragment.querySelectorAll('pre')) {
    const code = pre.firstElementChild;
    const language = /(?:^|\s)language-([\w+#.-]+)/.exec(code?.className ?? '')?.[1] ?? '';
    pre.replaceWith(codeBlock(language, code?.textContent?.replace(/\n$/, '') ?? ''));
  }
  for (const table of fragment.querySelectorAll('table')) {
    // A wide table scrolls by itself, and by the keyboard.
    const frame = h('div', { class: 'table', tabIndex: 0, role: 'region', 'aria-label': 'Table' });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}
