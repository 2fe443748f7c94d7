/**
 * The playground for everybody: by keyboard alone, with a screen reader, in light and dark, on a phone.
 * It also takes the pictures that people look at: `ARTEFACTS` says where to, and with `BLESS=1` the
 * README's is copied to `docs/images/`.
 */

import assert from 'node:assert/strict';
import { copyFile, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, suite, test } from 'node:test';

import { expectAccessible as expectPageAccessible } from './support/accessible.mjs';
import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

const README_PICTURE = join(import.meta.dirname, '../../docs/images/playground.png');

/** The most that the README's picture may weigh. */
const PICTURE_BYTES = 250 * 1024;

const ECHO = `
[models.demo]
generator = "demo"
[models.echo]
generator = "command"
program = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(join(import.meta.dirname, 'support/echo.mjs'))}]
`;

const FAST = { 'demo.tokens_per_second': '150' };

/** Reasoning, two calls of tools, and an answer with everything that Markdown has. */
const DELTAS = [
  { reasoning: 'The weather is asked for, so the station is asked first, then the tide table. ' },
  { reasoning: 'Both want the harbour by its short name.' },
  { text: 'I ask the station, and look the **tide** up.' },
  { tool_call: { index: 0, id: 'a', name: 'weather', arguments: '{"harbour":"KRS",' } },
  { tool_call: { index: 0, arguments: '"hours":12}' } },
  { tool_call: { index: 1, id: 'b', name: 'tide_table', arguments: '{"harbour":"KRS"}' } },
];

suite('The playground for people', () => {
  let playground, tab;

  before(async () => {
    playground = await Playground.start(ECHO);
  });

  after(() => playground?.stop());

  afterEach(() => tab?.close());

  const expectAccessible = (what) => expectPageAccessible(tab.page, what);

  async function expectNoSidewaysScroll() {
    const { wide, width } = await tab.page.evaluate(() => ({
      wide: Math.max(document.documentElement.scrollWidth, document.getElementById('scroller').scrollWidth),
      width: innerWidth,
    }));
    assert.ok(wide <= width, `${wide} px in ${width} px`);
  }

  /** Transitions and the focus ring of a click are not for pictures. */
  const settled = () =>
    until('nothing moves', () =>
      tab.page.evaluate(() =>
        document.getAnimations().every(
          ({ playState, effect }) =>
            playState !== 'running' || effect.getComputedTiming().iterations === Infinity,
        ),
      ),
    );

  // The first, so that the list has these conversations and no others.
  test('the picture of the README', async () => {
    tab = await playground.open();
    await tab.page.setViewportSize({ width: 1200, height: 1000 });
    await tab.page.emulateMedia({ colorScheme: 'light' });
    for (const title of ['Compare tidal and river power', 'Why do weirs hum at night?']) {
      await tab.button('New conversation').first().click();
      await tab.ask(title);
      await tab.expectWhole(playground.api);
    }
    await tab.button('New conversation').first().click();
    await tab.ask('Tell me about lighthouse keepers');
    await tab.answer.locator('ol li:nth-child(2)').waitFor();
    await tab.button('Cut the connection').click();
    await tab.badge.filter({ hasText: /^Resumed · [1-9]\d* tokens replayed · 0 lost$/ }).waitFor();
    await tab.answer.locator('figure.code').waitFor();
    await until('the code is nearly whole', async () => /append/.test(await tab.text()));
    await tab.button('Stop the answer').waitFor();
    await tab.page.mouse.move(600, 300);
    const path = await tab.picture('readme');
    assert.ok((await stat(path)).size <= PICTURE_BYTES);
    await tab.expectWhole(playground.api);
    if (process.env.BLESS) {
      await mkdir(join(README_PICTURE, '..'), { recursive: true });
      await copyFile(path, README_PICTURE);
    }
  });

  for (const colorScheme of ['light', 'dark']) {
    test(`empty and filled, ${colorScheme}`, async () => {
      tab = await playground.open({ parameters: FAST });
      await tab.page.emulateMedia({ colorScheme });
      await settled();
      await tab.picture(`${colorScheme}-empty`);
      await expectAccessible('empty');
      await tab.ask('Tell me about lighthouse keepers');
      await tab.expectWhole(playground.api);
      await tab.answer.locator('.hljs-keyword').first().waitFor();
      await settled();
      await tab.picture(`${colorScheme}-filled`);
      await expectAccessible('filled');
      await tab.locator('#settings-open').click();
      await settled();
      await tab.picture(`${colorScheme}-parameters`);
      await expectAccessible('parameters');
      await tab.page.keyboard.press('Escape');
      await tab.button('Keyboard shortcuts').click();
      await settled();
      await tab.picture(`${colorScheme}-shortcuts`);
      await expectAccessible('shortcuts');
    });

    test(`reasoning and tool calls, ${colorScheme}`, async () => {
      tab = await playground.open();
      await tab.page.emulateMedia({ colorScheme });
      await tab.locator('#model').selectOption('echo');
      await tab.ask(JSON.stringify(DELTAS));
      await tab.ended();
      const summary = tab.answer.locator('.thought summary');
      assert.match(await summary.innerText(), /^Thought for /);
      assert.equal(await tab.answer.locator('.thought p').isVisible(), false);
      await summary.click();
      await tab.answer.locator('.thought p').filter({ hasText: 'tide table' }).waitFor();
      const cards = await tab.answer.locator('.call').allInnerTexts();
      assert.equal(cards.length, 2);
      assert.match(cards[0], /weather[^]*"harbour": "KRS",\s+"hours": 12/);
      assert.match(cards[1], /tide_table/);
      await settled();
      await tab.picture(`${colorScheme}-tools`);
      await expectAccessible('tools');
    });
  }

  test('the colours can be chosen, and stay', async () => {
    tab = await playground.open();
    await tab.page.emulateMedia({ colorScheme: 'light' });
    const ground = () => tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await tab.button('Colours: as the system has it').click();
    assert.equal(await ground(), light);
    await tab.button('Colours: light').click();
    const dark = await ground();
    assert.notEqual(dark, light);
    await tab.page.reload();
    await tab.locator('#model:enabled').waitFor();
    assert.equal(await ground(), dark);
    await tab.button('Colours: dark').click();
  });

  test('by keyboard alone', async () => {
    tab = await playground.open({ parameters: { 'demo.tokens_per_second': '60' } });
    const { keyboard } = tab.page;
    const focused = () =>
      tab.page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText);
    await until('the prompt has the focus', async () => (await focused()) === 'Your prompt');
    await keyboard.type('Tell me about');
    await keyboard.press('Shift+Enter');
    await keyboard.type('locks');
    assert.equal(await tab.locator('#prompt').inputValue(), 'Tell me about\nlocks');
    await keyboard.press('Enter');
    await tab.begun();
    await keyboard.press('Alt+KeyX');
    await tab.badge.filter({ hasText: 'Connection cut' }).waitFor();
    await tab.badge.filter({ hasText: 'Resumed' }).waitFor();
    await keyboard.press('Alt+KeyS');
    await tab.ended();
    await keyboard.press('Alt+KeyP');
    const parameters = tab.page.getByRole('dialog', { name: 'Parameters' });
    await parameters.waitFor();
    await keyboard.press('Escape');
    await parameters.waitFor({ state: 'hidden' });
    await keyboard.press('Alt+KeyN');
    await tab.locator('#empty').waitFor();
    await until('the prompt has the focus', async () => (await focused()) === 'Your prompt');
    // Backwards from the prompt: the examples, and before them the conversations, all with a ring.
    const seen = [];
    for (let presses = 0; presses < 80 && !seen.includes('Skip to the prompt'); presses += 1) {
      await keyboard.press('Shift+Tab');
      seen.push(await focused());
      const ring = await tab.page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
      });
      assert.ok(ring, `${seen.at(-1)} shows that it has the focus`);
    }
    for (const name of ['Keyboard shortcuts', 'API documentation', 'Search conversations', 'New conversation', 'Skip to the prompt']) {
      assert.ok(seen.includes(name), `${name} in ${seen}`);
    }
    await keyboard.press('Enter');
    await until('the prompt has the focus', async () => (await focused()) === 'Your prompt');
    // The link to the prompt may bring the focus there once more, after it has been followed.
    await until('the search has the focus', async () => {
      await keyboard.press('Alt+KeyK');
      return (await focused()) === 'Search conversations';
    });
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await tab.locator('.answer').waitFor();
  });

  test('on a phone', async () => {
    tab = await playground.open({ parameters: { 'demo.tokens_per_second': '60' } });
    await tab.page.setViewportSize({ width: 360, height: 740 });
    await settled();
    await tab.picture('phone-empty');
    await expectNoSidewaysScroll();
    await expectAccessible('phone, empty');
    await tab.ask('Tell me about lighthouse keepers');
    await tab.begun();
    await tab.picture('phone-midstream');
    await expectNoSidewaysScroll();
    await tab.expectWhole(playground.api);
    await tab.picture('phone-filled');
    await expectNoSidewaysScroll();
    await expectAccessible('phone, filled');
    const small = await tab.page.evaluate(() =>
      [...document.querySelectorAll('button, select, summary')]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('[inert], dialog:not([open])'))
        .map((element) => [element.getAttribute('aria-label') ?? element.innerText, element.getBoundingClientRect()])
        .filter(([, { width, height }]) => width < 44 || height < 44)
        .map(([name, { width, height }]) => `${name}: ${width} x ${height}`),
    );
    assert.deepEqual(small, [], 'every target is large enough for a finger');
    await tab.button('Open the list of conversations').click();
    await settled();
    await tab.picture('phone-conversations');
    await expectAccessible('phone, conversations');
    await tab.page.keyboard.press('Escape');
    await until('it is closed', () =>
      tab.page.evaluate(() => document.getElementById('sidebar').inert),
    );
    // As it is left when the keyboard on the screen is open.
    await tab.page.setViewportSize({ width: 360, height: 380 });
    await tab.locator('#prompt').click();
    const box = await tab.locator('#composer').boundingBox();
    assert.ok(box.y + box.height <= 380, 'the composer is in sight');
    await tab.picture('phone-keyboard');
  });

  test('who wants no motion gets none', async () => {
    tab = await playground.open({ parameters: { 'demo.tokens_per_second': '20', 'demo.tokens': '60' } });
    await tab.page.emulateMedia({ reducedMotion: 'reduce' });
    await tab.ask('Tell me about still water');
    await tab.begun();
    const moving = await tab.page.evaluate(
      () => document.getAnimations().filter(({ playState }) => playState === 'running').length,
    );
    assert.equal(moving, 0);
    await tab.button('Stop the answer').click();
    await tab.ended();
  });
});
