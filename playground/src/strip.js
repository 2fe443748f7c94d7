/**
 * The line under an answer: how its connection stands, and its figures.
 *
 * @import { Answer } from './model.js'
 * @import { Run } from './run.js'
 */

import { h, setText, shape } from './dom.js';
import { count, duration, pace } from './figures.js';
import { drawSparkline } from './sparkline.js';
import { waitingFor } from './words.js';

export class Strip {
  #badge = h('span', { class: 'link-badge', hidden: true });
  #figures = h('dl', { class: 'figures' });
  #picture = shape('svg', { class: 'sparkline', 'aria-hidden': 'true' });
  #drawn = '';
  element = h('div', { class: 'strip', hidden: true });

  constructor() {
    this.element.append(this.#badge, this.#figures);
  }

  /**
   * @param {Answer} answer
   * @param {Run | undefined} run
   */
  update(answer, run) {
    const { figures } = answer;
    this.#showLink(answer, run);
    const speed = pace(figures);
    /** @type {[string, string | undefined][]} */
    const items = [
      ['first token', figures.first === null ? undefined : duration(figures.first)],
      ['pace', speed === null ? undefined : `${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s`],
      ['longest gap', figures.tokens > 1 ? duration(figures.gap) : undefined],
      ['length', figures.tokens > 0 ? count(figures.tokens, 'token') : undefined],
    ];
    const known = items.filter(([, value]) => value !== undefined);
    this.element.hidden = known.length === 0 && this.#badge.hidden;
    const text = JSON.stringify(known) + figures.bins.length;
    if (text === this.#drawn) return;
    this.#drawn = text;
    const pairs = known.map(([name, value]) =>
      h('div', {}, h('dt', {}, name), h('dd', {}, value)),
    );
    drawSparkline(this.#picture, figures.bins);
    this.#figures.replaceChildren(...pairs);
    if (figures.bins.length > 1) this.#figures.append(h('div', {}, this.#picture));
  }

  /**
   * @param {Answer} answer
   * @param {Run | undefined} run
   */
  #showLink({ seq, figures }, run) {
    const badge = this.#badge;
    const link = run?.link;
    const away = link?.state === 'waiting' && seq >= 0;
    badge.hidden = !away && figures.resumes === 0;
    badge.dataset.state = away ? 'away' : 'resumed';
    if (away) {
      const left = Math.max(0, (link.until ?? 0) - Date.now());
      const wait = left > 0 ? `back in ${Math.ceil(left / 1000)} s` : 'reconnecting';
      setText(badge, `${waitingFor(link.error)} · ${wait}`);
    } else if (figures.resumes > 0) {
      const times = figures.resumes > 1 ? ` ${figures.resumes} times` : '';
      const replayed = `${count(figures.replayed, 'token')} replayed`;
      setText(badge, `Resumed${times} · ${replayed} · ${figures.lost} lost`);
    }
  }
}
