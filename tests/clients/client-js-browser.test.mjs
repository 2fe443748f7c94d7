/** Our JavaScript client in Chromium: on pages of another origin than the server's, and in workers. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { demo } from './support/api.mjs';
import { expectEvents } from './support/client_js.mjs';
import { until } from './support/deadline.mjs';
import { block, Scripted } from './support/scripted.mjs';
import { Stage } from './support/stage.mjs';

const SECTIONS = `
[auth]
ticket_lifetime = "1s"
[http]
heartbeat = "200ms"
[limits.plans.default]
requests_per_minute = 60000
burst = 1000
streams = 1000
tokens_per_minute = 100000000
`;

suite('the JavaScript client in Chromium', () => {
  let api, page, proxy, stage;

  before(async () => {
    stage = await Stage.start('client-js.js', SECTIONS);
    ({ api, proxy } = stage);
  });

  after(() => stage?.stop());

  beforeEach(async () => {
    page = await stage.openPage();
    await page.evaluate((options) => client.connect(options), options());
  });

  afterEach(() => page.close());

  const options = (more) => ({ baseUrl: proxy.url, token: stage.token, ...more });
  const states = () => page.evaluate(() => client.states);

  /** Waits for the end in this page, and compares with the server. */
  async function expectEnd(id) {
    const outcome = await until('it ends', () => page.evaluate(() => client.outcome));
    assert.equal(outcome, 'ended');
    return expectEvents(await page.evaluate(() => client.events), await api.snapshot(id));
  }

  const idOf = () => until('it has an id', () => page.evaluate(() => client.id()));

  test('a stream through cuts at several places', async () => {
    const cuts = [{ bytes: 0 }, { match: /"seq":9,"te/ }, { match: /id: \w+\.3/, reset: true }, { bytes: 700 }];
    proxy.plan(...cuts);
    const before = (await api.list()).length;
    await page.evaluate(
      (request) => client.start(request),
      demo({ text: 'awkward', tokens: 200, tokens_per_second: 100 }),
    );
    const id = await idOf();
    await expectEnd(id);
    assert.equal(proxy.cutsMade, cuts.length);
    assert.equal((await api.list()).length - before, 1, 'one generation');
  });

  test('disconnect and cancel', async () => {
    await page.evaluate((request) => client.start(request), demo({ tokens: 100_000, tokens_per_second: 60 }));
    await until('some events', () => page.evaluate(() => client.events.length > 10));
    await page.evaluate(() => client.disconnect(500));
    const replayed = await until('it resumed', async () => {
      return (await states()).find((state) => state.replayed !== undefined)?.replayed;
    });
    assert.ok(replayed > 0);
    await page.evaluate(() => client.cancel());
    assert.equal((await expectEnd(await idOf())).finish_reason, 'cancelled');
  });

  test('a network that comes back ends the waiting at once', async () => {
    const patient = { baseMs: 3_600_000, maxMs: 3_600_000 };
    await page.evaluate((options) => client.connect(options), options({ retry: patient }));
    const { id } = await api.create(demo({ tokens: 60, tokens_per_second: 60 }));
    await proxy.refuse();
    await page.evaluate((id) => client.follow(id), id);
    const waiting = await until('it waits', async () =>
      (await states()).find(({ state }) => state === 'waiting'),
    );
    assert.equal(waiting.error, 'network_error');
    await proxy.accept();
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await expectEnd(id);
  });

  test('its EventSource goes on with a new ticket when the old one is refused', async () => {
    const { id } = await api.create(demo({ tokens: 100_000, tokens_per_second: 60 }));
    await page.evaluate((id) => client.eventSource(id), id);
    await until('some events', () => page.evaluate(() => client.events.length > 3));
    // Made after that of the page, so when this one has expired, the page's has too.
    const { url } = await api.ticket(id);
    const snapshot = new URL(url, stage.server.url).href.replace('/events?', '?');
    await until('the ticket has expired', async () => (await fetch(snapshot)).status === 401);
    proxy.cutNow();
    await until('it has resumed', () => proxy.streams.length >= 3 && proxy.streams.at(-1).status);
    await page.evaluate(() => client.cancel());
    await expectEnd(id);
    const statuses = proxy.streams.map(({ status }) => status);
    assert.deepEqual(statuses, [200, 401, 200], 'the browser came back once with the old ticket');
    assert.match(proxy.streams[2].target, /last_event_id=\w+\.\d+/);
  });

  test('its EventSource passes over events of a kind that it does not know', async () => {
    const start = { type: 'start', seq: 0, stream: 's', model: 'm', created: 1 };
    const end = { type: 'error', seq: 2, error: { code: 'x', message: 'x', retryable: false } };
    const body = [start, { type: 'picture', seq: 1 }, end].map(block).join('');
    const headers = { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' };
    const server = await Scripted.start({ headers, body });
    try {
      await page.evaluate((baseUrl) => client.connect({ baseUrl }), server.url);
      await page.evaluate(() => client.eventSource('s'));
      const outcome = await until('it ends', () => page.evaluate(() => client.outcome));
      assert.equal(outcome, 'ended');
      assert.deepEqual(await page.evaluate(() => client.events), [start, end]);
      assert.equal(server.requests[0].url, '/v1/streams/s/events?', 'without a ticket');
    } finally {
      await server.stop();
    }
  });

  for (const kind of ['worker', 'shared worker', 'service worker']) {
    test(`in a ${kind}`, async () => {
      proxy.plan({ bytes: 0 }, { bytes: 1000 });
      await page.evaluate(
        ([kind, options, request]) => client.readIn(kind, options, request),
        [kind, options(), demo({ tokens: 60, tokens_per_second: 60 })],
      );
      const { stream } = await until('it begins', () => page.evaluate(() => client.events[0]));
      await expectEnd(stream);
      assert.equal(proxy.cutsMade, 2);
    });
  }
});
