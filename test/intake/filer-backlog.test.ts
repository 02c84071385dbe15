import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createLoggingWorld } from '../filing/logging-world.ts';
import type { LoggingWorld } from '../filing/logging-world.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { createFiler } from '../../src/intake/filer.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

for (const kind of databaseKinds)
  describe(`a backlog of logged mail, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let logging: LoggingWorld;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      logging = createLoggingWorld(world);
      await world.addSubAccount('north');
      await world.addUser('ann', 'ann@mail.example', ['north']);
      await world.addUser('bob', 'bob@mail.example', ['north']);
    });
    after(() => database.drop());

    let written = 0;
    const accept = (user: string, count: number) =>
      logging.accept(
        ...Array.from({ length: count }, () => ({
          from: `${user}@mail.example`,
          to: 'carla@customer.example',
          subject: `Number ${(written += 1)}`,
          of: [['north', user]] as [string, string][],
        })),
      );
    const filed = async () =>
      (await rows(database.db, `select 1 from decisions where reason = 'logged' and outcome = 'stored'`))
        .length;

    /** Which counts its transactions, and for which so much time passes with each, ms. */
    function filerFor(msOfEach: number) {
      let commits = 0;
      const filer = createFiler({
        ...world.filing,
        clock: { ...systemClock, monotonic: () => systemClock.monotonic() + commits * msOfEach },
        wakePublisher: () => void (commits += 1),
        wakeErrands: () => undefined,
        proveMessage: () => Promise.reject(new Error('all of them are proven')),
      });
      return { filer, commits: () => commits };
    }

    test('each user’s mail is filed together, a hundred at a time', async () => {
      for (let n = 0; n < 5; n += 1) {
        await accept('ann', 50);
        await accept('bob', 5);
      }
      const { filer, commits } = filerFor(0);
      filer.start();
      await waitFor('all of it to be filed', async () => (await filed()) === 275, { deadlineMs: 30_000 });
      await filer.stop();
      assert.equal(commits(), 4, 'three for Ann, one for Bob');
    });

    test('what was not begun when the lease was over is left to the next claim', async () => {
      const before = await filed();
      await accept('ann', 600);
      const { filer } = filerFor(30_000);
      filer.start();
      await waitFor('the first of it to be filed', async () => (await filed()) === before + 400, {
        deadlineMs: 30_000,
      });
      const waiting = await rows(
        database.db,
        'select 1 from intake_spool where ready and lease_owner is not null',
      );
      assert.equal(waiting.length, 200);
      await run(database.db, `update intake_spool set lease_until = now() - interval '1 second' where ready`);
      await waitFor('the rest to be filed', async () => (await filed()) === before + 600, {
        deadlineMs: 30_000,
      });
      await filer.stop();
    });
  });
