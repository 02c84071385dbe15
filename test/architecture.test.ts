import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

/*
 * The shape that ARCHITECTURE promises, held by a test: who may import whom, which library has which
 * one user, which files are pure. Sizes of files and functions are the lint's (.oxlintrc.json).
 */

const root = new URL('../src/', import.meta.url).pathname;

/** A folder may import folders of a lower level, and itself. Flows (4) never import flows. */
const levels: Readonly<Record<string, number>> = {
  lib: 0,
  message: 1,
  provider: 1,
  store: 2,
  filing: 3,
  mailbox: 4,
  intake: 4,
  outbound: 4,
  webhook: 4,
  api: 5,
  console: 5,
  sandbox: 6,
  '.': 7,
};

/** Each protocol library has one place. */
const soleUsers: Readonly<Record<string, readonly string[]>> = {
  imapflow: [
    'mailbox/session.ts',
    'mailbox/imap-client.ts',
    'mailbox/imap-fetch.ts',
    'mailbox/imap-notify.ts',
    'mailbox/imap-write.ts',
  ],
  // The sandbox hands mail over to the gateway's own door.
  nodemailer: ['outbound/', 'sandbox/relay.ts'],
  mailparser: ['message/mime.ts'],
  // The sandbox is a provider of its own and needs a server to be one.
  'smtp-server': ['intake/', 'sandbox/smtp-server.ts'],
  mailauth: ['intake/evaluate.ts', 'intake/mailauth-tools.d.ts'],
  'google-auth-library': ['provider/'],
  '@azure/msal-node': ['provider/'],
  'openid-client': ['console/admin/identity-provider.ts'],
  uqr: ['console/admin/second-factor.tsx'],
  knex: ['store/'],
  '@aws-sdk/client-s3': ['store/blobs-s3.ts'],
  '@electric-sql/pglite': ['store/'],
};

/** Decisions that are tables and functions alone: no I/O, no clock, no log. */
const pure = [
  'message/attachment-limits.ts',
  'message/forwarded.ts',
  'message/forwarded-start.ts',
  'message/forwarded-bodies.ts',
  'message/forwarded-date.ts',
  'message/forwarded-addresses.ts',
  'message/tracked-html.ts',
  'message/untracked.ts',
  'message/delivery-report.ts',
  'message/plain-delivery-report.ts',
  'filing/decide.ts',
  'filing/rules.ts',
  'filing/because.ts',
  'filing/logged-rules.ts',
  'filing/facts.ts',
  'filing/reports.ts',
  'filing/explain.ts',
  'filing/sighting.ts',
  'mailbox/plan.ts',
  'mailbox/change-plan.ts',
  'mailbox/wanted-plan.ts',
  'mailbox/outage.ts',
  'mailbox/imap-errors.ts',
  'mailbox/autoconfig.ts',
  'mailbox/srv.ts',
  'mailbox/login-steps.ts',
  'outbound/route.ts',
  'outbound/states.ts',
  'outbound/smtp-errors.ts',
  'outbound/opener.ts',
  'message/tracking-links.ts',
  'intake/verify.ts',
  'intake/domain-findings.ts',
  'intake/certificate-findings.ts',
  'intake/smtp-findings.ts',
  'intake/log-address.ts',
  'provider/connection-states.ts',
  'console/admin/password-rules.ts',
  'console/admin/totp.ts',
  'provider/mail-hosts.ts',
  'lib/xml.ts',
  'lib/said.ts',
  'lib/finding.ts',
];

/** What few starts need: loaded at its place of use, and by no start with everything else. */
const loadedLate = [
  '@aws-sdk/client-s3',
  '@azure/msal-node',
  '@electric-sql/pglite',
  'google-auth-library',
  'mailauth',
];

/** `late`: by `await import()`. */
type Import = { from: string; to: string; typeOnly: boolean; late: boolean };

const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
const imports = files.flatMap(importsOf);

describe('architecture', () => {
  test('folders import lower levels only, and flows never flows', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!to.startsWith('./') && !to.startsWith('../')) return false;
      const [source, target] = [folderOf(from), folderOf(resolve(from, to))];
      if (source === target || target === 'migrations') return false;
      return levelOf(target) >= levelOf(source);
    });
    assert.deepEqual(wrong.map(line), []);
  });

  test('the sandbox imports nothing of ours but lib/', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (folderOf(from) !== 'sandbox' || !to.startsWith('.')) return false;
      return !['sandbox', 'lib'].includes(folderOf(resolve(from, to)));
    });
    assert.deepEqual(wrong.map(line), []);
  });

  for (const [library, users] of Object.entries(soleUsers)) {
    test(`${library} has one user`, () => {
      const found = imports.filter(({ to }) => to === library || to.startsWith(`${library}/`));
      // The pure address parser that mailparser and nodemailer share is no mail transport.
      const wrong = found.filter(
        ({ from, to }) => !to.endsWith('addressparser') && !users.some((user) => from.startsWith(user)),
      );
      assert.deepEqual(wrong.map(line), []);
      assert.ok(found.length > 0, `nobody imports ${library}: is it still needed?`);
    });
  }

  test('a start loads only what every start needs, and a command only its own', () => {
    const byStart = loadedWith('main.ts');
    assert.deepEqual(
      loadedLate.filter((library) => byStart.has(library)),
      [],
    );
    assert.ok(byStart.has('knex'));
    for (const file of ['sandbox/sandbox.ts', 'console/app.tsx']) assert.ok(!byStart.has(file), file);
    const byCommand = [...loadedWith('cli.ts')];
    assert.ok(byCommand.includes('config.ts'));
    assert.deepEqual(
      byCommand.filter((name) => /^(?:knex|undici|store\/|filing\/|api\/)/.test(name)),
      [],
    );
  });

  test('pure files import no I/O, no clock and no log, and read no time', () => {
    const impure =
      /^(node:(?!crypto)|undici|pino|knex|imapflow|nodemailer)|lib\/(clock|log)|store\/(?!.*public)/;
    const wrong = imports.filter(
      ({ from, to, typeOnly }) => pure.includes(from) && !typeOnly && impure.test(to),
    );
    assert.deepEqual(wrong.map(line), []);
    for (const file of pure) {
      assert.doesNotMatch(
        readFileSync(join(root, file), 'utf8'),
        /Date\.now|new Date\(\)|Math\.random|process\./,
        file,
      );
    }
  });

  test('only config.ts and main.ts know the environment', () => {
    const readers = files.filter((file) => readFileSync(join(root, file), 'utf8').includes('process.env'));
    assert.deepEqual(
      readers.filter((file) => !['main.ts', 'cli.ts'].includes(file)),
      [],
    );
  });
});

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const early = [...text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm)];
  const late = [...text.matchAll(/\bimport\('([^']+)'\)/g)];
  return [
    ...early.map(([, type, to]) => ({ from: file, to: to ?? '', typeOnly: type !== undefined, late: false })),
    ...late.map(([, to]) => ({ from: file, to: to ?? '', typeOnly: false, late: true })),
  ];
}

/** The files and the libraries that are loaded with a file of ours. */
function loadedWith(file: string, loaded = new Set<string>()): Set<string> {
  if (loaded.has(file)) return loaded;
  loaded.add(file);
  for (const { to, typeOnly, late } of imports.filter(({ from }) => from === file)) {
    if (typeOnly || late) continue;
    if (to.startsWith('.')) loadedWith(resolve(file, to), loaded);
    else loaded.add(to.split('/', to.startsWith('@') ? 2 : 1).join('/'));
  }
  return loaded;
}

function resolve(from: string, to: string): string {
  return new URL(to, `file:///src/${from}`).pathname.replace(/^\/src\//, '');
}

function folderOf(file: string): string {
  if (file.startsWith('/migrations')) return 'migrations';
  return file.includes('/') ? (file.split('/')[0] ?? '.') : '.';
}

function levelOf(folder: string): number {
  const level = levels[folder];
  if (level === undefined) assert.fail(`the folder ${folder} has no level`);
  return level;
}

function line({ from, to }: Import): string {
  return `${from} → ${to}`;
}
