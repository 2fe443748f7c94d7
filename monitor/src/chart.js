/**
 * One small chart: lines over at most the last two minutes, with what they are now in words beside it. Lines differ in how
 * they are dashed, not in colour alone.
 *
 * @import { Point, Values } from './past.js'
 */

import { h, setText, shape } from '../../src/dom.js';
import { SPAN_MS } from './past.js';
import { lasting, pastWords } from './words.js';

const WIDTH = 600;
const HEIGHT = 96;
const TOP = 6;

/** The first seconds are not squeezed into a corner. */
const LEAST_SPAN_MS = 30_000;

/**
 * @typedef {object} Line
 * @property {string} key of the points' values
 * @property {string} name
 * @property {string} look how it is drawn: a class
 */

/**
 * @typedef {object} About
 * @property {string} id
 * @property {string} title
 * @property {Line[]} lines
 * @property {(value: number | null | undefined) => string} format
 * @property {number} least the least that the chart is high
 * @property {(values: Values) => string} [note] what else is to be said
 * @property {number} [unit] what the scale is counted in
 */

export class Chart {
  #about;
  #values;
  #top = h('span', { class: 'scale' });
  #since = h('span', { class: 'since' });
  #when = h('span', { class: 'when' });
  #note = h('span', { class: 'note' });
  #svg;
  #lines;
  #area;
  #cursor = shape('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  /** @type {Point[]} */
  #points = [];
  #now = 0;
  /** How much time it shows: no more than there is to see. */
  #span = SPAN_MS;
  /** Where somebody points, as a part of the width. */
  #pointed = -1;

  /** @param {About} about */
  constructor(about) {
    this.#about = about;
    const { id, title, lines } = about;
    this.#values = lines.map(({ name, look }) => ({ name: h('dt', { class: `key ${look}` }, name), value: h('dd') }));
    this.#lines = lines.map(({ look }) => shape('path', { class: `line ${look}`, 'vector-effect': 'non-scaling-stroke' }));
    this.#area = shape('path', { class: 'area' });
    this.#svg = shape(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      shape('line', { class: 'ground', x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, 'vector-effect': 'non-scaling-stroke' }),
      ...(lines.length === 1 ? [this.#area] : []),
      ...this.#lines,
      this.#cursor,
    );
    const list = h('dl', { class: lines.length > 1 ? 'values several' : 'values' });
    for (const { name, value } of this.#values) list.append(h('div', {}, name, value));
    this.element = h(
      'figure',
      { class: 'chart', id: `chart-${id}` },
      h('figcaption', {}, h('h3', {}, title), list, this.#note),
      h('div', { class: 'plot' }, this.#svg, this.#top, this.#since, this.#when),
    );
    this.#svg.addEventListener('pointermove', (event) => {
      const box = this.#svg.getBoundingClientRect();
      this.#pointed = (/** @type {PointerEvent} */ (event).clientX - box.left) / box.width;
      this.#draw();
    });
    for (const gone of ['pointerleave', 'pointercancel']) {
      this.#svg.addEventListener(gone, () => {
        this.#pointed = -1;
        this.#draw();
      });
    }
  }

  /**
   * @param {Point[]} points
   * @param {number} now
   */
  update(points, now) {
    this.#points = points;
    this.#now = now;
    this.#span = Math.min(SPAN_MS, Math.max(LEAST_SPAN_MS, now - (points[0]?.at ?? now)));
    this.#draw();
  }

  #draw() {
    const { lines, format, least, title, note, unit = 1 } = this.#about;
    const points = this.#points;
    const most = points.reduce(
      (most, { values }) => lines.reduce((most, { key }) => Math.max(most, values[key] ?? 0), most),
      least,
    );
    // With some room above, so that the highest is seen to be no edge.
    const scale = unit * roundUp((most / unit) * 1.08);
    const x = (/** @type {number} */ at) => WIDTH * (1 - (this.#now - at) / this.#span);
    const y = (/** @type {number} */ value) => HEIGHT - (HEIGHT - TOP) * (value / scale);
    this.#lines.forEach((path, at) => {
      const key = lines[at]?.key ?? '';
      path.setAttribute('d', trace(points, key, x, y));
    });
    if (lines.length === 1) this.#area.setAttribute('d', fill(points, lines[0]?.key ?? '', x, y));
    const shown = this.#shown(x);
    const values = shown?.values ?? {};
    this.#values.forEach(({ value }, at) => setText(value, format(values[lines[at]?.key ?? ''])));
    setText(this.#note, note?.(values) ?? '');
    setText(this.#top, format(scale));
    setText(this.#since, lasting(Math.round(this.#span / 1000)));
    const words = lines.map(({ key, name }) => `${name} ${format(values[key])}`).join(', ');
    this.#svg.setAttribute('aria-label', `${title}: ${words}; at most ${format(most)} in the last ${pastWords(this.#now - (points[0]?.at ?? this.#now))}`);
  }

  /**
   * The point that somebody points at, or the newest.
   *
   * @param {(at: number) => number} x
   */
  #shown(x) {
    const newest = this.#points.at(-1);
    const pointed = this.#pointed >= 0;
    this.#since.hidden = pointed;
    this.#cursor.setAttribute('visibility', pointed ? 'visible' : 'hidden');
    if (!pointed || !newest) {
      setText(this.#when, '');
      return newest;
    }
    const wanted = this.#now - this.#span * (1 - this.#pointed);
    const distance = (/** @type {Point} */ point) => Math.abs(point.at - wanted);
    const nearest = this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best), newest);
    this.#cursor.setAttribute('x1', String(x(nearest.at)));
    this.#cursor.setAttribute('x2', String(x(nearest.at)));
    setText(this.#when, `${Math.round((this.#now - nearest.at) / 1000)} s ago`);
    return nearest;
  }
}

/**
 * A line through all that is known.
 *
 * @param {Point[]} points
 * @param {string} key
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function trace(points, key, x, y) {
  let path = '';
  let pen = 'M';
  for (const { at, values } of points) {
    const value = values[key];
    if (value === null || value === undefined) {
      pen = 'M';
      continue;
    }
    path += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = 'L';
  }
  return path;
}

/**
 * What lies under it.
 *
 * @param {Point[]} points
 * @param {string} key
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function fill(points, key, x, y) {
  let path = '';
  /** @type {number | undefined} */
  let end;
  const close = () => {
    if (end !== undefined) path += `L${end.toFixed(1)} ${HEIGHT}Z`;
    end = undefined;
  };
  for (const { at, values } of points) {
    const value = values[key];
    if (value === null || value === undefined) {
      close();
      continue;
    }
    if (end === undefined) path += `M${x(at).toFixed(1)} ${HEIGHT}`;
    end = x(at);
    path += `L${end.toFixed(1)} ${y(value).toFixed(1)}`;
  }
  close();
  return path;
}

/**
 * The next number that is easily read: 1, 2, 3, 5 and zeros.
 *
 * @param {number} number
 */
function roundUp(number) {
  const unit = 10 ** Math.floor(Math.log10(number));
  const steps = [1, 2, 3, 5, 10].map((step) => step * unit);
  return steps.find((step) => step >= number) ?? number;
}
