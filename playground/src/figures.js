/** What is measured of an answer while it comes: pure arithmetic over times in milliseconds. */

/** What comes within so short a time has no pace. */
const SHORTEST = 50;

/** How many bars the picture of the pace has at most. */
const MOST_BINS = 60;

/**
 * @typedef {object} Figures
 * @property {number} started when it was asked for
 * @property {number | null} first when the first token came, since then
 * @property {number} last when the last one came, since then
 * @property {number} tokens how many came, reasoning among them
 * @property {number} gap the longest time between two
 * @property {number} resumes how often it was gone on with over another connection
 * @property {number} replayed events that were generated meanwhile, and came later
 * @property {number} lost events that never came
 * @property {number} binMs how long each bar is
 * @property {number[]} bins how many tokens came in each
 */

/**
 * @param {number} started
 * @returns {Figures}
 */
export function newFigures(started) {
  return {
    started,
    first: null,
    last: 0,
    tokens: 0,
    gap: 0,
    resumes: 0,
    replayed: 0,
    lost: 0,
    binMs: 200,
    bins: [],
  };
}

/**
 * Counts a token that came now.
 *
 * @param {Figures} figures
 * @param {number} now
 */
export function countToken(figures, now) {
  const at = Math.max(0, now - figures.started);
  if (figures.first === null) figures.first = at;
  else figures.gap = Math.max(figures.gap, at - figures.last);
  figures.last = at;
  figures.tokens += 1;
  const since = at - figures.first;
  while (Math.floor(since / figures.binMs) >= MOST_BINS) widen(figures);
  const bin = Math.floor(since / figures.binMs);
  while (figures.bins.length <= bin) figures.bins.push(0);
  figures.bins[bin] = (figures.bins[bin] ?? 0) + 1;
}

/**
 * Makes each bar twice as long, so that their number stays bounded however long an answer takes.
 *
 * @param {Figures} figures
 */
function widen(figures) {
  const { bins } = figures;
  /** @type {number[]} */
  const wider = [];
  for (let at = 0; at < bins.length; at += 2) wider.push((bins[at] ?? 0) + (bins[at + 1] ?? 0));
  figures.bins = wider;
  figures.binMs *= 2;
}

/**
 * Tokens in a second, from the first to the last.
 *
 * @param {Figures} figures
 * @returns {number | null}
 */
export function pace({ first, last, tokens }) {
  if (first === null || tokens < 2 || last - first < SHORTEST) return null;
  return ((tokens - 1) * 1000) / (last - first);
}

/**
 * A time for people: `162 ms`, `1.4 s`, `2 min 5 s`.
 *
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000 && ms % 1000 !== 0) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/**
 * A count with its noun: `1 token`, `2,000 tokens`.
 *
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
