/** The monitor when it is needed: of more streams than anybody reads, and of a node that stops. */

import assert from 'node:assert/strict';
import { after, afterEach, before, suite, test } from 'node:test';

import { expectAccessible } from './support/accessible.mjs';
import { demo } from './support/api.mjs';
import { stays, until } from './support/deadline.mjs';
import { Monitor, SETTINGS } from './support/monitor.mjs';

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

suite('The monitor of a node with many streams', () => {
  const MANY = 500;
  let monitor, tab, gil;

  before(async () => {
    monitor = await Monitor.start(SETTINGS);
    tab = await monitor.watch(await monitor.operator());
    const crowd = await monitor.as('crowd@example.com');
    const knobs = { tokens: 100_000, tokens_per_second: 1 };
    const starts = Array.from({ length: MANY }, () => () => crowd.create({ ...demo(knobs), on_disconnect: 'continue' }));
    while (starts.length > 0) await Promise.all(starts.splice(0, 20).map((start) => start()));
    gil = await monitor.as('gil', 'small');
    await gil.create({ ...demo(knobs), on_disconnect: 'continue' });
    await tab.reads('#streams-count', /^501$/);
  });

  after(async () => {
    await tab?.close();
    await monitor?.stop();
  });

  const box = (selector) => tab.page.locator(selector).first().boundingBox();

  /** Everything that may want somebody is above the list, however long that is. */
  async function expectAbove() {
    await assert.rejects(gil.create(demo({})), /rate_limited/);
    await tab.reads('#attention', /^[1-9] turned away\s+0 other errors\s+0 generations failed$/);
    const { y: list } = await box('#streams');
    for (const place of ['#attention', '#rejections', '#errors']) {
      const { y, height } = await box(place);
      assert.ok(y + height < list, `${place} is above the streams`);
    }
  }

  test('what needs somebody is seen without a look at them', async () => {
    await tab.page.setViewportSize(WIDE);
    await expectAbove();
    await tab.reads('#streams-hint', /^Listed are the oldest and the newest 100; 301 more run\.$/);
    for (const place of ['#attention', '#rejections', '#errors']) {
      const { y, height } = await box(place);
      assert.ok(y + height <= WIDE.height, `${place} ends at ${y + height}`);
    }
    await tab.picture('many');
    await expectAccessible(tab.page, 'many');
    await tab.page.getByRole('link', { name: 'turned away' }).click();
    assert.ok((await box('#rejections-title')).y >= (await box('.top')).height, 'the way to it ends under the top line');
  });

  test('on a phone too, where a stream takes little of it', async () => {
    await tab.page.setViewportSize(PHONE);
    await expectAbove();
    const { y, height } = await box('#attention');
    assert.ok(y + height < PHONE.height / 2);
    const rows = await tab.page.evaluate(() => [...document.querySelectorAll('#streams-body tr')].map((row) => row.offsetHeight));
    assert.equal(rows.length, 200);
    assert.ok(Math.max(...rows) <= 84, `${Math.max(...rows)} px`);
    const { wide, width } = await tab.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, width: innerWidth }));
    assert.ok(wide <= width, `${wide} px in ${width} px`);
    await tab.page.evaluate(() => scrollTo(0, 0));
    await tab.picture('many-phone');
    await tab.page.locator('#streams').evaluate((streams) => streams.scrollIntoView());
    await tab.picture('many-phone-streams');
    assert.deepEqual(await tab.cutOff('#paces-body :is(th, td)'), []);
    for (const place of ['errors', 'paces']) {
      await tab.locator(`#${place}`).evaluate((it) => it.scrollIntoView());
      await tab.picture(`many-phone-${place}`);
    }
    await expectAccessible(tab.page, 'many on a phone');
  });

  for (const [name, size] of Object.entries({ WIDE, PHONE })) {
    test(`what came of it covers nothing: ${name.toLowerCase()}`, async () => {
      await tab.page.setViewportSize(size);
      await tab.page.evaluate(() => scrollTo(0, 0));
      const { height: before } = await box('.top');
      await tab.page.locator('#streams-body .stop').last().click();
      await tab.button('Cancel the stream').click();
      await tab.reads('#outcome', /^Cancelled the stream …\w{8} of (crowd@example\.com|gil)\.$/);
      await tab.picture(`outcome-${name.toLowerCase()}`);
      const [top, outcome] = [await box('.top'), await box('#outcome')];
      assert.equal(Math.round(top.y), 0, 'the top line stays in sight');
      assert.ok(outcome.y >= top.y && outcome.y + outcome.height <= top.y + top.height, 'it is within the top line');
      if (size === WIDE) assert.equal(top.height, before, 'which had the place');
      // Nothing within that line lies on another, and below it all begins later.
      const covered = await tab.page.evaluate(() => {
        const rect = (element) => element.getBoundingClientRect();
        const [outcome, top] = ['#outcome', '.top'].map((it) => document.querySelector(it));
        const others = [...document.querySelectorAll('.top .brand, .top .state, .top .node, .top .news, .top .tools')];
        scrollTo(0, 0);
        const meets = (one, other) =>
          one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
        return [
          ...others.filter((it) => meets(rect(it), rect(outcome))).map(({ className }) => className),
          ...(rect(document.querySelector('main')).top < rect(top).bottom ? ['main'] : []),
        ];
      });
      assert.deepEqual(covered, []);
      await tab.button('Close').click();
      assert.equal(await tab.locator('#outcome').isVisible(), false);
    });
  }
});

suite('The monitor of a node that is nearly full', () => {
  let monitor, tab;

  before(async () => {
    const gone = 'models.gone = { generator = "openai", base_url = "http://127.0.0.1:9/v1" }';
    monitor = await Monitor.start(`limits.max_streams = 10\n${gone}\n${SETTINGS}`);
    tab = await monitor.watch(await monitor.operator());
  });

  after(async () => {
    await tab?.close();
    await monitor?.stop();
  });

  test('says how full it is, and of what', async () => {
    await tab.reads('#room', /^Generations\s*0 of 10\s*Memory of streams\s*0 B of 512 MiB\s*Open files and connections\s*\d+ of [\d,]+$/);
    assert.doesNotMatch(await tab.locator('#attention').innerText(), /full/);
    for (let started = 0; started < 9; started += 1) await monitor.stream({ readers: 0 });
    await tab.reads('#room', /^Generations\s*9 of 10\s/);
    await tab.reads('#attention', /\b90 % full now\b/);
    await tab.picture('nearly-full');
    await expectAccessible(tab.page, 'nearly full');
  });

  test('a code of two words breaks between them on a phone, if anywhere', async () => {
    await tab.page.setViewportSize(PHONE);
    const ann = await monitor.as('ann');
    await ann.create({ prompt: 'x', model: 'gone' });
    const codes = tab.page.locator('#errors').getByRole('link', { name: 'upstream_unavailable', exact: true });
    await codes.first().waitFor();
    const lines = await codes.first().evaluate((link) =>
      [...link.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE).map((word) => {
        const range = document.createRange();
        range.selectNodeContents(word);
        return [word.data, range.getClientRects().length];
      }),
    );
    assert.deepEqual(lines, [['upstream_', 1], ['unavailable', 1]]);
    const { wide, width } = await tab.locator('#errors').evaluate((it) => ({ wide: it.scrollWidth, width: it.clientWidth }));
    assert.ok(wide <= width, `${wide} px in ${width} px`);
    await tab.locator('#errors').evaluate((it) => it.scrollIntoView({ block: 'center' }));
    await tab.picture('codes-phone');
  });
});

suite('The monitor of a node that stops', () => {
  let monitor, tab;

  before(async () => {
    monitor = await Monitor.start(SETTINGS);
  });

  after(() => monitor?.stop());

  afterEach(() => tab?.close());

  /** Opens the page on a node that runs a stream, and tells the node to stop. */
  async function drain() {
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize(WIDE);
    const id = await monitor.stream({ sub: 'ann' });
    await tab.row(id).waitFor();
    monitor.server.drain();
    await tab.shows('Draining');
    return id;
  }

  /** It stops as it was told to: no alarm, but nothing that looks alive, or can be cancelled. */
  async function expectCalm(id) {
    assert.equal(await tab.locator('#banner').getAttribute('data-tone'), 'warning');
    const [mark, banner] = await tab.page.evaluate(() =>
      ['#state', '#banner'].map((it) => getComputedStyle(document.querySelector(it)).color),
    );
    assert.equal(mark, banner, 'it is as amber as what says so');
    assert.deepEqual(await tab.colours(), ['faint']);
    assert.equal(await tab.row(id).getByRole('button').getAttribute('aria-disabled'), 'true');
  }

  test('a drain is shown to its end, and the server after it', async () => {
    const newcomer = await monitor.as('newcomer', 'team');
    const id = await drain();
    await assert.rejects(newcomer.create(demo({ tokens: 1 })), /server_stopping/);
    await tab.reads('#banner', /^This node was told to stop: it takes no new generations\. 1 stream still runs, for at most [1-6] s more\.$/);
    await tab.reads('#rejections tbody tr', /^this node is stopping\s*plan team\s+1\s+1$/);
    await tab.reads('#attention', /^1 turned away\s+0 other errors\s/);
    await until('it is drawn as such', async () =>
      /L[\d.]+ (?!96\.0)/.test(await tab.locator('#chart-rejected path.long').getAttribute('d')),
    );
    await tab.picture('draining');
    await expectAccessible(tab.page, 'draining');
    monitor.proxy.forget();
    await tab.shows('Stopped');
    const stopped = /^This node has stopped, as it was told to\. 1 stream was running when it was last heard\. Trying again (in \d+ s|now)\. What stands here is as it was last\.$/;
    await tab.reads('#banner', stopped);
    await tab.reads('#news', /^No news for \d+ s$/);
    await expectCalm(id);
    await tab.picture('stopped', { fullPage: true });
    await expectAccessible(tab.page, 'stopped');
    const began = performance.now();
    const asked = () => monitor.proxy.requests.length;
    await stays('it does not hammer', () => asked() <= 3 + (performance.now() - began) / 1000, 5000);
    // However often nothing has answered since.
    await tab.reads('#banner', stopped);
    await monitor.serve(SETTINGS);
    await tab.shows('Serving');
    await tab.reads('#news', /^Live$/);
    assert.equal(await tab.row(id).count(), 0);
    assert.ok((await tab.colours()).includes('text'));
  });

  test('a drain whose end nobody saw is no accident, nor said to be over', async () => {
    const id = await drain();
    await monitor.proxy.refuse();
    await tab.shows('Told to stop');
    await tab.reads('#banner', /^This node was told to stop\. The server cannot be reached\. 1 stream was running when it was last heard\. Trying again/);
    await expectCalm(id);
    await tab.picture('told');
    await monitor.proxy.accept();
    await monitor.serve(SETTINGS);
    await until('it is back', async () => (await tab.locator('#state').innerText()) === 'Serving');
  });

  test('a node that dies and is back is another process, and that is said once', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize(WIDE);
    for (const sub of ['ann', 'bob']) await tab.row(await monitor.stream({ sub })).waitFor();
    assert.equal(await tab.locator('#renewed').isVisible(), false);
    const { port } = monitor.server;
    await monitor.server.kill();
    await tab.shows('Away');
    await monitor.serve(SETTINGS, port);
    await tab.shows('Serving');
    await tab.reads(
      '#renewed',
      /^This is a new process since \d\d:\d\d:\d\d: counts begin anew\. 2 streams were running when the one before was last heard\.$/,
    );
    await tab.picture('renewed');
    await expectAccessible(tab.page, 'another process');
    await tab.button('Close').click();
    await tab.reads('#news', /^Live$/);
    await stays('it is not said again', async () => !(await tab.locator('#renewed').isVisible()), 2500);
  });
});

suite('The monitor of a server that it does not understand', () => {
  const WORDS = /^This page does not understand what the server says: reload it\. Trying again (in \d+ s|now)\./;
  let monitor, tab;

  before(async () => {
    monitor = await Monitor.start(SETTINGS);
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize(WIDE);
    await tab.shows('Serving');
  });

  after(async () => {
    await tab?.close();
    await monitor?.stop();
  });

  const answer = (state) =>
    tab.page.route('**/v1/monitor/events', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: `event: state\ndata: ${JSON.stringify(state)}\n\n` }),
    );

  /** What the page could not show is logged for whoever looks into it, and is no breach. */
  function expectLogged() {
    const logged = monitor.breaches.splice(0);
    assert.ok(logged.length > 0);
    for (const breach of logged) assert.match(breach, /^error: TypeError: /);
  }

  for (const [name, more] of Object.entries({ whole: {}, half: { errors: [], failures: [], rejections: [], upstreams: [], nodes: [] } })) {
    test(`it blames itself and not the network, where the ${name} of a state is missing`, async () => {
      await answer({ type: 'state', at_ms: 1, window_ms: 1000, ...more });
      await tab.page.reload();
      await tab.reads('#banner', WORDS);
      assert.doesNotMatch(await tab.locator('#banner').innerText(), /What stands here/, 'nothing has been shown');
      assert.equal(await tab.locator('#board').isVisible(), false);
      await tab.picture(`not-understood-${name}`);
      await expectAccessible(tab.page, 'not understood');
      await tab.page.unrouteAll();
      await tab.shows('Serving');
      assert.equal(await tab.locator('#banner').isVisible(), false);
      expectLogged();
    });
  }

  test('what was shown before stays, and is old', async () => {
    await tab.reads('#news', /^Live$/);
    await answer({ type: 'state' });
    await monitor.proxy.refuse();
    await monitor.proxy.accept();
    await tab.reads('#banner', WORDS);
    await tab.shows('Not known here');
    assert.match(await tab.locator('#banner').innerText(), /What stands here is as it was last\.$/);
    await tab.picture('not-understood-later');
    await tab.page.unrouteAll();
    await tab.shows('Serving');
    expectLogged();
  });
});
