/** The monitor in Chromium: what it shows, that it moves, and that it stops what it is told to. */

import assert from 'node:assert/strict';
import { after, afterEach, before, suite, test } from 'node:test';

import { expectAccessible } from './support/accessible.mjs';
import { until } from './support/deadline.mjs';
import { Monitor, SETTINGS } from './support/monitor.mjs';

const WIDE = { width: 1280, height: 1000 };

suite('The monitor', () => {
  let monitor, tab;

  before(async () => {
    monitor = await Monitor.start(SETTINGS);
  });

  after(() => monitor?.stop());

  afterEach(() => tab?.close());

  const number = async (selector) => Number((await tab.locator(selector).innerText()).replace(/[^\d.]/g, ''));

  test('streams come and go, and figures move', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize(WIDE);
    await tab.shows('Serving');
    await tab.reads('#streams-hint', /Nothing is being generated/);
    await tab.picture('none', { fullPage: true });
    const ids = [
      await monitor.stream({ sub: 'ann', readers: 2 }),
      await monitor.stream({ sub: 'bob', plan: 'team', model: 'slow' }),
      await monitor.stream({ sub: 'cleo', readers: 0 }),
    ];
    for (const id of ids) await tab.row(id).waitFor();
    await tab.reads('#streams-count', /^3$/);
    assert.match(await tab.row(ids[0]).innerText(), /ann[^]*demo[^]*default/);
    assert.match(await tab.row(ids[1]).innerText(), /bob[^]*slow[^]*team/);
    await tab.reads(`#stream-${ids[0]} .readers`, /^2$/);
    await tab.reads(`#stream-${ids[2]} .readers`, /^none$/);
    await tab.reads(`#stream-${ids[0]} .rate`, /^(3[5-9]|4[0-5])(\.\d)?$/);
    const tokens = await number(`#stream-${ids[0]} .tokens`);
    await until('more tokens have come', async () => (await number(`#stream-${ids[0]} .tokens`)) > tokens);
    // Two at 40 a second and one at 4, of what comes in a second.
    await until('tokens a second', async () => Math.abs((await number('#chart-tokens dd')) - 84) < 20);
    await tab.reads('#chart-streams dd', /^3$/);
    await tab.reads('#chart-first dd', /^\d+(\.\d)? (ms|s)$/);
    await tab.reads('#chart-cpu dd', /^\d+ %$/);
    await tab.reads('#chart-memory dd', /MiB$/);
    await tab.reads('#paces-body .model:nth-child(3)', /^slow[^]*1[^]*1[^]*\d (ms|s)/);
    await tab.reads('#paces-body .plan:last-child', /^team/);
    const drawn = () => tab.locator('#chart-tokens .line').getAttribute('d');
    const before = await drawn();
    await until('the chart is drawn on', async () => (await drawn()) !== before);
    for (const id of ids) await monitor.as('root').then(() => cancel(id));
    for (const id of ids) await tab.row(id).waitFor({ state: 'detached' });
    await tab.reads('#streams-count', /^0$/);
  });

  /** As its operator, without the page. */
  async function cancel(id) {
    const headers = { authorization: `Bearer ${await monitor.operator()}` };
    const response = await fetch(`${monitor.server.url}/v1/streams/${id}/cancel`, { method: 'POST', headers });
    assert.equal(response.status, 202);
  }

  test('a stream is cancelled once that is confirmed', async () => {
    tab = await monitor.watch(await monitor.operator());
    const id = await monitor.stream({ sub: 'dora' });
    const other = await monitor.stream({ sub: 'emil' });
    const dora = await monitor.as('dora');
    await tab.row(id).waitFor();
    const button = tab.row(id).getByRole('button', { name: /^Cancel the stream …\w{8} of dora$/ });
    await button.click();
    const dialog = tab.page.getByRole('dialog', { name: 'Cancel this stream?' });
    await dialog.waitFor();
    const twin = await monitor.stream({ sub: 'dora' });
    const asked = (await dialog.innerText()).replace(/\s+/g, ' ');
    assert.match(asked, new RegExp(`Stream ${id} Owner dora Model demo Plan default It was asked for .* ago, and \\d+ tokens? have come\\.`));
    assert.ok(!asked.includes(twin), 'it is told from one that is like it');
    await tab.picture('cancel');
    await expectAccessible(tab.page, 'the dialog');
    await tab.button('Let it run').click();
    await dialog.waitFor({ state: 'hidden' });
    assert.equal((await dora.snapshot(id)).status, 'running');
    await button.click();
    await tab.button('Cancel the stream').click();
    await tab.reads('#outcome', /^Cancelled the stream …\w{8} of dora\.$/);
    await tab.row(id).waitFor({ state: 'detached' });
    assert.equal((await dora.snapshot(id)).finish_reason, 'cancelled');
    for (const it of [other, twin]) {
      assert.equal(await tab.row(it).count(), 1);
      await cancel(it);
    }
  });

  test('what ends while it is asked about is not cancelled', async () => {
    tab = await monitor.watch(await monitor.operator());
    const id = await monitor.stream({ sub: 'finn' });
    await tab.row(id).getByRole('button').click();
    await tab.page.getByRole('dialog').waitFor();
    await (await monitor.as('finn')).delete(id);
    await tab.button('Cancel the stream').click();
    await tab.reads('#outcome', /^Nothing to cancel: the stream …\w{8} of finn is gone\.$/);
  });

  test('streams are sorted and filtered', async () => {
    tab = await monitor.watch(await monitor.operator());
    const ids = [];
    for (const [sub, model] of [['zoe', 'demo'], ['Bert', 'slow'], ['mia', 'demo']]) {
      ids.push(await monitor.stream({ sub, model }));
    }
    for (const id of ids) await tab.row(id).waitFor();
    const owners = async () => (await tab.column('name')).join(' ');
    const is = (expected) => until(expected, async () => (await owners()) === expected);
    await is('zoe Bert mia');
    await tab.button('Owner').click();
    await is('Bert mia zoe');
    await tab.button('Owner').click();
    await is('zoe mia Bert');
    assert.equal(await tab.locator('#streams th.owner').first().getAttribute('aria-sort'), 'descending');
    await tab.button('Tokens', true).first().click();
    await tab.page.mouse.move(10, 10);
    await until('the slow one is last', async () => (await owners()).endsWith('Bert'));
    await tab.locator('#filter-model').selectOption('slow');
    await is('Bert');
    await tab.reads('#streams-hint', /^1 of 3 match\.$/);
    await tab.locator('#filter-model').selectOption('');
    await tab.locator('#filter-text').fill('IA');
    await is('mia');
    await tab.locator('#filter-text').fill('');
    // What somebody is about to press holds still.
    await tab.button('Tokens/s').click();
    await tab.row(ids[1]).hover();
    const still = await owners();
    const late = await monitor.stream({ sub: 'late' });
    await tab.row(late).waitFor();
    assert.equal(await owners(), `${still} late`);
    for (const id of [...ids, late]) await cancel(id);
  });

  test('who is turned away, and what fails, is counted', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.shows('Serving');
    await tab.reads('#window', /./);
    const gil = await monitor.as('gil', 'small');
    const first = await gil.create({ prompt: 'x' });
    for (let time = 0; time < 3; time += 1) await assert.rejects(gil.create({ prompt: 'x' }), /429|rate_limited/);
    await tab.reads('#rejections tbody tr', /^too many requests in a minute\s*plan small\s+3\s+3$/);
    const code = tab.page.getByRole('link', { name: 'rate_limited', exact: true });
    await code.waitFor();
    assert.equal(await code.getAttribute('href'), '/errors/rate_limited');
    await gil.delete(first.id);
  });

  test('a token is asked for, and what is wrong with it is said', async () => {
    tab = await monitor.watch();
    await tab.locator('#gate').waitFor();
    await tab.picture('gate');
    await expectAccessible(tab.page, 'the gate');
    assert.equal(await tab.locator('#board').isVisible(), false);
    assert.equal(await tab.locator('#gate-command').innerText(), 'tailrace token --config FILE --scope tailrace:admin');
    await tab.reads('#gate', /development mode has no keys there: then leave --config FILE out/);
    const wrong = tab.locator('#gate-error');
    await tab.give('not a token');
    await wrong.filter({ hasText: 'three parts' }).waitFor();
    await tab.give('a.b.c');
    await wrong.filter({ hasText: /does not accept this token: .*\. If the server has keys .* that is FILE/ }).waitFor();
    await tab.give(await monitor.server.token());
    await wrong.filter({ hasText: 'valid, and does not allow this: the token lacks the scope tailrace:admin' }).waitFor();
    await tab.picture('gate-scope');
    assert.equal(await tab.locator('#board').isVisible(), false);
    await tab.give(`Bearer ${await monitor.operator()}`);
    await tab.shows('Serving');
    assert.equal(await tab.locator('#gate').isVisible(), false);
  });

  test('a token stays with its tab, and in no address', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.shows('Serving');
    assert.equal(await tab.page.evaluate(() => location.href), `${tab.origin}/monitor`);
    await tab.page.reload();
    await tab.shows('Serving');
    const other = await monitor.watch();
    await other.locator('#gate').waitFor();
    await other.close();
    await tab.button('Forget the token').click();
    await tab.locator('#gate').waitFor();
    await tab.page.reload();
    await tab.locator('#gate').waitFor();
  });

  test('a link replaces no token that works, and one that does not', async () => {
    const kept = () => tab.page.evaluate(() => sessionStorage.getItem('tailrace.monitor.token'));
    const opened = (token) => tab.page.evaluate((token) => (location.hash = `token=${token}`), token);
    const ours = await monitor.operator();
    tab = await monitor.watch(ours);
    await tab.shows('Serving');
    // While the page is there, and as it is loaded.
    await opened('a.b.c');
    await until('it is in no address', () => tab.page.evaluate(() => location.hash === ''));
    await tab.page.evaluate(() => history.replaceState(null, '', '/monitor#token=a.b.c'));
    await tab.page.reload();
    await tab.shows('Serving');
    assert.equal(await kept(), ours);
    assert.equal(await tab.page.evaluate(() => location.hash), '');
    await tab.page.evaluate(() => sessionStorage.setItem('tailrace.monitor.token', 'd.e.f'));
    await tab.page.evaluate((token) => history.replaceState(null, '', `/monitor#token=${token}`), ours);
    await tab.page.reload();
    await tab.shows('Serving');
    assert.equal(await kept(), ours);
    await tab.button('Forget the token').click();
    await tab.locator('#gate').waitFor();
    await opened(ours);
    await tab.shows('Serving');
    assert.equal(await tab.locator('#gate').isVisible(), false);
  });

  test('a connection that is cut comes back', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.shows('Serving');
    await tab.reads('#news', /^Live$/);
    const id = await monitor.stream({ sub: 'hal' });
    const stop = tab.row(id).getByRole('button');
    await stop.click();
    const dialog = tab.page.getByRole('dialog');
    await dialog.waitFor();
    assert.equal(await tab.button('Cancel the stream').isEnabled(), true);
    await monitor.proxy.refuse();
    await tab.reads('#news', /^No news for [3-9] s$/);
    await tab.reads('#banner', /^The server cannot be reached\. Trying again (in \d+ s|now)\. What stands here is as it was last\.$/);
    await tab.shows('Away');
    // What stands there is no longer so, looks like it, and cannot be cancelled.
    assert.equal(await tab.button('Cancel the stream').isEnabled(), false);
    assert.match(await dialog.innerText(), /There is no news of this node: nothing can be cancelled now/);
    await tab.button('Let it run').click();
    await dialog.waitFor({ state: 'hidden' });
    assert.equal(await stop.getAttribute('aria-disabled'), 'true');
    await stop.click({ force: true });
    assert.equal(await dialog.isVisible(), false);
    assert.deepEqual(await tab.colours(), ['faint']);
    assert.equal(await tab.locator('#banner').getAttribute('data-tone'), 'error');
    await tab.picture('away');
    await expectAccessible(tab.page, 'away');
    await monitor.proxy.accept();
    await tab.shows('Serving');
    await tab.reads('#news', /^Live$/);
    assert.equal(await tab.locator('#banner').isVisible(), false);
    assert.equal(await stop.getAttribute('aria-disabled'), 'false');
    assert.ok((await tab.colours()).includes('text'));
    await cancel(id);
  });

  test('a connection that falls silent is noticed', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.shows('Serving');
    monitor.proxy.forget();
    monitor.proxy.plan({ match: /event: state[^]*?\n\n/, hold: true });
    await tab.page.reload();
    await tab.reads('#news', /^No news for [3-9] s$/);
    await tab.reads('#news', /^Live$/);
    assert.equal(monitor.proxy.cutsMade, 1);
    const feeds = monitor.proxy.requests.filter(({ target }) => target === '/v1/monitor/events');
    assert.ok(feeds.length >= 2 && feeds.length <= 3, `${feeds.length} connections`);
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`for everybody, ${colorScheme}`, async () => {
      tab = await monitor.watch(await monitor.operator());
      await tab.page.setViewportSize(WIDE);
      await tab.page.emulateMedia({ colorScheme });
      const people = [['ann@example.com', 'default', 'demo', 2], ['research-batch', 'team', 'slow', 1], ['bob@example.com', 'default', 'demo', 0], ['chat-frontend', 'team', 'demo', 1]];
      const ids = [];
      for (const [sub, plan, model, readers] of people) ids.push(await monitor.stream({ sub, plan, model, readers }));
      await tab.reads('#streams-count', /^4$/);
      const points = (count) =>
        until('there is something to see', async () => {
          const path = await tab.locator('#chart-tokens .line').getAttribute('d');
          return (path?.split('L').length ?? 0) > count;
        });
      await points(12);
      ids.push(await monitor.stream({ sub: 'late@example.com', model: 'demo', tokens_per_second: 120 }));
      await points(22);
      await tab.picture(colorScheme, { fullPage: true });
      await expectAccessible(tab.page, colorScheme);
      for (const id of ids) await cancel(id);
    });
  }

  test('on a phone', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize({ width: 360, height: 740 });
    const id = await monitor.stream({ sub: 'a-very-long-subject-of-somebody@some-department.example.com' });
    await tab.row(id).waitFor();
    await until('there is something to see', async () =>
      ((await tab.locator('#chart-tokens .line').getAttribute('d'))?.split('L').length ?? 0) > 4,
    );
    await tab.picture('phone', { fullPage: true });
    await tab.reads('#charts-title', /^Now, and the last \d+ s$/);
    // All of how fast it is can be seen, and all is said what it is.
    assert.deepEqual(await tab.cutOff('#paces-body :is(th, td), #sort'), []);
    const other = await monitor.stream({ sub: 'ann' });
    await tab.row(other).waitFor();
    const owners = async () => (await tab.column('name')).map((name) => name.slice(0, 3)).join(' ');
    for (const [order, expected] of [['Owner, Z to A', 'ann a-v'], ['Owner, A to Z', 'a-v ann'], ['Age, rising', 'ann a-v']]) {
      await tab.page.getByLabel('Sorted by').selectOption(order);
      await until(expected, async () => (await owners()) === expected);
    }
    const { wide, width } = await tab.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, width: innerWidth }));
    assert.ok(wide <= width, `${wide} px in ${width} px`);
    await expectAccessible(tab.page, 'phone');
    const small = await tab.page.evaluate(() =>
      [...document.querySelectorAll('button, select, input, .tools a')]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }))
        .map((element) => [element.getAttribute('aria-label') ?? element.innerText, element.getBoundingClientRect()])
        .filter(([, { width, height }]) => width < 44 || height < 44)
        .map(([name, { width, height }]) => `${name}: ${width} x ${height}`),
    );
    assert.deepEqual(small, [], 'every target is large enough for a finger');
    await tab.row(id).getByRole('button').click();
    await tab.button('Cancel the stream').click();
    await tab.reads('#outcome', /^Cancelled/);
    await tab.picture('phone-cancelled');
    await cancel(other);
  });

  test('by keyboard alone', async () => {
    tab = await monitor.watch(await monitor.operator());
    const id = await monitor.stream({ sub: 'kim' });
    await tab.row(id).waitFor();
    const { keyboard } = tab.page;
    const focused = () =>
      tab.page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText);
    await keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the streams');
    await keyboard.press('Enter');
    for (let presses = 0; presses < 20 && !/of kim$/.test(await focused()); presses += 1) {
      await keyboard.press('Tab');
      const ring = await tab.page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
      });
      assert.ok(ring, `${await focused()} shows that it has the focus`);
    }
    // A row that is drawn again each second must not lose it.
    const tokens = await number(`#stream-${id} .tokens`);
    await until('it was drawn again', async () => (await number(`#stream-${id} .tokens`)) > tokens + 60);
    assert.match(await focused(), /^Cancel the stream …\w{8} of kim$/);
    await keyboard.press('Enter');
    await tab.page.getByRole('dialog').waitFor();
    await keyboard.press('Escape');
    await tab.page.getByRole('dialog').waitFor({ state: 'hidden' });
    await keyboard.press('Enter');
    await tab.page.getByRole('dialog').waitFor();
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await tab.reads('#outcome', /^Cancelled/);
  });

  test('who wants no motion gets none', async () => {
    tab = await monitor.watch(await monitor.operator());
    await tab.page.emulateMedia({ reducedMotion: 'reduce' });
    await tab.shows('Serving');
    const moving = () =>
      tab.page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === 'running').length);
    assert.equal(await moving(), 0);
  });
});
