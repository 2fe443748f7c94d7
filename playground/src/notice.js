/**
 * What a person is told when an answer does not come: why, what to do, and when it is tried again.
 *
 * @import { Answer } from './model.js'
 * @import { Run } from './run.js'
 */

import { h, icon, setIcon, setText } from './dom.js';
import { noticeOf, waitingFor } from './words.js';

export class NoticeView {
  #title = h('strong', {});
  #text = h('span', {});
  #button = h('button', { type: 'button' });
  element = h('div', { class: 'notice', hidden: true });

  /** @param {() => void} retry */
  constructor(retry) {
    this.#button.addEventListener('click', retry);
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
      setText(this.#text, seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again.');
      setText(this.#button, 'Try now');
    } else if (trouble) {
      const notice = noticeOf(trouble);
      this.#show(notice.tone, notice.offer === 'token' ? 'key' : 'alert', notice.title);
      setText(this.#text, notice.text);
      setText(this.#button, notice.offer === 'token' ? 'Give a token' : 'Try again');
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
