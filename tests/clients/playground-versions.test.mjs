/**
 * Versions in the playground: whoever asks again or edits a prompt loses nothing of what was there, and
 * whoever asks in two tabs at once finds both prompts in their places.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, suite, test } from 'node:test';

import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

const QUICK = { 'demo.tokens_per_second': '0', 'demo.tokens': '30', 'demo.text': 'prose' };

suite('Versions in the playground', () => {
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
    const tab = await playground.open({ parameters: QUICK, ...options });
    tabs.push(tab);
    return tab;
  }

  const hashOf = (tab) => new URL(tab.page.url()).hash;

  const shown = (tab) => tab.locator('.prompt > p, .answer .prose').allInnerTexts();

  /** Asks for another answer, and waits until it is whole. */
  async function again(tab, { id }) {
    await tab.button('Answer again').last().click();
    await until('there is another answer', async () => (await tab.keptAnswer())?.id !== id);
    return tab.expectWhole(playground.api);
  }

  test('an answer that is asked for again stays, and can be shown again', async () => {
    const tab = await open();
    await tab.ask('Tell me about echoes');
    const first = await tab.expectWhole(playground.api);
    assert.equal(await tab.answer.locator('.versions').isVisible(), false);
    const second = await again(tab, first);
    const versions = tab.answer.locator('.versions');
    assert.equal(await versions.innerText(), '2 / 2');
    await tab.picture('versions');
    await tab.button('The earlier answer').click();
    assert.equal(await versions.innerText(), '1 / 2');
    assert.equal((await tab.keptAnswer()).id, first.id);
    assert.equal(await tab.announced(), 'Shown is answer 1 of 2.');
    const focused = () => tab.page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    assert.equal(await focused(), 'The later answer', 'there is nothing earlier, but the focus is not lost');
    await tab.page.reload();
    await tab.expectWhole(playground.api);
    assert.equal(await versions.innerText(), '1 / 2', 'what was chosen stays chosen');
    await tab.button('The later answer').press('Enter');
    assert.equal((await tab.expectWhole(playground.api)).id, second.id);
  });

  test('what followed an answer or a prompt is still there with it', async () => {
    const tab = await open();
    await tab.ask('One');
    await tab.expectWhole(playground.api);
    await tab.ask('Two');
    await tab.begun(2);
    await tab.expectWhole(playground.api);
    const before = await shown(tab);
    assert.equal(before.length, 4);
    await tab.locator('.prompt').first().hover();
    await tab.button('Edit the prompt').first().click();
    await tab.ask('One, once more');
    await tab.begun(1);
    await tab.expectWhole(playground.api);
    assert.equal((await shown(tab)).length, 2);
    await tab.locator('.prompt').first().hover();
    await tab.button('The earlier prompt').click();
    assert.deepEqual(await shown(tab), before);
    await tab.locator('.answer').first().getByRole('button', { name: 'Answer again' }).click();
    await until('there is another answer', async () => (await tab.kept()).length === 2);
    await tab.expectWhole(playground.api);
    await tab.button('The earlier answer').click();
    assert.deepEqual(await shown(tab), before);
  });

  test('a prompt that is edited after its conversation was read anew is asked without what followed it', async () => {
    const tab = await open();
    for (const [at, text] of ['first', 'second'].entries()) {
      await tab.ask(text);
      await tab.begun(at + 1);
      await tab.expectWhole(playground.api);
    }
    await tab.locator('#conversations [aria-current]').click();
    await until('it has been read anew', () =>
      tab.page.evaluate(() => document.activeElement === document.querySelector('#prompt')),
    );
    await tab.locator('.prompt').first().hover();
    await tab.button('Edit the prompt').first().click();
    const asked = tab.page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/v1/streams'));
    await tab.ask('first, edited');
    const { messages } = (await asked).postDataJSON();
    assert.deepEqual(messages, [{ role: 'user', content: 'first, edited' }]);
    await tab.begun(1);
    await tab.expectWhole(playground.api);
    assert.equal((await shown(tab)).length, 2);
  });

  test('a prompt that is no longer shown is no longer edited', async () => {
    const tab = await open();
    await tab.ask('One');
    await tab.expectWhole(playground.api);
    await tab.locator('.prompt').first().hover();
    await tab.button('Edit the prompt').first().click();
    await tab.ask('Another one');
    await until('there is another answer', async () => (await tab.kept())[0]?.text === 'Another one');
    await tab.expectWhole(playground.api);
    await tab.locator('.prompt').first().hover();
    await tab.button('Edit the prompt').first().click();
    await tab.locator('#prompt').fill('Another one, edited');
    assert.equal(await tab.locator('#editing').isVisible(), true);
    await tab.button('The earlier prompt').click();
    assert.equal(await tab.locator('#editing').isVisible(), false);
    assert.equal(await tab.locator('#prompt').inputValue(), '');
  });

  test('two tabs that ask at once in one conversation both have their place', async () => {
    const one = await open();
    await one.ask('Tell me about echoes');
    await one.expectWhole(playground.api);
    const other = await open({ hash: hashOf(one) });
    await other.expectWhole(playground.api);
    // Neither tab hears of the other before both have asked.
    for (const { page } of [one, other]) {
      await page.evaluate(() => {
        const post = BroadcastChannel.prototype.postMessage;
        const held = [];
        BroadcastChannel.prototype.postMessage = function (message) {
          if (this.name === 'tailrace-playground') held.push([this, message]);
          else post.call(this, message);
        };
        window.release = () => {
          BroadcastChannel.prototype.postMessage = post;
          for (const [channel, message] of held) post.call(channel, message);
        };
      });
    }
    await one.ask('Asked here');
    await one.begun(2);
    await other.ask('Asked there');
    await other.expectWhole(playground.api);
    for (const { page } of [one, other]) await page.evaluate(() => window.release());
    for (const tab of [one, other]) {
      await tab.page.bringToFront();
      await tab.begun(3);
      const kept = await tab.kept();
      assert.deepEqual(
        kept.map(({ role }) => role),
        ['user', 'assistant', 'user', 'assistant', 'user', 'assistant'],
      );
      const texts = (await shown(tab)).filter((_, at) => at % 2 === 0);
      assert.deepEqual(texts, ['Tell me about echoes', 'Asked here', 'Asked there']);
    }
  });

  test('conversations that were kept before there were versions are still whole', async () => {
    const tab = await open();
    for (const [at, text] of ['One', 'Two'].entries()) {
      await tab.ask(text);
      await tab.begun(at + 1);
      await tab.expectWhole(playground.api);
    }
    const before = await shown(tab);
    const ids = (await tab.kept()).map(({ id }) => id);
    await tab.page.evaluate(async (ids) => {
      const settled = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await settled(indexedDB.open('tailrace'));
      const store = database.transaction('messages', 'readwrite').objectStore('messages');
      for (const [at, id] of ids.entries()) {
        const { parent, made, chosen, ...message } = await settled(store.get(id));
        await settled(store.put({ ...message, at }));
      }
      database.close();
    }, ids);
    await tab.page.reload();
    await tab.begun(2);
    assert.deepEqual(await shown(tab), before);
    await again(tab, await tab.keptAnswer());
    assert.equal((await shown(tab)).length, 4);
    assert.equal(await tab.answer.locator('.versions').innerText(), '2 / 2');
  });
});
