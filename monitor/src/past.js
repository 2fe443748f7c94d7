/** What was seen in the last two minutes, as the charts want it. Nothing is asked of the server for it. */

/** @import { Pace, State, Tally } from './shapes.js' */

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
    const { node, at_ms: at } = state;
    let last = this.#last;
    // A feed that begins anew begins with what was seen last.
    if (last && isSameProcess(last, state) && last.at_ms === at) return;
    // Another node has another past, and so has one whose clock was set back.
    if (last && (last.node.name !== node.name || last.at_ms >= at)) {
      this.#moments = [];
      last = undefined;
    }
    // Another process counts from 0, and nobody knows how what came in a pause was spread over it.
    const isNext = last && isSameProcess(last, state) && at - last.at_ms <= GAP_MS;
    if (last && !isNext) this.#moments.push({ at: last.at_ms + 1, common: {}, scopes: new Map() });
    this.#last = state;
    const before = isNext ? last : undefined;
    const scopes = new Map([['', valuesOf(state.total)]]);
    for (const pace of state.models) scopes.set(scopeOf('model', pace.name), valuesOf(pace));
    for (const pace of state.plans) {
      const turnedAway = rejections(state, before, pace.name);
      scopes.set(scopeOf('plan', pace.name), { ...valuesOf(pace), ...turnedAway });
    }
    const total = (/** @type {Tally[]} */ tallies) => tallies.reduce((sum, it) => sum + it.total, 0);
    const common = {
      ...rejections(state, before),
      requests: state.requests_per_second ?? null,
      refused: aSecond(state, before, ({ errors }) => total(errors)),
      failed: aSecond(state, before, ({ failures }) => total(failures)),
      cpu: node.cpu ?? null,
      memory: node.memory_bytes ?? null,
      readers: state.readers.reduce((sum, it) => sum + it.count, 0),
    };
    this.#moments.push({ at, common, scopes });
    while ((this.#moments[0]?.at ?? Infinity) < at - SPAN_MS) this.#moments.shift();
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
 * Whether both are of the same run of the same node, so that counts of one go on in the other.
 *
 * @param {State} one
 * @param {State} other
 */
function isSameProcess({ node: one }, { node: other }) {
  return one.name === other.name && one.started_ms === other.started_ms;
}

/**
 * How fast a count grew since the state before; null if there is none.
 *
 * @param {State} state
 * @param {State | undefined} before
 * @param {(state: State) => number} count
 */
function aSecond(state, before, count) {
  if (!before) return null;
  return Math.max(0, count(state) - count(before)) / ((state.at_ms - before.at_ms) / 1000);
}

/**
 * How many were turned away in a second since the state before, by why.
 *
 * @param {State} state
 * @param {State | undefined} before
 * @param {string} [plan] of this plan only
 */
function rejections(state, before, plan) {
  const since = (/** @type {string[]} */ ...reasons) =>
    aSecond(state, before, (of) =>
      of.rejections
        .filter((it) => reasons.includes(it.reason) && (plan === undefined || it.plan === plan))
        .reduce((sum, it) => sum + it.total, 0),
    );
  return {
    byRequests: since('requests'),
    byTokens: since('tokens', 'tokens_ever'),
    byStreams: since('streams'),
    byServer: since('server'),
    byStop: since('draining'),
  };
}
