/** How long our JavaScript client waits: for a token, for the server, and before it tries again. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, suite, test } from 'node:test';

import { Tailrace } from '../../clients/js/src/index.js';
import { collect, SOON } from './support/client_js.mjs';
import { stays, until } from './support/deadline.mjs';
import { block, Scripted } from './support/scripted.mjs';

const EVENTS = [
  { type: 'start', seq: 0, stream: 's', model: 'm', created: 1 },
  { type: 'error', seq: 1, error: { code: 'upstream_failed', message: 'no', retryable: false } },
];
const WHOLE = { body: EVENTS.map(block).join('') };

const JSON_TYPE = { 'content-type': 'application/json' };
const SNAPSHOT = { headers: JSON_TYPE, body: '{"id":"s","status":"completed"}' };

/** So short that whatever is taken for silence shows. */
const IMPATIENT = { ...SOON, silenceMs: 100 };

suite('the patience of the JavaScript client', () => {
  let server;

  afterEach(() => server?.stop());

  /** What a stream goes through; `stream` begins to be read at once. */
  function watched(client, options = {}) {
    const states = [];
    const stream = client.follow('s', { ...options, onConnection: (state) => states.push(state) });
    const whole = collect(stream);
    return { states, stream, whole, names: () => states.map(({ state }) => state) };
  }

  test('a person who is slow to give a token is no silence of the server', async () => {
    server = await Scripted.start(WHOLE);
    let asked = 0;
    let give;
    const token = () => {
      asked += 1;
      return new Promise((resolve) => (give = resolve));
    };
    const client = new Tailrace({ baseUrl: server.url, token, retry: IMPATIENT });
    const { names, whole } = watched(client);
    const connecting = () => names().join() === 'connecting';
    await until('it is connecting', connecting);
    await stays('it waits for the token alone', connecting, 5 * IMPATIENT.silenceMs);
    assert.equal(server.requests.length, 0);
    give('late');
    assert.deepEqual(await whole, EVENTS);
    assert.deepEqual([asked, names().includes('waiting')], [1, false]);
    assert.equal(server.requests[0].headers.authorization, 'Bearer late');
  });

  test('a token that never comes is asked for again by the next attempt', async () => {
    server = await Scripted.start(WHOLE);
    let asked = 0;
    const token = () => ((asked += 1) === 1 ? new Promise(() => {}) : 'good');
    const client = new Tailrace({ baseUrl: server.url, token, retry: SOON });
    const { stream, whole } = watched(client);
    await until('the token is asked for', () => asked === 1);
    stream.disconnect();
    assert.deepEqual(await whole, EVENTS);
    assert.equal(asked, 2);
  });

  test('those who need a token together ask once, and what was given is kept', async () => {
    server = await Scripted.start(SNAPSHOT);
    let asked = 0;
    const token = async () => `token ${(asked += 1)}`;
    const client = new Tailrace({ baseUrl: server.url, token, retry: SOON });
    await Promise.all([client.snapshot('s'), client.snapshot('s')]);
    const gone = AbortSignal.abort();
    await assert.rejects(client.snapshot('s', { signal: gone }), { name: 'AbortError' });
    await client.snapshot('s');
    assert.equal(asked, 1);
  });

  test('a call that is never answered fails, after as many attempts as any other', async () => {
    let requests = 0;
    const silent = createServer(() => (requests += 1));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      const baseUrl = `http://127.0.0.1:${silent.address().port}`;
      const client = new Tailrace({ baseUrl, retry: IMPATIENT });
      await assert.rejects(client.cancel('s'), { code: 'silent', retryable: true });
      assert.equal(requests, 3);
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  test('a call whose answer stops in the middle is made again', async () => {
    server = await Scripted.start({ headers: JSON_TYPE, body: '{"id":', open: true }, SNAPSHOT);
    const client = new Tailrace({ baseUrl: server.url, retry: IMPATIENT });
    assert.equal((await client.cancel('s')).id, 's');
    assert.equal(server.requests.length, 2);
  });

  test('nothing is tried again without a network either, if nothing is to be', async () => {
    server = await Scripted.start({ status: 503, headers: JSON_TYPE, body: '{}' });
    Object.defineProperty(globalThis.navigator, 'onLine', { value: false, configurable: true });
    try {
      const client = new Tailrace({ baseUrl: server.url, retry: false });
      await assert.rejects(collect(client.follow('s')), { code: 'http_503' });
      assert.equal(server.requests.length, 1);
    } finally {
      delete globalThis.navigator.onLine;
    }
  });

  for (const header of ['retry-after', 'retry-after-ms']) {
    test(`${header}: 0 does not take the wait away`, async (context) => {
      const answer = { status: 503, headers: { ...JSON_TYPE, [header]: '0' }, body: '{}' };
      server = await Scripted.start(answer);
      context.mock.method(Math, 'random', () => 0.5);
      const retry = { baseMs: 1_000_000, maxMs: 1_000_000 };
      const client = new Tailrace({ baseUrl: server.url, retry });
      const abort = new AbortController();
      const { states, whole, names } = watched(client, { signal: abort.signal });
      const ended = assert.rejects(whole, { name: 'AbortError' });
      await until('it waits', () => names().includes('waiting'));
      assert.equal(states.at(-1).retryInMs, 500_000);
      abort.abort();
      await ended;
    });
  }
});
