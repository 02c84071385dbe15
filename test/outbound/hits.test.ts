import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createHits } from '../../src/outbound/hits.ts';
import type { Hits, HitsDeps } from '../../src/outbound/hits.ts';
import type { Opener } from '../../src/outbound/opener.ts';
import { newId } from '../../src/lib/id.ts';
import type { SendId } from '../../src/lib/id.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
const html =
  '<a href="https://a.example/">a</a><a href="https://b.example/">b</a><a href="https://a.example/">A</a>';

for (const kind of databaseKinds) {
  describe(`D7: openings and clicks, on ${kind}`, () => {
    let office: Office;
    before(async () => {
      office = await openOffice(kind);
      await office.addContact('carla', 'carla@customer.example');
      await office.connect({ userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
    });
    after(() => office.close());

    /** A tracked message, its tries so long ago; null: none. */
    async function send(agoS: number | null, outcome: 'accepted' | 'uncertain' | 'temporary' = 'accepted') {
      const track = { opens: true, clicks: true };
      const answer = await office.accept({ userId: 'anna', contactId: 'carla', text: 'x', html, track });
      const { id } = answer.send;
      if (agoS !== null) {
        await run(
          office.db,
          `insert into send_attempts (send_id, n, started_at, ended_at, outcome)
           values (:id, 1, now() - :agoS * interval '1 second', now() - :agoS * interval '1 second', :outcome)`,
          { id, agoS, outcome },
        );
      }
      return answer.send.id;
    }

    /** Takes hits, and writes them down. */
    async function hit(
      id: SendId,
      hits: [n: number, opener: Opener][],
      more: Partial<HitsDeps> = {},
    ): Promise<{ wakes: number }> {
      let wakes = 0;
      const parts = { db: office.db, clock: systemClock, log: quiet, wakePublisher: () => (wakes += 1) };
      const taken: Hits = createHits({ ...parts, ...more });
      for (const [n, opener] of hits) taken.take({ sendId: id, n, opener });
      await taken.stop();
      return { wakes };
    }

    async function shown(id: SendId): Promise<(string | number)[]> {
      const { tracking } = await office.send(id);
      return [
        `opens ${tracking?.opens?.count ?? '-'}`,
        ...(tracking?.clicks.map(({ url, count }) => `${url} ${count}`) ?? []),
      ];
    }

    const events = (id: SendId) =>
      rows<{ type: string; data: Record<string, unknown> }>(
        office.db,
        `select type, data from events where object_id = :id and type in ('send.opened', 'send.clicked') order by ord`,
        { id },
      );

    const later = (id: SendId) =>
      run(
        office.db,
        `update tracked set first_at = first_at - interval '2 minutes', last_at = last_at - interval '2 minutes' where send_id = :id`,
        { id },
      );

    test('what is opened when its tries are past and dropped counts; what was never tried does not', async () => {
      const id = await send(null);
      await hit(id, [[0, 'person']]);
      assert.equal((await shown(id))[0], 'opens 0');
      await run(office.db, `update sends set state = 'sent', ready = false where id = :id`, { id });
      await hit(id, [[0, 'person']]);
      assert.equal((await shown(id))[0], 'opens 1');
      await run(office.db, `update sends set state = 'queued', ready = true where id = :id`, { id });
    });

    test('the first of each is an event; later ones are counted', async () => {
      const id = await send(10);
      assert.deepEqual(await shown(id), ['opens 0', 'https://a.example/ 0', 'https://b.example/ 0']);
      assert.deepEqual(
        await hit(id, [
          [0, 'proxy'],
          [2, 'person'],
        ]),
        { wakes: 1 },
      );
      await later(id);
      assert.deepEqual(
        await hit(id, [
          [0, 'person'],
          [2, 'person'],
        ]),
        { wakes: 0 },
      );
      assert.deepEqual(await shown(id), ['opens 2', 'https://a.example/ 0', 'https://b.example/ 2']);
      const told = await events(id);
      assert.deepEqual(
        told.map(({ type, data }) => [type, data['id'], data['opened_by'], data['url']]),
        [
          ['send.opened', id, 'proxy', undefined],
          ['send.clicked', id, undefined, 'https://b.example/'],
        ],
      );
      const { tracking } = await office.send(id);
      assert.ok((tracking?.opens?.first_at ?? '') < (tracking?.opens?.last_at ?? ''));
      const first = told[0]?.data['tracking'] as typeof tracking;
      assert.equal(first?.opens?.count, 1);
    });

    test('a flood on one picture is one opening a minute, and one event', async () => {
      const id = await send(10);
      const flood = Array.from({ length: 10_000 }, (): [number, Opener] => [0, 'person']);
      await hit(id, flood);
      await hit(id, flood);
      assert.deepEqual((await shown(id))[0], 'opens 1');
      assert.equal((await events(id)).length, 1);
      const [before] = await rows<{ xmin: string }>(
        office.db,
        'select xmin from tracked where send_id = :id and n = 0',
        { id },
      );
      await hit(id, flood);
      const [now] = await rows<{ xmin: string }>(
        office.db,
        'select xmin from tracked where send_id = :id and n = 0',
        { id },
      );
      assert.deepEqual(now, before, 'what does not count writes nothing');
    });

    const machines: [name: string, agoS: number | null, hits: [number, Opener][], outcome?: 'temporary'][] = [
      [
        'a machine',
        10,
        [
          [0, 'machine'],
          [1, 'machine'],
        ],
      ],
      ['a provider that follows links', 10, [[1, 'proxy']]],
      [
        'who looks in the moment of the handover',
        1,
        [
          [0, 'person'],
          [1, 'person'],
        ],
      ],
      ['who looks before it was handed over, as by its bytes in the CRM', null, [[0, 'person']]],
      ['who looks when no provider has it yet', 10, [[0, 'person']], 'temporary'],
      ['a number that is none of its links', 10, [[3, 'person']]],
    ];
    for (const [name, agoS, hits, outcome] of machines) {
      test(`${name} opens nothing`, async () => {
        const id = await send(agoS, outcome);
        await hit(id, hits);
        assert.deepEqual(await shown(id), ['opens 0', 'https://a.example/ 0', 'https://b.example/ 0']);
        assert.deepEqual(await events(id), []);
      });
    }

    test('what may have been handed over counts', async () => {
      const id = await send(10, 'uncertain');
      await hit(id, [[0, 'person']]);
      assert.deepEqual((await shown(id))[0], 'opens 1');
    });

    test('a send that is not there any more is no error, and keeps nothing else back', async () => {
      const id = await send(10);
      const taken = createHits({ db: office.db, clock: systemClock, log: quiet, wakePublisher() {} });
      taken.take({ sendId: newId('snd'), n: 0, opener: 'person' });
      taken.take({ sendId: id, n: 0, opener: 'person' });
      await taken.stop();
      assert.deepEqual((await shown(id))[0], 'opens 1');
    });

    test('what cannot be written down is tried again', async () => {
      const id = await send(10);
      const warned: string[] = [];
      let failures = 1;
      const db = new Proxy(office.db, {
        get: (target, name, receiver) => {
          if (name === 'transaction' && failures-- > 0) return () => Promise.reject(new Error('away'));
          return Reflect.get(target, name, receiver) as unknown;
        },
      });
      const log = { ...quiet, warn: (_: object, message: string) => void warned.push(message) };
      const taken = createHits({ db, clock: systemClock, log, wakePublisher() {} });
      taken.take({ sendId: id, n: 0, opener: 'person' });
      taken.start();
      await waitFor('the opening', async () => (await shown(id))[0] === 'opens 1');
      await taken.stop();
      assert.deepEqual(warned, ['openings and clicks could not be written down; trying again']);
    });

    test('of more different ones at once than can be kept in mind the rest is lost, and said to be', async () => {
      const id = await send(10);
      const warned: object[] = [];
      const log = { ...quiet, warn: (fields: object) => void warned.push(fields) };
      const others = Array.from({ length: 19_999 }, (_, n): [number, Opener] => [n + 10, 'person']);
      const late: [number, Opener][] = [
        [1, 'person'],
        [2, 'person'],
        [0, 'person'],
      ];
      await hit(id, [[0, 'person'], ...others, ...late], { log });
      assert.deepEqual(await shown(id), ['opens 1', 'https://a.example/ 0', 'https://b.example/ 0']);
      assert.deepEqual(warned, [{ hits: 2 }]);
    });

    test('two nodes that count the same at once count it once, and tell it once', async () => {
      const id = await send(10);
      const all: [number, Opener][] = [
        [0, 'person'],
        [1, 'person'],
        [2, 'person'],
      ];
      await Promise.all(Array.from({ length: 4 }, () => hit(id, all)));
      assert.deepEqual(await shown(id), ['opens 1', 'https://a.example/ 1', 'https://b.example/ 1']);
      assert.equal((await events(id)).length, 3);
    });
  });
}

const quiet: HitsDeps['log'] = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => assert.fail('nothing is wrong'),
  error: () => assert.fail('nothing is wrong'),
  child: () => quiet,
};
