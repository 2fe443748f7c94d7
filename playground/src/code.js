/** Blocks of code: their language, a button that copies them, and colours once they are whole. */

import { h } from './dom.js';
import { copyButton } from './copy.js';
import { sanitiseColours } from './sanitise.js';

/** Longer ones stay plain: colouring them would be felt. */
const MOST_COLOURED = 40_000;

/** @type {Promise<typeof import('../vendor/highlight/highlight.min.js').default> | undefined} */
let loading;

/** The highlighter, loaded when there is the first code. */
function highlighter() {
  loading ??= import('../vendor/highlight/highlight.min.js').then((module) => module.default);
  return loading;
}

/**
 * @param {string} language
 * @param {string} text
 */
export function codeBlock(language, text) {
  const code = h('code', {}, text);
  const block = h(
    'figure',
    { class: 'code' },
    h(
      'figcaption',
      {},
      h('span', {}, language || 'text'),
      copyButton(() => code.textContent ?? '', 'Copy the code'),
    ),
    h('pre', { tabIndex: 0, role: 'region', 'aria-label': `Code, ${language || 'text'}` }, code),
  );
  block.dataset.language = language;
  return block;
}

/**
 * Colours the code in these nodes.
 *
 * @param {ParentNode} nodes
 */
export async function colour(nodes) {
  const blocks = [...nodes.querySelectorAll('figure.code')].filter(
    (block) => block instanceof HTMLElement && block.dataset.language,
  );
  if (blocks.length === 0) return;
  const highlight = await highlighter();
  for (const block of blocks) {
    const code = block.querySelector('code');
    const language = /** @type {HTMLElement} */ (block).dataset.language ?? '';
    const text = code?.textContent ?? '';
    if (!code || text.length > MOST_COLOURED || !highlight.getLanguage(language)) continue;
    const { value } = highlight.highlight(text, { language, ignoreIllegals: true });
    const coloured = sanitiseColours(value);
    // Colours may not change what is copied.
    if (coloured.textContent === text) code.replaceChildren(coloured);
  }
}
