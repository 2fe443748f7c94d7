/**
 * What lies in `playground/vendor/` is what the npm packages of the versions in `package.json` hold,
 * byte for byte, with their licences.
 *
 * After a new version: `BLESS_VENDOR=1 node --test playground-vendor.test.mjs`.
 */

import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, suite, test } from 'node:test';

const PACKAGES = join(import.meta.dirname, 'node_modules');
const VENDOR = join(import.meta.dirname, '../../playground/vendor');

/** Where each file comes from. */
const FILES = {
  'marked/marked.esm.js': 'marked/lib/marked.esm.js',
  'marked/LICENSE': 'marked/LICENSE',
  'dompurify/purify.es.mjs': 'dompurify/dist/purify.es.mjs',
  'dompurify/LICENSE': 'dompurify/LICENSE',
  'highlight/highlight.min.js': '@highlightjs/cdn-assets/es/highlight.min.js',
  'highlight/LICENSE': '@highlightjs/cdn-assets/LICENSE',
  'inter/inter.woff2': '@fontsource-variable/inter/files/inter-latin-wght-normal.woff2',
  'inter/LICENSE': '@fontsource-variable/inter/LICENSE',
  'jetbrains-mono/jetbrains-mono.woff2':
    '@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2',
  'jetbrains-mono/LICENSE': '@fontsource-variable/jetbrains-mono/LICENSE',
};

/** What each folder is, for people: `VERSIONS`. */
async function versions() {
  const names = Object.values(FILES).map((path) => /^(@[^/]+\/)?[^/]+/.exec(path)[0]);
  const lines = [...new Set(names)].map(async (name) => {
    const manifest = await readFile(join(PACKAGES, name, 'package.json'), 'utf8');
    const { version, license } = JSON.parse(manifest);
    return `${name} ${version} ${license}\n`;
  });
  return (await Promise.all(lines)).join('');
}

suite('The vendored files', () => {
  before(async () => {
    if (!process.env.BLESS_VENDOR) return;
    for (const [to, from] of Object.entries(FILES)) {
      await mkdir(dirname(join(VENDOR, to)), { recursive: true });
      await copyFile(join(PACKAGES, from), join(VENDOR, to));
    }
    await writeFile(join(VENDOR, 'VERSIONS'), await versions());
  });

  test('are those of their packages', async () => {
    for (const [ours, theirs] of Object.entries(FILES)) {
      const [kept, released] = await Promise.all([
        readFile(join(VENDOR, ours)),
        readFile(join(PACKAGES, theirs)),
      ]);
      assert.ok(kept.equals(released), `${ours} is not ${theirs}`);
    }
    assert.equal(await readFile(join(VENDOR, 'VERSIONS'), 'utf8'), await versions());
  });

  test('are all that there are', async () => {
    const found = await readdir(VENDOR, { recursive: true, withFileTypes: true });
    // The types beside them are ours.
    const files = found.filter((entry) => entry.isFile() && !/\.m?ts$/.test(entry.name));
    const paths = files.map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    assert.deepEqual(
      paths.map((path) => path.slice(VENDOR.length + 1)).sort(),
      [...Object.keys(FILES), 'VERSIONS'].sort(),
    );
  });
});
