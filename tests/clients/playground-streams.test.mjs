/**
 * The playground in Chromium: what sets this server apart, as a person meets it. An answer survives a cut
 * connection and a reload, is the same in two tabs, and seven tabs get theirs at once.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, suite, test } from 'node:test';

import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

/** Slow enough to do something meanwhile. */
const SLOW = { 'demo.tokens_per_second': '60', 'demo.tokens': '240' };

/** It ends when the test wants it. */
const ENDLESS = { 'demo.tokens_per_second': '40', 'demo.tokens': '100000' };

suite('The playground streams', () => {
  let playground;
  const tabs = [];

  before(async () => {
    playground = await Playground.start();
  });

  after(() => playground?.stop());

  afterEach(async () => {
    for (const tab of tabs.splice(0)) await tab.close();
  });

  async function open(options) {
    const tab = await playground.open(options);
    tabs.push(tab);
    return tab;
  }

  test('an answer comes word by word, with a caret, and ends with its figures', async () => {
    const tab = await open({ parameters: { 'demo.tokens_per_second': '80' } });
    await tab.ask('Tell me about lighthouse keepers');
    await tab.begun();
    const early = await tab.text();
    await tab.answer.locator('.caret').waitFor();
    await tab.picture('light-midstream');
    const kept = await tab.expectWhole(playground.api);
    assert.ok((await tab.text()).length > early.length, 'it grew while it was looked at');
    assert.equal(await tab.answer.locator('.caret').count(), 0);
    const figures = await tab.answer.locator('.figures').innerText();
    assert.match(figures, /first token/);
    assert.match(figures, new RegExp(`${kept.figures.tokens} tokens\\b`));
    assert.match(figures, /tokens\/s/);
    assert.match(figures, /longest gap/);
    assert.match(await tab.announced(), /^Answer complete, \d+ tokens\.$/);
    await tab.answer.locator('figure.code .hljs-keyword').first().waitFor();
    await tab.answer.locator('table').waitFor();
    assert.equal(await tab.page.title(), 'Tell me about lighthouse keepers · Tailrace');
    await tab.picture('light-complete');
  });

  test('the connection is cut by a button, and what was missed is replayed and counted', async () => {
    const tab = await open({ parameters: SLOW });
    await tab.ask('Explain how rivers find the sea');
    await tab.begun();
    await tab.button('Cut the connection').click();
    await tab.badge.filter({ hasText: /^Connection cut · back in \d s$/ }).waitFor();
    await tab.picture('light-cut');
    await tab.badge.filter({ hasText: /^Resumed · [1-9]\d* tokens replayed · 0 lost$/ }).waitFor();
    await tab.picture('light-resumed');
    const kept = await tab.expectWhole(playground.api);
    assert.equal(kept.figures.resumes, 1);
    assert.ok(kept.figures.gap >= 1500, 'the gap is that of the cut');
    assert.ok(kept.figures.replayed >= 40, `${kept.figures.replayed} tokens in that time`);
  });

  test('a network that breaks by itself is noticed and mended', async () => {
    const tab = await open({ parameters: SLOW });
    playground.proxy.plan({ match: /"seq":40,/ }, { match: /"seq":90,/, reset: true });
    await tab.ask('Explain how rivers find the sea');
    await tab.badge.filter({ hasText: /^Resumed 2 times · \d+ tokens replayed · 0 lost$/ }).waitFor();
    await tab.expectWhole(playground.api);
  });

  test('a reload in mid-stream shows at once what had come, and goes on from there', async () => {
    const tab = await open({ parameters: SLOW });
    await tab.ask('Explain how rivers find the sea');
    await until('much is kept', async () => (await tab.keptAnswer())?.text.length > 300);
    const before = await tab.keptAnswer();
    playground.proxy.forget();
    await tab.page.reload();
    await tab.begun();
    const kept = await tab.expectWhole(playground.api);
    assert.equal(kept.stream, before.stream, 'it is the same generation');
    assert.equal(kept.id, before.id);
    const reads = playground.proxy.streams;
    assert.ok(reads.length > 0 && reads.every(({ method }) => method === 'GET'));
    const [, after] = reads[0].headers['last-event-id'].split('.');
    assert.ok(Number(after) >= before.seq, 'it asked for what comes after what was kept');
    assert.match(await tab.badge.innerText(), /^Resumed · \d+ tokens replayed · 0 lost$/);
  });

  test('a reload before the server has answered attaches to the same generation', async () => {
    const tab = await open({ parameters: { ...SLOW, 'demo.first_token_delay_ms': '1500' } });
    const known = new Set((await playground.api.list()).map(({ id }) => id));
    playground.proxy.forget();
    playground.proxy.plan({ bytes: 0, hold: true });
    await tab.ask('Explain how rivers find the sea');
    await until('it is asked', () => playground.proxy.streams.length === 1);
    // That takes its own time, beside the request.
    await until('it is written down', async () => (await tab.keptAnswer())?.role === 'assistant');
    await tab.page.reload();
    await tab.begun();
    const kept = await tab.expectWhole(playground.api);
    const fresh = (await playground.api.list()).filter(({ id }) => !known.has(id));
    assert.deepEqual(
      fresh.map(({ id }) => id),
      [kept.stream],
      'nothing was generated twice',
    );
  });

  test('a second tab shows the same live stream over the same connection', async () => {
    const one = await open({ parameters: ENDLESS });
    await one.ask('Tell me everything');
    await one.begun();
    const hash = new URL(one.page.url()).hash;
    playground.proxy.forget();
    const other = await open({ hash });
    await other.begun();
    assert.equal(await other.answer.getAttribute('aria-busy'), 'true', 'it is still on its way');
    await other.picture('second-tab');
    await other.button('Stop the answer').click();
    const seen = await other.expectWhole(playground.api);
    await one.page.bringToFront();
    const kept = await one.expectWhole(playground.api);
    assert.equal(seen.stream, kept.stream);
    assert.equal(await one.text(), await other.text());
    const connections = playground.proxy.streams.filter(
      ({ headers }) => headers.accept === 'text/event-stream',
    );
    assert.equal(connections.length, 0, 'the first tab reads for both');
  });

  test('what one tab asks, another that shows the conversation follows', async () => {
    const one = await open({ parameters: { 'demo.tokens_per_second': '200' } });
    await one.ask('Tell me about lighthouse keepers');
    await one.expectWhole(playground.api);
    const other = await open({ parameters: SLOW, hash: new URL(one.page.url()).hash });
    await other.ask('And about the lamps');
    await one.page.bringToFront();
    await one.begun(2);
    await one.expectWhole(playground.api);
  });

  test('seven tabs stream at once, each its own, and all are whole', async () => {
    const seven = [];
    for (let number = 0; number < 7; number += 1) {
      seven.push(await open({ parameters: { ...SLOW, seed: String(number) } }));
    }
    for (const [number, tab] of seven.entries()) {
      await tab.page.bringToFront();
      await tab.ask(`Tell me about river ${number}`);
    }
    const streams = new Set();
    for (const tab of seven) {
      await tab.page.bringToFront();
      const kept = await tab.expectWhole(playground.api);
      streams.add(kept.stream);
    }
    assert.equal(streams.size, 7);
  });

  test('stop ends the generation and keeps what had come', async () => {
    const tab = await open({ parameters: ENDLESS });
    await tab.ask('Tell me everything');
    await tab.begun();
    await tab.button('Stop the answer').click();
    await tab.ended();
    assert.match(await tab.answer.locator('.finish').innerText(), /^Stopped$/);
    const kept = await tab.expectWhole(playground.api);
    assert.equal(kept.finish, 'cancelled');
    assert.equal((await playground.api.snapshot(kept.stream)).finish_reason, 'cancelled');
    assert.equal(await tab.page.evaluate(() => document.activeElement.id), 'prompt');
  });

  test('an answer goes on while another conversation is looked at', async () => {
    const tab = await open({ parameters: SLOW });
    await tab.ask('Tell me about the upper river');
    await tab.begun();
    await tab.button('New conversation').first().click();
    await tab.locator('#empty').waitFor();
    await tab.locator('.conversations .live').waitFor();
    await tab.ask('Tell me about the lower river');
    await tab.expectWhole(playground.api);
    await tab.page.getByRole('link', { name: /the upper river/ }).click();
    await tab.expectWhole(playground.api);
  });

  test('an answer is asked for again, a prompt is edited, and both are copied', async () => {
    const fast = { 'demo.tokens_per_second': '400', 'demo.text': 'prose' };
    const tab = await open({ parameters: fast });
    await tab.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await tab.ask('Tell me about the upper river');
    const first = await tab.expectWhole(playground.api);
    await tab.button('Answer again').click();
    await until('there is another', async () => (await tab.keptAnswer())?.id !== first.id);
    const second = await tab.expectWhole(playground.api);
    assert.equal(await tab.locator('.answer').count(), 1);
    assert.notEqual(second.text, first.text, 'the seed is another');
    await tab.button('Copy the answer').click();
    assert.equal(await tab.page.evaluate(() => navigator.clipboard.readText()), second.text);

    await tab.locator('.prompt').hover();
    await tab.button('Edit the prompt').click();
    await tab.locator('#editing').waitFor();
    assert.equal(await tab.locator('#prompt').inputValue(), 'Tell me about the upper river');
    await tab.ask('Tell me about the sea');
    await until('there is another', async () => {
      const answer = await tab.keptAnswer();
      return answer?.role === 'assistant' && answer.id !== second.id;
    });
    const third = await tab.expectWhole(playground.api);
    const kept = await tab.kept();
    assert.deepEqual(
      kept.map(({ text }) => text),
      ['Tell me about the sea', third.text],
    );
  });

  test('conversations are kept, found, renamed and deleted', async () => {
    const tab = await open({ parameters: { 'demo.tokens_per_second': '0' } });
    for (const topic of ['herons', 'otters']) {
      await tab.button('New conversation').first().click();
      await tab.ask(`Tell me about ${topic}`);
      await tab.expectWhole(playground.api);
    }
    await tab.page.reload();
    await tab.locator('.answer').waitFor();
    await tab.locator('#search').fill('HERONS');
    await until('one is found', async () => (await tab.locator('.conversations li').count()) === 1);
    await tab.button('Rename Tell me about herons').click();
    await tab.locator('#ask-input').fill('Grey birds');
    await tab.button('Rename').click();
    await tab.page.getByRole('link', { name: 'Grey birds' }).click();
    await until('it is shown', async () => /herons/.test(await tab.text()));
    await tab.button('Delete Grey birds').click();
    await tab.button('Delete').click();
    await tab.locator('#empty').waitFor();
    await tab.locator('#search').fill('');
    await tab.page.getByRole('link', { name: 'Tell me about otters' }).waitFor();
    const grey = tab.page.getByRole('link', { name: 'Grey birds' });
    await until('it is gone', async () => (await grey.count()) === 0);
  });

  test('the end stays in sight until the reader scrolls up', async () => {
    const tab = await open({ parameters: ENDLESS });
    await tab.ask('Tell me everything');
    const distance = () =>
      tab.page.evaluate(() => {
        const { scrollHeight, scrollTop, clientHeight } = document.getElementById('scroller');
        return { above: scrollTop, below: scrollHeight - scrollTop - clientHeight };
      });
    await until('it is longer than the window', async () => (await distance()).above > 300);
    assert.ok((await distance()).below < 60);
    await tab.locator('#scroller').hover();
    await tab.page.mouse.wheel(0, -250);
    await tab.locator('#jump').waitFor();
    const { above } = await distance();
    await until('more has come below', async () => (await distance()).below > 400);
    assert.equal((await distance()).above, above, 'the text stands still');
    await tab.locator('#jump').click();
    await until('the end is in sight', async () => (await distance()).below < 60);
    await tab.button('Stop the answer').click();
    await tab.ended();
  });
});
