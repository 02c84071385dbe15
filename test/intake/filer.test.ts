import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Readable } from 'node:stream';
import { createFiler } from '../../src/intake/filer.ts';
import type { Worker } from '../../src/lib/waker.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Proof } from '../../src/store/spool.ts';
import { createLoggingWorld } from '../filing/logging-world.ts';
import type { LoggingWorld } from '../filing/logging-world.ts';
import { createWorld, rawOf } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

const pending: Proof = {
  verdict: 'pending',
  domain: 'mail.example',
  by: null,
  spf: null,
  dkim: null,
  dmarcPolicy: null,
  arc: null,
};

for (const kind of databaseKinds)
  describe(`B5, T3: accepted mail is filed, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let logging: LoggingWorld;
    let filers: Worker[] = [];
    /** What reading a mail of these hashes throws. */
    let broken: Map<string, Error>;

    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(database.db, 'truncate sub_accounts, users, mailboxes cascade');
      world = await createWorld(database.db);
      logging = createLoggingWorld(world);
      broken = new Map();
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@mail.example', ['north']);
    });
    afterEach(async () => {
      await Promise.all(filers.splice(0).map((filer) => filer.stop()));
    });

    const start = (proveMessage: () => Promise<Proof> = () => Promise.resolve(pending)) => {
      const get: World['blobs']['get'] = (name, range) => {
        const error = broken.get(name);
        return error === undefined ? world.blobs.get(name, range) : unreadable(error);
      };
      const filer = createFiler({
        ...world.filing,
        blobs: { ...world.blobs, get },
        wakeErrands: () => undefined,
        proveMessage,
      });
      filer.start();
      filers.push(filer);
      return filer;
    };
    const states = async () =>
      (
        await rows<{ line: string }>(
          database.db,
          `select state || ' ' || attempts || case when ready and due_at > now() then ' later' else '' end as line
             from intake_spool order by seq`,
        )
      ).map(({ line }) => line);
    const dueNow = (more = '') =>
      run(database.db, `update intake_spool set due_at = now()${more} where ready`);
    const mail = (subject: string) => ({ from: 'ann@mail.example', to: 'x@other.example', subject });

    test('what waits is filed, by one of several, once', async () => {
      await logging.accept(...Array.from({ length: 30 }, (_, n) => mail(`mail ${n}`)));
      start();
      start();
      await waitFor('all to be filed', async () =>
        (await states()).every((state) => state.startsWith('filed')),
      );
      const messages = await world.messages('north');
      assert.equal(messages.length, 30);
      assert.equal(new Set(messages.map(({ subject }) => subject)).size, 30);
    });

    for (const [what, error] of [
      ['a mail that our own code fails at', new TypeError('of this mail')],
      ['a mail whose bytes are not there', Object.assign(new Error('no such file'), { code: 'ENOENT' })],
    ] as const) {
      test(`${what} holds no other of its user, and is kept as failed after some tries`, async () => {
        const raw = rawOf(mail('bad'));
        await logging.accept(mail('one'), { ...mail('bad'), raw }, mail('two'));
        broken.set(createHash('sha256').update(raw).digest('hex'), error);
        const filer = start();
        await waitFor('the others', async () => (await world.messages('north')).length === 2);
        await waitFor('it to be put off', async () => (await states())[1] === 'waiting 1 later');
        await dueNow(', attempts = 5');
        filer.wake();
        await waitFor('it to be given up', async () => (await states())[1]?.startsWith('failed') === true);
        const decisions = await rows(database.db, `select reason from decisions where outcome = 'failed'`);
        assert.deepEqual(decisions, [{ reason: 'unreadable' }]);
      });
    }

    test('a disk or a database in trouble is waited for, however long that takes', async () => {
      const raw = rawOf(mail('bad'));
      await logging.accept({ ...mail('bad'), raw });
      const hash = createHash('sha256').update(raw).digest('hex');
      broken.set(hash, Object.assign(new Error('i/o error'), { code: 'EIO' }));
      const filer = start();
      await waitFor('it to be put off', async () => (await states())[0] === 'waiting 1 later');
      await dueNow(', attempts = 500');
      filer.wake();
      await waitFor('it to be put off again', async () => (await states())[0] === 'waiting 501 later');
      broken.clear();
      await dueNow();
      filer.wake();
      await waitFor('it to be filed', async () => (await world.messages('north')).length === 1);
    });

    test('B4: a sender of whom DNS said nothing is asked about again, and what it says then is kept', async () => {
      await logging.accept({ ...mail('one'), proof: 'pending' });
      let proof = pending;
      const filer = start(() => Promise.resolve(proof));
      await waitFor('it to be put off', async () => (await states())[0] === 'waiting 1 later');
      proof = { ...pending, verdict: 'proven', by: 'spf', spf: 'pass' };
      await dueNow();
      filer.wake();
      await waitFor('it to be logged', async () => (await world.messages('north')).length === 1);
      const kept = await rows(database.db, `select proof ->> 'verdict' as verdict from intake_spool`);
      assert.deepEqual(kept, [{ verdict: 'proven' }]);
    });

    test('B4: after an hour of that a person decides', async () => {
      await logging.accept({ ...mail('one'), proof: 'pending', receivedAt: Date.now() - 61 * 60_000 });
      start();
      await waitFor('it to be held', async () => (await states())[0]?.startsWith('held') === true);
    });

    test('stopped, it leaves what is not filed to others', async () => {
      await start().stop();
      await logging.accept(mail('one'));
      assert.deepEqual(await states(), ['waiting 0']);
      start();
      await waitFor('the next one to file it', async () => (await world.messages('north')).length === 1);
    });
  });

function unreadable(error: Error): Readable {
  return new Readable({
    read() {
      this.destroy(error);
    },
  });
}
