import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createSecretBox, keyNameOf } from '../../src/lib/secret-box.ts';
import type { KeyRing } from '../../src/lib/secret-box.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { makeSecretBox, openSecretBox } from '../../src/store/hash-key.ts';
import { countSealed, resealAll, sealedColumns } from '../../src/store/sealed.ts';
import { createTokenStore } from '../../src/store/tokens.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const [first, second, stranger] = [1, 2, 3].map((n) => Buffer.alloc(32, n)) as [Buffer, Buffer, Buffer];
const never = new AbortController().signal;

for (const kind of databaseKinds) {
  describe(`keys that seal are replaced while the gateway runs, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    before(async () => {
      database = await testDatabase(kind, { breaks: ['credential_is_in_use'] });
      ({ db } = database);
    });
    after(() => database.drop());

    const nameOf = (key: Buffer) => createSecretBox([key]).keyNames[0] ?? '';

    test('the list names every column of the schema that holds sealed values', async () => {
      const found = await rows<{ table: string; column: string }>(
        db,
        `select table_name as "table", column_name as "column" from information_schema.columns
          where table_schema = 'public' and column_name like '%\\_sealed'`,
      );
      const names = (list: readonly { table: string; column: string }[]) =>
        list.map(({ table, column }) => `${table}.${column}`).sort();
      assert.deepEqual(names(sealedColumns), names(found));
    });

    test('the hash key is made once, of two nodes that start together, and stays when the ring turns', async () => {
      assert.equal(await openSecretBox(db, [first]), null, 'whoever only looks makes none');
      const [one, two] = await Promise.all([makeSecretBox(db, [first]), makeSecretBox(db, [first])]);
      const hash = one.mac('tombstone', 'x');
      assert.deepEqual(two.mac('tombstone', 'x'), hash);
      assert.notDeepEqual(createSecretBox([first]).mac('tombstone', 'x'), hash, 'it is none of the ring');
      for (const ring of [
        [second, first],
        [first, second],
      ] as KeyRing[])
        assert.deepEqual((await openSecretBox(db, ring))?.mac('tombstone', 'x'), hash);
      await assert.rejects(openSecretBox(db, [second]), (error: Error) => {
        assert.match(
          error.message,
          new RegExp(`opens with the key ${nameOf(first)}, .* has ${nameOf(second)}`),
        );
        return true;
      });
    });

    test('every value is sealed anew, by two nodes at once, and opens without the old key', async () => {
      const old = (await openSecretBox(db, [first])) ?? assert.fail();
      const expected = await fill(db, (context) => old.seal(`secret of ${context}`, context));
      await run(db, `update webhooks set secret_sealed = :sealed where id = 'whk_lost'`, {
        sealed: createSecretBox([stranger]).seal('x', 'webhooks.secret_sealed whk_lost'),
      });
      const box = (await openSecretBox(db, [second, first])) ?? assert.fail();
      const rounds = await Promise.all([resealAll(db, box, never), resealAll(db, box, never)]);
      assert.equal(rounds[0].resealed + rounds[1].resealed, expected.length, 'each once');
      assert.equal(rounds[0].lost, 2, 'what does not open is left as it is, and counted');
      assert.deepEqual(await countSealed(db), [
        { key: nameOf(second), sealed: expected.length },
        ...[nameOf(first), nameOf(stranger)].sort().map((key) => ({ key, sealed: 1 })),
      ]);
      const alone =
        (await openSecretBox(db, [second])) ?? assert.fail('the hash key opens without the old one');
      for (const { table, column, id, context } of expected.filter(({ table }) => table !== 'installation')) {
        const [row] = await rows<{ sealed: string }>(
          db,
          `select ${column} as sealed from ${table} where id = :id`,
          { id },
        );
        assert.equal(alone.open(row?.sealed ?? '', context), `secret of ${context}`, `${table}.${column}`);
      }
      assert.deepEqual(
        alone.mac('tombstone', 'x'),
        old.mac('tombstone', 'x'),
        'what was hashed is found again',
      );
      assert.deepEqual(await resealAll(db, box, never), { resealed: 0, lost: 2 }, 'and no more than once');
    });

    test('a token that is refreshed meanwhile is not undone', async () => {
      const box = createSecretBox([first, second]);
      const store = createTokenStore(db, createSecretBox([second]));
      const mailboxId: MailboxId = 'mbx_0';
      const [before] = await rows<{ version: string }>(
        db,
        'select token_version as version from mailboxes where id = :mailboxId',
        { mailboxId },
      );
      const refreshed = store.saveTokens(mailboxId, Number(before?.version), {
        accessToken: 'new access',
        accessTokenExpiresAt: Date.now() + 60_000,
        refreshToken: 'new refresh',
      });
      const [saved] = await Promise.all([refreshed, resealAll(db, box, never)]);
      assert.equal(saved, true);
      await resealAll(db, box, never);
      const kept = await createTokenStore(db, createSecretBox([first])).readCredential(mailboxId);
      assert.deepEqual([kept?.refreshToken, kept?.accessToken], ['new refresh', 'new access']);
    });

    test('it stops between two portions when the gateway does', async () => {
      const stopped = AbortSignal.abort();
      const box = createSecretBox([second, first]);
      assert.deepEqual(await resealAll(db, box, stopped), { resealed: 0, lost: 0 });
    });
  });
}

type Sealed = { table: string; column: string; id: string; context: string };

/** Rows with a sealed value in each column; more mailboxes than go into one portion. */
async function fill(db: Db, seal: (context: string) => string): Promise<Sealed[]> {
  const made: Sealed[] = [];
  const value = (table: string, column: string, id: string, context: string): string => {
    made.push({ table, column, id, context });
    return seal(context);
  };
  await run(
    db,
    `insert into sub_accounts (id, name, provider, provider_password_sealed) values ('acme', 'Acme', '{}', :sealed)`,
    {
      sealed: value(
        'sub_accounts',
        'provider_password_sealed',
        'acme',
        'sub_accounts.provider_password acme',
      ),
    },
  );
  for (let n = 0; n < 120; n += 1) {
    const id = `mbx_${n}`;
    await run(
      db,
      `insert into mailboxes (id, provider, address, canonical, login, identity_key, state, credential_kind, credential_sealed,
                              access_token_sealed, access_token_expires_at)
       values (:id, 'gmail', :id || '@mail.example', :id || '@mail.example', :id, :id, 'live', 'oauth', :credential, :token, now())`,
      {
        id,
        credential: value('mailboxes', 'credential_sealed', id, `mailboxes.credential ${id}`),
        token: value('mailboxes', 'access_token_sealed', id, `mailboxes.access_token ${id}`),
      },
    );
  }
  await run(
    db,
    `insert into revocations (id, provider, identity_key, token_sealed, sealed_for, ready)
     values ('rvk_1', 'gmail', 'g', :sealed, 'mailboxes.credential mbx_gone', false)`,
    { sealed: value('revocations', 'token_sealed', 'rvk_1', 'mailboxes.credential mbx_gone') },
  );
  await run(db, `insert into users (id, name, email) values ('ann', 'Ann', 'ann@crm.example')`);
  await run(db, `insert into user_addresses values ('ann', 'login', 'ann@crm.example')`);
  await run(db, `insert into memberships (sub_account_id, user_id) values ('acme', 'ann')`);
  await run(
    db,
    `insert into connect_links (id, token_hash, sub_account_id, user_id, expires_at)
     values ('lnk_1', 'x', 'acme', 'ann', now() + interval '1 hour')`,
  );
  await run(
    db,
    `insert into consents (id, link_id, provider, browser_hash, secrets_sealed) values ('c1', 'lnk_1', 'gmail', 'x', :sealed)`,
    { sealed: value('consents', 'secrets_sealed', 'c1', 'consents.secrets c1') },
  );
  await run(
    db,
    `insert into proven_logins (id, token_hash, link_id, mailbox, credential_sealed, access_token_sealed, expires_at)
     values ('pvl_1', 'x', 'lnk_1', '{}', :credential, :token, now() + interval '1 hour')`,
    {
      credential: value('proven_logins', 'credential_sealed', 'pvl_1', 'proven_logins.credential pvl_1'),
      token: value('proven_logins', 'access_token_sealed', 'pvl_1', 'proven_logins.access_token pvl_1'),
    },
  );
  await run(
    db,
    `insert into administrators (id, email, canonical, totp_secret_sealed) values ('adm_1', 'a@operator.example', 'a@operator.example', :sealed)`,
    { sealed: value('administrators', 'totp_secret_sealed', 'adm_1', 'administrators.totp_secret adm_1') },
  );
  for (const id of ['whk_1', 'whk_lost', 'whk_moved']) {
    const context = `webhooks.secret_sealed ${id}`;
    const sealed =
      id !== 'whk_1'
        ? seal(id === 'whk_lost' ? context : 'another row')
        : value('webhooks', 'secret_sealed', id, context);
    await run(
      db,
      `insert into webhooks (id, url, types, secret_sealed) values (:id, 'https://crm.example/', '{}', :sealed)`,
      { id, sealed },
    );
  }
  const [installation] = await rows<{ id: string; sealed: string }>(
    db,
    'select id, hash_key_sealed as sealed from installation',
  );
  assert.notEqual(keyNameOf(installation?.sealed ?? ''), '');
  made.push({ table: 'installation', column: 'hash_key_sealed', id: installation?.id ?? '', context: '' });
  return made;
}
