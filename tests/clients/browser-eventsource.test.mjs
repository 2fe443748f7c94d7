/**
 * The browser's own EventSource, in Chromium, on a page of another origin, with a ticket.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { demo } from './support/api.mjs';
import { stays, until } from './support/deadline.mjs';
import { expectWhole } from './support/expect.mjs';
import { Stage } from './support/stage.mjs';

const CONNECTING = 0;
const CLOSED = 2;

/** How long to watch that a client does not come back; it would after a second. */
const QUIET_MS = 1500;

suite('EventSource in Chromium', () => {
  let api, page, proxy, stage;

  before(async () => {
    stage = await Stage.start('eventsource.js', '[http]\nheartbeat = "200ms"');
    ({ api, proxy } = stage);
  });

  after(() => stage?.stop());

  beforeEach(async () => {
    page = await stage.openPage();
  });

  afterEach(() => page.close());

  /** Starts a stream and opens it in the page, at the address that came with its ticket. */
  async function follow(request) {
    const { id } = await api.create(request);
    const { url } = await api.ticket(id);
    await page.evaluate((url) => client.follow(url), url);
    return id;
  }

  const events = () => page.evaluate(() => client.events);
  const errors = () => page.evaluate(() => client.errors);
  const closed = () =>
    until('the EventSource is closed', () => page.evaluate(() => client.state() === 2));

  /** After the end the client came back once, was told that there is nothing, and stays away. */
  async function expectSettled(id) {
    await closed();
    const last = proxy.streams.at(-1);
    assert.equal(last.status, 204);
    assert.equal(last.headers['last-event-id'], (await api.snapshot(id)).last_event_id);
    const count = proxy.requests.length;
    await stays('no further request', () => proxy.requests.length === count, QUIET_MS);
    assert.equal((await errors()).at(-1), CLOSED);
  }

  test('a stream comes whole, and 204 ends the reconnecting', async () => {
    const id = await follow(demo({ tokens: 60, tokens_per_second: 100 }));
    await expectSettled(id);
    assert.equal(expectWhole(await events(), await api.snapshot(id)).type, 'done');
    assert.deepEqual(
      proxy.requests.map(({ method }) => method),
      ['GET', 'GET'],
      'two requests and no preflight, not even with Last-Event-ID',
    );
  });

  test('awkward characters arrive as they were', async () => {
    const id = await follow(demo({ text: 'awkward', tokens: 48, tokens_per_second: 0 }));
    await closed();
    expectWhole(await events(), await api.snapshot(id));
  });

  test('a token of 200 KiB arrives in pieces', async () => {
    const id = await follow(demo({ text: 'huge', tokens: 1, tokens_per_second: 0 }));
    await closed();
    const { usage } = expectWhole(await events(), await api.snapshot(id));
    assert.equal(usage.completion_tokens, 1);
    assert.ok((await events()).length > 4);
  });

  test('connections cut within events are resumed without loss or repetition', async () => {
    const cuts = [
      { match: /"seq":9,"te/ },
      { match: /"seq":19,.*\n/ },
      { match: /id: \w+\.30\n/, reset: true },
      { match: /id: \w+\.4/ },
      { match: /id: \w+\.60\n\n/ },
      { bytes: 1500, reset: true },
      { bytes: 10 },
    ];
    proxy.plan(...cuts);
    const id = await follow(demo({ text: 'awkward', tokens: 400, tokens_per_second: 60 }));
    await expectSettled(id);
    assert.equal(proxy.cutsMade, cuts.length);
    assert.equal(proxy.streams.length, cuts.length + 2);
    expectWhole(await events(), await api.snapshot(id));
  });

  test('a server that cannot be reached for a while is found again', async () => {
    const id = await follow(demo({ tokens: 50, tokens_per_second: 25 }));
    await until('some events', async () => (await events()).length > 3);
    await proxy.refuse();
    await until('two failed attempts', async () => (await errors()).length >= 3);
    await proxy.accept();
    await expectSettled(id);
    expectWhole(await events(), await api.snapshot(id));
  });

  test('a silent stream is kept alive by comments that nobody sees', async () => {
    const id = await follow(demo({ tokens: 3, first_token_delay_ms: 1500, tokens_per_second: 0 }));
    await closed();
    assert.equal(proxy.streams.length, 2, 'one connection, and the one that got 204');
    assert.deepEqual(await errors(), [CONNECTING, CLOSED]);
    expectWhole(await events(), await api.snapshot(id));
  });

  test("the event named error has data, and is the stream's end", async () => {
    const id = await follow(demo({ fail_after: 5, tokens_per_second: 50 }));
    await expectSettled(id);
    const end = expectWhole(await events(), await api.snapshot(id));
    assert.equal(end.type, 'error');
    assert.equal(end.error.code, 'generator_error');
    assert.equal(end.error.retryable, true);
  });

  test('a reader that comes late gets it all from the start', async () => {
    const { id } = await api.create(demo({ tokens: 300, tokens_per_second: 0 }));
    await until('the stream has ended', async () => (await api.snapshot(id)).status === 'done');
    const { url } = await api.ticket(id);
    await page.evaluate((url) => client.follow(url), url);
    await expectSettled(id);
    expectWhole(await events(), await api.snapshot(id));
  });

  test('a cancelled stream ends with done', async () => {
    const id = await follow(demo({ tokens: 100_000, tokens_per_second: 50 }));
    await until('some events', async () => (await events()).length > 3);
    await api.cancel(id);
    await expectSettled(id);
    const end = expectWhole(await events(), await api.snapshot(id));
    assert.equal(end.finish_reason, 'cancelled');
  });
});
