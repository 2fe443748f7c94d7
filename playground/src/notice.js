/**
 * What a person is told when an answer does not come: why, what to do, and when it is tried again.
 *
 * @import { Answer } from './model.js'
 * @import { Run } from './run.js'
 */

import { h, icon, setIcon, setText } from './dom.js';
import { noticeOf, waitingFor } from './words.js';

/** @typedef {ReturnType<typeof noticeOf>['offer']} Offer */

/** @type {Record<Offer, string>} */
const OFFERS = { again: 'Try again', token: 'Give a token', edit: 'Edit the prompt' };

export class NoticeView {
  #title = h('strong', {});
  #text = h('span', {});
  #button = h('button', { type: 'button' });
  element = h('div', { class: 'notice', hidden: true });

  /** What the button does. @type {Offer} */
  #offer = 'again';

  /** @param {{ retry: () => void, edit: () => void }} actions */
  constructor({ retry, edit }) {
    this.#button.addEventListener('click', () => (this.#offer === 'edit' ? edit() : retry()));
    this.element.append(
      icon('alert'),
      h('div', {}, this.#title, ' ', this.#text),
      this.#button,
    );
  }

  /**
   * @param {Answer} answer
   * @param {Run | undefined} run
   */
  update({ trouble, status, seq }, run) {
    const link = run?.link;
    // Once there is something of an answer, the line under it says how its connection stands.
    const waiting = link?.state === 'waiting' && (seq < 0 || link.error?.status === 429);
    this.element.hidden = !waiting && !(status === 'failed' && trouble);
    if (waiting) {
      const seconds = Math.ceil(Math.max(0, (link.until ?? 0) - Date.now()) / 1000);
      this.#show('warning', 'clock', waitingFor(link.error));
      this.#offer = 'again';
      setText(this.#text, seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again.');
      setText(this.#button, 'Try now');
    } else if (trouble) {
      const notice = noticeOf(trouble);
      this.#show(notice.tone, notice.offer === 'token' ? 'key' : 'alert', notice.title);
      this.#offer = notice.offer;
      setText(this.#text, notice.text);
      setText(this.#button, OFFERS[notice.offer]);
    }
  }

  /**
   * @param {string} tone
   * @param {string} name
   * @param {string} title
   */
  #show(tone, name, title) {
    this.element.dataset.tone = tone;
    setIcon(this.element, name);
    setText(this.#title, `${title}.`);
  }
}
