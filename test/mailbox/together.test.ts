import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { createTogether } from '../../src/mailbox/together.ts';
import type { Together } from '../../src/mailbox/together.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { readFolders } from '../../src/store/folders.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, toldOf } from './listening.ts';
import type { Scene } from './listening.ts';

const live = { state: 'live', reason: null, nextTryAt: null } as const;

for (const kind of databaseKinds) {
  describe(`what many listeners ask for at once, on ${kind}`, () => {
    let database: TestDatabase;
    let scene: Scene;
    let db: Db;
    let together: Together;

    before(async () => {
      database = await testDatabase(kind);
      ({ db } = database);
      scene = await createScene(db);
      together = createTogether(db);
    });
    after(() => database.drop());

    async function mailboxes(): Promise<[MailboxId, MailboxId, MailboxId]> {
      const [a, b, c] = [await scene.person(), await scene.person(), await scene.person()];
      return [a.mailboxId, b.mailboxId, c.mailboxId];
    }

    const statesOf = async (ids: readonly MailboxId[]) => {
      const found = await rows<{ id: MailboxId; state: string }>(
        db,
        'select id, state from mailboxes where id = any(:ids)',
        { ids: [...ids] },
      );
      return ids.map((id) => found.find((row) => row.id === id)?.state);
    };

    test('C5: states of several mailboxes go together, and each is told its own, once', async () => {
      const [a, b, c] = await mailboxes();
      const missing = newId('mbx');
      const degraded = { state: 'degraded', reason: 'timed_out', nextTryAt: null } as const;
      const outdated = { ...live, state: 'reauth_required', credentialVersion: 7 } as const;
      const answers = await Promise.all([
        together.setState(c, live),
        together.setState(missing, live),
        together.setState(a, degraded),
        together.setState(b, outdated),
      ]);
      assert.deepEqual(answers, ['announced', 'outdated', 'announced', 'outdated']);
      assert.deepEqual(await statesOf([a, b, c]), ['degraded', 'connecting', 'live']);
      const again = [together.setState(a, live), together.setState(c, live)];
      assert.deepEqual(await Promise.all(again), ['announced', 'unchanged']);
      assert.deepEqual(await toldOf(db, a), ['degraded timed_out', 'live']);
      assert.deepEqual(await toldOf(db, b), [], 'what is outdated is told to nobody');
      assert.deepEqual(await toldOf(db, c), ['live']);
    });

    test('C7: what an outage had held back is told to those whose outage it was', async () => {
      const [a, b, c] = await mailboxes();
      const subs = await rows<{ sub: string }>(
        db,
        'select sub_account_id as sub from connections where mailbox_id = :a',
        { a },
      );
      const recovered = new Map(subs.map(({ sub }) => [sub, 3]));
      await Promise.all([
        together.setState(a, { ...live, recovered }),
        together.setState(b, { ...live, recovered: new Map() }),
        together.setState(c, live),
      ]);
      assert.deepEqual(await toldOf(db, a), ['live', 'recovered 3']);
      assert.deepEqual(await toldOf(db, b), ['live', 'recovered 0']);
      assert.deepEqual(await toldOf(db, c), ['live']);
    });

    test('how far each was judged is noted by itself, and never goes back', async () => {
      const [a, b, c] = await mailboxes();
      await run(db, `update mailboxes set trace_until = now() + interval '1 hour' where id = :b`, { b });
      const [t1, t2] = [Date.parse('2026-11-02T10:00:00Z'), Date.parse('2026-11-02T11:00:00Z')];
      const note = (mailboxId: MailboxId, caughtUpTo: number | null, backlog: number) =>
        together.saveProgress({ mailboxId, caughtUpTo, sentLookedMsAgo: null, backlog });
      const first = [note(a, t2, 5), note(newId('mbx'), t2, 9), note(b, t1, 0), note(c, null, 7)];
      assert.deepEqual(await Promise.all(first), [false, false, true, false], 'which are to be traced');
      await Promise.all([note(a, t1, 4), note(b, null, 1)]);
      const found = await rows(
        db,
        `select caught_up_to, sent_looked_at, backlog from mailboxes where id = any(:ids)
          order by array_position(:ids, id)`,
        { ids: [a, b, c] },
      );
      assert.deepEqual(found, [
        { caught_up_to: new Date(t2), sent_looked_at: null, backlog: 4 },
        { caught_up_to: new Date(t1), sent_looked_at: null, backlog: 1 },
        { caught_up_to: null, sent_looked_at: null, backlog: 7 },
      ]);
    });

    test('a login that cannot be noted is in the way of no other, and each has its own line, once', async () => {
      const [a, b] = await mailboxes();
      const [first, missing, second] = await Promise.allSettled([
        together.logLogin(a),
        together.logLogin(newId('mbx')),
        together.logLogin(b),
      ]);
      assert.equal(missing.status, 'rejected');
      const lines = await rows<{ n: string; mailbox_id: MailboxId }>(
        db,
        'select n, mailbox_id from connection_log where mailbox_id = any(:ids) order by n',
        { ids: [a, b] },
      );
      assert.deepEqual(
        lines.map(({ n, mailbox_id }) => [mailbox_id, n]),
        [
          [a, first.status === 'fulfilled' && first.value],
          [b, second.status === 'fulfilled' && second.value],
        ],
      );
    });

    test('folders are those of the mailbox: a listing of one says nothing of another', async () => {
      const [a, b, c] = await mailboxes();
      const inbox = { path: 'INBOX', role: 'inbox' } as const;
      const sent = { path: 'Sent', role: 'sent' } as const;
      const save = async (id: MailboxId, listed: readonly (typeof inbox | typeof sent)[]) =>
        (await together.saveFolders(id, listed)).map(({ path, missing }) => [path, missing]);
      const both = [
        ['INBOX', false],
        ['Sent', false],
      ];
      const began = [save(a, [inbox, sent]), save(b, [inbox, sent]), save(c, [inbox])];
      assert.deepEqual(await Promise.all(began), [both, both, [['INBOX', false]]]);
      const known = (await Promise.all([a, b, c].map((id) => readFolders(db, id))))
        .flat()
        .map(({ id }) => id);
      assert.equal(new Set(known).size, 5);
      const gone = [save(a, [inbox]), save(b, [inbox, sent]), save(c, [inbox, sent])];
      assert.deepEqual(await Promise.all(gone), [
        [
          ['INBOX', false],
          ['Sent', true],
        ],
        both,
        both,
      ]);
      const after = (await Promise.all([a, b, c].map((id) => readFolders(db, id)))).flat();
      assert.ok(
        known.every((id) => after.some((folder) => folder.id === id)),
        'none was made anew',
      );
    });

    test('one that is not there is nobody’s mailbox, and of the others each has its own', async () => {
      const [a, b] = await mailboxes();
      const ids = [b, newId('mbx'), a, b];
      const found = await Promise.all(ids.map((id) => together.readMailbox(id)));
      assert.deepEqual(
        found.map((mailbox) => mailbox?.id),
        [b, undefined, a, b],
      );
      assert.deepEqual(await together.findWork(a), { writes: false, vanished: false });
    });
  });
}

describe('a mailbox that somebody has locked', () => {
  test('waits by itself: the others are answered, and none of them is locked meanwhile', async () => {
    const database = await testDatabase('postgres');
    const { db } = database;
    const scene = await createScene(db);
    const ids: MailboxId[] = [];
    for (let n = 0; n < 3; n += 1) ids.push((await scene.person()).mailboxId);
    // Locked in this order: the first would be held while the batch waited for the second.
    const [first, locked, last] = ids.toSorted();
    assert.ok(first !== undefined && locked !== undefined && last !== undefined);
    const together = createTogether(db);
    const done: string[] = [];
    const ask = (id: MailboxId) => [
      together.setState(id, live).then((change) => void done.push(`state ${ids.indexOf(id)} ${change}`)),
      together
        .saveProgress({ mailboxId: id, caughtUpTo: 1_000, sentLookedMsAgo: null, backlog: 2 })
        .then(() => void done.push(`progress ${ids.indexOf(id)}`)),
      together
        .saveFolders(id, [{ path: 'INBOX', role: 'inbox' }])
        .then(([{ path } = {}]) => void done.push(`folder ${ids.indexOf(id)} ${path}`)),
    ];
    const of = (...asked: MailboxId[]) =>
      asked
        .map((id) => ids.indexOf(id))
        .flatMap((n) => [`progress ${n}`, `state ${n} announced`, `folder ${n} INBOX`])
        .toSorted();
    let waiting: Promise<void>[] = [];
    await db.transaction(async (tx) => {
      await run(tx, 'select from mailboxes where id = :locked for update', { locked });
      const asked = [first, locked, last].map(ask);
      waiting = asked[1] ?? [];
      await waitFor('the others', () => done.toSorted().join() === of(first, last).join());
      await rows(tx, 'select from mailboxes where id = any(:ids) for update nowait', { ids: [first, last] });
    });
    await Promise.all(waiting);
    assert.deepEqual(done.toSorted(), of(first, locked, last));
    assert.deepEqual(await toldOf(db, locked), ['live']);
    await database.drop();
  });
});
