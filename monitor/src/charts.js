/** Which charts there are, and of which model or plan they are. */

/** @import { State } from './shapes.js' */
/** @import { Past, Values } from './past.js' */

import { h, part, setText } from '../../src/dom.js';
import { Chart } from './chart.js';
import { scopeOf } from './past.js';
import { bytes, cores, counted, delay, pastWords, rate, whole } from './words.js';

const MEBI = 1024 * 1024;

/** @param {string} key */
const quantiles = (key) => [
  { key: `${key}50`, name: 'p50', look: 'solid' },
  { key: `${key}95`, name: 'p95', look: 'dashed' },
  { key: `${key}99`, name: 'p99', look: 'dotted' },
];

/** @param {string} key */
const one = (key) => [{ key, name: 'Now', look: 'solid' }];

export class Charts {
  #workers = 1;
  #isOld = false;
  #scope = part('scope', HTMLSelectElement);
  #offered = '';
  /** @type {{ past: Past, state: State } | undefined} */
  #last;
  #charts;

  constructor() {
    this.#charts = [
      { id: 'tokens', title: 'Tokens a second', lines: one('tokens'), format: rate, least: 10 },
      {
        id: 'streams',
        title: 'Live streams',
        lines: one('streams'),
        format: whole,
        least: 4,
        note: (/** @type {Values} */ { readers }) => (typeof readers === 'number' ? counted(readers, 'reader') : ''),
      },
      { id: 'first', title: 'First token', lines: quantiles('first'), format: delay, least: 10 },
      { id: 'gap', title: 'Between tokens', lines: quantiles('gap'), format: delay, least: 10 },
      {
        id: 'rejected',
        title: 'Turned away a second',
        lines: [
          { key: 'byRequests', name: 'Requests', look: 'solid' },
          { key: 'byTokens', name: 'Tokens', look: 'dashed' },
          { key: 'byStreams', name: 'Streams', look: 'dotted' },
          { key: 'byServer', name: 'Full', look: 'mixed' },
          { key: 'byStop', name: 'Stopping', look: 'long' },
        ],
        format: rate,
        least: 4,
      },
      {
        id: 'requests',
        title: 'Requests and errors a second',
        lines: [
          { key: 'requests', name: 'Requests', look: 'solid' },
          { key: 'refused', name: 'Errors', look: 'dashed' },
          { key: 'failed', name: 'Failures', look: 'dotted' },
        ],
        format: rate,
        least: 4,
      },
      {
        id: 'cpu',
        title: 'Processor',
        lines: one('cpu'),
        format: cores,
        least: 0.1,
        note: () => `${counted(this.#workers, 'worker')}: ${this.#workers * 100} %`,
      },
      { id: 'memory', title: 'Memory', lines: one('memory'), format: bytes, least: 16 * MEBI, unit: MEBI },
    ].map((about) => new Chart(about));
    part('charts', HTMLElement).append(...this.#charts.map(({ element }) => element));
    this.#scope.addEventListener('input', () => this.#draw());
  }

  /**
   * @param {Past} past
   * @param {State} state
   */
  update(past, state) {
    this.#last = { past, state };
    this.#workers = state.node.workers;
    this.#offer(state);
    this.#draw();
  }

  /** @param {boolean} isOld what is drawn is no longer so */
  turnOld(isOld) {
    this.#isOld = isOld;
    this.#draw();
  }

  #draw() {
    if (!this.#last) return;
    const { past, state } = this.#last;
    const points = past.points(this.#scope.value);
    const seen = state.at_ms - (points[0]?.at ?? state.at_ms);
    const span = seen < 1000 ? '' : this.#isOld ? `, and ${pastWords(seen)} before` : `, and the last ${pastWords(seen)}`;
    setText(part('charts-title', HTMLElement), `${this.#isOld ? 'As it was last' : 'Now'}${span}`);
    for (const chart of this.#charts) chart.update(points, state.at_ms);
  }

  /** @param {State} state */
  #offer({ models, plans }) {
    const names = JSON.stringify([models, plans].map((paces) => paces.map(({ name }) => name)));
    if (names === this.#offered) return;
    this.#offered = names;
    const chosen = this.#scope.value;
    const group = (/** @type {'model' | 'plan'} */ kind, /** @type {State['models']} */ paces, /** @type {string} */ label) =>
      h('optgroup', { label }, ...paces.map(({ name }) => h('option', { value: scopeOf(kind, name) }, name)));
    const groups = [group('model', models, 'Models'), group('plan', plans, 'Plans')];
    const all = h('option', { value: '' }, 'All models and plans');
    this.#scope.replaceChildren(all, ...groups.filter(({ children }) => children.length > 0));
    this.#scope.value = chosen;
    if (this.#scope.selectedIndex < 0) this.#scope.value = '';
  }
}
