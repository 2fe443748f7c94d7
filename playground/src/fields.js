/** Which parameters there are, and what each can be. */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {'number' | 'text' | 'lines' | 'choice'} kind
 * @property {number} [min]
 * @property {number} [max]
 * @property {number | 'any'} [step]
 * @property {number} [lines] how many at most
 * @property {string} [placeholder]
 * @property {[string, string][]} [choices] value and label; the first is the default
 */

/** @type {Field[]} */
export const MODEL_FIELDS = [
  { name: 'system', label: 'System prompt', kind: 'lines', placeholder: 'You are a patient teacher.' },
  { name: 'max_tokens', label: 'Most tokens', kind: 'number', min: 1, max: 4_294_967_295, step: 1, placeholder: 'no limit' },
  { name: 'temperature', label: 'Temperature', kind: 'number', min: 0, max: 2, step: 'any', placeholder: 'its own' },
  { name: 'top_p', label: 'Top p', kind: 'number', min: 0, max: 1, step: 'any', placeholder: 'its own' },
  { name: 'seed', label: 'Seed', kind: 'number', step: 1, placeholder: 'any' },
  { name: 'stop', label: 'Stop at', hint: 'One text a line, up to four.', kind: 'lines', lines: 4 },
];

/** What the demonstration model can be told. @type {Field[]} */
export const DEMO_FIELDS = [
  { name: 'demo.text', label: 'What it says', kind: 'choice', choices: [['markdown', 'Markdown'], ['prose', 'Prose'], ['awkward', 'Awkward characters'], ['huge', 'One huge token']] },
  { name: 'demo.tokens', label: 'Tokens', kind: 'number', min: 0, step: 1, placeholder: 'all of it' },
  { name: 'demo.tokens_per_second', label: 'Tokens a second', kind: 'number', min: 0, step: 'any', placeholder: '40' },
  { name: 'demo.first_token_delay_ms', label: 'First token after, ms', kind: 'number', min: 0, step: 1, placeholder: '150' },
  { name: 'demo.reasoning', label: 'Tokens of reasoning', kind: 'number', min: 0, step: 1, placeholder: '0' },
  { name: 'fault', label: 'Fault', kind: 'choice', choices: [['', 'None'], ['fail_after', 'It fails'], ['end_after', 'It breaks off'], ['stall_after', 'It falls silent'], ['panic_after', 'It panics']] },
  { name: 'fault_at', label: 'Fault after, tokens', kind: 'number', min: 0, step: 1, placeholder: '40' },
];

/**
 * What is wrong with what stands in a field; nothing, if it can be sent.
 *
 * @param {Field} field
 * @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input
 */
export function faultOf({ lines: most, min, max, step }, input) {
  if (most !== undefined && linesOf(input.value).length > most) return 'At most four texts.';
  if (input.validity.valid) return '';
  const noun = step === 1 ? 'A whole number' : 'A number';
  if (min !== undefined && max !== undefined && max < 1000) return `${noun} from ${min} to ${max}.`;
  return min === undefined ? `${noun}.` : `${noun}, ${min} or more.`;
}

/**
 * The texts of a field that has one in each line.
 *
 * @param {string} text
 */
export function linesOf(text) {
  return text.split('\n').filter((line) => line !== '');
}
