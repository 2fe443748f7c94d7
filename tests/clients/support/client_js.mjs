/** What tests of our own JavaScript client must find. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** Waits that are over soon; what they are bounded by is tested by itself. */
export const SOON = { baseMs: 20, maxMs: 100 };

/** All events of a stream, in the order in which they came. */
export async function collect(stream, onEvent = () => {}) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
    await onEvent(event, events);
  }
  return events;
}

export function textOf(events) {
  return events
    .filter(({ type }) => type === 'token')
    .map(({ text }) => text)
    .join('');
}

/**
 * Every event once and in order, one end, and the text of the snapshot and of the digest.
 *
 * @param {object[]} events
 * @param {object} snapshot
 */
export function expectEvents(events, snapshot) {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, seq) => seq),
    'events are contiguous from 0',
  );
  assert.equal(events[0].type, 'start');
  assert.equal(events[0].stream, snapshot.id);
  const end = events.at(-1);
  const ends = events.filter(({ type }) => type === 'done' || type === 'error');
  assert.deepEqual(ends, [end], 'one end, and it is last');
  assert.equal(snapshot.last_event_id, `${snapshot.id}.${end.seq}`);
  assert.equal(textOf(events), snapshot.text);
  if (end.type === 'done') {
    const digest = createHash('sha256').update(textOf(events), 'utf8').digest('hex');
    assert.equal(digest, end.text_sha256);
    assert.equal(end.finish_reason, snapshot.finish_reason);
  }
  return end;
}
