import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { AdministratorId } from '../../src/lib/id.ts';
import { askedFrom, listAudit, writeAudit } from '../../src/store/audit.ts';
import { run } from '../../src/store/database.ts';
import type { AuditPage } from '../../src/store/audit.ts';
import type { Db } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds) {
  describe(`the audit log, ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    const root: AdministratorId = 'adm_root';
    before(async () => {
      database = await testDatabase(kind);
      ({ db } = database);
      await run(
        db,
        `insert into administrators (id, email, canonical) values (:root, 'root@operator.example', 'root')`,
        { root },
      );
    });
    after(() => database.drop());

    const all: AuditPage = { before: null, administratorId: null, noun: null, limit: 10 };

    test('says who did what to what, and from where, also when that administrator is gone', async () => {
      await askedFrom('192.0.2.7', () =>
        db.transaction((tx) =>
          writeAudit(tx, {
            administratorId: root,
            action: 'key.made',
            subject: 'key_1',
            details: { scope: 'read', sub_account_id: null },
          }),
        ),
      );
      await writeAudit(db, { administratorId: null, action: 'keyring.turned', subject: null });
      await run(db, 'delete from administrators where id = :root', { root });
      const [later, entry] = await listAudit(db, all);
      assert.deepEqual(
        { ...entry, id: '', at: '' },
        {
          id: '',
          at: '',
          administratorId: root,
          email: 'root@operator.example',
          action: 'key.made',
          subject: 'key_1',
          details: { scope: 'read', sub_account_id: null },
          client: '192.0.2.7',
        },
      );
      assert.ok(Math.abs(Date.parse(entry?.at ?? '') - Date.now()) < 60_000);
      assert.deepEqual([later?.action, later?.email, later?.client], ['keyring.turned', null, null]);
    });

    test('what was undone is not in it', async () => {
      const undone = db.transaction(async (tx) => {
        await writeAudit(tx, { administratorId: null, action: 'held.released', subject: 'spl_1' });
        throw new Error('undone');
      });
      await assert.rejects(undone, { message: 'undone' });
      assert.deepEqual(await listAudit(db, { ...all, noun: 'held' }), []);
    });

    test('is read page by page, by administrator and by what it was done to', async () => {
      const actions = async (page: Partial<AuditPage>) =>
        (await listAudit(db, { ...all, ...page })).map(({ action }) => action);
      assert.deepEqual(await actions({ noun: 'key' }), ['key.made']);
      assert.deepEqual(await actions({ administratorId: root }), ['key.made']);
      const [first] = await listAudit(db, { ...all, limit: 1 });
      assert.deepEqual(await actions({ before: first?.id ?? null, limit: 1 }), ['key.made']);
    });
  });
}
