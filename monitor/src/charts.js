/** Which charts there are. */

/** @import { State } from './shapes.js' */
/** @import { Past } from './past.js' */

import { part } from '../../src/dom.js';
import { Chart } from './chart.js';
import { bytes, cores, counted, delay, rate, whole } from './words.js';

/** @param {string} key */
const quantiles = (key) => [
  { key: `${key}50`, name: 'p50', look: 'solid' },
  { key: `${key}95`, name: 'p95', look: 'dashed' },
  { key: `${key}99`, name: 'p99', look: 'dotted' },
];

const KIBI = 1024;

export class Charts {
  #workers = 1;
  #charts;

  constructor() {
    /** @param {string} key */
    const one = (key) => [{ key, name: 'Now', look: 'solid' }];
    this.#charts = [
      { id: 'tokens', title: 'Tokens a second', lines: one('tokens'), format: rate, least: 10 },
      {
        id: 'streams',
        title: 'Live streams',
        lines: one('streams'),
        format: whole,
        least: 5,
        note: (/** @type {Record<string, number | null>} */ { readers }) =>
          readers === null || readers === undefined ? '' : counted(readers, 'reader'),
      },
      { id: 'first', title: 'First token', lines: quantiles('first'), format: delay, least: 10 },
      { id: 'gap', title: 'Between tokens', lines: quantiles('gap'), format: delay, least: 10 },
      {
        id: 'rejected',
        title: 'Turned away and failed, a second',
        lines: [
          { key: 'rejected', name: 'Turned away', look: 'solid' },
          { key: 'failed', name: 'Errors', look: 'dotted' },
        ],
        format: whole,
        least: 5,
      },
      { id: 'requests', title: 'Requests a second', lines: one('requests'), format: rate, least: 5 },
      {
        id: 'cpu',
        title: 'Processor',
        lines: one('cpu'),
        format: cores,
        least: 0.1,
        note: () => `of ${this.#workers * 100} % for ${counted(this.#workers, 'worker')}`,
      },
      { id: 'memory', title: 'Memory', lines: one('memory'), format: bytes, least: 16 * KIBI * KIBI },
    ].map((about) => new Chart(about));
    part('charts', HTMLElement).append(...this.#charts.map(({ element }) => element));
  }

  /**
   * @param {Past} past
   * @param {State} state
   */
  update({ points }, state) {
    this.#workers = state.node.workers;
    for (const chart of this.#charts) chart.update(points, state.at_ms);
  }
}
