/** Keyboard shortcuts; `dialogs.js` lists them. */

/**
 * @param {Record<string, () => void>} actions by the key, with `Alt+` before it where that is held
 */
export function listenForKeys(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || document.querySelector('dialog[open]')) return;
    const target = event.target;
    const typing =
      target instanceof HTMLInputElement ||
      target instanceof HTMLTextAreaElement ||
      target instanceof HTMLSelectElement;
    // By where the key is, since with Alt some systems write another letter.
    const key = event.altKey ? `Alt+${event.code.replace('Key', '')}` : event.key;
    if (!event.altKey && typing) return;
    const action = actions[key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
