/** Our JavaScript client in Node, through every fault that a network or a server has. */

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { stream, Tailrace, TailraceError } from '../../clients/js/src/index.js';
import { Api, demo } from './support/api.mjs';
import { collect, expectEvents, SOON, textOf } from './support/client_js.mjs';
import { until } from './support/deadline.mjs';
import { CuttingProxy } from './support/proxy.mjs';
import { Server } from './support/server.mjs';

const KEY = 'auth.keys = [{ id = "test", algorithm = "HS256", secret = "a secret of thirty-two bytes or more" }]';

const WIDE = `
${KEY}
[http]
heartbeat = "200ms"
[limits.plans.default]
requests_per_minute = 60000
burst = 1000
streams = 1000
tokens_per_minute = 100000000
`;

suite('the JavaScript client in Node', () => {
  let api, caller, client, proxy, server, states, token;

  before(async () => {
    server = await Server.start(WIDE);
    token = await server.token();
  });

  after(() => server?.stop());

  beforeEach(async () => {
    proxy = await CuttingProxy.start();
    proxy.lead(server.port);
    // A caller of its own for each test, who has no other streams.
    caller = `caller-${Math.random()}`;
    api = new Api(server.url, await server.token('--sub', caller));
    client = new Tailrace({ baseUrl: proxy.url, token: api.token, retry: SOON });
    states = [];
  });

  afterEach(() => proxy.stop());

  const onConnection = (state) => states.push(state);
  const statesOf = (name) => states.filter(({ state }) => state === name);

  /** Reads a stream to its end, of which there must be no other, and compares it with the server's. */
  async function expectOnly(stream, onEvent) {
    const events = await collect(stream, onEvent);
    assert.equal((await api.list()).length, 1, 'one generation');
    const snapshot = await api.snapshot(stream.id);
    assert.equal(stream.lastEventId, snapshot.last_event_id);
    return { events, end: expectEvents(events, snapshot) };
  }

  /** What a stream throws. */
  async function failureOf(stream) {
    try {
      await collect(stream);
    } catch (error) {
      assert.ok(error instanceof TailraceError, error);
      return error;
    }
    return assert.fail('it must not end well');
  }

  test('a stream comes whole over one connection', async () => {
    const { end } = await expectOnly(client.stream(demo({ tokens: 60 }), { onConnection }));
    assert.equal(end.finish_reason, 'stop');
    assert.equal(proxy.streams.length, 1);
    assert.match(proxy.streams[0].headers['idempotency-key'], /^[0-9a-f-]{36}$/);
    assert.deepEqual(
      states.map(({ state }) => state),
      ['connecting', 'open', 'closed'],
    );
  });

  test('the short form and the whole text', async () => {
    const request = demo({ tokens: 20, tokens_per_second: 0 });
    const events = await collect(stream({ baseUrl: proxy.url, token: api.token, ...request }));
    assert.equal(await client.text(request), textOf(events));
  });

  test('connections cut at random bytes lose nothing and double nothing', async (context) => {
    const cuts = Array.from({ length: 30 }, () => ({
      bytes: Math.floor(Math.random() * 1200),
      reset: Math.random() < 0.5,
    }));
    context.diagnostic(`cuts: ${JSON.stringify(cuts)}`);
    proxy.plan(...cuts);
    // Cuts that let no event through are no progress, and some may follow each other.
    const patient = new Tailrace({
      baseUrl: proxy.url,
      token: api.token,
      retry: { ...SOON, attempts: 40 },
    });
    const request = demo({ text: 'awkward', tokens: 600, tokens_per_second: 200 });
    await expectOnly(patient.stream(request));
    assert.ok(proxy.cutsMade > 3);
  });

  test('a connection cut before its first event does not generate twice', async () => {
    proxy.plan({ bytes: 0 }, { bytes: 0, reset: true }, { bytes: 20 });
    await expectOnly(client.stream(demo({ tokens: 20 })));
    assert.equal(proxy.cutsMade, 3);
  });

  test('an answer that never came is asked for again with the same key', async () => {
    let lost = 0;
    const fetch = async (...request) => {
      const response = await globalThis.fetch(...request);
      if ((lost += 1) > 2) return response;
      await response.body.cancel();
      throw new TypeError('fetch failed');
    };
    const unlucky = new Tailrace({ baseUrl: proxy.url, token: api.token, fetch, retry: SOON });
    await expectOnly(unlucky.stream(demo({ tokens: 20 })));
    assert.deepEqual(
      proxy.streams.map(({ method }) => method),
      ['POST', 'POST', 'POST'],
    );
    assert.equal(new Set(proxy.streams.map(({ headers }) => headers['idempotency-key'])).size, 1);
  });

  test('a key of the application attaches to the generation of an earlier call', async () => {
    const request = demo({ tokens: 30 });
    const options = { idempotencyKey: 'conversation-1-turn-1' };
    const [one, two] = [client.stream(request, options), client.stream(request, options)];
    const [first, second] = await Promise.all([collect(one), collect(two)]);
    assert.deepEqual(first, second);
    assert.equal((await api.list()).length, 1);
  });

  test('disconnect stays away, resumes, and says how many were replayed', async () => {
    const tails = [];
    const fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      tails.push(Number(response.headers.get('tailrace-tail')));
      return response;
    };
    const client = new Tailrace({ baseUrl: proxy.url, token: api.token, fetch, retry: SOON });
    // So fast that it never pauses between what is replayed and what is new.
    const stream = client.stream(demo({ tokens: 900, tokens_per_second: 300 }), { onConnection });
    let cutAt;
    await expectOnly(stream, ({ seq }) => {
      if (seq !== 30) return;
      cutAt = stream.lastEventId;
      stream.disconnect(700);
    });
    const [waiting] = statesOf('waiting');
    assert.equal(waiting.error.code, 'disconnected');
    assert.ok(waiting.retryInMs > 500);
    const [first, resumed, ...more] = statesOf('open');
    assert.equal(proxy.streams[1].headers['last-event-id'], resumed.resumedAfter);
    assert.ok(Number(resumed.resumedAfter.split('.')[1]) >= Number(cutAt.split('.')[1]));
    const [, seen] = resumed.resumedAfter.split('.').map(Number);
    assert.equal(resumed.replayed, tails.at(-1) - seen);
    assert.ok(resumed.replayed > 0 && tails.at(-1) < 890, 'those that were generated meanwhile, and no others');
    assert.equal(first.replayed, undefined);
    assert.deepEqual(more, []);
  });

  test('a connection that has gone silent is given up', async () => {
    proxy.plan({ match: /"seq":20,/, hold: true });
    const retry = { ...SOON, silenceMs: 1500 };
    const watchful = new Tailrace({ baseUrl: proxy.url, token: api.token, retry });
    const request = demo({ tokens: 100, tokens_per_second: 100 });
    await expectOnly(watchful.stream(request, { onConnection }));
    assert.equal(statesOf('waiting')[0].error.code, 'silent');
    assert.ok(proxy.streams.length >= 2);
  });

  test('heartbeats keep a quiet connection', async () => {
    const retry = { ...SOON, silenceMs: 4000 };
    const watchful = new Tailrace({ baseUrl: proxy.url, token: api.token, retry });
    await expectOnly(watchful.stream(demo({ tokens: 3, first_token_delay_ms: 6000 })));
    assert.equal(proxy.streams.length, 1);
  });

  test('events that were seen are dropped, should a proxy have lost the cursor', async () => {
    proxy.plan({ match: /id: \w+\.25\n/ }, { match: /id: \w+\.40\n/ });
    const fetch = (url, { headers, ...init }) => {
      const { 'Last-Event-ID': _, ...kept } = headers;
      return globalThis.fetch(url, { ...init, headers: kept });
    };
    const client = new Tailrace({ baseUrl: proxy.url, token: api.token, fetch, retry: SOON });
    await expectOnly(client.stream(demo({ tokens: 80, tokens_per_second: 100 })));
    assert.equal(proxy.cutsMade, 2);
  });

  test('an address that is none fails at once, whatever may be tried again', async () => {
    for (const baseUrl of [undefined, '', 'localhost:8080', 'not an address', 'ftp://localhost']) {
      const lost = new Tailrace({ baseUrl, token: api.token, retry: { attempts: 1, baseMs: 60_000 } });
      const refused = { name: 'TailraceError', code: 'invalid_base_url', retryable: false, message: /baseUrl/ };
      await assert.rejects(collect(lost.stream(demo({ tokens: 2 }), { onConnection })), refused);
      await assert.rejects(lost.models(), refused);
    }
    assert.deepEqual(statesOf('waiting'), []);
  });

  test('a token that has expired is asked for again once, in mid-stream too', async () => {
    const tokens = [api.token, await server.token('--sub', caller, '--scope', 'streams:read')];
    let asked = 0;
    const client = new Tailrace({
      baseUrl: proxy.url,
      token: async () => tokens[(asked += 1) - 1],
      // From the second request on, the first token is no longer good.
      fetch: (url, init) => {
        const expired = proxy.streams.length > 0 && asked === 1;
        const headers = { ...init.headers, ...(expired && { Authorization: 'Bearer x.y.z' }) };
        return globalThis.fetch(url, { ...init, headers });
      },
      retry: SOON,
    });
    proxy.plan({ match: /id: \w+\.20\n/ });
    await expectOnly(client.stream(demo({ tokens: 60, tokens_per_second: 100 })));
    assert.equal(asked, 2);
    assert.deepEqual(
      proxy.streams.map(({ status }) => status),
      [200, 401, 200],
    );
  });

  test('streams that find out together that the token has expired ask for one', async () => {
    let asked = 0;
    const token = () => ((asked += 1) === 1 ? 'x.y.z' : api.token);
    const client = new Tailrace({ baseUrl: proxy.url, token, retry: SOON });
    const requests = [1, 2, 3].map(() => client.text(demo({ tokens: 5, tokens_per_second: 0 })));
    await Promise.all(requests);
    assert.equal(asked, 2);
    assert.equal((await api.list()).length, 3);
  });

  test('streams that have ended leave their connection to the next', async () => {
    let connections = 0;
    const count = () => (connections += 1);
    subscribe('undici:client:connected', count);
    try {
      // What is read to its end, `done` included, is complete.
      for (let turn = 0; turn < 4; turn += 1) await client.text(demo({ tokens: 5 }));
    } finally {
      unsubscribe('undici:client:connected', count);
    }
    assert.equal(proxy.streams.length, 4);
    assert.ok(connections === 1 || connections === 2, `${connections} connections`);
  });

  test('sharing, which is for tabs, changes nothing here', async () => {
    await expectOnly(client.stream(demo({ tokens: 10 }), { share: true }));
    assert.equal(proxy.streams.length, 1);
  });

  test('a token that is refused twice is an error', async () => {
    let asked = 0;
    const token = () => `x.y.${(asked += 1)}`;
    const client = new Tailrace({ baseUrl: proxy.url, token, retry: SOON });
    const error = await failureOf(client.stream(demo({})));
    assert.equal(error.code, 'invalid_token');
    assert.equal(error.status, 401);
    assert.equal(error.retryable, false);
    assert.ok(error.requestId);
    assert.equal(error.problem.error.code, 'invalid_token');
    assert.equal(asked, 2);
  });

  test('what is wrong with a request is said at once', async () => {
    const error = await failureOf(client.stream({ prompt: 'Hi', temperature: 9 }));
    assert.equal(error.status, 422);
    assert.equal(error.code, 'invalid_field');
    assert.equal(error.param, 'temperature');
    assert.equal(proxy.streams.length, 1);
  });

  test('cancel ends the generation, and the events end with that', async () => {
    const stream = client.stream(demo({ tokens: 100_000, tokens_per_second: 100 }));
    let snapshot;
    const { end } = await expectOnly(stream, async ({ seq }) => {
      if (seq === 10) snapshot = await stream.cancel();
    });
    assert.equal(snapshot.id, stream.id);
    assert.equal(end.finish_reason, 'cancelled');
  });

  test('cancel before the server has answered ends the generation as well', async () => {
    const stream = client.stream(demo({ tokens: 100_000, tokens_per_second: 100 }));
    const reading = expectOnly(stream);
    assert.equal(stream.id, undefined);
    const snapshot = await stream.cancel();
    assert.equal(snapshot.id, stream.id);
    assert.equal((await reading).end.finish_reason, 'cancelled');
  });

  test('cancel before anything was asked for begins nothing', async () => {
    const stream = client.stream(demo({}));
    assert.equal(await stream.cancel(), undefined);
    assert.deepEqual(await collect(stream), []);
    assert.deepEqual(await api.list(), []);
  });

  test('aborting stops reading and leaves the generation alone', async () => {
    const abort = new AbortController();
    const request = demo({ tokens: 100_000, tokens_per_second: 100 });
    const stream = client.stream(request, { signal: abort.signal, onConnection });
    await assert.rejects(
      collect(stream, ({ seq }) => seq === 5 && abort.abort()),
      { name: 'AbortError' },
    );
    assert.equal(statesOf('closed').length, 1);
    const { status, last_event_id } = await api.snapshot(stream.id);
    assert.equal(status, 'running');
    await until('it goes on', async () => (await api.snapshot(stream.id)).last_event_id !== last_event_id);
    await api.delete(stream.id);
  });

  test('leaving the loop closes the connection', async () => {
    const request = { ...demo({ tokens: 100_000, tokens_per_second: 100 }), on_disconnect: 'cancel' };
    const stream = client.stream(request);
    for await (const { seq } of stream) if (seq === 5) break;
    assert.equal(stream.lastEventId, `${stream.id}.5`);
    await until('it is cancelled', async () => (await api.snapshot(stream.id)).status === 'done');
  });

  test('a generation that exists is followed, from its start or after a cursor', async () => {
    const { id } = await api.create(demo({ tokens: 80, tokens_per_second: 100 }));
    await until('the cursor exists', async () => (await api.snapshot(id)).text?.length > 100);
    const [whole, rest] = await Promise.all([
      collect(client.follow(id)),
      collect(client.follow(`${id}.7`)),
    ]);
    expectEvents(whole, await api.snapshot(id));
    assert.deepEqual(rest, whole.slice(8));
    const { last_event_id } = await api.snapshot(id);
    assert.deepEqual(await collect(client.follow(last_event_id)), []);
  });

  test('what does not exist cannot be followed', async () => {
    const error = await failureOf(client.follow('0'.repeat(32)));
    assert.equal(error.code, 'stream_not_found');
    assert.equal(error.status, 404);
  });

  test("a model's failure is an event, and text() throws it", async () => {
    const request = demo({ fail_after: 5, tokens_per_second: 0 });
    const { end } = await expectOnly(client.stream(request));
    assert.equal(end.type, 'error');
    await assert.rejects(client.text(request), { name: 'TailraceError', code: 'generator_error' });
  });

  test('a failure before the first token generates anew, if that is wanted', async () => {
    const retry = { ...SOON, regenerate: 2 };
    const client = new Tailrace({ baseUrl: proxy.url, token: api.token, retry });
    const stream = client.stream(demo({ fail_after: 0 }), { onConnection });
    const events = await collect(stream);
    assert.equal((await api.list()).length, 3);
    assert.equal(events.at(-1).type, 'error', 'the last failure is not hidden');
    assert.equal(events.filter(({ type }) => type === 'error').length, 1);
    assert.equal(stream.lastEventId, (await api.snapshot(stream.id)).last_event_id);
    assert.equal(statesOf('waiting')[0].error.code, 'generator_error');
  });

  test('the calls that are no streams', async () => {
    const { id } = await api.create(demo({ tokens: 5, tokens_per_second: 0 }));
    const text = textOf(await collect(client.follow(id)));
    assert.equal((await client.snapshot(id)).text, text);
    assert.deepEqual(
      (await client.list({ status: 'done', limit: 1 })).streams.map((stream) => stream.id),
      [id],
    );
    assert.deepEqual((await client.list({ after: id })).streams, []);
    assert.deepEqual(
      (await client.models()).data.map((model) => model.id),
      ['demo'],
    );
    assert.match((await client.ticket(id)).url, /\?ticket=/);
    assert.equal((await client.cancel(id)).status, 'done');
    assert.equal(await client.delete(id), undefined);
    await assert.rejects(client.snapshot(id), { code: 'stream_not_found' });
  });

  test('a server that restarts is found again, and what it has forgotten is said', async () => {
    const first = await Server.start(WIDE);
    let second;
    try {
      proxy.lead(first.port);
      const client = new Tailrace({ baseUrl: proxy.url, token, retry: { ...SOON, attempts: 1000 } });
      const stream = client.stream(demo({ tokens: 100_000 }), { onConnection });
      const failure = failureOf(stream);
      await until('it has begun', () => stream.lastEventId);
      await proxy.refuse();
      await first.kill();
      await until('it could not connect', () =>
        statesOf('waiting').some(({ error }) => error.code === 'network_error'),
      );
      second = await Server.start(WIDE);
      proxy.lead(second.port);
      await proxy.accept();
      const { code, status, retryable } = await failure;
      assert.deepEqual({ code, status, retryable }, { code: 'stream_not_found', status: 404, retryable: false });
      assert.equal(states.at(-1).error.code, 'stream_not_found');
    } finally {
      await first.stop();
      await second?.stop();
    }
  });

  test('a server that is draining is asked again, and another one answers', async () => {
    const draining = await Server.start(WIDE);
    try {
      const direct = new Api(draining.url, token);
      const { id } = await direct.create(demo({ tokens: 100_000 }));
      proxy.lead(draining.port);
      draining.drain();
      await until('it drains', async () => !(await fetch(`${draining.url}/readyz`)).ok);
      const client = new Tailrace({ baseUrl: proxy.url, token: api.token, retry: { attempts: 1000 } });
      const reading = expectOnly(client.stream(demo({ tokens: 20 }), { onConnection }));
      const refused = await until('it was turned away', () => statesOf('waiting')[0]);
      assert.equal(refused.error.status, 503);
      assert.equal(refused.error.code, 'server_stopping');
      proxy.lead(server.port);
      proxy.cutNow();
      await reading;
      await direct.cancel(id);
    } finally {
      await draining.stop();
    }
  });
});

suite('the JavaScript client under a rate limit', () => {
  let api, client, server;

  before(async () => {
    server = await Server.start(`${KEY}
      [limits.plans.default]
      requests_per_minute = 60
      burst = 1
      streams = 10
      tokens_per_minute = 100000
    `);
  });

  after(() => server?.stop());

  beforeEach(async () => {
    api = new Api(server.url, await server.token('--sub', `caller-${Math.random()}`));
    client = new Tailrace({ baseUrl: server.url, token: api.token });
    await api.create(demo({ tokens: 1 }));
  });

  test('it waits as long as the server asks', async () => {
    const states = [];
    const stream = client.stream(demo({ tokens: 5 }), { onConnection: (state) => states.push(state) });
    expectEvents(await collect(stream), await api.snapshot(stream.id));
    const { error, retryInMs } = states.find(({ state }) => state === 'waiting');
    assert.equal(error.code, 'rate_limited');
    assert.equal(error.status, 429);
    assert.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 1000);
    assert.ok(retryInMs >= error.retryAfterMs && retryInMs <= error.retryAfterMs * 1.1 + 1);
    assert.equal((await api.list()).length, 2);
  });

  test('cancel while it waits begins nothing', async () => {
    const states = [];
    const stream = client.stream(demo({ tokens: 5 }), { onConnection: (state) => states.push(state) });
    const reading = collect(stream);
    await until('it waits', () => states.some(({ state }) => state === 'waiting'));
    assert.equal(await stream.cancel(), undefined);
    assert.deepEqual(await reading, []);
    assert.equal((await api.list()).length, 1);
  });

  test('without retries the refusal is thrown', async () => {
    const client = new Tailrace({ baseUrl: server.url, token: api.token, retry: false });
    await assert.rejects(collect(client.stream(demo({}))), { code: 'rate_limited', retryable: true });
  });
});
