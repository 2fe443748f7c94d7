/**
 * The package of our JavaScript client: its types are those of openapi.yaml and of its sources,
 * right programs compile and wrong ones do not, and it is small. Each program stands in `types-js/`;
 * the first line of a wrong one says its one error.
 */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, copyFile, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

import { runPackage } from './support/command.mjs';

const PACKAGE = resolve(import.meta.dirname, '../../clients/js');
const DOCUMENT = resolve(import.meta.dirname, '../../openapi.yaml');
const PROGRAMS = join(import.meta.dirname, 'types-js');
const COMPILERS = ['typescript', 'typescript-7'];

/** The most that the whole of it may be, minified and compressed. */
const MOST_BYTES = 8 * 1024;

/** The files below a directory, each with its text. */
async function filesOf(directory) {
  const names = (await readdir(directory, { recursive: true })).filter((name) => /\.\w+$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index]]));
}

const programs = (await readdir(PROGRAMS)).sort();

suite('the package of the JavaScript client', () => {
  let directory;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tailrace-client-js-'));
    await mkdir(join(directory, 'node_modules'));
    await symlink(PACKAGE, join(directory, 'node_modules/tailrace'));
    for (const program of programs) {
      await copyFile(join(PROGRAMS, program), join(directory, program));
    }
  });

  after(() => rm(directory, { recursive: true, force: true }));

  test('types/api.d.ts is what openapi-typescript makes of openapi.yaml', async () => {
    const path = join(directory, 'api.d.ts');
    const made = await runPackage('openapi-typescript/bin/cli.js', [DOCUMENT, '-o', path]);
    assert.equal(made.code, 0, made.output);
    const committed = await readFile(join(PACKAGE, 'types/api.d.ts'), 'utf8');
    assert.equal(committed, await readFile(path, 'utf8'), 'run `npm run types` in clients/js');
  });

  test('the sources are typed strictly, and types/ has their declarations', async () => {
    const types = join(directory, 'types');
    const made = await runPackage('typescript/bin/tsc', ['-p', PACKAGE, '--outDir', types]);
    assert.equal(made.code, 0, made.output);
    const { 'api.d.ts': _, ...committed } = await filesOf(join(PACKAGE, 'types'));
    assert.deepEqual(committed, await filesOf(types), 'run `npm run types` in clients/js');
  });

  for (const compiler of COMPILERS) {
    for (const program of programs) {
      test(`${program} with ${compiler}`, async () => {
        const [first] = (await readFile(join(PROGRAMS, program), 'utf8')).split('\n');
        const expected = /^\/\/ (TS\d+):/.exec(first)?.[1];
        const { code, output } = await runPackage(`${compiler}/bin/tsc`, [
          ...'--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes'.split(' '),
          ...'--target es2022 --lib es2022,dom --module nodenext'.split(' '),
          join(directory, program),
        ]);
        if (expected) {
          assert.notEqual(code, 0, 'it must not compile');
          assert.deepEqual(output.match(/\bTS\d+\b/g), [expected], output);
        } else {
          assert.equal(code, 0, output);
        }
      });
    }
  }

  test('it is as small as its README says', async () => {
    const bundle = await build({
      entryPoints: [join(PACKAGE, 'src/index.js')],
      bundle: true,
      minify: true,
      format: 'esm',
      write: false,
    });
    const bytes = gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length;
    assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
    const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8');
    const [, stated] = /([\d.]+) KiB/.exec(readme);
    assert.ok(Math.abs(stated - bytes / 1024) < 0.1, `${bytes} bytes, and the README says ${stated} KiB`);
  });

  test('it depends on nothing, and imports only itself', async () => {
    const { dependencies, peerDependencies } = JSON.parse(
      await readFile(join(PACKAGE, 'package.json'), 'utf8'),
    );
    assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
    for (const [name, text] of Object.entries(await filesOf(join(PACKAGE, 'src')))) {
      for (const [, specifier] of text.matchAll(/^(?:import|export) .* from '([^']+)'/gm)) {
        assert.match(specifier, /^\.\.?\/.*\.js$/, `${name} imports ${specifier}`);
      }
    }
  });
});
