/**
 * The parameters of requests: where they are set, kept and turned into fields.
 *
 * @import { CreateStream } from '../client/shapes.js'
 */

import { h, part, setText } from './dom.js';
import { openDialog } from './dialogs.js';

const KEY = 'tailrace.parameters';

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {'number' | 'text' | 'lines' | 'choice'} kind
 * @property {number} [min]
 * @property {number} [max]
 * @property {number | 'any'} [step]
 * @property {string} [placeholder]
 * @property {[string, string][]} [choices] value and label; the first is the default
 */

/** @type {Field[]} */
const MODEL_FIELDS = [
  { name: 'system', label: 'System prompt', kind: 'lines', placeholder: 'You are a patient teacher.' },
  { name: 'max_tokens', label: 'Most tokens', kind: 'number', min: 1, step: 1, placeholder: 'no limit' },
  { name: 'temperature', label: 'Temperature', kind: 'number', min: 0, max: 2, step: 'any', placeholder: 'its own' },
  { name: 'top_p', label: 'Top p', kind: 'number', min: 0, max: 1, step: 'any', placeholder: 'its own' },
  { name: 'seed', label: 'Seed', kind: 'number', step: 1, placeholder: 'any' },
  { name: 'stop', label: 'Stop at', hint: 'One text a line, up to four.', kind: 'lines' },
];

/** What the demonstration model can be told. @type {Field[]} */
const DEMO_FIELDS = [
  { name: 'demo.text', label: 'What it says', kind: 'choice', choices: [['markdown', 'Markdown'], ['prose', 'Prose'], ['awkward', 'Awkward characters'], ['huge', 'One huge token']] },
  { name: 'demo.tokens', label: 'Tokens', kind: 'number', min: 0, step: 1, placeholder: 'all of it' },
  { name: 'demo.tokens_per_second', label: 'Tokens a second', kind: 'number', min: 0, step: 'any', placeholder: '40' },
  { name: 'demo.first_token_delay_ms', label: 'First token after, ms', kind: 'number', min: 0, step: 1, placeholder: '150' },
  { name: 'demo.reasoning', label: 'Tokens of reasoning', kind: 'number', min: 0, step: 1, placeholder: '0' },
  { name: 'fault', label: 'Fault', kind: 'choice', choices: [['', 'None'], ['fail_after', 'It fails'], ['end_after', 'It breaks off'], ['stall_after', 'It falls silent'], ['panic_after', 'It panics']] },
  { name: 'fault_at', label: 'Fault after, tokens', kind: 'number', min: 0, step: 1, placeholder: '40' },
];

export class Settings {
  /** @type {Record<string, string>} */
  #values = {};
  #dialog = part('settings', HTMLDialogElement);
  #badge = part('settings-badge', HTMLElement);
  #demo = h('fieldset', { class: 'demo' }, h('legend', {}, 'The demonstration model'));
  /** @type {Map<string, HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>} */
  #inputs = new Map();
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
  #field({ name, label, hint, kind, choices, ...attributes }) {
    const value = this.#values[name] ?? '';
    let input;
    if (kind === 'choice') {
      input = h('select', {}, ...(choices ?? []).map(([key, words]) => h('option', { value: key, selected: key === value }, words)));
    } else if (kind === 'lines') {
      input = h('textarea', { rows: name === 'system' ? 3 : 2, value, placeholder: attributes.placeholder });
    } else {
      input = h('input', { type: kind, inputMode: 'decimal', autocomplete: 'off', ...attributes, value });
    }
    input.name = name;
    this.#inputs.set(name, input);
    input.addEventListener('input', () => {
      if (!input.checkValidity()) return;
      const isDefault = input.value === '' || input.value === choices?.[0]?.[0];
      if (isDefault) delete this.#values[name];
      else this.#values[name] = input.value;
      this.#changed();
    });
    return h('label', { class: `field ${kind}` }, h('span', {}, label), input, hint && h('small', {}, hint));
  }

  #changed() {
    localStorage.setItem(KEY, JSON.stringify(this.#values));
    const shown = Object.keys(this.#values).filter(
      (name) => this.#isDemo || MODEL_FIELDS.some((field) => field.name === name),
    );
    this.#badge.hidden = shown.length === 0;
    setText(this.#badge, String(shown.length));
    part('settings-open', HTMLButtonElement).setAttribute(
      'aria-label',
      shown.length === 0 ? 'Parameters' : `Parameters, ${shown.length} of them set`,
    );
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
    const stop = (values.stop ?? '').split('\n').filter((line) => line !== '');
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
