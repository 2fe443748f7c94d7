/**
 * The parameters of requests: where they are set, kept and turned into fields.
 *
 * @import { CreateStream } from '../client/shapes.js'
 * @import { Field } from './fields.js'
 */

import { h, part, setText } from './dom.js';
import { openDialog } from './dialogs.js';
import { DEMO_FIELDS, MODEL_FIELDS, faultOf, linesOf } from './fields.js';

const KEY = 'tailrace.parameters';

export class Settings {
  /** @type {Record<string, string>} */
  #values = {};
  #dialog = part('settings', HTMLDialogElement);
  #badge = part('settings-badge', HTMLElement);
  #demo = h('fieldset', { class: 'demo' }, h('legend', {}, 'The demonstration model'));
  /** @type {Map<string, HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>} */
  #inputs = new Map();
  /** The fields with something that cannot be sent. @type {Set<string>} */
  #wrong = new Set();
  /** Whether the chosen model is the demonstration. */
  #isDemo = false;

  constructor() {
    try {
      this.#values = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    } catch {
      // What cannot be read is not missed.
    }
    const fields = part('settings-fields', HTMLElement);
    fields.append(...MODEL_FIELDS.map((field) => this.#field(field)), this.#demo);
    this.#demo.append(...DEMO_FIELDS.map((field) => this.#field(field)));
    part('settings-open', HTMLButtonElement).addEventListener('click', () => openDialog(this.#dialog));
    part('settings-reset', HTMLButtonElement).addEventListener('click', () => {
      this.#values = {};
      for (const input of this.#inputs.values()) {
        if (input instanceof HTMLSelectElement) input.selectedIndex = 0;
        else input.value = '';
        input.dispatchEvent(new Event('input'));
      }
      this.#changed();
    });
    this.#changed();
  }

  /** @param {boolean} isDemo */
  set isDemo(isDemo) {
    this.#isDemo = isDemo;
    this.#demo.hidden = !isDemo;
    this.#changed();
  }

  get isDemo() {
    return this.#isDemo;
  }

  /** @param {Field} field */
  #field(field) {
    const { name, label, hint, kind, choices, min, max, step, placeholder } = field;
    const value = this.#values[name] ?? '';
    let input;
    if (kind === 'choice') {
      input = h('select', {}, ...(choices ?? []).map(([key, words]) => h('option', { value: key, selected: key === value }, words)));
    } else if (kind === 'lines') {
      input = h('textarea', { rows: name === 'system' ? 3 : 2, value, placeholder });
    } else {
      input = h('input', { type: kind, inputMode: 'decimal', autocomplete: 'off', min, max, step, placeholder, value });
    }
    input.name = name;
    this.#inputs.set(name, input);
    const fault = h('small', { class: 'field-error', id: `fault-${name}`, role: 'status' });
    this.#check(field, input, fault);
    input.addEventListener('input', () => {
      const isDefault = input.value === '' || input.value === choices?.[0]?.[0];
      if (!this.#check(field, input, fault) || !isDefault) this.#values[name] = input.value;
      else delete this.#values[name];
      this.#changed();
    });
    return h('label', { class: `field ${kind}` }, h('span', {}, label), input, hint && h('small', {}, hint), fault);
  }

  /**
   * Says what is wrong with what stands in a field.
   *
   * @param {Field} field
   * @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input
   * @param {HTMLElement} fault where to say it
   * @returns {boolean} whether it can be sent
   */
  #check(field, input, fault) {
    const words = faultOf(field, input);
    setText(fault, words);
    if (words === '') {
      this.#wrong.delete(field.name);
      input.removeAttribute('aria-invalid');
      input.removeAttribute('aria-describedby');
    } else {
      this.#wrong.add(field.name);
      input.setAttribute('aria-invalid', 'true');
      input.setAttribute('aria-describedby', fault.id);
    }
    return words === '';
  }

  /** Whether a field is one of the chosen model's. @param {string} name */
  #counts(name) {
    return this.#isDemo || MODEL_FIELDS.some((field) => field.name === name);
  }

  /** The first input with something that cannot be sent. */
  get #firstWrong() {
    return [...this.#inputs].find(([name]) => this.#wrong.has(name) && this.#counts(name))?.[1];
  }

  /** Whether there is something that cannot be sent. */
  get isWrong() {
    return this.#firstWrong !== undefined;
  }

  /** Shows what cannot be sent. */
  showWrong() {
    openDialog(this.#dialog);
    this.#firstWrong?.focus();
  }

  #changed() {
    localStorage.setItem(KEY, JSON.stringify(this.#values));
    const shown = Object.keys(this.#values).filter((name) => this.#counts(name));
    const wrong = [...this.#wrong].filter((name) => this.#counts(name)).length;
    this.#badge.hidden = shown.length === 0 && wrong === 0;
    this.#badge.classList.toggle('wrong', wrong > 0);
    setText(this.#badge, wrong > 0 ? '!' : String(shown.length));
    const set = shown.length === 0 ? 'Parameters' : `Parameters, ${shown.length} of them set`;
    const label = wrong === 0 ? set : `Parameters, ${wrong === 1 ? 'one' : wrong} of them wrong`;
    part('settings-open', HTMLButtonElement).setAttribute('aria-label', label);
  }

  /** What the model is told before everything else. */
  get system() {
    return this.#values.system ?? '';
  }

  /**
   * The fields of a request that are parameters.
   *
   * @param {Record<string, string>} more for the demonstration model, over what is set
   * @returns {Partial<CreateStream>}
   */
  fields(more) {
    const values = this.#values;
    /** @type {Partial<CreateStream>} */
    const fields = {};
    for (const name of /** @type {const} */ (['max_tokens', 'temperature', 'top_p', 'seed'])) {
      if (values[name]) fields[name] = Number(values[name]);
    }
    const stop = linesOf(values.stop ?? '');
    if (stop.length > 0) fields.stop = stop;
    if (this.#isDemo) fields.metadata = { ...this.#demoMetadata(), ...more };
    return fields;
  }

  #demoMetadata() {
    /** @type {Record<string, string>} */
    const metadata = { 'demo.text': 'markdown' };
    for (const [name, value] of Object.entries(this.#values)) {
      if (name.startsWith('demo.')) metadata[name] = value;
    }
    const { fault, fault_at: at = '40' } = this.#values;
    if (fault) metadata[`demo.${fault}`] = at;
    return metadata;
  }
}
