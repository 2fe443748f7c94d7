/**
 * Chromium's EventSource through nginx with the configuration that we ship, before two nodes: many
 * streams on one page, which HTTP/1.1 would not let a browser have, and a node that is killed.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { demo } from './support/api.mjs';
import { Browser } from './support/browser.mjs';
import { Cluster } from './support/cluster.mjs';
import { stays, until } from './support/deadline.mjs';
import { expectWhole } from './support/expect.mjs';

const PAGE = join(import.meta.dirname, 'pages/many-eventsources.html');

const MANY = 20;

/** How many connections a browser opens to one HTTP/1.1 server. */
const HTTP1_CONNECTIONS = 6;

/** How long to watch that no further one is opened. */
const QUIET_MS = 1000;

suite('Many EventSources in Chromium, behind nginx', () => {
  let api, browser, cluster, page;

  before(async () => {
    cluster = await Cluster.start();
    ({ api } = cluster);
    browser = await Browser.start('--ignore-certificate-errors');
  });

  after(async () => {
    await browser?.stop();
    await cluster?.stop();
  });

  beforeEach(async () => {
    page = await browser.open();
  });

  afterEach(() => page.close());

  /** Opens our page on the edge's own origin. */
  async function open(origin) {
    await page.goto(`${origin}/errors/no_such_code`);
    await page.setContent(await readFile(PAGE, 'utf8'));
  }

  /** Starts streams on the first node, and makes a URL for each. */
  async function create(origin, request) {
    const made = Array.from({ length: MANY }, async () => {
      const { id, events_url } = await api.create(request);
      const { ticket } = await api.ticket(id);
      return { id, url: `${origin}${events_url}?ticket=${ticket}` };
    });
    return Promise.all(made);
  }

  const follow = (streams) =>
    page.evaluate((urls) => client.follow(urls), streams.map(({ url }) => url));
  const openNow = () => page.evaluate(() => client.openNow());
  const seen = () => page.evaluate(() => client.seen());
  const allEnded = () =>
    until('all streams have ended', async () => (await seen()).every(({ ended }) => ended));

  async function expectAllWhole(streams) {
    for (const [at, { events }] of (await seen()).entries()) {
      const end = expectWhole(events, await api.snapshot(streams[at].id));
      assert.equal(end.finish_reason, 'stop');
    }
  }

  test(`${MANY} streams run at once over one connection of HTTP/2`, async () => {
    const streams = await create(cluster.url, demo({ tokens: 120, tokens_per_second: 30 }));
    await open(cluster.url);
    await follow(streams);
    await until('all are open', async () => (await openNow()) === MANY);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
    await allEnded();
    assert.equal(await page.evaluate(() => client.most()), MANY);
    const times = await seen();
    const lastBegan = Math.max(...times.map(({ firstToken }) => firstToken));
    const firstEnded = Math.min(...times.map(({ ended }) => ended));
    assert.ok(lastBegan < firstEnded, 'tokens of all came before the first was complete');
    assert.ok(times.every(({ breaks }) => breaks === 0));
    await expectAllWhole(streams);
    const protocols = await page.evaluate(() => client.protocols());
    assert.deepEqual(protocols, Array(MANY).fill('h2'));
    const nodes = (await cluster.requests())
      .filter(({ path }) => path.endsWith('/events'))
      .map(({ node }) => node);
    for (const { port } of cluster.nodes) {
      const share = nodes.filter((node) => node === `127.0.0.1:${port}`).length;
      assert.equal(share, MANY / 2, 'the nodes take turns');
    }
  });

  test(`over HTTP/1.1 only ${HTTP1_CONNECTIONS} of them are open`, async () => {
    const streams = await create(cluster.http1Url, demo({ tokens: 100_000 }));
    await open(cluster.http1Url);
    await follow(streams);
    const limit = async () => (await openNow()) === HTTP1_CONNECTIONS;
    await until(`${HTTP1_CONNECTIONS} are open`, limit);
    let open_ = HTTP1_CONNECTIONS;
    const watch = setInterval(async () => (open_ = await openNow().catch(() => open_)), 50);
    await stays('no more are open', () => open_ === HTTP1_CONNECTIONS, QUIET_MS);
    clearInterval(watch);
    await Promise.all(streams.map(({ id }) => api.cancel(id)));
  });

  test('a page that leaves one stream is gone for the node at once', async () => {
    const request = { ...demo({ tokens: 100_000 }), on_disconnect: 'cancel' };
    const streams = await create(cluster.url, request);
    await open(cluster.url);
    await follow(streams);
    await until('all are open', async () => (await openNow()) === MANY);
    // The connection stays: only its streams are reset.
    await page.evaluate(() => client.close());
    for (const { id } of streams) {
      const end = await until('it has ended', async () => {
        const snapshot = await api.snapshot(id);
        return snapshot.status !== 'running' && snapshot;
      });
      assert.equal(end.finish_reason, 'cancelled');
    }
  });

  test('streams whose node is killed go on at the other, and the rest notice nothing', async () => {
    const streams = await create(cluster.url, demo({ tokens: 240, tokens_per_second: 30 }));
    await open(cluster.url);
    await follow(streams);
    const begun = async () => (await seen()).every(({ events }) => events.length > 20);
    await until('all have begun', begun);
    await cluster.nodes[1].kill();
    await allEnded();
    await expectAllWhole(streams);
    const broken = (await seen()).filter(({ breaks }) => breaks > 0).length;
    assert.equal(broken, MANY / 2);
  });
});
