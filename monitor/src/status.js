/** The top line: how the server stands, and how old that news is. */

/** @import { Wait } from './feed.js' */
/** @import { State } from './shapes.js' */

import { announce } from '../../src/announce.js';
import { part, setIcon, setText } from '../../src/dom.js';
import { STATES, counted, lasting, leftRunning, rate } from './words.js';

/** News that is older than this is said to be. */
const OLD_MS = 2500;

const standing = part('standing', HTMLElement);
const mark = part('state', HTMLElement);
const news = part('news', HTMLElement);
const banner = part('banner', HTMLElement);

export class Status {
  #heardAt = 0;
  #told = '';
  /** @type {State | undefined} */
  #state;
  /** @type {Wait | undefined} */
  #wait;
  /** Whether the server has said that it stops. */
  #hasStopped = false;
  /** @type {number | undefined} */
  #clock;
  #onOld;
  #isOld = false;

  /** @param {(isOld: boolean) => void} onOld what is shown is no longer so, or is again */
  constructor(onOld) {
    this.#onOld = onOld;
  }

  start() {
    this.#heardAt = Date.now();
    standing.hidden = false;
    clearInterval(this.#clock);
    this.#clock = setInterval(() => this.#draw(), 500);
    this.#draw();
  }

  stop() {
    clearInterval(this.#clock);
    standing.hidden = true;
    banner.hidden = true;
    this.#state = undefined;
    this.#wait = undefined;
    this.#hasStopped = false;
    document.title = 'Tailrace monitor';
  }

  /** @param {State} state */
  heard(state) {
    this.#heardAt = Date.now();
    this.#state = state;
    this.#wait = undefined;
    this.#hasStopped = false;
    this.#draw();
  }

  /** The server has said that it stops now, as its last word. */
  hasStopped() {
    this.#hasStopped = true;
  }

  /** @param {Wait} wait */
  waits(wait) {
    this.#wait = wait;
    this.#draw();
  }

  #draw() {
    const state = this.#state;
    const age = Date.now() - this.#heardAt;
    const old = age > OLD_MS || (this.#wait !== undefined && state !== undefined);
    const name = old && this.#wait ? this.#gone() : (state?.node.state ?? 'away');
    const words = state ? (STATES[name]?.words ?? name) : 'Connecting';
    mark.dataset.state = name;
    setIcon(mark, STATES[name]?.icon ?? 'alert');
    setText(part('state-words', HTMLElement), words);
    news.dataset.old = String(old);
    news.dataset.expected = String(name === 'stopped' || name === 'told');
    setText(part('news-words', HTMLElement), old || !state ? this.#ageWords(age) : 'Live');
    if (state) {
      const { node, streams, total } = state;
      setText(part('node', HTMLElement), `${node.name} · ${node.version} · up ${lasting(node.uptime_s)}`);
      const figures = `${counted(streams.count, 'stream')}, ${rate(total.tokens_per_second)} tok/s`;
      document.title = `${words}${old ? '' : ` · ${figures}`} – Tailrace monitor`;
    }
    const trouble = this.#trouble(old);
    banner.hidden = trouble === undefined;
    if (trouble) {
      banner.dataset.tone = trouble.tone;
      setIcon(banner, trouble.icon);
      setText(part('banner-words', HTMLElement), trouble.words);
    }
    const tell = `${words}. ${trouble?.told ?? ''}`;
    if (state && tell !== this.#told) {
      if (this.#told !== '') announce(tell);
      this.#told = tell;
    }
    if (old !== this.#isOld) {
      this.#isOld = old;
      this.#onOld(old);
    }
  }

  /** What a server is that is not there: one that does as it was told is no accident. */
  #gone() {
    if (this.#wait?.isHeard) return 'unknown';
    if (this.#hasStopped) return 'stopped';
    const last = this.#state?.node.state;
    return last === 'leaving' || last === 'draining' ? 'told' : 'away';
  }

  /** @param {number} age */
  #ageWords(age) {
    if (!this.#state) return this.#wait ? 'No news yet' : 'Waiting for the first news';
    return `No news for ${lasting(Math.max(1, Math.round(age / 1000)))}`;
  }

  /**
   * What is wrong, or about to end, and what that means.
   *
   * @param {boolean} old
   * @returns {{ tone: string, icon: string, words: string, told: string } | undefined}
   */
  #trouble(old) {
    if (this.#wait && (old || !this.#state)) return this.#absence(this.#wait);
    const state = this.#state;
    if (!state) return undefined;
    if (state.node.state === 'leaving') {
      const told = 'This node was told to stop';
      const words = `${told}: it is no longer ready, and serves on until whoever sends requests has heard of it.`;
      return { tone: 'warning', icon: 'drain', words, told };
    }
    if (state.node.state === 'draining') {
      const left = Math.ceil((state.node.drain_left_ms ?? 0) / 1000);
      const run = state.streams.count === 1 ? '1 stream still runs' : `${counted(state.streams.count, 'stream')} still run`;
      const told = 'This node was told to stop: it takes no new generations';
      return { tone: 'warning', icon: 'drain', words: `${told}. ${run}, for at most ${left} s more.`, told };
    }
    if (state.redis && !state.redis.up) {
      const told = 'Redis does not answer';
      const words = `${told}: this node takes no new generations, and keeps what it has for some seconds. Its log says why.`;
      return { tone: 'error', icon: 'alert', words, told };
    }
    if (state.node.state === 'unready') {
      const told = 'This node takes no new generations';
      return { tone: 'error', icon: 'alert', words: `${told}: see /readyz and its log.`, told };
    }
    return undefined;
  }

  /** @param {Wait} wait */
  #absence({ until, why }) {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    const again = left === 0 ? 'Trying again now.' : `Trying again in ${left} s.`;
    const stands = this.#state ? ' What stands here is as it was last.' : '';
    const gone = this.#gone();
    if (gone === 'unknown') return { tone: 'error', icon: 'alert', words: `${why}. ${again}${stands}`, told: why };
    if (gone === 'away') return { tone: 'error', icon: 'away', words: `${why}. ${again}${stands}`, told: why };
    // Without its last word nobody knows whether it has stopped, or the way to it is cut.
    const what = gone === 'stopped' ? 'This node has stopped, as it was told to' : `This node was told to stop. ${why}`;
    const told = `${what}.${this.#state ? leftRunning(this.#state) : ''}`;
    return { tone: 'warning', icon: 'stopped', words: `${told} ${again}${stands}`, told };
  }
}
