/** Where the caret stands in nodes that were made of a text: where the next word of it will be. */

/** What has no inside for it. */
const CLOSED = ['BR', 'IMG', 'HR', 'BUTTON'];

/**
 * @param {Element} element
 * @param {string} text what its nodes were made of
 * @returns {Element} the caret is the last thing in it
 */
export function caretPlace(element, text) {
  for (;;) {
    const last = element.lastChild;
    const inner = last instanceof HTMLElement ? last : blankAfter(last);
    const next = element instanceof HTMLTableRowElement ? cellOf(element, text) : inner;
    if (!next || CLOSED.includes(next.nodeName)) return element;
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

/**
 * A row that is being written has all its cells from the start, and most of them are empty.
 *
 * @param {HTMLTableRowElement} row
 * @param {string} text up to the middle of it
 */
function cellOf({ cells }, text) {
  const written = text.slice(text.lastIndexOf('\n') + 1);
  const bars = written.trimStart().slice(1).replace(/\\\|/g, '').split('|').length - 1;
  return cells[written === '' ? cells.length - 1 : Math.min(bars, cells.length - 1)];
}
