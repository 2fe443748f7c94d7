/**
 * The choice of models.
 *
 * @import { Tailrace } from '../client/index.js'
 */

import { TailraceError } from '../client/index.js';
import { h, part } from './dom.js';

const KEY = 'tailrace.model';

/** When the server is asked again for its models, if it could not be. */
const AGAIN_MS = 4000;

export class ModelPicker {
  #client;
  #select = part('model', HTMLSelectElement);
  #known = false;
  #asking = false;
  /** What to do when another is chosen. */
  onchange = () => {};

  /** @param {Tailrace} client */
  constructor(client) {
    this.#client = client;
    this.#say('…');
    this.#select.addEventListener('change', () => {
      localStorage.setItem(KEY, this.#select.value);
      this.onchange();
    });
  }

  /** The one that is chosen; undefined lets the server choose. */
  get model() {
    return this.#known ? this.#select.value : undefined;
  }

  /** Whether it is the demonstration model, which has knobs of its own. */
  get isDemo() {
    return this.model === 'demo';
  }

  /** Asks the server for its models, until it has said them. */
  async load() {
    if (this.#known || this.#asking) return;
    this.#asking = true;
    try {
      const { data } = await this.#client.models();
      const kept = localStorage.getItem(KEY);
      this.#known = data.length > 0;
      if (this.#known) {
        this.#select.replaceChildren(
          ...data.map(({ id }) => h('option', { value: id, selected: id === kept }, id)),
        );
        this.#select.disabled = false;
      } else this.#say('no model');
      this.onchange();
    } catch (error) {
      this.#say('no models yet');
      // A person who gave no token is asked when they send something, not again and again.
      const again = error instanceof TailraceError && (error.retryable || error.status === undefined);
      if (again && error.code !== 'token_declined') setTimeout(() => void this.load(), AGAIN_MS);
    } finally {
      this.#asking = false;
    }
  }

  /** @param {string} words in place of a model */
  #say(words) {
    this.#select.replaceChildren(h('option', { value: '' }, words));
    this.#select.disabled = true;
  }
}
