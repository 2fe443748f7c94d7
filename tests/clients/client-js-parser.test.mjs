/** The event stream parser of our JavaScript client: bytes may be cut anywhere. */

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { EventStreamParser } from '../../clients/js/src/parser.js';

const encoder = new TextEncoder();

/** Parses a text that comes in these pieces of its bytes. */
function parse(...pieces) {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

/** Line ends of all three kinds, characters of one to four bytes, comments, and fields of all kinds. */
const LINES = [
  ': a comment',
  '',
  'data: plain',
  '',
  'data: {"text":"Grüße, \u4e16\u754c \u{1f469}\u200d\u{1f680}"}',
  'retry: 1250',
  'event: token',
  'id: s.1',
  '',
  'data:no space',
  'data:  two spaces',
  'data',
  ':',
  'id',
  '',
  'event: without data',
  'id: s.7',
  '',
  'unknown: field',
  'retry: 12x',
  'data: a:b: c',
  'id: nul\0',
  '',
  '',
  'data: not complete',
];

const MESSAGES = [
  { data: 'plain', event: 'message', id: undefined },
  { data: '{"text":"Grüße, \u4e16\u754c \u{1f469}\u200d\u{1f680}"}', event: 'token', id: 's.1' },
  { data: 'no space\n two spaces\n', event: 'message', id: '' },
  { data: 'a:b: c', event: 'message', id: undefined },
];

suite('the parser of event streams', () => {
  for (const [name, end] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ]) {
    const bytes = encoder.encode(`\ufeff${LINES.join(end)}`);

    test(`cut once, at every byte (${name})`, () => {
      for (let at = 0; at <= bytes.length; at += 1) {
        const messages = parse(bytes.subarray(0, at), bytes.subarray(at));
        assert.deepEqual(messages, MESSAGES, `cut after ${at} bytes`);
      }
    });

    test(`cut into pieces of every size (${name})`, () => {
      for (let size = 1; size < 20; size += 1) {
        const pieces = [];
        for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
        assert.deepEqual(parse(...pieces), MESSAGES, `pieces of ${size} bytes`);
      }
    });

    test(`a message is given out with its last byte and not before (${name})`, () => {
      const block = encoder.encode(`data: x${end}id: s.1${end}${end}`);
      const parser = new EventStreamParser();
      // The blank line of CRLF is complete with its CR.
      const complete = block.length - (end === '\r\n' ? 1 : 0);
      for (let at = 0; at < complete - 1; at += 1) {
        assert.deepEqual(parser.push(block.subarray(at, at + 1)), [], `byte ${at}`);
      }
      assert.equal(parser.push(block.subarray(complete - 1)).length, 1);
    });
  }

  test('line ends of different kinds are mixed', () => {
    const messages = parse(encoder.encode('data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r'));
    assert.deepEqual(
      messages.map(({ data }) => data),
      ['a\nb\nc', 'd'],
    );
  });

  test('the time to wait is kept, and only if it is a number', () => {
    const parser = new EventStreamParser();
    parser.push(encoder.encode('retry: 1250\nretry: soon\nretry: -1\n'));
    assert.equal(parser.retryMs, 1250);
  });
});
