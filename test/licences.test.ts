import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

/** Licences under which everything that is installed with the gateway may be given on with it, under MIT. */
const compatible = [
  'MIT',
  'MIT-0',
  'ISC',
  '0BSD',
  'BSD-0-Clause',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  // The first of the two is taken.
  '(MIT OR EUPL-1.1+)',
];

const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, { license?: string; dev?: boolean; version?: string; integrity?: string }>;
};
const installed = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);

test('every package that the gateway runs with has a licence that is compatible with MIT', () => {
  assert.ok(installed.length > 100, 'the lock file is read');
  const others = installed.filter(([, { license }]) => !compatible.includes(license ?? ''));
  assert.deepEqual(
    others.map(([path, { license }]) => `${path}: ${license ?? 'none'}`),
    [],
  );
});

test('every package is pinned by the digest of its content', () => {
  const loose = installed.filter(([, { integrity }]) => integrity?.startsWith('sha512-') !== true);
  assert.deepEqual(
    loose.map(([path]) => path),
    [],
  );
});
