/**
 * From markup that nobody vouches for to nodes that do nothing but show something.
 *
 * What is on the short lists here stays, everything else goes. It is the only place that makes nodes of
 * a text: the Content-Security-Policy allows no other.
 */

import DOMPurify from '../vendor/dompurify/purify.es.mjs';

export const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[a-z0-9+/=]+$/i;

const LINK = /^(?:https?:\/\/|mailto:)/i;

const TAGS = (
  'a blockquote br code del em h1 h2 h3 h4 h5 h6 hr img kbd li mark ol p pre strong sub sup ' +
  'table tbody td th thead tr ul'
).split(' ');

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName === 'A') {
    const href = node.getAttribute('href') ?? '';
    if (LINK.test(href)) {
      node.setAttribute('target', '_blank');
      node.setAttribute('rel', 'noopener noreferrer');
    } else node.removeAttribute('href');
  }
  if (node.nodeName === 'IMG' && !PICTURE.test(node.getAttribute('src') ?? '')) node.remove();
  // Our own classes are not for others: only the highlighter's spans and the language of code.
  const classes = node.nodeName === 'SPAN' || node.nodeName === 'CODE';
  if (!classes) node.removeAttribute('class');
});

/** What both have in common. */
const STRICT = /** @type {const} */ ({
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
});

/**
 * The nodes of a document that somebody wrote.
 *
 * @param {string} markup
 * @returns {DocumentFragment}
 */
export function sanitise(markup) {
  return DOMPurify.sanitize(markup, {
    ...STRICT,
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ['align', 'alt', 'class', 'href', 'src', 'start', 'title'],
    ALLOWED_URI_REGEXP: LINK,
  });
}

/**
 * The nodes of coloured code: spans with their classes.
 *
 * @param {string} markup
 * @returns {DocumentFragment}
 */
export function sanitiseColours(markup) {
  return DOMPurify.sanitize(markup, {
    ...STRICT,
    ALLOWED_TAGS: ['span'],
    ALLOWED_ATTR: ['class'],
  });
}
