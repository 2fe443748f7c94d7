/**
 * A model's output that wants to run, load or send something in the playground: it does nothing but stand
 * there. The page's policy is not even asked, for `Playground.stop` fails on its first report.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';

import { Playground } from './support/playground.mjs';

const ECHO = `
[models.echo]
generator = "command"
program = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(join(import.meta.dirname, 'support/echo.mjs'))}]
`;

/** What each would do if it could: set this. */
const RUN = 'window.canary=1';

/** Markup in Markdown, as a model would repeat it from a page that it was asked about. */
const MARKUP = [
  `<script>${RUN}</script>`,
  `<script src="https://foreign.example/x.js"></script>`,
  `<img src=x onerror="${RUN}">`,
  `<img src="https://foreign.example/pixel.png">`,
  `<svg onload="${RUN}"><script>${RUN}</script></svg>`,
  `<svg><animate onbegin="${RUN}" attributeName=x dur=1s>`,
  `<iframe src="javascript:${RUN}"></iframe>`,
  `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
  `<object data="https://foreign.example/x"></object><embed src="https://foreign.example/x">`,
  `<style>* { display: none !important; background: url(https://foreign.example/x) }</style>`,
  `<link rel="stylesheet" href="https://foreign.example/x.css">`,
  `<base href="https://foreign.example/">`,
  `<meta http-equiv="refresh" content="0;url=https://foreign.example/">`,
  `<form action="https://foreign.example/"><input name=x autofocus onfocus="${RUN}"><button>Send</button></form>`,
  `<a href="javascript:${RUN}">link</a>`,
  `<a href="https://foreign.example/" onclick="${RUN}">link</a>`,
  `<div style="position:fixed;inset:0;background:red" onmouseover="${RUN}">over</div>`,
  `<details open ontoggle="${RUN}">x</details>`,
  `<video autoplay onloadstart="${RUN}" src="https://foreign.example/x"></video>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${RUN}&gt;">`,
  `<noscript><p title="</noscript><img src=x onerror=${RUN}>">`,
  `<p id="prompt" name="thread" class="notice">clobber</p>`,
  `<template><script>${RUN}</script></template>`,
  `<button popovertarget="settings" commandfor="settings" command="show-modal">open</button>`,
];

/** Markdown's own ways of saying so. */
const MARKDOWN = [
  `[link](javascript:${RUN})`,
  `[link](JaVaScRiPt:${RUN})`,
  `[link](&#106;avascript:${RUN})`,
  `[link](<java\tscript:${RUN}>)`,
  `[link](data:text/html,<script>${RUN}</script>)`,
  `[link](vbscript:x)`,
  `[link](//foreign.example/)`,
  `[link](/docs/)`,
  `<javascript:${RUN}>`,
  `[link][named]\n\n[named]: javascript:${RUN}`,
  `![picture](https://foreign.example/pixel.png)`,
  `![picture](//foreign.example/pixel.png)`,
  `![picture](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)`,
  `![x" onerror="${RUN}](x)`,
  `![picture](x "title" onerror="${RUN}")`,
  `[link](https://foreign.example/ "x" onmouseover="${RUN})`,
  `# <img src=x onerror=${RUN}>`,
  `- <script>${RUN}</script>`,
  `> <svg onload=${RUN}>`,
  `| <img src=x onerror=${RUN}> | b |\n|---|---|\n| <script>${RUN}</script> | <br onclick=${RUN}> |`,
  '```html\n<script>' + RUN + '</script>\n```',
  '```js" onmouseover="' + RUN + '\nx\n```',
  '```<img src=x onerror=' + RUN + '>\nx\n```',
  '`<img src=x onerror=' + RUN + '>`',
  `<kbd onclick="${RUN}">x</kbd>`,
];

suite('Hostile output in the playground', () => {
  let playground, tab;

  before(async () => {
    playground = await Playground.start(ECHO);
    tab = await playground.open();
  });

  after(() => playground?.stop());

  beforeEach(() => tab.button('New conversation').first().click());

  /** Whatever is in an answer is harmless, and so is whoever points at it and clicks. */
  async function expectHarmless() {
    const found = await tab.page.evaluate(() => {
      const answer = [...document.querySelectorAll('.answer')].at(-1);
      const ours = '.code *, .table, .caret, .last, figure, figcaption';
      const faults = [];
      for (const element of answer.querySelectorAll('.prose *')) {
        const { localName } = element;
        const known =
          'a blockquote br code del em figcaption figure h1 h2 h3 h4 h5 h6 hr img kbd li mark ol p pre ' +
          'span strong sub sup table tbody td th thead tr ul div button svg use';
        if (!known.split(' ').includes(localName)) faults.push(`<${localName}>`);
        for (const { name, value } of element.attributes) {
          if (/^(on|style$|id$|name$|srcset$|form)/.test(name)) faults.push(`${name}=${value}`);
          if (name === 'href' && localName === 'a' && !/^(https?:|mailto:)/.test(value)) faults.push(value);
          if (name === 'src' && !/^data:image\/(png|jpeg|gif|webp|avif);/.test(value)) faults.push(value);
        }
        if (element.matches('a[href]') && element.rel !== 'noopener noreferrer') faults.push('rel');
        if (element.matches('a[href]') && element.target !== '_blank') faults.push('target');
        if (!element.matches(ours) && element.className) faults.push(`class=${element.className}`);
        for (const type of ['mouseover', 'click', 'focus', 'toggle']) {
          // A click on a real link would leave: only what code of the page would do is looked for.
          element.addEventListener('click', (event) => event.preventDefault(), { once: true });
          if (!element.closest('button')) element.dispatchEvent(new Event(type, { cancelable: true }));
        }
      }
      return { faults, canary: window.canary, title: document.title, href: location.href };
    });
    assert.deepEqual(found.faults, []);
    assert.equal(found.canary, undefined, 'nothing has run');
    assert.ok(found.href.startsWith(playground.proxy.url));
  }

  async function answerWith(text) {
    await tab.ask(text);
    await tab.ended();
    await expectHarmless();
  }

  test('markup of all kinds is shown as text', async () => {
    await answerWith(`Before.\n\n${MARKUP.join('\n\n')}\n\nAfter.`);
    const shown = await tab.text();
    assert.ok(shown.includes(`<script>${RUN}</script>`), shown);
    assert.ok(shown.includes('After.'));
    await tab.picture('hostile');
  });

  test('markup within a line is shown as text', async () => {
    await answerWith(MARKUP.map((markup) => `One ${markup} two`).join('\n\n'));
  });

  test('links and pictures lead nowhere that they must not', async () => {
    await answerWith(MARKDOWN.join('\n\n'));
    const links = await tab.answer.locator('.prose a[href]').evaluateAll((all) =>
      all.map((link) => [link.textContent, link.getAttribute('href')]),
    );
    assert.ok(links.every(([, href]) => /^https?:\/\/foreign\.example\//.test(href)), `${links}`);
    assert.ok(links.some(([text]) => text === 'Picture: picture'), 'a foreign picture is a link');
    assert.equal(await tab.answer.locator('.prose img').count(), 0);
  });

  test('a picture in the text itself is shown', async () => {
    const dot =
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADAgH/p2cJqwAAAABJRU5ErkJggg==';
    await answerWith(`![A dot](data:image/png;base64,${dot})`);
    const dotShown = tab.answer.locator('.prose img[alt="A dot"]');
    assert.equal(await dotShown.evaluate((image) => image.naturalWidth), 1);
  });

  test('reasoning, refusals and tool calls are text', async () => {
    const markup = MARKUP.join(' ');
    const deltas = [
      { reasoning: markup },
      { refusal: markup },
      { tool_call: { index: 0, id: 'a', name: `<img src=x onerror=${RUN}>`, arguments: '{"x":"' } },
      { tool_call: { index: 0, arguments: `<script>${RUN}</script>"}` } },
    ];
    await answerWith(JSON.stringify(deltas));
    await tab.answer.locator('.thought summary').click();
    const text = await tab.answer.innerText();
    assert.ok(text.includes(`<script>${RUN}</script>`));
    const inside = tab.answer.locator('.thought p *, .refusal *, .call code *');
    assert.equal(await inside.count(), 0);
  });

  test('each call of a tool is shown once, whatever its index', async () => {
    const call = (index, name, text) => ({ tool_call: { index, ...(name && { id: name, name }), arguments: text } });
    await answerWith(JSON.stringify([call(7, 'second', '{"a":'), call(3, 'first', '{}'), call(7, '', '1}')]));
    assert.deepEqual(await tab.locator('.call header code').allInnerTexts(), ['second', 'first']);
    assert.match(await tab.locator('.call pre').first().innerText(), /"a": 1/);
    assert.equal((await tab.keptAnswer()).tools.length, 2);
  });

  test('what nests too deep is shown as text, and the conversation can be opened again', async () => {
    const list = Array.from({ length: 150 }, (_, depth) => `${'  '.repeat(depth)}- x`).join('\n');
    const deep = [`${'>'.repeat(5000)} quoted`, `${'- '.repeat(3000)}listed`, list, `${'*a **b '.repeat(3000)}end`];
    for (const markdown of deep) {
      await tab.button('New conversation').first().click();
      const first = await tab.page.evaluate(() => location.hash);
      await answerWith(`Before, **bold**.\n\n${markdown}\n\nAfter, **bold**.`);
      const whole = async () => {
        await tab.locator('.answer[aria-busy=false]').waitFor();
        const text = await tab.text();
        assert.ok(text.includes('Before, bold.') && text.includes('After, bold.'), text.slice(-200));
      };
      await whole();
      assert.notEqual(await tab.page.evaluate(() => location.hash), first);
      await tab.page.reload();
      await tab.locator('#model:enabled').waitFor();
      await whole();
    }
  });

  test('a prompt and the title that is made of it are text', async () => {
    const prompt = `<img src=x onerror="${RUN}"> **bold** [x](javascript:${RUN})`;
    await answerWith(prompt);
    assert.equal(await tab.locator('.prompt p').innerText(), prompt);
    assert.equal(await tab.locator('#title').innerText(), prompt);
    assert.equal(await tab.locator('.prompt p *, #title *').count(), 0);
  });

  test('what gets past Markdown does not get past the sanitiser', async () => {
    assert.deepEqual(playground.breaches, [], 'nothing before has even asked the policy');
    // The sanitiser parses into a document that can do nothing, and of which Chromium reports what the
    // policy would forbid.
    playground.provoking = true;
    const faults = await tab.page.evaluate(
      async ({ samples }) => {
        const { sanitise, sanitiseColours } = await import('/assets/src/sanitise.js');
        const left = [];
        for (const sample of samples) {
          for (const clean of [sanitise, sanitiseColours]) {
            const host = document.createElement('div');
            host.append(clean(sample));
            document.body.append(host);
            for (const element of host.querySelectorAll('*')) {
              const bad = [...element.attributes].filter(
                ({ name, value }) =>
                  /^(on|style|id|name|data-|aria-|srcset|form|action|popover|command)/.test(name) ||
                  /^\s*(javascript|vbscript|data:text|\/)/i.test(value),
              );
              const forbidden = element.matches(
                'script, style, iframe, object, embed, svg, math, form, input, button, base, meta, link, template, video, noscript, details',
              );
              if (bad.length > 0 || forbidden) left.push(element.outerHTML);
            }
            host.remove();
          }
        }
        return { left, canary: window.canary };
      },
      { samples: MARKUP },
    );
    assert.deepEqual(faults, { left: [], canary: undefined });
  });

  test('the page itself cannot be made to run a text', async () => {
    playground.provoking = true;
    const thrown = await tab.page.evaluate(() => {
      const attempts = [
        () => (document.createElement('div').innerHTML = '<p>x</p>'),
        () => document.write('x'),
        () => window.trustedTypes.createPolicy('mine', {}),
        () => (document.createElement('script').src = 'https://foreign.example/x.js'),
      ];
      return attempts.map((attempt) => {
        try {
          attempt();
          return 'done';
        } catch (error) {
          return error.name;
        }
      });
    });
    assert.deepEqual(thrown, ['TypeError', 'TypeError', 'TypeError', 'TypeError']);
  });
});
