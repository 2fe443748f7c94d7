/**
 * A model, run by the `command` generator, that says what it is told to: the last message is a JSON list
 * of deltas, or else a text that it repeats in small pieces.
 */

import { text } from 'node:stream/consumers';

const PIECE = 7;

const { messages } = JSON.parse(await text(process.stdin));
const { content } = messages.at(-1);
const wanted = typeof content === 'string' ? content : content.map((part) => part.text).join('');
for (const delta of deltas(wanted)) process.stdout.write(`${JSON.stringify(delta)}\n`);

function deltas(wanted) {
  try {
    const list = JSON.parse(wanted);
    if (Array.isArray(list)) return list;
  } catch {
    // Then it is a text.
  }
  const pieces = [];
  for (let at = 0; at < wanted.length; at += PIECE) pieces.push({ text: wanted.slice(at, at + PIECE) });
  return pieces;
}
