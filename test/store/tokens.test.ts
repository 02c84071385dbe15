import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { MailboxId } from '../../src/lib/id.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import type { TokenStore } from '../../src/provider/tokens.ts';
import { openDatabase, rows, run } from '../../src/store/database.ts';
import type { Database } from '../../src/store/database.ts';
import { credentialContext } from '../../src/store/mailboxes.ts';
import { createTokenStore } from '../../src/store/tokens.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';

describe('tokens of a mailbox, by two nodes on one PostgreSQL', () => {
  let url: string;
  const databases: Database[] = [];
  let a: TokenStore;
  let b: TokenStore;
  const box: MailboxId = 'mbx_1';
  const other: MailboxId = 'mbx_2';
  const secretBox = createSecretBox([Buffer.alloc(32, 7)]);
  const minute = 60_000;
  const tokens = (name: string) => ({
    refreshToken: `refresh of ${name}`,
    accessToken: `access of ${name}`,
    accessTokenExpiresAt: Date.UTC(2030, 0, 1),
  });
  const sql = (statement: string) => run(databases[0]!.db, statement);
  const version = async () => (await a.readCredential(box))?.version ?? -1;

  before(async () => {
    url = await createPostgresDatabase('migrated');
    for (let n = 0; n < 2; n += 1)
      databases.push(await openDatabase({ kind: 'postgres', url, connectionsMax: 10 }));
    [a, b] = databases.map(({ db }) => createTokenStore(db, secretBox)) as [TokenStore, TokenStore];
  });
  after(async () => {
    for (const database of databases) await database.close();
    await dropPostgresDatabase(url);
  });
  beforeEach(async () => {
    await sql('truncate mailboxes cascade');
    for (const id of [box, other]) {
      await run(
        databases[0]!.db,
        `insert into mailboxes (id, provider, address, canonical, login, state, credential_kind, credential_sealed)
         values (:id, 'gmail', 'a', :id, 'ann@company.example', 'live', 'oauth', :sealed)`,
        { id, sealed: secretBox.seal('refresh-0', credentialContext(id)) },
      );
    }
  });

  test('the lease is had by one of many who ask at once', async () => {
    const asked = Array.from({ length: 16 }, (_, n) =>
      (n % 2 === 0 ? a : b).tryLockRefresh(box, `n${n}`, minute),
    );
    assert.equal((await Promise.all(asked)).filter(Boolean).length, 1);
    assert.equal(await b.tryLockRefresh(other, 'n2', minute), true, 'each mailbox has its own');
  });

  test('the lease may be prolonged by its holder, and taken when it has run out or was given back', async () => {
    assert.equal(await a.tryLockRefresh(box, 'n1', minute), true);
    assert.equal(await a.tryLockRefresh(box, 'n1', minute), true);
    assert.equal(await b.tryLockRefresh(box, 'n2', minute), false);
    await b.unlockRefresh(box, 'n2');
    assert.equal(await b.tryLockRefresh(box, 'n2', minute), false, 'only the holder gives it back');
    await sql(`update mailboxes set refresh_lease_until = now() - interval '1 ms'`);
    assert.equal(await b.tryLockRefresh(box, 'n2', minute), true);
    assert.equal(await a.tryLockRefresh(box, 'n1', minute), false);
    await b.unlockRefresh(box, 'n2');
    assert.equal(await a.tryLockRefresh(box, 'n1', minute), true);
  });

  test('the lease counts by the time of the database, wherever the clock of a node stands', async (t) => {
    for (const wrong of [Date.UTC(2020, 0, 1), Date.UTC(2099, 0, 1)]) {
      t.mock.timers.enable({ apis: ['Date'], now: wrong });
      assert.equal(await a.tryLockRefresh(box, 'n1', minute), true);
      t.mock.timers.reset();
      const [row] = await rows<{ ms: number }>(
        databases[0]!.db,
        `select (extract(epoch from refresh_lease_until - now()) * 1000)::float8 as ms from mailboxes where id = 'mbx_1'`,
      );
      assert.ok(row !== undefined && row.ms > 50_000 && row.ms <= minute, `${row?.ms}`);
    }
  });

  test('of two refreshes of one version the first is kept, whole', async () => {
    const before = await version();
    const saved = await Promise.all([
      a.saveTokens(box, before, tokens('a')),
      b.saveTokens(box, before, tokens('b')),
    ]);
    assert.equal(saved.filter(Boolean).length, 1);
    const winner = saved[0] ? 'a' : 'b';
    assert.deepEqual(await b.readCredential(box), {
      provider: 'gmail',
      login: 'ann@company.example',
      ...tokens(winner),
      version: before + 1,
    });
    assert.equal((await a.readCredential(other))?.refreshToken, 'refresh-0', 'no other mailbox is touched');
    assert.equal(await b.saveTokens(box, before, tokens('late')), false);
    assert.equal(await b.saveTokens(box, before + 1, tokens('next')), true);
    assert.equal((await a.readCredential(box))?.refreshToken, 'refresh of next');
  });

  test('a refresh brings no erased credential back', async () => {
    const before = await version();
    await sql('update mailboxes set credential_sealed = null, access_token_sealed = null');
    assert.equal(await a.saveTokens(box, before, tokens('a')), false);
    assert.equal(await a.readCredential(box), null);
  });
});
