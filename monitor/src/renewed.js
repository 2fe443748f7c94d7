/** Says that the node is another process than it was: one that died and is back looks like one that never did. */

/** @import { State } from './shapes.js' */

import { announce } from '../../src/announce.js';
import { part, setText } from '../../src/dom.js';
import { leftRunning } from './words.js';

/** For so long it is said, unless somebody has read it before. */
const SHOWN_MS = 60_000;

const notice = part('renewed', HTMLElement);

export class Renewed {
  /** @type {State | undefined} */
  #last;
  /** @type {number | undefined} */
  #end;

  constructor() {
    part('renewed-close', HTMLButtonElement).addEventListener('click', () => this.#hide());
  }

  /** @param {State} state */
  heard(state) {
    const last = this.#last;
    this.#last = state;
    if (!last || last.node.name !== state.node.name || last.node.started_ms === state.node.started_ms) return;
    const since = new Date(state.node.started_ms).toLocaleTimeString('en-GB');
    const words = `This is a new process since ${since}: counts begin anew.${leftRunning(last, 'the one before')}`;
    setText(part('renewed-words', HTMLElement), words);
    announce(words);
    notice.hidden = false;
    clearTimeout(this.#end);
    this.#end = setTimeout(() => this.#hide(), SHOWN_MS);
  }

  stop() {
    this.#last = undefined;
    this.#hide();
  }

  #hide() {
    clearTimeout(this.#end);
    notice.hidden = true;
  }
}
