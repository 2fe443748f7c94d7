/**
 * How a browser proves who it is, and what the pages of other origins may see: tickets, tokens in
 * URLs, cookies and CORS, in Chromium.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { demo } from './support/api.mjs';
import { until } from './support/deadline.mjs';
import { expectWhole } from './support/expect.mjs';
import { Pages } from './support/pages.mjs';
import { Stage } from './support/stage.mjs';

const COOKIE = 'session';

suite('Credentials and origins in Chromium', () => {
  let api, page, proxy, stage, strangers;

  before(async () => {
    strangers = await Pages.start('eventsource.js');
    stage = await Stage.start(
      'eventsource.js',
      `
        [log]
        level = "tailrace=debug"
        [auth]
        ticket_lifetime = "2s"
        leeway = "0s"
        cookie = "${COOKIE}"
      `,
    );
    ({ api, proxy } = stage);
  });

  after(async () => {
    await stage?.stop();
    await strangers?.stop();
  });

  beforeEach(async () => {
    page = await stage.openPage();
  });

  afterEach(() => page.close());

  const follow = (url, options) =>
    page.evaluate(([url, options]) => client.follow(url, options), [url, options]);
  const events = () => page.evaluate(() => client.events);
  const closed = () =>
    until('the EventSource is closed', () => page.evaluate(() => client.state() === 2));

  /** Sends a request from the page; answers with what the page's script may see of the answer. */
  const fetchInPage = (path, options = {}) =>
    page.evaluate(
      async ([url, options]) => {
        try {
          const response = await fetch(url, options);
          const headers = Object.fromEntries(response.headers);
          return { status: response.status, headers, body: await response.json() };
        } catch (error) {
          return { error: error.name };
        }
      },
      [proxy.url + path, options],
    );

  test('a ticket that has expired closes the EventSource for good', async () => {
    const { id } = await api.create(demo({ tokens: 500, tokens_per_second: 50 }));
    await follow((await api.ticket(id)).url);
    await until('the ticket has expired', () => {
      proxy.cutNow();
      return proxy.streams.at(-1)?.status === 401;
    });
    await closed();
    const ids = (await events()).map((event) => event.id);
    assert.deepEqual(
      ids,
      ids.map((_, seq) => `${id}.${seq}`),
    );
    await api.cancel(id);
  });

  test('a ticket for one stream does not open another', async () => {
    const { id } = await api.create(demo({ tokens: 5 }));
    const other = await api.create(demo({ tokens: 5 }));
    const { ticket } = await api.ticket(id);
    await follow(`${proxy.url}${other.events_url}?ticket=${ticket}`);
    await closed();
    assert.equal(proxy.streams.at(-1).status, 404);
    assert.deepEqual(await events(), []);
  });

  test('a token in the URL opens a stream', async () => {
    const { id, events_url } = await api.create(demo({ tokens: 5, tokens_per_second: 0 }));
    await follow(`${proxy.url}${events_url}?access_token=${stage.token}`);
    await closed();
    expectWhole(await events(), await api.snapshot(id));
  });

  test('a cookie opens a stream, if the page sends credentials', async () => {
    const { id, events_url } = await api.create(demo({ tokens: 5, tokens_per_second: 0 }));
    // Cookies do not tell ports apart, so the page's are the server's.
    await page.evaluate((cookie) => (document.cookie = cookie), `${COOKIE}=${stage.token}`);
    await follow(proxy.url + events_url, { withCredentials: true });
    await closed();
    expectWhole(await events(), await api.snapshot(id));
    const created = await fetchInPage('/v1/streams', {
      method: 'POST',
      credentials: 'include',
      headers: { 'content-type': 'application/json', prefer: 'respond-async' },
      body: JSON.stringify(demo({ tokens: 1 })),
    });
    assert.equal(created.status, 202);
  });

  test('a page of an origin that is not allowed reads nothing', async () => {
    await page.goto(`${strangers.origin}/`);
    const { id } = await api.create(demo({ tokens: 5 }));
    await follow((await api.ticket(id)).url);
    await closed();
    assert.deepEqual(await events(), []);
    const authorization = `Bearer ${stage.token}`;
    assert.deepEqual(await fetchInPage('/v1/streams', { headers: { authorization } }), {
      error: 'TypeError',
    });
    await page.evaluate((cookie) => (document.cookie = cookie), `${COOKIE}=${stage.token}`);
    const before = (await api.list()).length;
    // Without a preflight: a body that a form could send, with the user's cookie.
    assert.deepEqual(
      await fetchInPage('/v1/streams', {
        method: 'POST',
        credentials: 'include',
        body: JSON.stringify(demo({ tokens: 1 })),
      }),
      { error: 'TypeError' },
    );
    assert.equal(proxy.requests.at(-1).status, 403);
    assert.equal((await api.list()).length, before);
  });

  test('an allowed page can read errors and the headers that it needs', async () => {
    const refused = await fetchInPage('/v1/streams', { headers: { authorization: 'Bearer no' } });
    assert.equal(refused.status, 401);
    assert.equal(refused.headers['content-type'], 'application/problem+json');
    assert.equal(refused.headers['x-should-retry'], 'false');
    assert.equal(refused.body.instance, `/requests/${refused.headers['x-request-id']}`);
    const created = await fetchInPage('/v1/streams', {
      method: 'POST',
      headers: {
        authorization: `Bearer ${stage.token}`,
        'content-type': 'application/json',
        prefer: 'respond-async',
        'idempotency-key': 'a-key',
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        'x-stainless-lang': 'js',
      },
      body: JSON.stringify(demo({ tokens: 1 })),
    });
    assert.equal(created.status, 202);
    const { headers, body } = created;
    assert.equal(headers['x-stream-id'], body.id);
    assert.equal(headers.location, `/v1/streams/${body.id}`);
    for (const name of ['ratelimit', 'ratelimit-policy', 'x-request-id']) {
      assert.ok(headers[name], `${name} is exposed`);
    }
  });

  test('what a URL with a credential answers is stored nowhere', async () => {
    const { id, events_url } = await api.create(demo({ tokens: 1, tokens_per_second: 0 }));
    const { url } = await api.ticket(id);
    for (const address of [url, `${proxy.url}${events_url}?access_token=nonsense`]) {
      const response = await fetch(address);
      assert.match(response.headers.get('cache-control'), /\bno-store\b/);
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
      await response.text();
    }
    const secret = new URL(url).searchParams.get('ticket');
    assert.ok(!JSON.stringify(stage.server.log).includes(secret), 'the log does not have it');
  });
});
