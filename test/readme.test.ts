import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

/** A file of the project. */
const file = (path: string) => new URL(`../${path}`, import.meta.url);
const text = (path: string) => readFileSync(file(path), 'utf8');

const readme = text('README.md');

/** Every match of the first group, each once. */
const named = (pattern: RegExp, where = readme) => [
  ...new Set([...where.matchAll(pattern)].map(([, name]) => name ?? '')),
];

/** What it names with nothing behind it. At least so many names must be found, else the test looks for nothing. */
function assertAllThere(names: readonly string[], least: number, isThere: (name: string) => boolean): void {
  assert.ok(names.length >= least, `only ${names.length} names were found`);
  assert.deepEqual(
    names.filter((name) => !isThere(name)),
    [],
  );
}

describe('what the README names is there', () => {
  test('headings', () => {
    const headings = new Set(named(/^#+ (.*)$/gm).map(anchorOf));
    assertAllThere(named(/\]\(#([^)]+)\)/g), 15, (anchor) => headings.has(anchor));
  });

  test('files and folders', () => {
    // What whoever installs it makes, or leaves out.
    const made = new Set(['docker/gateway.env', 'docker/certificates']);
    const paths = [...named(/\]\(([^)#:]+)\)/g), ...named(/`((?:src|test|docker|config)\/[\w./-]*)`/g)];
    assertAllThere(paths, 20, (path) => made.has(path) || existsSync(file(path)));
  });

  test('commands', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    assertAllThere(named(/npm run (\w+)/g), 5, (name) => name in scripts);
    const commands = new Set(named(/^  '?([a-z-]+)'?: \{/gm, text('src/cli.ts')));
    assertAllThere(named(/(?:npm run twoway -- |gateway twoway )([a-z][a-z-]+)/g), 6, (name) =>
      commands.has(name),
    );
  });

  test('settings', () => {
    const settings = new Set([
      ...named(/(TWOWAY_[A-Z0-9_]+)/g, text('config/example.env')),
      ...named(/\$\{(TWOWAY_[A-Z0-9_]+)/g, text('docker/compose.yaml') + text('docker/compose.https.yaml')),
    ]);
    assertAllThere(
      named(/(TWOWAY_[A-Z0-9]+(?:_[A-Z0-9]+)*)/g),
      30,
      (name) => settings.has(name.replace(/_FILE$/, '')) || settings.has(name),
    );
  });

  test('calls of the API', () => {
    const { paths } = JSON.parse(text('test/golden/openapi.json')) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const calls = Object.entries(paths).flatMap(([path, verbs]) =>
      Object.keys(verbs).map((verb) => `${verb.toUpperCase()} ${withoutNames(path)}`),
    );
    assertAllThere(named(/`((?:GET|POST|PUT|PATCH|DELETE) [^\s`?]+)/g), 20, (call) => {
      const [verb = '', path = ''] = call.split(' ');
      const wanted = withoutNames(path);
      return wanted.startsWith('…')
        ? calls.some((known) => known.startsWith(`${verb} `) && known.endsWith(wanted.slice(1)))
        : calls.includes(`${verb} ${wanted}`);
    });
  });
});

/** As GitHub makes it of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s-]/gu, '')
    .replaceAll(' ', '-');

const withoutNames = (path: string) => path.replaceAll(/\{[^}]*\}/g, '{}');
