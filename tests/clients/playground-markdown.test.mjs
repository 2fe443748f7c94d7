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

  test('the caret stands in the cell that is being written', async () => {
    const places = await tab.page.evaluate(async () => {
      const { Writing } = await import('/assets/src/writing.js');
      const table = '| a | b | c |\n|---|---|---|\n';
      return ['| one', '| one |', '| one | two', '| one | `x|y` | th', '| a \\| b', '| one | two | three |', '| 1 | 2 | 3 |\n| four', 'one', 'one | two', '|'].map((rows) => {
        const writing = new Writing();
        writing.show(table + rows, true);
        const cell = writing.element.querySelector('.caret')?.closest('td');
        return cell ? `${cell.parentElement.rowIndex}.${cell.cellIndex}` : undefined;
      });
    });
    assert.deepEqual(places, ['1.0', '1.1', '1.1', '1.2', '1.0', '1.2', '2.0', '1.0', '1.1', '1.0']);
  });

  test('long code that grows costs as much as what is new of it', async () => {
    const made = await tab.page.evaluate(async () => {
      const { Writing } = await import('/assets/src/writing.js');
      const { marked } = await import('/assets/src/markdown.js');
      const lex = marked.Lexer.prototype.lex;
      let read = 0;
      marked.Lexer.prototype.lex = function (text) {
        read += text.length;
        return lex.call(this, text);
      };
      const writing = new Writing();
      const line = 'const answer = question.parse(this);\n';
      let text = 'Before.\n\n```js\n';
      let written = 0;
      writing.show(text, true);
      const observer = new MutationObserver((records) => {
        for (const { addedNodes, target } of records) {
          for (const node of addedNodes) written += node.textContent.length;
          if (target instanceof Text) written += line.length;
        }
      });
      observer.observe(writing.element, { childList: true, characterData: true, subtree: true });
      for (let number = 0; number < 3000; number += 1) writing.show((text += line), true);
      await new Promise((resolve) => setTimeout(resolve));
      const grown = writing.element.querySelector('figure code').textContent;
      writing.show((text += '```\n\nAfter.'), true);
      const ended = writing.element.querySelector('figure code').textContent;
      marked.Lexer.prototype.lex = lex;
      return { length: 3000 * line.length, read, written, grown: grown.length, same: grown === ended, after: writing.element.textContent.trim().endsWith('After.') };
    });
    assert.ok(made.grown >= made.length - 1, JSON.stringify(made));
    assert.ok(made.same && made.after, JSON.stringify(made));
    assert.ok(made.read < made.length * 10, `${made.read} characters were read for ${made.length}`);
    assert.ok(made.written < made.length * 10, `${made.written} were written`);
  });

  test('long code that grows is at each moment what it is if it comes at once', async () => {
    const differing = await tab.page.evaluate(async () => {
      const { Writing } = await import('/assets/src/writing.js');
      const shown = ({ element }) => {
        const copy = element.cloneNode(true);
        for (const code of copy.querySelectorAll('figure code')) code.textContent = code.textContent;
        return copy.innerHTML;
      };
      const faults = [];
      for (const fence of ['```', '~~~~']) {
        const begin = `One.\n\n${fence}js\n${'const answer = 42;\r\n'.repeat(400)}`;
        const end = `\n  \`\`\n~~~x\n    ${fence}\n\t${fence}\nx ${fence}\n${fence}js\n\n\n  ${fence}~  \n\nTwo.\n\n${fence}\nthree`;
        const pieces = new Writing();
        for (let at = 0; at <= end.length; at += 1) {
          const text = begin + end.slice(0, at);
          pieces.show(text, true);
          const whole = new Writing();
          whole.show(text, true);
          if (shown(pieces) !== shown(whole)) faults.push([end.slice(0, at), shown(pieces).slice(-200), shown(whole).slice(-200)]);
        }
      }
      return faults.slice(0, 3);
    });
    assert.deepEqual(differing, []);
  });
});
