/**
 * The table of live streams: sorted, filtered, and each with a way to end it.
 *
 * @import { LiveStream, State } from './shapes.js'
 */

import { announce } from '../../src/announce.js';
import { h, icon, part, setText } from '../../src/dom.js';
import { Rows } from './rows.js';
import { lasting, rate, short, whole } from './words.js';

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {string} look
 * @property {(stream: LiveStream) => string | number} by what it is sorted by
 * @property {string} [unit] what it is counted in, where no title stands above it
 */

/** @type {Record<string, Column>} */
const COLUMNS = {
  owner: { title: 'Owner', look: 'owner', by: ({ owner }) => owner.toLowerCase() },
  model: { title: 'Model', look: 'model', by: ({ model }) => model },
  plan: { title: 'Plan', look: 'plan', by: ({ plan }) => plan },
  age: { title: 'Age', look: 'number age', by: ({ age_ms: age }) => age },
  tokens: { title: 'Tokens', look: 'number tokens', by: ({ tokens }) => tokens, unit: 'tok' },
  rate: { title: 'Tokens/s', look: 'number rate', by: (stream) => stream.tokens_per_second ?? -1, unit: 'tok/s' },
  readers: { title: 'Readers', look: 'number readers', by: ({ readers }) => readers },
};

export class Streams {
  #body = part('streams-body', HTMLElement);
  #model = part('filter-model', HTMLSelectElement);
  #text = part('filter-text', HTMLInputElement);
  /** The same as the heads do, where there are none. */
  #sort = part('sort', HTMLSelectElement);
  #hint = part('streams-hint', HTMLElement);
  /** @type {Rows<LiveStream>} */
  #rows;
  /** @type {State['streams']} */
  #streams = { count: 0, shown: [] };
  #isOld = false;
  #column = 'age';
  #descending = true;
  /** @type {Map<string, HTMLTableCellElement>} */
  #heads = new Map();

  /** @param {(stream: LiveStream) => void} cancel */
  constructor(cancel) {
    this.#rows = new Rows(this.#body, ({ id }) => id, (stream) => makeRow(stream, cancel, () => this.#isOld));
    const heads = Object.entries(COLUMNS).map(([name, { title, look }]) => {
      const button = h('button', { type: 'button', onclick: () => this.#sortBy(name) }, title, icon('sort'));
      const head = h('th', { scope: 'col', class: look }, button);
      this.#heads.set(name, head);
      return head;
    });
    const last = h('th', { scope: 'col', class: 'act' }, h('span', { class: 'visually-hidden' }, 'Cancel'));
    part('streams-head', HTMLElement).append(...heads, last);
    this.#sort.append(
      ...Object.keys(COLUMNS).flatMap((name) =>
        (isOfNumbers(name) ? [true, false] : [false, true]).map((descending) =>
          h('option', { value: sortOf(name, descending) }, sortWords(name, descending)),
        ),
      ),
    );
    this.#sort.addEventListener('input', () => {
      const [name = '', order] = this.#sort.value.split(' ');
      this.#sortBy(name, order === 'descending');
    });
    for (const filter of [this.#model, this.#text]) filter.addEventListener('input', () => this.#draw(false));
    // What somebody is about to press must not move away under them.
    for (const event of ['pointerleave', 'focusout']) {
      this.#body.addEventListener(event, () => queueMicrotask(() => this.#draw()));
    }
    this.#markSorted();
  }

  /** @param {State} state */
  update(state) {
    this.#streams = state.streams;
    const models = [...new Set([...state.models.map(({ name }) => name), ...state.streams.shown.map(({ model }) => model)])];
    this.#offer(models.sort());
    this.#draw();
  }

  /**
   * What is shown is no longer so: nothing of it can be cancelled.
   *
   * @param {boolean} isOld
   */
  turnOld(isOld) {
    this.#isOld = isOld;
    setText(part('streams-words', HTMLElement), isOld ? 'Streams as they were last' : 'Live streams');
    this.#draw();
  }

  /** @param {string[]} models */
  #offer(models) {
    const known = [...this.#model.options].slice(1).map(({ value }) => value);
    if (known.join('\n') === models.join('\n')) return;
    const chosen = this.#model.value;
    const options = models.map((model) => h('option', { value: model }, model));
    this.#model.replaceChildren(h('option', { value: '' }, 'All models'), ...options);
    this.#model.value = models.includes(chosen) ? chosen : '';
  }

  /**
   * @param {string} name
   * @param {boolean} [descending]
   */
  #sortBy(name, descending = this.#column === name ? !this.#descending : isOfNumbers(name)) {
    this.#descending = descending;
    this.#column = name;
    this.#markSorted();
    this.#draw(false);
    announce(`Sorted by ${sortWords(name, descending)}`);
  }

  #markSorted() {
    this.#sort.value = sortOf(this.#column, this.#descending);
    for (const [name, head] of this.#heads) {
      const sorted = name === this.#column;
      const order = this.#descending ? 'descending' : 'ascending';
      if (sorted) head.setAttribute('aria-sort', order);
      else head.removeAttribute('aria-sort');
      const look = sorted ? (this.#descending ? 'down' : 'up') : 'sort';
      head.querySelector('use')?.setAttribute('href', `#i-${look}`);
    }
  }

  /** @param {boolean} [still] whether rows must not move */
  #draw(still = this.#body.matches(':hover') || this.#body.contains(document.activeElement)) {
    const { count, shown } = this.#streams;
    const [model, text] = [this.#model.value, this.#text.value.trim().toLowerCase()];
    const wanted = shown.filter(
      (stream) =>
        (model === '' || stream.model === model) &&
        [stream.owner, stream.plan, stream.id, stream.issuer].some((it) => it.toLowerCase().includes(text)),
    );
    const by = COLUMNS[this.#column]?.by ?? (({ age_ms: age }) => age);
    const sign = this.#descending ? -1 : 1;
    wanted.sort((one, other) => {
      const [a, b] = [by(one), by(other)];
      return sign * (a < b ? -1 : a > b ? 1 : 0) || (one.id < other.id ? -1 : 1);
    });
    this.#rows.show(wanted, still);
    setText(part('streams-count', HTMLElement), whole(count));
    setText(this.#hint, this.#words(wanted.length));
  }

  /** @param {number} found */
  #words(found) {
    const { count, shown } = this.#streams;
    if (count === 0) return 'Nothing is being generated on this node.';
    const filtered = found < shown.length ? `${whole(found)} of ${whole(shown.length)} match. ` : '';
    const more = count - shown.length;
    if (more <= 0) return filtered;
    return `${filtered}Listed are the oldest and the newest ${whole(shown.length / 2)}; ${whole(more)} more run.`;
  }
}

/** To see whether a column has numbers. */
const NONE = /** @type {LiveStream} */ ({ owner: '', model: '', plan: '', age_ms: 0, tokens: 0, readers: 0 });

const isOfNumbers = (/** @type {string} */ name) => typeof COLUMNS[name]?.by(NONE) === 'number';

const sortOf = (/** @type {string} */ name, /** @type {boolean} */ descending) =>
  `${name} ${descending ? 'descending' : 'ascending'}`;

const sortWords = (/** @type {string} */ name, /** @type {boolean} */ descending) => {
  const order = isOfNumbers(name) ? ['rising', 'falling'] : ['A to Z', 'Z to A'];
  return `${COLUMNS[name]?.title}, ${order[Number(descending)]}`;
};

/**
 * @param {LiveStream} stream
 * @param {(stream: LiveStream) => void} cancel
 * @param {() => boolean} isOld
 */
function makeRow(stream, cancel, isOld) {
  let latest = stream;
  const cell = (/** @type {string} */ name, /** @type {Node[]} */ ...children) =>
    h('td', { class: COLUMNS[name]?.look ?? '', 'data-unit': COLUMNS[name]?.unit }, ...children);
  const [age, tokens, speed, readers] = [h('span'), h('span'), h('span'), h('span')];
  const button = h(
    'button',
    {
      type: 'button',
      class: 'stop',
      'aria-label': `Cancel the stream ${short(stream.id)} of ${stream.owner}`,
      onclick: () => isOld() || cancel(latest),
    },
    'Cancel',
  );
  const name = h('span', { class: 'name', title: stream.issuer ? `${stream.owner} (${stream.issuer})` : stream.owner }, stream.owner);
  const element = h(
    'tr',
    { id: `stream-${stream.id}` },
    h('th', { scope: 'row', class: 'owner' }, h('div', {}, name, h('code', { title: stream.id }, short(stream.id)))),
    cell('model', h('span', {}, stream.model)),
    cell('plan', h('span', {}, stream.plan)),
    cell('age', age),
    cell('tokens', tokens),
    cell('rate', speed),
    cell('readers', readers),
    h('td', { class: 'act' }, button),
  );
  /** @param {LiveStream} now */
  const update = (now) => {
    latest = now;
    // It stays where the focus may be, so it is not `disabled`.
    button.setAttribute('aria-disabled', String(isOld()));
    setText(age, lasting(now.age_ms / 1000));
    setText(tokens, now.has_begun ? whole(now.tokens) : 'not yet');
    element.classList.toggle('waits', !now.has_begun);
    setText(speed, rate(now.tokens_per_second));
    element.classList.toggle('quiet', now.has_begun && now.tokens_per_second === 0);
    setText(readers, now.readers === 0 ? (now.read_elsewhere ? 'elsewhere' : 'none') : whole(now.readers) + (now.read_elsewhere ? ' + elsewhere' : ''));
    element.classList.toggle('elsewhere', now.read_elsewhere);
    readers.parentElement?.setAttribute('data-unit', now.readers === 1 ? 'reader' : 'readers');
    element.classList.toggle('alone', now.readers === 0 && !now.read_elsewhere);
  };
  return { element, update };
}
