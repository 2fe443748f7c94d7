/** Numbers and times in words. */

/** @import { Peer, State } from './shapes.js' */

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const HUNDREDTHS = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** What stands where nothing is known. */
export const NOTHING = '–';

/** @param {number | null | undefined} number */
export function whole(number) {
  return number === null || number === undefined ? NOTHING : WHOLE.format(number);
}

/**
 * About three digits.
 *
 * @param {number | null | undefined} number
 */
export function rate(number) {
  if (number === null || number === undefined) return NOTHING;
  return number < 100 ? TENTHS.format(number) : WHOLE.format(number);
}

/** @param {number | null | undefined} milliseconds */
export function delay(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return NOTHING;
  if (milliseconds < 1000) return `${milliseconds < 10 ? TENTHS.format(milliseconds) : WHOLE.format(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  return `${seconds < 10 ? HUNDREDTHS.format(seconds) : TENTHS.format(seconds)} s`;
}

/**
 * How long something has lasted.
 *
 * @param {number} seconds
 */
export function lasting(seconds) {
  const all = Math.floor(seconds);
  if (all < 60) return `${all} s`;
  const [days, hours, minutes] = [Math.floor(all / 86400), Math.floor((all % 86400) / 3600), Math.floor((all % 3600) / 60)];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes} min ${all % 60} s`;
}

/**
 * How much of the past there is to see: two minutes, or as much of them as somebody watches.
 *
 * @param {number} milliseconds
 */
export function pastWords(milliseconds) {
  return milliseconds >= 118_000 ? 'two minutes' : lasting(milliseconds / 1000);
}

/** @param {number | null | undefined} count */
export function bytes(count) {
  if (count === null || count === undefined) return NOTHING;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const at = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  const scaled = count / 1024 ** at;
  return `${scaled < 10 && at > 0 ? TENTHS.format(scaled) : WHOLE.format(scaled)} ${units[at]}`;
}

/** @param {number | null | undefined} cores */
export function cores(cores) {
  return cores === null || cores === undefined ? NOTHING : `${WHOLE.format(cores * 100)} %`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/**
 * An id, short enough to be looked at: the end of it, for those of one moment begin alike.
 *
 * @param {string} id
 */
export function short(id) {
  return `…${id.slice(-8)}`;
}

/** @type {Record<string, string>} */
export const REASONS = {
  requests: 'too many requests in a minute',
  tokens: 'too many tokens in a minute',
  tokens_ever: 'more tokens than the plan ever allows',
  streams: 'too many streams at once',
  server: 'this server is full',
  draining: 'this node is stopping',
};

/** @type {Record<string, string>} */
export const READERS = {
  sse: 'Server-Sent Events',
  openai: 'chat completions',
  ndjson: 'lines of JSON',
  poll: 'page by page',
};

/** @type {Record<string, { words: string, icon: string }>} */
export const STATES = {
  serving: { words: 'Serving', icon: 'good' },
  leaving: { words: 'Leaving', icon: 'drain' },
  draining: { words: 'Draining', icon: 'drain' },
  unready: { words: 'Not ready', icon: 'alert' },
  stopped: { words: 'Stopped', icon: 'stopped' },
  told: { words: 'Told to stop', icon: 'stopped' },
  away: { words: 'Away', icon: 'away' },
  unknown: { words: 'Not known here', icon: 'alert' },
};

/** A node that was not heard for so long has missed its turn twice: each says that it is there every 1.8 s. */
const LATE_MS = 4000;

/**
 * How a node stands, as far as it can be known here: while Redis is away, nobody hears of the others.
 *
 * @param {Peer} peer
 * @param {State['redis']} redis
 * @returns {string} one of `STATES`
 */
export function standingOf({ heard_ms: ago, said }, redis) {
  if (ago <= LATE_MS) return said?.state ?? 'unknown';
  return redis && !redis.up ? 'unknown' : 'away';
}

/**
 * Since when things are counted: a minute, or for as long as somebody watches.
 *
 * @param {State} state
 */
export function spanOf({ window_ms: window }) {
  return window >= 59_000 ? 'last minute' : `last ${Math.max(1, Math.round(window / 1000))} s`;
}

/**
 * What may be lost with a process: how many streams ran in its last news. Nothing if none did.
 *
 * @param {State} state
 * @param {string} [who]
 */
export function leftRunning({ streams: { count } }, who = 'it') {
  if (count === 0) return '';
  return ` ${counted(count, 'stream')} ${count === 1 ? 'was' : 'were'} running when ${who} was last heard.`;
}
