/**
 * @microsoft/fetch-event-source in Chromium: it posts the request again, with the last event id,
 * whenever the connection breaks and whenever a hidden tab is shown. None of that may generate
 * twice.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { Api, demo } from './support/api.mjs';
import { until } from './support/deadline.mjs';
import { expectWhole } from './support/expect.mjs';
import { Stage } from './support/stage.mjs';

suite('fetch-event-source in Chromium', () => {
  let api, page, proxy, stage;

  before(async () => {
    stage = await Stage.start('fetch-event-source.js', '[http]\nheartbeat = "200ms"');
    ({ proxy } = stage);
  });

  after(() => stage?.stop());

  beforeEach(async ({ name }) => {
    page = await stage.openPage();
    // Each test is somebody else, and so has a list of streams of its own.
    api = new Api(stage.server.url, await stage.server.token('--sub', name));
  });

  afterEach(() => page.close());

  const post = (body, { headers, token = api.token } = {}) =>
    page.evaluate(
      ([url, options]) => client.post(url, options),
      [`${proxy.url}/v1/streams`, { token, body, headers }],
    );
  const events = () => page.evaluate(() => client.events);
  const eventsBeyond = (count) =>
    until(`more than ${count} events`, async () => (await events()).length > count);
  const outcome = () =>
    until('it has come to its end', () =>
      page.evaluate(() => client.outcome !== 'running' && client.outcome),
    );

  /** The one stream that the client started. */
  async function theOnlyStream() {
    const streams = await api.list();
    assert.equal(streams.length, 1, 'exactly one generation');
    return api.snapshot(streams[0].id);
  }

  /** Hides the tab behind another for as long as `meanwhile` takes. */
  async function hidden(meanwhile) {
    const other = await stage.browser.open();
    await until('the tab is hidden', () => page.evaluate(() => document.hidden));
    await meanwhile();
    await page.bringToFront();
    await until('the tab is shown', () => page.evaluate(() => !document.hidden));
    await other.close();
  }

  test('awkward text comes whole, and the sample check of the content type passes', async () => {
    await post(demo({ text: 'awkward', tokens: 48, tokens_per_second: 200 }));
    assert.equal(await outcome(), 'resolved');
    expectWhole(await events(), await theOnlyStream());
    assert.equal(proxy.streams.length, 1);
  });

  test('a token of 200 KiB arrives in pieces', async () => {
    await post(demo({ text: 'huge', tokens: 1, tokens_per_second: 0 }));
    assert.equal(await outcome(), 'resolved');
    expectWhole(await events(), await theOnlyStream());
  });

  test('heartbeats are no messages', async () => {
    await post(demo({ tokens: 3, first_token_delay_ms: 1500, tokens_per_second: 0 }));
    assert.equal(await outcome(), 'resolved');
    expectWhole(await events(), await theOnlyStream());
    assert.equal((await events()).length, 5);
  });

  test('connections cut within events are resumed by posting again', async () => {
    const cuts = [
      { match: /"seq":9,"te/ },
      { match: /"seq":19,.*\n/ },
      { match: /event: token\nid: \w+\.30\n\n/, reset: true },
      { match: /id: \w+\.4/ },
      { bytes: 1500, reset: true },
      { bytes: 10 },
    ];
    proxy.plan(...cuts);
    await post(demo({ text: 'awkward', tokens: 360, tokens_per_second: 60 }));
    assert.equal(await outcome(), 'resolved');
    assert.equal(proxy.cutsMade, cuts.length);
    assert.equal(proxy.streams.length, cuts.length + 1);
    assert.ok(proxy.streams.every(({ method }) => method === 'POST'));
    expectWhole(await events(), await theOnlyStream());
  });

  test('a tab that is hidden and shown again continues the same generation', async () => {
    await post(demo({ tokens: 250, tokens_per_second: 50 }));
    for (const seen of [10, 40]) {
      await eventsBeyond(seen);
      await hidden(async () => {
        const left = await page.evaluate(() => client.events.length);
        const { id } = await theOnlyStream();
        await until('it went on without a reader', async () => {
          const { last_event_id } = await api.snapshot(id);
          return Number(last_event_id.split('.')[1]) > left + 5;
        });
      });
    }
    assert.equal(await outcome(), 'resolved');
    assert.deepEqual(await page.evaluate(() => client.visibility), [
      'hidden',
      'visible',
      'hidden',
      'visible',
    ]);
    assert.equal(proxy.streams.length, 3);
    assert.deepEqual(
      proxy.streams.map(({ headers }) => 'last-event-id' in headers),
      [false, true, true],
    );
    expectWhole(await events(), await theOnlyStream());
  });

  test('a stream that ended while the tab was hidden is read to its end', async () => {
    await post(demo({ tokens: 40, tokens_per_second: 50 }));
    await eventsBeyond(5);
    await hidden(async () => {
      const { id } = await theOnlyStream();
      await until('the stream has ended', async () => (await api.snapshot(id)).status === 'done');
    });
    assert.equal(await outcome(), 'resolved');
    expectWhole(await events(), await theOnlyStream());
  });

  test('a connection cut after the end gets the end again, and then it is over', async () => {
    proxy.plan({ match: /event: done\nid: .*\n\n/, hold: true });
    await post(demo({ tokens: 5, tokens_per_second: 0 }));
    await until('the end', async () => (await events()).at(-1)?.type === 'done');
    proxy.cutNow();
    assert.equal(await outcome(), 'resolved');
    assert.equal(proxy.streams.length, 2);
    assert.equal(proxy.streams[1].status, 200);
    const received = await events();
    const again = received.pop();
    assert.deepEqual(again, received.at(-1), 'nothing but the end is repeated');
    expectWhole(received, await theOnlyStream());
  });

  test('a connection cut before the first event needs an idempotency key', async () => {
    proxy.plan({ bytes: 0 }, { bytes: 0, reset: true });
    await post(demo({ tokens: 20, tokens_per_second: 20 }), {
      headers: { 'idempotency-key': 'one-question' },
    });
    assert.equal(await outcome(), 'resolved');
    assert.equal(proxy.streams.length, 3);
    assert.ok(proxy.streams.every(({ headers }) => !('last-event-id' in headers)));
    expectWhole(await events(), await theOnlyStream());
  });

  /**
   * The client takes an id as soon as it has read its line, and the event only with the blank line
   * after it. One byte lies between them: a cut exactly there loses the event, if the browser gives
   * the script that much before it reports the cut. No server can know; a client that compares
   * `seq` does.
   */
  test('a cut right before the blank line loses one event at most, and seq shows it', async () => {
    proxy.plan({ match: /id: \w+\.7\n/ });
    await post(demo({ tokens: 40, tokens_per_second: 20 }));
    assert.equal(await outcome(), 'resolved');
    const seqs = (await events()).map(({ data }) => JSON.parse(data).seq);
    const { last_event_id } = await theOnlyStream();
    const end = Number(last_event_id.split('.')[1]);
    const all = Array.from({ length: end + 1 }, (_, seq) => seq);
    const lost = all.filter((seq) => !seqs.includes(seq));
    assert.ok(lost.length === 0 || (lost.length === 1 && lost[0] === 7), `lost: ${lost}`);
    assert.equal(seqs.length + lost.length, all.length, 'nothing is repeated');
  });

  /**
   * Shown again while it waits for its next attempt, the client makes two: each event comes twice,
   * with the same id. It is still one generation.
   */
  test('a tab shown again between two attempts follows twice, but generates once', async () => {
    await post(demo({ tokens: 120, tokens_per_second: 40 }));
    await eventsBeyond(5);
    proxy.cutNow();
    await hidden(async () => {});
    assert.equal(await outcome(), 'resolved');
    const seen = new Set();
    const first = (await events()).filter(({ id }) => !seen.has(id) && seen.add(id));
    expectWhole(first, await theOnlyStream());
  });

  test('a refusal reaches the page as a problem, and is not repeated', async () => {
    await post(demo({ nonsense: 1 }));
    assert.equal(await outcome(), '422 invalid_field');
    await post(demo({ tokens: 1 }), { token: 'nonsense' });
    assert.equal(await outcome(), '401 invalid_token');
    assert.equal(proxy.streams.length, 2);
    assert.deepEqual(await api.list(), []);
  });

  test('a generation that fails ends with an error event', async () => {
    await post(demo({ fail_after: 5, tokens_per_second: 100 }));
    assert.equal(await outcome(), 'resolved');
    const end = expectWhole(await events(), await theOnlyStream());
    assert.equal(end.error.code, 'generator_error');
    assert.equal(proxy.streams.length, 1);
  });
});
