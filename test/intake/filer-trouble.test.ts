import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createFiler } from '../../src/intake/filer.ts';
import type { Worker } from '../../src/lib/waker.ts';
import { rows, run } from '../../src/store/database.ts';
import { createLoggingWorld } from '../filing/logging-world.ts';
import type { LoggingWorld, ToLog } from '../filing/logging-world.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

const anns: ToLog = { from: 'ann@mail.example', to: 'x@other.example' };
const bobs: ToLog = {
  from: 'bob@mail.example',
  sender: 'bob@mail.example',
  to: 'y@other.example',
  of: [['north', 'bob']],
};

for (const kind of databaseKinds)
  describe(`B5: the filer, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let logging: LoggingWorld;

    before(async () => {
      database = await testDatabase(kind);
    });
    after(() => database.drop());
    beforeEach(async () => {
      await run(database.db, 'truncate sub_accounts, users, mailboxes cascade');
      world = await createWorld(database.db);
      logging = createLoggingWorld(world);
      await world.addSubAccount('north');
      for (const user of ['ann', 'bob']) await world.addUser(user, `${user}@mail.example`, ['north']);
    });

    const filerOn = (parts: Partial<Parameters<typeof createFiler>[0]> = {}): Worker =>
      createFiler({
        ...world.filing,
        wakeErrands: () => undefined,
        proveMessage: () => Promise.reject(new Error('nobody is to be asked')),
        ...parts,
      });
    const states = async () =>
      (
        await rows<{ line: string }>(
          database.db,
          `select user_id || ' ' || state as line from intake_spool order by seq`,
        )
      ).map(({ line }) => line);
    const filed = (wanted: string[]) =>
      waitFor(wanted.join(', '), async () => (await states()).join() === wanted.join());

    test('T3: one whose bytes are gone is kept as failed in the end, and holds nobody', async () => {
      await logging.accept(anns);
      const [lost] = await logging.accept({ ...anns, subject: 'Lost' });
      await logging.accept(bobs);
      await run(database.db, `update intake_spool set attempts = 5 where raw_sha256 = :lost`, {
        lost: lost?.sha256 ?? '',
      });
      const blobs: typeof world.blobs = {
        ...world.blobs,
        get(name, range) {
          if (name === lost?.sha256) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
          return world.blobs.get(name, range);
        },
      };
      const filer = filerOn({ blobs });
      filer.start();
      try {
        await filed(['ann filed', 'ann failed', 'bob filed']);
      } finally {
        await filer.stop();
      }
    });

    test('T3: one whose bytes are not what was accepted is kept as failed, and not dropped as a mail of nobody', async () => {
      const [torn] = await logging.accept(anns);
      world.blobs.all.set(torn?.sha256 ?? '', Buffer.alloc(0));
      await run(database.db, 'update intake_spool set attempts = 5');
      const filer = filerOn();
      filer.start();
      try {
        await filed(['ann failed']);
      } finally {
        await filer.stop();
      }
    });

    test('what cannot be given back to others either does not cut off what is filed beside it', async () => {
      const [first] = await logging.accept(anns);
      await logging.accept(bobs);
      const gate = Promise.withResolvers<void>();
      let wasRefused = false;
      const db = new Proxy(database.db, {
        get(target, name, receiver) {
          const of: unknown = Reflect.get(target, name, receiver);
          if (name !== 'raw') return of;
          return (sql: string, ...rest: unknown[]) => {
            if (sql.includes('set due_at = :dueAt')) {
              wasRefused = true;
              throw new Error('the database is away');
            }
            return (of as (...all: unknown[]) => unknown).call(target, sql, ...rest);
          };
        },
      });
      const blobs: typeof world.blobs = {
        ...world.blobs,
        get(name, range) {
          if (name === first?.sha256) throw new Error('the disk is away');
          return Readable.from(
            (async function* () {
              await gate.promise;
              yield* world.blobs.get(name, range) as AsyncIterable<Buffer>;
            })(),
          );
        },
      };
      const filer = filerOn({ db, blobs });
      filer.start();
      await waitFor('it was to be given back', () => wasRefused);
      const stopped = filer.stop();
      gate.resolve();
      await stopped;
      assert.deepEqual(await states(), ['ann waiting', 'bob filed']);
    });
  });
