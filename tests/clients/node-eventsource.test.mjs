/**
 * The npm package `eventsource` in Node: with a bearer token through a custom fetch, and with a
 * ticket in the URL. It names a newer Node than the other clients need, and runs on theirs too.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';

import { EventSource } from 'eventsource';

import { Api, demo } from './support/api.mjs';
import { stays, until } from './support/deadline.mjs';
import { expectWhole } from './support/expect.mjs';
import { CuttingProxy } from './support/proxy.mjs';
import { Server } from './support/server.mjs';

const NAMES = ['start', 'token', 'reasoning', 'refusal', 'tool_call', 'logprobs', 'done', 'message'];

/** How long to watch that a client does not come back; it would after a second. */
const QUIET_MS = 1500;

/** Follows a URL and keeps what was dispatched. */
class Reader {
  events = [];
  /** The status or message of each error that was no event. */
  errors = [];

  constructor(url, options) {
    this.source = new EventSource(url, options);
    const keep = ({ type, lastEventId, data }) => this.events.push({ type, id: lastEventId, data });
    for (const name of NAMES) this.source.addEventListener(name, keep);
    this.source.addEventListener('error', (event) => {
      if (event.data === undefined) this.errors.push(event.code ?? event.message);
      else keep(event);
    });
  }

  closed() {
    return until('the EventSource is closed', () => this.source.readyState === EventSource.CLOSED);
  }
}

const CUTS = [
  { match: /"seq":9,"te/ },
  { match: /"seq":19,.*\n/ },
  { match: /id: \w+\.30\n/, reset: true },
  { match: /id: \w+\.4/ },
  { bytes: 10 },
];

suite('eventsource in Node', () => {
  let api, proxy, server;

  before(async () => {
    proxy = await CuttingProxy.start();
    server = await Server.start(`
      public_url = "${proxy.url}"
      drain_timeout = "500ms"
      [http]
      heartbeat = "200ms"
    `);
    proxy.lead(server.port);
    api = new Api(server.url, await server.token());
  });

  after(async () => {
    await server?.stop();
    await proxy?.stop();
  });

  beforeEach(() => proxy.forget());

  const withBearer = ({ events_url }) =>
    new Reader(proxy.url + events_url, {
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${api.token}` } }),
    });

  const withTicket = async ({ id }) => new Reader((await api.ticket(id)).url);

  async function expectSettled(reader) {
    await reader.closed();
    assert.equal(reader.errors.at(-1), 204);
    assert.equal(proxy.streams.at(-1).headers['last-event-id'], reader.events.at(-1).id);
    const count = proxy.requests.length;
    await stays('no further request', () => proxy.requests.length === count, QUIET_MS);
  }

  for (const [credential, follow] of [
    ['a bearer token', withBearer],
    ['a ticket', withTicket],
  ]) {
    test(`with ${credential}: cut connections are resumed, and 204 ends it`, async () => {
      proxy.plan(...CUTS);
      const stream = await api.create(
        demo({ text: 'awkward', tokens: 300, tokens_per_second: 60 }),
      );
      const reader = await follow(stream);
      await expectSettled(reader);
      assert.equal(proxy.cutsMade, CUTS.length);
      assert.equal(proxy.streams.length, CUTS.length + 2);
      expectWhole(reader.events, await api.snapshot(stream.id));
    });
  }

  test('heartbeats are no events', async () => {
    const stream = await api.create(
      demo({ tokens: 3, first_token_delay_ms: 1500, tokens_per_second: 0 }),
    );
    const reader = withBearer(stream);
    await reader.closed();
    expectWhole(reader.events, await api.snapshot(stream.id));
    assert.equal(proxy.streams.length, 2);
  });

  test('a generation that fails ends with an event of data', async () => {
    const stream = await api.create(demo({ fail_after: 5, tokens_per_second: 100 }));
    const reader = withBearer(stream);
    await expectSettled(reader);
    const end = expectWhole(reader.events, await api.snapshot(stream.id));
    assert.equal(end.error.code, 'generator_error');
  });

  test('a deleted stream is ended, and closes the EventSource at its next attempt', async () => {
    const stream = await api.create(demo({ tokens: 1000, tokens_per_second: 50 }));
    const reader = withBearer(stream);
    await until('some events', () => reader.events.length > 3);
    await api.delete(stream.id);
    await reader.closed();
    const last = reader.events.at(-1);
    assert.equal(last.type, 'done');
    assert.equal(JSON.parse(last.data).finish_reason, 'cancelled');
    assert.deepEqual(reader.errors, [undefined, 404], 'a clean end, and then nothing there');
  });

  // The last, for it takes the server with it.
  test('a server that stops tells its readers how their streams ended', async () => {
    const stream = await api.create(demo({ tokens: 1000, tokens_per_second: 50 }));
    const reader = withBearer(stream);
    await until('some events', () => reader.events.length > 3);
    server.drain();
    const end = await until('the end', () => reader.events.find(({ type }) => type === 'error'));
    const { error } = JSON.parse(end.data);
    assert.equal(error.code, 'server_stopping');
    assert.equal(error.retryable, true);
    await until('an attempt that fails', () => reader.errors.length > 1);
    assert.equal(reader.source.readyState, EventSource.CONNECTING);
    reader.source.close();
  });
});
