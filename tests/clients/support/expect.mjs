/**
 * What every client must have seen at the end of a stream.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/**
 * An event as a client dispatched it.
 *
 * @typedef {{ type: string, id: string, data: string }} Received
 */

/** The text of the token events. */
export function textOf(events) {
  return events
    .map(({ data }) => JSON.parse(data))
    .filter(({ type }) => type === 'token')
    .map(({ text }) => text)
    .join('');
}

/**
 * Every event once and in order, one end, and the same text as in the snapshot.
 *
 * @param {Received[]} events
 * @param {object} snapshot
 */
export function expectWhole(events, snapshot) {
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, seq) => `${snapshot.id}.${seq}`),
    'ids are contiguous from 0',
  );
  for (const [seq, { type, data }] of events.entries()) {
    const event = JSON.parse(data);
    assert.equal(event.type, type, 'the name of the event is its type');
    assert.equal(event.seq, seq);
  }
  const start = JSON.parse(events[0].data);
  assert.equal(start.type, 'start');
  assert.equal(start.stream, snapshot.id);
  const ends = events.filter(({ type }) => type === 'done' || type === 'error');
  assert.equal(ends.length, 1, 'exactly one end');
  assert.equal(events.at(-1), ends[0], 'the end is last');
  assert.equal(snapshot.last_event_id, ends[0].id);
  assert.equal(textOf(events), snapshot.text, 'the text is that of the snapshot');
  const end = JSON.parse(ends[0].data);
  if (end.type === 'done') {
    const digest = createHash('sha256').update(textOf(events), 'utf8').digest('hex');
    assert.equal(digest, end.text_sha256);
    assert.deepEqual(end.usage, snapshot.usage);
    assert.equal(end.finish_reason, snapshot.finish_reason);
  }
  return end;
}
