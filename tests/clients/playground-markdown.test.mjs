/**
 * Markdown in the playground: however a text is cut into tokens, what stands there at its end is what
 * stands there if it comes whole; and what is complete is not made again while the rest comes.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { Playground } from './support/playground.mjs';

const TEXTS = [
  '# One\n\ntwo **three** *four* `five`\nsix  \nseven\n\n---\n\neight',
  '- a\n- b\n\n- c\n\n  still c\n\n      code in c\n- d\n\nafter',
  '1. a\n   - b\n     1. c\n2. d\n\n3. e\n\n> quoted\nlazily\n>\n> more\n\nend',
  '```js\nconst a = `x`;\n\n# not a heading\n```\n\n~~~\n```\n~~~\n\n    indented\n\n    more\n\nend',
  '| a | b |\n|:--|--:|\n| `1|2` | **3** |\n| 4 |\n\nno | table\n\nSetext\n======\n\nother\n---\n',
  'a [named] link, [inline](https://a.example/ "t"), <https://b.example/>\n\n[named]: https://c.example/\n\nagain [named]',
  '[first]: https://c.example/\n\nthen [first], and **bold\nover lines** and ~~gone~~\n\n* * *\n\n+ [ ] todo\n+ [x] done',
  'windows\r\nlines\r\n\r\n- one\r\n- two\r\n\r\n```\r\ncode\r\n```\r\nend\r',
  '<b>raw</b> <br> <kbd>x</kbd>\n\n<div>\n\nblock\n\n</div>\n\n![p](https://d.example/x.png) end',
  'unclosed **bold and `code\n\nunclosed [link](https://a.exam\n\n```rust\nfn main() {',
  '\n\n\n   leading\n\n\n\ntrailing   \n\n\n',
];

suite("The playground's Markdown", () => {
  let playground, tab;

  before(async () => {
    playground = await Playground.start();
    tab = await playground.open();
  });

  after(() => playground?.stop());

  test('it is the same in pieces as whole, whatever the pieces', async () => {
    const differing = await tab.page.evaluate(async (texts) => {
      const { Writing } = await import('/assets/src/writing.js');
      const shown = (element) => {
        const copy = element.cloneNode(true);
        // Where the open block stood is no difference, nor are colours, which come a moment later.
        for (const code of copy.querySelectorAll('figure code')) code.textContent = code.textContent;
        const last = copy.querySelector('.last');
        last.replaceWith(...last.childNodes);
        return copy.innerHTML;
      };
      const faults = [];
      for (const text of texts) {
        const whole = new Writing();
        whole.show(text, false);
        for (const length of [1, 2, 3, 7, 19]) {
          const pieces = new Writing();
          for (let end = length; end < text.length; end += length) pieces.show(text.slice(0, end), true);
          pieces.show(text, false);
          if (shown(pieces.element) !== shown(whole.element)) {
            faults.push({ length, pieces: shown(pieces.element), whole: shown(whole.element) });
            break;
          }
        }
      }
      return faults;
    }, TEXTS);
    assert.deepEqual(differing, []);
  });

  test('blocks that are complete stay the nodes that they are', async () => {
    const made = await tab.page.evaluate(async () => {
      const { Writing } = await import('/assets/src/writing.js');
      const writing = new Writing();
      let text = '';
      let changes = 0;
      writing.show('First.\n\nSecond.\n\nT', true);
      const first = writing.element.firstElementChild;
      const observer = new MutationObserver((records) => (changes += records.length));
      observer.observe(first, { childList: true, characterData: true, subtree: true, attributes: true });
      for (let number = 0; number < 200; number += 1) {
        text = `First.\n\nSecond.\n\nThird ${'and so on '.repeat(number)}`;
        writing.show(text, true);
      }
      await new Promise((resolve) => setTimeout(resolve));
      return { changes, same: writing.element.firstElementChild === first && first.isConnected === false };
    });
    assert.deepEqual(made, { changes: 0, same: true });
  });

  test('what is open is shown as if it were closed', async () => {
    const shown = await tab.page.evaluate(async () => {
      const { mend } = await import('/assets/src/mending.js');
      const texts = ['a **b', 'a **b*', 'a **', 'a *b', 'x `co', 'x `', '[te', '[text](ht', '![alt](ht', '1. **Wh', '* item', '- [ ', 'a ~~b', '2 * 3'];
      return texts.map(mend);
    });
    assert.deepEqual(shown, ['a **b**', 'a **b**', 'a ', 'a *b*', 'x `co`', 'x ', 'te', 'text', '', '1. **Wh**', '* item', '- [ ', 'a ~~b~~', '2 * 3']);
  });
});
