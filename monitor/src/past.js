/** What was seen in the last two minutes, as the charts want it. Nothing is asked of the server for it. */

/** @import { State } from './shapes.js' */

export const SPAN_MS = 120_000;

/**
 * One second. What is not known is null, and is not drawn.
 *
 * @typedef {object} Point
 * @property {number} at
 * @property {Record<string, number | null>} values
 */

export class Past {
  /** @type {Point[]} */
  points = [];
  /** @type {State | undefined} */
  #last;

  /** @param {State} state */
  add(state) {
    const last = this.#last;
    this.#last = state;
    const { total, node } = state;
    const newest = this.points.at(-1);
    // Where seconds are missing, nothing is drawn.
    if (newest && state.at_ms - newest.at > 2500) this.points.push({ at: newest.at + 1, values: {} });
    const rejected = (/** @type {State} */ of) => of.rejections.reduce((sum, it) => sum + it.total, 0);
    const failed = (/** @type {State} */ of) => of.errors.reduce((sum, it) => sum + it.total, 0);
    // Another process counts from 0.
    const same = last && last.node.uptime_s <= node.uptime_s ? last : undefined;
    const since = (/** @type {(of: State) => number} */ count) =>
      same ? Math.max(0, count(state) - count(same)) : null;
    this.points.push({
      at: state.at_ms,
      values: {
        tokens: total.tokens_per_second ?? null,
        streams: state.streams.count,
        readers: state.readers.reduce((sum, it) => sum + it.count, 0),
        first50: total.first_token.p50_ms ?? null,
        first95: total.first_token.p95_ms ?? null,
        first99: total.first_token.p99_ms ?? null,
        gap50: total.gap.p50_ms ?? null,
        gap95: total.gap.p95_ms ?? null,
        gap99: total.gap.p99_ms ?? null,
        cpu: node.cpu ?? null,
        memory: node.memory_bytes ?? null,
        requests: state.requests_per_second ?? null,
        rejected: since(rejected),
        failed: since(failed),
      },
    });
    while ((this.points[0]?.at ?? Infinity) < state.at_ms - SPAN_MS) this.points.shift();
  }
}
