import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clientFindings, clockFindings, consentFindings, serverFindings } from '../src/doctor-findings.ts';
import { askingMeans } from '../src/doctor-means.ts';
import { Failure } from '../src/lib/failure.ts';
import type { Finding } from '../src/lib/finding.ts';
import { findingEnglish } from '../src/lib/finding-words.ts';
import { say } from '../src/lib/said.ts';
import { newId } from '../src/lib/id.ts';
import { resolveProvider } from '../src/provider/providers.ts';
import { run } from '../src/store/database.ts';
import type { Db } from '../src/store/database.ts';
import { readProviderFacts, readServerFacts } from '../src/store/diagnosis.ts';
import type { ProviderFacts, ServerFacts } from '../src/store/diagnosis.ts';
import { databaseKinds, testDatabase } from './support/database.ts';

/** `level: what was found → the fix`. */
const written = (findings: readonly Finding[]) =>
  findings.map((finding) => {
    const line = `${finding.level}: ${say(findingEnglish, finding.found)}`;
    return finding.level === 'ok' ? line : `${line} → ${say(findingEnglish, finding.fix)}`;
  });

function table<Given>(
  name: string,
  find: (given: Given) => Finding[],
  rows: readonly (readonly [title: string, given: Given, expected: readonly RegExp[]])[],
): void {
  describe(`twoway doctor, ${name}`, () => {
    for (const [title, given, expected] of rows) {
      test(title, () => {
        const found = written(find(given));
        assert.equal(found.length, expected.length, found.join('\n'));
        expected.forEach((line, at) => assert.match(found[at] ?? '', line));
      });
    }
  });
}

const server: ServerFacts = {
  version: '15.8',
  encoding: 'UTF8',
  collationChanged: false,
  connectionsMax: 100,
  connectionsUsed: 12,
  now: 0,
};
const usual = { answerMs: 1, connectionsMine: 20, nodes: 1 };

table('the database', ([facts, of]) => serverFindings({ ...server, ...facts }, { ...usual, ...of }), [
  ['sound', [{}, {}], [/^ok: PostgreSQL 15\.8, .* within 1 ms, and has 12 of 100 connections in use$/]],
  ['too old', [{ version: '14.13' }, {}], [/^problem: PostgreSQL 14\.13 is too old → Move to PostgreSQL 15/]],
  [
    'of another encoding',
    [{ encoding: 'SQL_ASCII' }, {}],
    [/^problem: its encoding is SQL_ASCII.* → .*UTF8/],
  ],
  [
    'collation changed',
    [{ collationChanged: true }, {}],
    [/^warning: the collation .* → Run in it: reindex/],
  ],
  [
    'fewer connections than the nodes may open',
    [{}, { nodes: 6 }],
    [/^problem: it allows 100 connections, and the nodes may open 120 → .*TWOWAY_DATABASE_CONNECTIONS/],
  ],
  ['far away', [{}, { answerMs: 30 }], [/^warning: it takes 30 ms .* → Put the gateway near/]],
  ['very far away', [{}, { answerMs: 180 }], [/^problem: it takes 180 ms/]],
] as readonly [string, [Partial<ServerFacts>, Partial<typeof usual>], RegExp[]][]);

table('the clock', clockFindings, [
  ['right', [{ whose: 'database', ms: -1_500 }], [/^ok: as the database has it$/]],
  [
    'ahead',
    [{ whose: 'database', ms: 5_000 }],
    [/^warning: this machine is 5\.0 s ahead of the database → .*chrony/],
  ],
  ['far behind', [{ whose: 'Google', ms: -90_000 }], [/^problem: this machine is 90\.0 s behind Google/]],
  ['nobody could be asked', [{ whose: 'Google', ms: null }], []],
]);

table('the client', ([who, code]) => clientFindings(who, code), [
  ['known', ['Google', 'token_revoked'], [/^ok: Google knows the client and takes its secret$/]],
  [
    'wrong at Google',
    ['Google', 'client_rejected'],
    [/^problem: Google refuses .* → .*TWOWAY_GOOGLE_CLIENT_SECRET/],
  ],
  [
    'wrong at Microsoft',
    ['Microsoft', 'client_rejected'],
    [/^problem: Microsoft refuses .* → .*has not expired.*TWOWAY_MICROSOFT_CLIENT_SECRET/],
  ],
  ['of one tenant', ['Microsoft', 'single_tenant'], [/^problem: .* one organisation.* → .*"tenant"/]],
  [
    'not to be asked',
    ['Google', 'token_endpoint_unreachable'],
    [/^warning: .*\(token_endpoint_unreachable\) → See that/],
  ],
] as readonly [string, ['Google' | 'Microsoft', string], RegExp[]][]);

const nothing: ProviderFacts = { granted: [], diedAfterSevenDays: 0, smtpAuthOff: 0 };
const gmail = resolveProvider('gmail').scopes.mail;

table('consents', (facts: ProviderFacts) => consentFindings(facts, (name) => resolveProvider(name)), [
  ['none', nothing, []],
  [
    'all there',
    { ...nothing, granted: [{ provider: 'gmail', scopes: [...gmail], mailboxes: 3 }] },
    [/^ok: mailboxes that have all .*: 3$/],
  ],
  [
    'a scope is missing',
    { ...nothing, granted: [{ provider: 'gmail', scopes: ['openid'], mailboxes: 2 }] },
    [
      /^problem: mailboxes at gmail that lack https:\/\/mail\.google\.com\/: 2 → Their users must connect again/,
    ],
  ],
  [
    'Testing',
    { ...nothing, diedAfterSevenDays: 4 },
    [/^problem: Gmail mailboxes .* died .* in Testing do: 4 → .*publish/],
  ],
  [
    'SMTP AUTH off',
    { ...nothing, smtpAuthOff: 1 },
    [/^problem: Outlook .*5\.7\.139\): 1 → .*Set-CASMailbox/],
  ],
]);

test('a client is tried by a token that nobody has: what the token endpoint says of that is the answer', async () => {
  const tried: string[] = [];
  const oauthOf = (name: string) => ({
    refresh: ({ refreshToken }: { refreshToken: string }) => {
      tried.push(`${name}: ${refreshToken}`);
      return Promise.reject(new Failure('operator', 'client_rejected', 'no such client'));
    },
  });
  const { tryClient, dateOf } = askingMeans({ oauthOf } as unknown as Parameters<typeof askingMeans>[0]);
  assert.equal(await tryClient('gmail'), 'client_rejected');
  assert.deepEqual(tried, ['gmail: a token that twoway doctor made up']);
  assert.equal(await dateOf('http://127.0.0.1:9/'), null, 'a server that is not there has no date');
});

test('what PostgreSQL says of itself', async () => {
  const { db, drop } = await testDatabase('postgres');
  const facts = await readServerFacts(db);
  assert.match(facts.version, /^\d+/);
  assert.equal(facts.encoding, 'UTF8');
  assert.equal(facts.collationChanged, false);
  assert.ok(facts.connectionsUsed >= 1 && facts.connectionsUsed <= facts.connectionsMax);
  assert.ok(Math.abs(facts.now - Date.now()) < 5_000);
  await drop();
});

for (const kind of databaseKinds) {
  describe(`what is stored of providers, on ${kind}`, () => {
    let db: Db;
    let drop: () => Promise<void>;
    before(async () => {
      const breaks = ['connection_state_is_told', 'mailbox_address_is_users', 'user_has_login_address'];
      ({ db, drop } = await testDatabase(kind, { breaks }));
      await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
    });
    after(() => drop());

    /** A Gmail mailbox with a life: its states, and the hours since the first. */
    async function add(
      user: string,
      life: readonly (readonly [state: string, hours: number])[],
    ): Promise<void> {
      const [mailbox, connection] = [newId('mbx'), newId('con')];
      const ids = { user, mailbox, connection };
      await run(db, 'insert into users (id, name, email) values (:user, :user, :user)', ids);
      await run(db, `insert into memberships (sub_account_id, user_id) values ('acme', :user)`, ids);
      await run(
        db,
        `insert into mailboxes (id, provider, address, canonical, login, identity_key, credential_kind, credential_sealed,
                                scopes, state)
         values (:mailbox, 'gmail', :user, :user, :user, :user, 'oauth', 'sealed', '{openid}', 'live')`,
        ids,
      );
      await run(
        db,
        `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
         values (:connection, 'acme', :user, :mailbox, 'gmail', 'live')`,
        ids,
      );
      for (const [state, hours] of life) {
        await run(
          db,
          `insert into connection_log (connection_id, kind, state, reason, at)
           values (:connection, 'state', :state, case when :state = 'reauth_required' then 'token_revoked' end,
                   now() - interval '100 days' + :hours * interval '1 hour')`,
          { connection, state, hours },
        );
      }
    }

    test('a consent that died at seven days is one of an application in Testing, the first one or a later one', async () => {
      await add('first', [
        ['connecting', 0],
        ['live', 1],
        ['reauth_required', 168],
      ]);
      await add('second', [
        ['connecting', 0],
        ['reauth_required', 900],
        ['connecting', 950],
        ['reauth_required', 1_118],
      ]);
      await add('revoked', [
        ['connecting', 0],
        ['live', 1],
        ['reauth_required', 60],
      ]);
      await add('sound', [
        ['connecting', 0],
        ['live', 168],
      ]);
      const facts = await readProviderFacts(db);
      assert.equal(facts.diedAfterSevenDays, 2);
      assert.equal(facts.smtpAuthOff, 0);
      assert.deepEqual(facts.granted, [{ provider: 'gmail', scopes: ['openid'], mailboxes: 4 }]);
    });
  });
}
