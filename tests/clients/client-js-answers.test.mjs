/** Our JavaScript client and answers that Tailrace does not give, but what stands before it might. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, suite, test } from 'node:test';

import { Tailrace } from '../../clients/js/src/index.js';
import { collect, SOON } from './support/client_js.mjs';
import { until } from './support/deadline.mjs';
import { block, Scripted } from './support/scripted.mjs';

const START = { type: 'start', seq: 0, stream: 's', model: 'm', created: 1 };
const token = (seq) => ({ type: 'token', seq, text: `t${seq} ` });
const done = (seq, text) => ({
  type: 'done',
  seq,
  finish_reason: 'stop',
  usage: {},
  timing: {},
  text_sha256: createHash('sha256').update(text).digest('hex'),
});

/** A stream of four events. */
const EVENTS = [START, token(1), token(2), done(3, 't1 t2 ')];

const body = (...events) => ({ body: events.map(block).join('') });
const WHOLE = body(...EVENTS);
const REST = body(...EVENTS.slice(2));

const JSON_TYPE = { 'content-type': 'application/json' };
const MODELS = { headers: JSON_TYPE, body: '{"object":"list","data":[]}' };

suite('the JavaScript client and strange answers', () => {
  let server;

  afterEach(() => server?.stop());

  /** A client of a server that answers so. */
  async function clientOf(answers, retry = {}) {
    server = await Scripted.start(...answers);
    return new Tailrace({ baseUrl: `${server.url}/`, token: 't', retry: { ...SOON, ...retry } });
  }

  /** Reads a stream whose every event must come once. */
  async function expectWhole(...answers) {
    const client = await clientOf(answers);
    assert.deepEqual(await collect(client.follow('s')), EVENTS);
  }

  const cursors = () => server.requests.map(({ headers }) => headers['last-event-id']);

  const failure = async (stream) => {
    try {
      await collect(stream);
    } catch (error) {
      return error;
    }
    return assert.fail('it must not end well');
  };

  test('an end without a terminal event is a broken connection', async () => {
    await expectWhole(body(START, token(1)), REST);
    assert.deepEqual(cursors(), [undefined, 's.1']);
  });

  test('a gap is a broken connection, even if nothing comes after it', async () => {
    const gap = { body: block(START) + block(token(1)) + block(EVENTS[3]), open: true };
    await expectWhole(gap, REST);
    assert.deepEqual(cursors(), [undefined, 's.1']);
  });

  test('events that come twice are given out once', async () => {
    await expectWhole(body(START, token(1), START, token(1), token(2), token(2), EVENTS[3]));
  });

  test('an event that was not complete is not seen', async () => {
    const half = { body: block(START) + block(token(1)).slice(0, -1) };
    await expectWhole(half, body(...EVENTS.slice(1)));
    assert.deepEqual(cursors(), [undefined, 's.0']);
  });

  test('what is not JSON, has no number, or is of another stream breaks the connection', async () => {
    await expectWhole(
      { body: `${block(START)}data: {"type":"tok\n\n` },
      { body: 'data: {"type":"token"}\n\n' },
      { body: block(token(1)).replace('id: s.', 'id: other.') },
      body(...EVENTS.slice(1)),
    );
  });

  test("a proxy's page in place of the stream is tried again", async () => {
    const page = { headers: { 'content-type': 'text/html' }, body: '<h1>Log in to the Wi-Fi</h1>' };
    await expectWhole(page, { status: 502, headers: page.headers, body: page.body }, WHOLE);
  });

  test('an event of a kind that this client does not know is passed on', async () => {
    const later = { type: 'picture', seq: 1, url: 'x' };
    const client = await clientOf([body(START, later, done(2, ''))]);
    assert.deepEqual((await collect(client.follow('s')))[1], later);
  });

  test('nothing left to read is an end', async () => {
    const client = await clientOf([body(START, token(1)), { status: 204 }]);
    assert.deepEqual(await collect(client.follow('s')), EVENTS.slice(0, 2));
  });

  test('a text that is not what its digest says is an error', async () => {
    const client = await clientOf([body(START, token(1), done(2, 'other'))]);
    assert.equal((await failure(client.follow('s'))).code, 'text_mismatch');
  });

  test('attempts without progress are counted, and those with progress are not', async () => {
    const half = body(START, token(1));
    const client = await clientOf([half, { body: '' }, { body: '' }, body(token(2)), { body: '' }], {
      attempts: 3,
    });
    const error = await failure(client.follow('s'));
    assert.equal(error.code, 'incomplete');
    assert.equal(error.retryable, true);
    assert.equal(server.requests.length, 4 + 3);
  });

  test('a request that is not to be repeated is not', async () => {
    const headers = { ...JSON_TYPE, 'x-should-retry': 'false' };
    const client = await clientOf([{ status: 500, headers, body: '{}' }]);
    const error = await failure(client.stream({ prompt: 'Hi' }));
    assert.equal(error.code, 'http_500');
    assert.equal(error.retryable, false);
    assert.equal(server.requests.length, 1);
  });

  test('a very long Retry-After is left to the application', async () => {
    const headers = { ...JSON_TYPE, 'retry-after': '3600' };
    const client = await clientOf([{ status: 429, headers, body: '{}' }]);
    const error = await failure(client.stream({ prompt: 'Hi' }));
    assert.equal(error.retryAfterMs, 3_600_000);
    assert.equal(server.requests.length, 1);
  });

  test("the stream's own time to wait bounds the first wait", async () => {
    const half = { body: `retry: 0\n${block(START)}` };
    const client = await clientOf([half, body(...EVENTS.slice(1))], {
      baseMs: 3_600_000,
      maxMs: 3_600_000,
    });
    assert.deepEqual(await collect(client.follow('s')), EVENTS);
  });

  test('calls are repeated if that may help', async () => {
    const client = await clientOf([{ status: 503, headers: JSON_TYPE, body: '{}' }, MODELS]);
    assert.deepEqual((await client.models()).data, []);
    assert.equal(server.requests.length, 2);
  });

  test('a stream that was deleted by an attempt whose answer was lost is gone', async () => {
    const client = await clientOf([
      { status: 502, headers: JSON_TYPE, body: '{}' },
      { status: 404, headers: JSON_TYPE, body: '{}' },
    ]);
    assert.equal(await client.delete('s'), undefined);
  });

  test('cancel is asked for again until it was heard', async () => {
    const running = { headers: JSON_TYPE, body: '{"id":"s","status":"running"}' };
    const client = await clientOf([{ status: 502, headers: JSON_TYPE, body: '{}' }, running]);
    assert.equal((await client.cancel('s')).status, 'running');
  });

  test('a token that could not be had is asked for again', async () => {
    server = await Scripted.start(WHOLE);
    let asked = 0;
    const token = () => {
      if ((asked += 1) === 1) throw new Error('the network is down');
      return 'good';
    };
    const states = [];
    const client = new Tailrace({ baseUrl: server.url, token, retry: SOON });
    const stream = client.follow('s', { onConnection: (state) => states.push(state) });
    assert.deepEqual(await collect(stream), EVENTS);
    assert.equal(states.find(({ state }) => state === 'waiting').error.code, 'token_failed');
    assert.equal(server.requests[0].headers.authorization, 'Bearer good');
  });

  test('without a token there is no such header', async () => {
    server = await Scripted.start(MODELS);
    await new Tailrace({ baseUrl: server.url }).models();
    assert.equal(server.requests[0].headers.authorization, undefined);
  });

  test('leaving ends a stream that waits for its next event', async () => {
    const client = await clientOf([{ ...body(START), open: true }]);
    const events = client.follow('s')[Symbol.asyncIterator]();
    await events.next();
    const waiting = events.next();
    await events.return();
    assert.deepEqual(await waiting, { value: undefined, done: true });
  });

  test('aborting ends a stream that waits for the network, for a token or to try again', async () => {
    const open = await clientOf([{ ...body(START), open: true }]);
    const never = new Tailrace({ baseUrl: server.url, token: () => new Promise(() => {}) });
    const refused = new Tailrace({ baseUrl: 'http://127.0.0.1:1', retry: { baseMs: 1e9, maxMs: 1e9 } });
    for (const [client, reached] of [
      [open, 'open'],
      [never, 'connecting'],
      [refused, 'waiting'],
    ]) {
      const abort = new AbortController();
      const seen = [];
      const options = { signal: abort.signal, onConnection: ({ state }) => seen.push(state) };
      const reading = assert.rejects(collect(client.follow('s', options)), { name: 'AbortError' });
      await until(`it is ${reached}`, () => seen.includes(reached));
      abort.abort();
      await reading;
    }
  });

  test('a stream is iterated once', async () => {
    const client = await clientOf([WHOLE]);
    const stream = client.follow('s');
    await collect(stream);
    await assert.rejects(collect(stream), TypeError);
  });
});
