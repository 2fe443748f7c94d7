/** What is beside the streams: how fast, what fails, upstreams, Redis, nodes. */

/** @import { Pace, Peer, State, Tally } from './shapes.js' */

import { h, icon, part, setText } from '../../src/dom.js';
import { Rows } from './rows.js';
import { NOTHING, READERS, REASONS, STATES, delay, lasting, rate, spanOf, standingOf, whole } from './words.js';

/**
 * A row of cells whose texts change.
 *
 * @template T
 * @param {string[]} looks their classes
 * @param {(item: T) => string[]} texts
 */
const textRow = (looks, texts) => () => {
  const cells = looks.map((look, at) => h(at === 0 ? 'th' : 'td', { class: look, ...(at === 0 && { scope: 'row' }) }));
  const element = h('tr', {}, ...cells);
  return {
    element,
    update: (/** @type {T} */ item) => texts(item).forEach((text, at) => cells[at] && setText(cells[at], text)),
  };
};

/**
 * Counts of lately and of all time.
 *
 * @typedef {{ name: string, about?: string, link?: string, lately: number, total: number }} Count
 */

/**
 * A code breaks between its words, if it must.
 *
 * @param {string} code
 */
function breakable(code) {
  return code.split(/(?<=_)/).flatMap((word, at) => (at === 0 ? [word] : [h('wbr'), word]));
}

/** @param {Count} count */
function countRow({ name, about, link }) {
  const [lately, total] = [h('td', { class: 'number' }), h('td', { class: 'number total' })];
  const words = breakable(name);
  const title = link ? h('a', { class: 'link', href: link }, ...words) : h('span', {}, ...words);
  const element = h('tr', {}, h('th', { scope: 'row' }, title, about && h('small', {}, about)), lately, total);
  const update = (/** @type {Count} */ now) => {
    setText(lately, whole(now.lately));
    setText(total, whole(now.total));
    element.classList.toggle('lately', now.lately > 0);
  };
  return { element, update };
}

class Counts {
  #body = h('tbody');
  #span = h('th', { scope: 'col', class: 'number' });
  #table;
  #none;
  #rows;

  /**
   * @param {Element} place
   * @param {string} none what is said when there is nothing
   */
  constructor(place, none) {
    const head = h(
      'tr',
      {},
      h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'What')),
      this.#span,
      h('th', { scope: 'col', class: 'number' }, 'Since start'),
    );
    this.#table = h('table', { class: 'counts' }, h('thead', {}, head), this.#body);
    this.#none = h('p', { class: 'hint' }, none);
    /** @type {Rows<Count>} */
    this.#rows = new Rows(this.#body, ({ name, about }) => `${name}\n${about}`, countRow);
    place.append(this.#table, this.#none);
  }

  /**
   * @param {Count[]} counts
   * @param {string} span what lately is
   */
  show(counts, span) {
    setText(this.#span, span.replace('l', 'L'));
    // What happens now is first. Within that, nothing changes its place because it is counted.
    const key = (/** @type {Count} */ { lately, name, about }) => `${lately > 0 ? 0 : 1}\n${name}\n${about}`;
    this.#rows.show(counts.toSorted((one, other) => (key(one) < key(other) ? -1 : 1)));
    this.#table.hidden = counts.length === 0;
    this.#none.hidden = counts.length > 0;
  }
}

/**
 * A state in words, with its sign.
 *
 * @param {string} name
 * @param {string} [words]
 */
function stateMark(name, words) {
  const state = STATES[name] ?? { words: name, icon: 'alert' };
  return h('span', { class: `mark-state ${name}` }, icon(state.icon), words ?? state.words);
}

/** A list of things that stand well or do not. */
class Standing {
  #list = h('ul', { class: 'standing-list' });
  #shown = '';

  /** @param {Element} place */
  constructor(place) {
    place.append(this.#list);
  }

  /** @param {{ name: string, state: string, words: string }[]} items */
  show(items) {
    const shown = JSON.stringify(items);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#list.replaceChildren(
      ...items.map(({ name, state, words }) => h('li', {}, h('span', {}, name), stateMark(state, words))),
    );
  }
}

/** @typedef {Peer & { standing: string }} KnownPeer */

/** @param {KnownPeer} first */
function peerRow(first) {
  const [name, state, streams, heard, runs, version] = [
    h('th', { scope: 'row' }),
    h('td'),
    h('td', { class: 'number' }),
    h('td', { class: 'number' }),
    h('td', { class: 'number' }),
    h('td'),
  ];
  const element = h('tr', { class: first.is_this ? 'this' : '' }, name, state, streams, heard, runs, version);
  let shown = '';
  const update = (/** @type {KnownPeer} */ { said, heard_ms: ago, id, is_this: isThis, standing }) => {
    const label = said?.name ?? id.slice(0, 8);
    if (shown !== standing + label) {
      shown = standing + label;
      name.replaceChildren(h('span', { title: id }, label), isThis ? h('em', {}, 'this one') : '');
      state.replaceChildren(stateMark(standing));
    }
    setText(streams, whole(said?.streams));
    setText(heard, ago < 1000 ? 'now' : `${lasting(ago / 1000)} ago`);
    setText(runs, said ? lasting(said.uptime_s + ago / 1000) : NOTHING);
    setText(version, said?.version ?? NOTHING);
    element.classList.toggle('late', standing === 'away');
  };
  return { element, update };
}

/** @typedef {Pace & { kind: string }} KnownPace */

/** What a figure is, where no title stands above it. */
const PACE_LABELS = ['', 'running', 'started', 'tok/s', 'p50', 'p95', 'p99', 'p50', 'p95', 'p99'];

const PACE_LOOKS = ['', 'number', 'number', 'number', 'number first', 'number', 'number', 'number first', 'number', 'number'];

/** @param {KnownPace} pace */
const paceTexts = ({ kind, name, running, started, tokens_per_second: speed, first_token: first, gap }) => [
  kind ? `${name} ${kind}` : 'All',
  whole(running),
  whole(started),
  rate(speed),
  delay(first.p50_ms),
  delay(first.p95_ms),
  delay(first.p99_ms),
  delay(gap.p50_ms),
  delay(gap.p95_ms),
  delay(gap.p99_ms),
];

export class Tables {
  /** @type {Rows<KnownPace>} */
  #paces = new Rows(
    part('paces-body', HTMLElement),
    ({ kind, name }) => `${kind}\n${name}`,
    (pace) => {
      const row = textRow(PACE_LOOKS, paceTexts)();
      PACE_LABELS.forEach((label, at) => row.element.cells[at]?.setAttribute('data-label', label));
      row.element.className = pace.kind || 'all';
      // The kind stands beside the name, smaller.
      const { update } = row;
      const head = row.element.cells[0];
      const label = h('span', {}, pace.kind ? pace.name : 'All');
      return {
        element: row.element,
        update: (/** @type {KnownPace} */ now) => {
          update(now);
          head?.replaceChildren(label, pace.kind ? h('small', {}, pace.kind) : '');
        },
      };
    },
  );
  #rejections = new Counts(part('rejections', HTMLElement), 'Nobody was turned away.');
  #errors = new Counts(part('errors', HTMLElement), 'There were none.');
  #faults = new Counts(part('redis', HTMLElement), 'It did all that it was asked.');
  #readers = new Standing(part('readers', HTMLElement));
  #upstreams = new Standing(part('upstreams', HTMLElement));
  /** @type {Rows<KnownPeer>} */
  #nodes = new Rows(part('nodes-body', HTMLElement), ({ id }) => id, peerRow);

  /** @param {State} state */
  update(state) {
    const kind = (/** @type {string} */ kind) => (/** @type {Pace} */ pace) => ({ ...pace, kind });
    this.#paces.show([kind('')(state.total), ...state.models.map(kind('model')), ...state.plans.map(kind('plan'))]);
    const span = spanOf(state);
    setText(part('window', HTMLElement), `Of the ${span}; tokens a second are of the last one. Quantiles are read from buckets, and as exact as these.`);
    this.#rejections.show(
      state.rejections.map(({ reason, plan, last_window: lately, total }) => ({
        name: REASONS[reason] ?? reason,
        about: `plan ${plan}`,
        lately,
        total,
      })),
      span,
    );
    const errors = (/** @type {Tally[]} */ tallies, /** @type {string} */ about) =>
      tallies.map(({ code, last_window: lately, total }) => ({ name: code, about, link: `/errors/${code}`, lately, total }));
    this.#errors.show([...errors(state.errors, 'answers to requests'), ...errors(state.failures, 'ends of generations')], span);
    this.#readers.show(
      state.readers.map(({ name, count }) => ({ name: READERS[name] ?? name, state: 'plain', words: whole(count) })),
    );
    part('upstreams-section', HTMLElement).hidden = state.upstreams.length === 0;
    this.#upstreams.show(
      state.upstreams.map(({ model, upstream, rests }) => ({
        name: `${model}: ${upstream}`,
        state: rests ? 'away' : 'serving',
        words: rests ? 'Left alone since it failed' : 'Asked',
      })),
    );
    part('redis-section', HTMLElement).hidden = !state.redis;
    if (state.redis) {
      const { up, faults } = state.redis;
      setText(part('redis-title', HTMLElement), up ? 'Redis answers' : 'Redis is away');
      this.#faults.show(faults.map(({ code, last_window: lately, total }) => ({ name: code, lately, total })), span);
    }
    part('nodes-section', HTMLElement).hidden = state.nodes.length === 0;
    this.#nodes.show(state.nodes.map((peer) => ({ ...peer, standing: standingOf(peer, state.redis) })));
  }
}
