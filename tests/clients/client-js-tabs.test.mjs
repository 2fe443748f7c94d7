/** Tabs that share connections through our JavaScript client, in Chromium on HTTP/1.1. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';

import { demo } from './support/api.mjs';
import { expectEvents } from './support/client_js.mjs';
import { stays, until } from './support/deadline.mjs';
import { Stage } from './support/stage.mjs';

const SECTIONS = `
[http]
heartbeat = "200ms"
[limits.plans.default]
requests_per_minute = 60000
burst = 1000
streams = 1000
tokens_per_minute = 100000000
`;

/** For ever, as far as a test can see; it is cancelled. */
const LONG = { tokens: 100_000, tokens_per_second: 40 };

suite('tabs that share connections', () => {
  let api, proxy, stage, tabs;

  before(async () => {
    stage = await Stage.start('client-js.js', SECTIONS);
    ({ api, proxy } = stage);
  });

  after(() => stage?.stop());

  beforeEach(() => {
    proxy.forget();
    tabs = [];
  });

  afterEach(async () => {
    for (const tab of tabs) if (!tab.isClosed()) await tab.close();
  });

  /** Opens a tab with a client of its own. */
  async function open(more = { share: true }) {
    const tab = await stage.browser.open(`${stage.pages.origin}/`);
    tabs.push(tab);
    const options = { baseUrl: proxy.url, token: stage.token, ...more };
    await tab.evaluate((options) => client.connect(options), options);
    return tab;
  }

  const count = (tab) => tab.evaluate(() => client.events.length);
  const follow = (tab, id) => tab.evaluate((id) => client.follow(id), id);

  /** Waits until this tab has more events than it has now. */
  async function goesOn(tab, what = 'it goes on') {
    const seen = await count(tab);
    await until(what, async () => (await count(tab)) > seen + 5);
  }

  async function expectEnd(tab, id) {
    const outcome = await until('it ends', () => tab.evaluate(() => client.outcome));
    assert.equal(outcome, 'ended');
    return expectEvents(await tab.evaluate(() => client.events), await api.snapshot(id));
  }

  /** The requests for streams that stay open, not for pages. */
  const connections = () =>
    proxy.streams.filter(({ method, headers }) => method !== 'OPTIONS' && /event-stream/.test(headers.accept));

  test('one connection serves whoever starts a stream, and who follows it later', async () => {
    const starter = await open();
    await starter.evaluate((request) => client.start(request), demo(LONG));
    await goesOn(starter);
    const id = await starter.evaluate(() => client.id());
    const others = [await open(), await open()];
    for (const tab of others) await follow(tab, id);
    for (const tab of others) await goesOn(tab);
    await others[1].evaluate(() => client.cancel());
    for (const tab of tabs) assert.equal((await expectEnd(tab, id)).finish_reason, 'cancelled');
    assert.equal(connections().length, 1);
  });

  test('a tab that does not read cuts the connection of the one that does', async () => {
    const { id } = await api.create(demo(LONG));
    const [reader, other] = [await open(), await open()];
    await follow(reader, id);
    await goesOn(reader);
    await follow(other, id);
    await goesOn(other);
    await other.evaluate(() => client.disconnect(300));
    for (const tab of tabs) {
      await until('it hears of the cut and of the replay', () =>
        tab.evaluate(() => {
          const cut = client.states.some(({ error }) => error === 'disconnected');
          return cut && client.states.some(({ replayed }) => replayed >= 0);
        }),
      );
    }
    await reader.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, id);
    assert.equal(connections().length, 2);
  });

  test('who comes late reads for itself what is too long for one page', async () => {
    const knobs = { text: 'huge', tokens: 9, stall_after: 4, tokens_per_second: 0 };
    const { id } = await api.create(demo(knobs));
    const [reader, other] = [await open(), await open()];
    await follow(reader, id);
    const last = async () => Number((await api.snapshot(id)).last_event_id.split('.')[1]);
    await until('all of it has come', async () => (await count(reader)) === (await last()) + 1);
    await until('the model has stalled', async () => (await last()) > 12);
    await follow(other, id);
    await until('all of it is here too', async () => (await count(other)) === (await last()) + 1);
    const pages = proxy.streams.filter(({ headers }) => /json/.test(headers.accept));
    assert.ok(pages.length > 1, `${pages.length} pages`);
    await other.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, id);
    assert.equal(connections().length, 1);
  });

  test('two tabs that send the same request with the same key read one generation', async () => {
    const [one, two] = [await open(), await open()];
    const { length } = await api.list();
    for (const tab of tabs) {
      await tab.evaluate(
        ([request, options]) => client.start(request, options),
        [demo(LONG), { idempotencyKey: `key-${length}` }],
      );
    }
    for (const tab of tabs) await goesOn(tab);
    const id = await one.evaluate(() => client.id());
    assert.equal(await two.evaluate(() => client.id()), id);
    await two.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, id);
  });

  for (const [how, leave] of [
    ['closed', (tab) => tab.close()],
    ['killed', crash],
  ]) {
    test(`when the tab that reads is ${how}, another one goes on`, async () => {
      const { id } = await api.create(demo(LONG));
      const reader = await open();
      await follow(reader, id);
      await goesOn(reader);
      const others = [await open(), await open()];
      for (const tab of others) await follow(tab, id);
      for (const tab of others) await goesOn(tab);
      assert.equal(connections().length, 1);
      await leave(reader);
      for (const tab of others) await goesOn(tab, 'it goes on without the reader');
      await others[0].evaluate(() => client.cancel());
      for (const tab of others) await expectEnd(tab, id);
      const [first, second, ...more] = connections();
      assert.equal(first.headers['last-event-id'], undefined);
      assert.match(second.headers['last-event-id'], new RegExp(`^${id}\\.\\d+$`));
      assert.deepEqual(more, []);
    });
  }

  test('while the tab that reads is frozen, the others look for themselves', async () => {
    const { id } = await api.create(demo(LONG));
    const reader = await open();
    await follow(reader, id);
    await goesOn(reader);
    const other = await open({ share: true, retry: { silenceMs: 1500 } });
    await follow(other, id);
    await goesOn(other);
    const session = await reader.context().newCDPSession(reader);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    const pages = () => proxy.streams.filter(({ headers }) => /json/.test(headers.accept)).length;
    const before = pages();
    await until('it has looked for itself', () => pages() >= before + 2);
    await goesOn(other);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await other.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, id);
  });

  test('seven tabs read seven streams at once, where browsers allow six connections', async () => {
    const ids = [];
    for (let index = 0; index < 7; index += 1) {
      const { id } = await api.create(demo(LONG));
      ids.push(id);
      await follow(await open(), id);
    }
    for (const tab of tabs) await goesOn(tab, 'every tab goes on');
    for (const tab of tabs) await goesOn(tab, 'every tab still goes on');
    assert.equal(connections().length, 4);
    // The tabs that read page by page get the places of those that have ended.
    for (const tab of tabs.slice(0, 4)) await tab.evaluate(() => client.cancel());
    await until('the others are connected', () => connections().length === 7);
    for (const tab of tabs.slice(4)) {
      await goesOn(tab);
      await tab.evaluate(() => client.cancel());
    }
    for (const [index, tab] of tabs.entries()) await expectEnd(tab, ids[index]);
  });

  test('without sharing the seventh tab gets nothing, which is what sharing is for', async () => {
    const ids = [];
    for (let index = 0; index < 7; index += 1) {
      const { id } = await api.create(demo(LONG));
      ids.push(id);
      const tab = await open({ share: false });
      await follow(tab, id);
      if (index < 6) await goesOn(tab);
    }
    await stays('the seventh has not connected', () => connections().length === 6, 1000);
    assert.equal(await count(tabs[6]), 0);
    for (const id of ids) await api.cancel(id);
    for (const [index, tab] of tabs.entries()) await expectEnd(tab, ids[index]);
  });

  test('a stream that nobody could have a connection for begins, and is read page by page', async () => {
    for (let index = 0; index < 4; index += 1) {
      const tab = await open();
      await tab.evaluate((request) => client.start(request), demo(LONG));
      await goesOn(tab);
    }
    const fifth = await open();
    const { length } = proxy.streams.filter(({ method }) => method === 'POST');
    await fifth.evaluate((request) => client.start(request), demo(LONG));
    await goesOn(fifth);
    const posts = proxy.streams.filter(({ method }) => method === 'POST');
    assert.deepEqual(
      posts.slice(length).map(({ headers }) => headers.prefer),
      ['respond-async'],
    );
    const states = await fifth.evaluate(() => client.states.map(({ state }) => state));
    assert.deepEqual(states, ['polling']);
    for (const tab of tabs) await tab.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, await tab.evaluate(() => client.id()));
  });

  test('locks that are slow to come hold no event back, and the others hear when they have come', async () => {
    const starter = await open();
    await slowLocks(starter, '^(?!.* slot )');
    await starter.evaluate((request) => client.start(request), demo(LONG));
    await goesOn(starter, 'it reads without having named itself the reader');
    await starter.evaluate(() => globalThis.letLocksCome());
    const id = await starter.evaluate(() => client.id());
    await until('it is the reader', () => isLocked(starter, id));
    const other = await open();
    await follow(other, id);
    await goesOn(other);
    await other.evaluate(() => client.cancel());
    for (const tab of tabs) await expectEnd(tab, id);
    assert.equal(connections().length, 1);
  });

  test('a cut ends the waiting for a place, of which it then takes one', async () => {
    const tab = await open();
    await slowLocks(tab, ' slot ');
    await tab.evaluate((request) => client.start(request), demo(LONG));
    await until('it asks for a place', () => tab.evaluate(() => globalThis.locksAsked > 0));
    await tab.evaluate(() => client.disconnect(0));
    await until('it has heard of the cut', () =>
      tab.evaluate(() => client.states.some(({ error }) => error === 'disconnected')),
    );
    assert.equal(connections().length, 0);
    await tab.evaluate(() => globalThis.letLocksCome());
    await goesOn(tab);
    assert.equal(connections().length, 1);
    const { held } = await tab.evaluate(() => navigator.locks.query());
    assert.equal(held.filter(({ name }) => / slot /.test(name)).length, 1);
    await tab.evaluate(() => client.cancel());
    await expectEnd(tab, await tab.evaluate(() => client.id()));
  });
});

/** From now on the locks of this tab whose name is such a one are given when `letLocksCome` is called. */
async function slowLocks(tab, pattern) {
  await tab.evaluate((pattern) => {
    const request = navigator.locks.request.bind(navigator.locks);
    const coming = new Promise((resolve) => (globalThis.letLocksCome = resolve));
    globalThis.locksAsked = 0;
    navigator.locks.request = async (name, ...rest) => {
      if (new RegExp(pattern).test(name)) {
        globalThis.locksAsked += 1;
        await coming;
      }
      return request(name, ...rest);
    };
  }, pattern);
}

/** Whether a tab has become the one that reads this stream. */
const isLocked = (tab, id) =>
  tab.evaluate((id) => navigator.locks.query().then(({ held }) => held.some(({ name }) => name.endsWith(id))), id);

/** Kills the process of a tab, as the system does when memory is short. */
async function crash(tab) {
  const session = await tab.context().newCDPSession(tab);
  const crashed = new Promise((resolve) => tab.once('crash', resolve));
  // It never answers.
  session.send('Page.crash').catch(() => {});
  await crashed;
}
