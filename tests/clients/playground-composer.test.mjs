/**
 * What a person writes in the playground: prompts that wait, drafts, parameters that cannot be sent, and
 * prompts that are too large. Nothing of it is lost, and nothing is dropped without a word.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';

import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

const QUICK = { 'demo.tokens_per_second': '0', 'demo.tokens': '30' };
const SLOW = { 'demo.tokens_per_second': '30', 'demo.tokens': '90' };

suite('Writing in the playground', () => {
  let playground, tab;

  before(async () => {
    playground = await Playground.start('[http]\nbody_limit = "16KiB"');
  });

  after(() => playground?.stop());

  beforeEach(() => tab?.close());

  const written = () => tab.locator('#prompt').inputValue();

  const prompts = () => tab.locator('.prompt > p').allInnerTexts();

  test('a prompt that is sent while an answer comes waits for its end', async () => {
    tab = await playground.open({ parameters: SLOW });
    await tab.ask('One');
    await tab.begun();
    await tab.ask('Two');
    await tab.locator('#waiting').filter({ hasText: 'Sent as soon as the answer is complete.' }).waitFor();
    assert.equal(await written(), 'Two');
    await tab.picture('waiting');
    await tab.begun(2);
    await tab.expectWhole(playground.api);
    assert.deepEqual(await prompts(), ['One', 'Two']);
    assert.equal(await written(), '');
    assert.equal(await tab.locator('#waiting').isVisible(), false);
  });

  test('a prompt that waits can be taken back, and is not sent after a stop', async () => {
    tab = await playground.open({ parameters: { ...SLOW, 'demo.tokens': '100000' } });
    await tab.ask('One');
    await tab.begun();
    const waiting = tab.locator('#waiting');
    await tab.ask('Two');
    await waiting.waitFor();
    await tab.button('Not yet').click();
    await waiting.waitFor({ state: 'hidden' });
    await tab.locator('#prompt').press('Enter');
    await waiting.waitFor();
    await tab.locator('#prompt').pressSequentially(', or rather');
    await waiting.waitFor({ state: 'hidden' });
    await tab.locator('#prompt').press('Enter');
    await waiting.waitFor();
    await tab.button('Stop the answer').click();
    await tab.ended();
    await waiting.waitFor({ state: 'hidden' });
    assert.deepEqual(await prompts(), ['One']);
    assert.equal(await written(), 'Two, or rather');
  });

  test('what is not sent stays with its conversation', async () => {
    tab = await playground.open({ parameters: QUICK });
    await tab.locator('#prompt').fill('');
    await tab.ask('Tell me about herons');
    await tab.expectWhole(playground.api);
    await tab.locator('#prompt').fill('half a question about herons');
    await tab.button('New conversation').first().click();
    await tab.locator('body.is-empty').waitFor();
    assert.equal(await written(), '');
    await tab.locator('#prompt').fill('something new');
    await tab.page.getByRole('link', { name: 'Tell me about herons' }).click();
    await tab.answer.waitFor();
    assert.equal(await written(), 'half a question about herons');
    await tab.page.reload();
    await tab.answer.waitFor();
    assert.equal(await written(), 'half a question about herons');
    // An edit is no draft, and leaves the one that is there.
    await tab.locator('.prompt').hover();
    await tab.button('Edit the prompt').click();
    await tab.ask('Tell me about grey herons');
    await until('it is asked', async () => (await prompts())[0] === 'Tell me about grey herons');
    await tab.expectWhole(playground.api);
    assert.equal(await written(), 'half a question about herons');
    await tab.locator('#prompt').press('Enter');
    await tab.begun(2);
    await tab.expectWhole(playground.api);
    await tab.page.reload();
    await tab.begun(2);
    assert.equal(await written(), '', 'what was sent is no draft any more');
    await tab.button('New conversation').first().click();
    await tab.locator('body.is-empty').waitFor();
    assert.equal(await written(), 'something new');
    await tab.locator('#prompt').fill('');
  });

  test('a parameter that is out of range is shown as wrong, and nothing is sent with it', async () => {
    tab = await playground.open({ parameters: QUICK });
    const asked = [];
    tab.page.on('request', (request) => {
      if (request.method() === 'POST' && /\/v1\/streams$/.test(request.url())) asked.push(request.postDataJSON());
    });
    const sheet = tab.page.getByRole('dialog', { name: 'Parameters' });
    await tab.locator('#settings-open').click();
    const temperature = sheet.getByLabel('Temperature');
    await temperature.fill('9');
    await sheet.getByLabel('Stop at').fill('a\nb\nc\nd\ne');
    const wrong = sheet.locator('[aria-invalid=true]');
    assert.equal(await wrong.count(), 2);
    const said = () =>
      temperature.evaluate((input) => document.getElementById(input.getAttribute('aria-describedby')).innerText);
    assert.equal(await said(), 'A number from 0 to 2.');
    await sheet.getByText('At most four texts.').waitFor();
    await tab.picture('wrong-parameter');
    await tab.button('Done').click();
    await tab.button('Parameters, 2 of them wrong').waitFor();
    await tab.ask('Tell me about heat');
    await sheet.waitFor();
    assert.equal(await tab.page.evaluate(() => document.activeElement.name), 'temperature');
    assert.equal(asked.length, 0);
    await sheet.getByLabel('Stop at').fill('a river\n');
    await temperature.fill('1.5');
    assert.equal(await wrong.count(), 0);
    await tab.button('Done').click();
    assert.equal(await written(), 'Tell me about heat', 'what could not be sent is still there');
    await tab.locator('#prompt').press('Enter');
    await tab.expectWhole(playground.api);
    assert.equal(asked.at(-1).temperature, 1.5);
    assert.deepEqual(asked.at(-1).stop, ['a river']);
  });

  test('a parameter that was kept and is out of range is wrong from the start', async () => {
    tab = await playground.open({ parameters: { ...QUICK, top_p: '7' } });
    await tab.button('Parameters, one of them wrong').waitFor();
    await tab.ask('Tell me about heat');
    await tab.page.getByRole('dialog', { name: 'Parameters' }).waitFor();
    await tab.button('Back to the defaults').click();
    await tab.button('Done').click();
    await tab.locator('#prompt').press('Enter');
    await tab.expectWhole(playground.api);
  });

  test('a prompt that is too large is told as that, and offered to be edited', async () => {
    tab = await playground.open({ parameters: QUICK });
    const large = 'Tell me about oceans. '.repeat(1000);
    await tab.ask(large);
    await tab.notice.filter({ hasText: /^That is more text than this server takes\./ }).waitFor();
    assert.doesNotMatch(await tab.notice.innerText(), /body|limit|KiB|bytes/);
    await tab.locator('#scroller').evaluate((scroller) => (scroller.scrollTop = scroller.scrollHeight));
    await tab.picture('too-large');
    assert.equal(await tab.answer.getByRole('button').filter({ visible: true }).count(), 1, 'nothing else is offered');
    await tab.notice.getByRole('button', { name: 'Edit the prompt' }).click();
    await tab.locator('#editing').waitFor();
    assert.equal(await written(), large.trim());
    await tab.ask('Tell me about ponds');
    await until('it is asked', async () => (await prompts())[0] === 'Tell me about ponds');
    await tab.expectWhole(playground.api);
  });

  test('what was said to who cannot see is not found there later', async () => {
    tab = await playground.open({ parameters: QUICK });
    await tab.ask('Tell me about echoes');
    await until('it is said', async () => /^Answer complete/.test(await tab.announced()));
    await until('it is no longer there', async () => (await tab.announced()) === '');
  });
});
