// Makes the secrets of compose.yaml that are not there yet, in the folder that is named: node make-secrets.ts /secrets.
// Those that are there stay: without the first of them nothing that was sealed can be opened again.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('make-secrets wants a folder');

make('secret-keys', 0o400, () => randomBytes(32).toString('base64'));
// PostgreSQL reads it as a user of its own.
make('postgres-password', 0o444, () => randomBytes(32).toString('base64url'));
make('database-url', 0o400, () => {
  const password = readFileSync(join(directory, 'postgres-password'), 'utf8').trim();
  return `postgres://twoway:${password}@postgres:5432/twoway`;
});

/** A secret is there whole, or not at all. */
function make(name: string, mode: number, secret: () => string): void {
  const path = join(directory ?? '', name);
  if (existsSync(path)) return;
  writeFileSync(`${path}.part`, `${secret()}\n`, { mode, flush: true });
  renameSync(`${path}.part`, path);
  process.stdout.write(`made ${path}\n`);
}
