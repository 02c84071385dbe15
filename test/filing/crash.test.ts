import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import { createWorld } from './world.ts';
import type { Letter, TestMailbox, World } from './world.ts';

import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds)
  describe(`crashes while filing, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      await world.addSubAccount('north');
      await world.addSubAccount('south');
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      for (const sub of ['north', 'south']) await world.addContact(sub, 'c1', ['carla@customer.example']);
    });

    after(() => database.drop());

    /** The process ends here. */
    class Crash extends Error {}

    /** Counts down over everything that leaves the process: statements, commits and blobs; crashes at zero. */
    function fuse(steps: number) {
      let left = steps;
      return {
        burnt: () => left < 0,
        burn: () => {
          left -= 1;
          if (left < 0) throw new Crash('killed');
        },
      };
    }

    type Fuse = ReturnType<typeof fuse>;

    function fragileDb(db: Db, match: Fuse): Db {
      return new Proxy(db, {
        get(target, name, receiver) {
          if (name === 'raw') {
            return (...words: Parameters<Db['raw']>) => {
              match.burn();
              return target.raw(...words);
            };
          }
          if (name === 'transaction') {
            return async (work: (tx: Db) => Promise<unknown>) => {
              const done = await target.transaction((tx) => work(fragileDb(tx, match)));
              match.burn(); // committed, and the caller never hears of it
              return done;
            };
          }
          return Reflect.get(target, name, receiver) as unknown;
        },
      });
    }

    function fragileBlobs(blobs: BlobStore, match: Fuse): BlobStore {
      return {
        ...blobs,
        put: async (contents) => {
          match.burn();
          const names = await blobs.put(contents);
          match.burn();
          return names;
        },
      };
    }

    test('S12, T1: killed at any point of filing and started again, everything is there once', async () => {
      let points = 0;
      for (let steps = 0; ; steps += 1) {
        const address = `ann-crash-${steps}@mail.example`;
        const mailbox = await world.connect(address, [
          ['north', 'ann'],
          ['south', 'ann'],
        ]);
        const letters: Letter[] = [
          {
            id: `k1-${steps}@x.example`,
            from: 'carla@customer.example',
            to: address,
            subject: `Crash ${steps}`,
          },
          {
            id: `k2-${steps}@x.example`,
            from: 'doctor@clinic.example',
            to: address,
            subject: `Private ${steps}`,
          },
          {
            id: `k3-${steps}@x.example`,
            from: 'stan@stranger.example',
            to: `${address}, carla@customer.example`,
            subject: `Re: Crash ${steps}`,
            inReplyTo: `k1-${steps}@x.example`,
          },
        ];
        const crashed = await seeWithCrash(mailbox, letters, steps);
        await assertOnce(address, steps);
        if (!crashed) break;
        points += 1;
      }
      assert.ok(points > 10, `only ${points} points were tried`);
    });

    /** Files the letters with a fuse, then, as a restarted process would, from where the database stands. */
    async function seeWithCrash(mailbox: TestMailbox, letters: Letter[], steps: number): Promise<boolean> {
      const match = fuse(steps);
      const { filing } = world;
      const sound = { db: filing.db, blobs: filing.blobs };
      filing.db = fragileDb(sound.db, match);
      filing.blobs = fragileBlobs(sound.blobs, match);
      const crashed = await mailbox.see('inbox', ...letters).then(
        () => false,
        (error: unknown) => {
          assert.ok(error instanceof Crash, String(error));
          return true;
        },
      );
      Object.assign(filing, sound);
      if (!crashed) return false;
      const folder = mailbox.folder('inbox');
      const [row] = await rows<{ cursor_uid: string }>(
        sound.db,
        'select cursor_uid from folders where id = :id',
        { id: folder.id },
      );
      folder.cursorUid = Number(row?.cursor_uid);
      if (folder.cursorUid < letters.length) await mailbox.see('inbox', ...letters.slice(folder.cursorUid));
      return true;
    }

    async function assertOnce(address: string, steps: number): Promise<void> {
      const counts = await rows<Record<string, string>>(
        database.db,
        `select (select count(*) from messages where subject like :subject) as messages,
            (select count(distinct thread_id) from messages where subject like :subject) as threads,
            (select count(*) from events where type = 'message.created' and data ->> 'subject' like :subject) as told,
            (select count(*) from sightings s join mailboxes m on m.id = s.mailbox_id where m.address = :address) as sightings,
            (select count(*) from decisions d join mailboxes m on m.id = d.mailbox_id where m.address = :address) as decisions`,
        { subject: `%Crash ${steps}`, address },
      );
      assert.deepEqual(
        counts[0],
        { messages: '4', threads: '2', told: '4', sightings: '4', decisions: '6' },
        `killed after ${steps} steps`,
      );
    }
  });
