/** What was seen in the last two minutes, as the charts want it. Nothing is asked of the server for it. */

/** @import { Pace, State } from './shapes.js' */

export const SPAN_MS = 120_000;

/** After such a pause, seconds are missing. */
const GAP_MS = 2500;

/**
 * Figures by their name. What is not known is null, and is not drawn.
 *
 * @typedef {Record<string, number | null>} Values
 */

/**
 * One moment, as a chart draws it.
 *
 * @typedef {{ at: number, values: Values }} Point
 */

/** The name of a model or plan among all. Of everything together, it is empty. */
export const scopeOf = (/** @type {'model' | 'plan'} */ kind, /** @type {string} */ name) => `${kind}\n${name}`;

/** @param {Pace} pace */
const valuesOf = ({ running, tokens_per_second: tokens, first_token: first, gap }) => ({
  streams: running,
  tokens: tokens ?? null,
  first50: first.p50_ms ?? null,
  first95: first.p95_ms ?? null,
  first99: first.p99_ms ?? null,
  gap50: gap.p50_ms ?? null,
  gap95: gap.p95_ms ?? null,
  gap99: gap.p99_ms ?? null,
});

export class Past {
  /** @type {{ at: number, common: Values, scopes: Map<string, Values> }[]} */
  #moments = [];
  /** @type {State | undefined} */
  #last;

  /** @param {State} state */
  add(state) {
    // Another process counts from 0.
    const same = this.#last && this.#last.node.uptime_s <= state.node.uptime_s ? this.#last : undefined;
    this.#last = state;
    const newest = this.#moments.at(-1);
    if (newest && state.at_ms - newest.at > GAP_MS) {
      this.#moments.push({ at: newest.at + 1, common: {}, scopes: new Map() });
    }
    const { node } = state;
    const scopes = new Map([['', valuesOf(state.total)]]);
    for (const pace of state.models) scopes.set(scopeOf('model', pace.name), valuesOf(pace));
    for (const pace of state.plans) {
      const turnedAway = rejections(state, same, pace.name);
      scopes.set(scopeOf('plan', pace.name), { ...valuesOf(pace), ...turnedAway });
    }
    const failed = (/** @type {State} */ of) => of.errors.reduce((sum, it) => sum + it.total, 0);
    const common = {
      ...rejections(state, same),
      requests: state.requests_per_second ?? null,
      failed: same ? Math.max(0, failed(state) - failed(same)) : null,
      cpu: node.cpu ?? null,
      memory: node.memory_bytes ?? null,
      readers: state.readers.reduce((sum, it) => sum + it.count, 0),
    };
    this.#moments.push({ at: state.at_ms, common, scopes });
    while ((this.#moments[0]?.at ?? Infinity) < state.at_ms - SPAN_MS) this.#moments.shift();
  }

  /**
   * Everything, oldest first, with the figures of this model or plan where it has its own.
   *
   * @param {string} scope
   * @returns {Point[]}
   */
  points(scope) {
    return this.#moments.map(({ at, common, scopes }) => ({
      at,
      values: { ...common, ...scopes.get(scope) },
    }));
  }
}

/**
 * How many were turned away since the state before, by why.
 *
 * @param {State} state
 * @param {State | undefined} before
 * @param {string} [plan] of this plan only
 */
function rejections(state, before, plan) {
  const total = (/** @type {State} */ of, /** @type {string[]} */ reasons) =>
    of.rejections
      .filter((it) => reasons.includes(it.reason) && (plan === undefined || it.plan === plan))
      .reduce((sum, it) => sum + it.total, 0);
  const since = (/** @type {string[]} */ ...reasons) =>
    before ? Math.max(0, total(state, reasons) - total(before, reasons)) : null;
  return {
    byRequests: since('requests'),
    byTokens: since('tokens', 'tokens_ever'),
    byStreams: since('streams'),
    byServer: since('server'),
  };
}
