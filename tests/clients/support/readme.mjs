/** The README's snippets, as they stand there. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the README's server is; the tests' is elsewhere. */
const ADDRESS = 'http://127.0.0.1:8080';

/**
 * The one block of code in this language under this heading, with the address of our server.
 *
 * @param {string} heading without its `#`s
 * @param {string} language
 * @param {string} url
 */
export async function snippet(heading, language, url) {
  const readme = await readFile(join(import.meta.dirname, '../../../README.md'), 'utf8');
  const sections = readme.split(/^#+ (?=.*$)/m);
  const section = sections.find((section) => section.startsWith(`${heading}\n`));
  const blocks = [...(section ?? '').matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, fenced]) => fenced === language)
    .map(([, , code]) => code);
  if (blocks.length !== 1) {
    throw new Error(`${blocks.length} blocks of ${language} under "${heading}", expected one`);
  }
  if (!blocks[0].includes(ADDRESS)) throw new Error(`no ${ADDRESS} in:\n${blocks[0]}`);
  return blocks[0].replaceAll(ADDRESS, url);
}
