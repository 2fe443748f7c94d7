/**
 * The list of conversations: to choose, search, rename and delete.
 *
 * @import { Conversation } from './model.js'
 * @import { Store } from './store.js'
 */

import { ask } from './dialogs.js';
import { h, icon, part } from './dom.js';

const DAY_MS = 86_400_000;
const WIDE = matchMedia('(min-width: 860px)');

/**
 * @typedef {object} SidebarActions
 * @property {(id: string | null) => void} open
 * @property {(id: string) => void} deleted
 */

export class Sidebar {
  #store;
  #actions;
  #list = part('conversations', HTMLElement);
  #search = part('search', HTMLInputElement);
  #app = part('app', HTMLElement);
  /** @type {string | null} */
  #current = null;
  /** @type {ReadonlySet<string>} */
  #running = new Set();
  /** How often the list was made. */
  #refresh = 0;

  /**
   * @param {Store} store
   * @param {SidebarActions} actions
   */
  constructor(store, actions) {
    this.#store = store;
    this.#actions = actions;
    for (const id of ['new', 'new-small']) {
      part(id, HTMLButtonElement).addEventListener('click', () => this.#choose(null));
    }
    this.#search.addEventListener('input', () => void this.refresh());
    part('sidebar-open', HTMLButtonElement).addEventListener('click', () => this.toggle(true));
    part('sidebar-close', HTMLButtonElement).addEventListener('click', () => this.toggle(false));
    part('scrim', HTMLElement).addEventListener('click', () => this.toggle(false));
    document.addEventListener('keydown', (event) => {
      const over = !WIDE.matches && this.#app.dataset.sidebar === 'open';
      if (event.key === 'Escape' && over && !document.querySelector('dialog[open]')) this.toggle(false);
    });
    WIDE.addEventListener('change', () => this.#apply(WIDE.matches));
    this.#apply(WIDE.matches);
  }

  /**
   * Shows or hides the list, and moves the focus with it.
   *
   * @param {boolean} open
   */
  toggle(open) {
    this.#apply(open);
    part(open ? 'sidebar-close' : 'sidebar-open', HTMLButtonElement).focus();
  }

  /** @param {boolean} open */
  #apply(open) {
    this.#app.dataset.sidebar = open ? 'open' : 'closed';
    part('sidebar', HTMLElement).inert = !open;
    part('main', HTMLElement).inert = open && !WIDE.matches;
    part('sidebar-open', HTMLButtonElement).setAttribute('aria-expanded', String(open));
  }

  /** Puts the focus where conversations are searched. */
  search() {
    this.toggle(true);
    this.#search.focus();
  }

  /** @param {string | null} id */
  #choose(id) {
    if (!WIDE.matches) this.#apply(false);
    this.#actions.open(id);
  }

  /**
   * @param {string | null} current the one that is shown
   * @param {ReadonlySet<string>} running those with an answer on its way
   */
  async mark(current, running) {
    this.#current = current;
    this.#running = running;
    await this.refresh();
  }

  async refresh() {
    const refresh = (this.#refresh += 1);
    const words = this.#search.value.trim();
    const [all, containing] = await Promise.all([
      this.#store.conversations(),
      words === '' ? undefined : this.#store.containing(words),
    ]);
    // What another has found since is newer.
    if (refresh !== this.#refresh) return;
    const matching = all.filter(
      ({ id, title }) =>
        !containing || containing.has(id) || title.toLowerCase().includes(words.toLowerCase()),
    );
    /** @type {Map<string, Conversation[]>} */
    const groups = new Map();
    for (const conversation of matching) {
      const name = groupOf(conversation.updated);
      groups.set(name, [...(groups.get(name) ?? []), conversation]);
    }
    const sections = [...groups].map(([name, items]) =>
      h('section', { 'aria-label': name }, h('h2', {}, name), h('ul', {}, ...items.map((item) => this.#item(item)))),
    );
    const nothing = h('p', { class: 'nothing' }, words ? 'Nothing found.' : 'What you ask is kept here, in this browser only.');
    const focused = document.activeElement?.getAttribute('data-id');
    this.#list.replaceChildren(...(sections.length > 0 ? sections : [nothing]));
    if (focused) {
      const again = this.#list.querySelector(`[data-id="${CSS.escape(focused)}"]`);
      if (again instanceof HTMLElement) again.focus();
    }
  }

  /** @param {Conversation} conversation */
  #item(conversation) {
    const { id, title } = conversation;
    const running = this.#running.has(id);
    const link = h(
      'a',
      {
        href: `#${id}`,
        'data-id': id,
        'aria-current': id === this.#current ? 'page' : undefined,
        onclick: (/** @type {MouseEvent} */ event) => {
          // With a key it is another tab, as with any link.
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          this.#choose(id);
        },
      },
      h('span', {}, title),
      running && h('i', { class: 'live', role: 'img', 'aria-label': 'being answered' }),
    );
    const rename = h('button', { type: 'button', class: 'icon small', 'aria-label': `Rename ${title}`, title: 'Rename', onclick: () => void this.#rename(conversation) }, icon('edit'));
    const remove = h('button', { type: 'button', class: 'icon small', 'aria-label': `Delete ${title}`, title: 'Delete', onclick: () => void this.#delete(conversation) }, icon('trash'));
    return h('li', {}, link, h('div', { class: 'item-actions' }, rename, remove));
  }

  /** @param {Conversation} conversation */
  async #rename(conversation) {
    const title = await ask({ title: 'Rename the conversation', yes: 'Rename', value: conversation.title });
    if (!title) return;
    await this.#store.putConversation({ ...conversation, title });
    await this.refresh();
    this.#actions.open(this.#current);
  }

  /** @param {Conversation} conversation */
  async #delete({ id, title }) {
    const sure = await ask({ title: 'Delete this conversation?', text: `“${title}” is only kept in this browser. It cannot be had back.`, yes: 'Delete' });
    if (sure === undefined) return;
    this.#actions.deleted(id);
    await this.#store.deleteConversation(id);
    await this.refresh();
  }
}

/** @param {number} time */
function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return 'Today';
  if (time >= midnight - DAY_MS) return 'Yesterday';
  if (time >= midnight - 7 * DAY_MS) return 'Earlier this week';
  return 'Before';
}
