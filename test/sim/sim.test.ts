import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Session } from '../../src/mailbox/session.ts';
import type { TestDatabase } from '../support/database.ts';
import { historyOf } from './history.ts';
import { historyDatabase, play } from './run.ts';
import { shrink } from './shrink.ts';
import { connectAnn, crmSends, found, smallCast, strangerWrites } from './found.ts';
import type { History, Step } from './steps.ts';
import type { Sabotage } from './world.ts';

describe('random histories', () => {
  let database: TestDatabase;

  before(async () => {
    database = await historyDatabase();
  });
  after(() => database.drop());

  test('S1-S13, C6-C8, T2, U2, D5, D6: 75 of them end as the rules say, whatever went wrong on the way', async () => {
    for (let seed = 1; seed <= 75; seed += 1) {
      const steps = 15 + (seed % 11);
      const wrong = await play(database.db, historyOf(seed, steps));
      assert.deepEqual(wrong, [], `npm run sim -- --seed ${seed} --steps ${steps}`);
    }
  });

  test('the same seed is the same history', () => {
    assert.deepEqual(historyOf(7, 200), historyOf(7, 200));
    assert.notDeepEqual(historyOf(7, 200), historyOf(8, 200));
  });

  for (const [what, steps] of found) {
    test(`found so, and mended: ${what}`, async () => {
      assert.deepEqual(await play(database.db, { cast: smallCast, steps }), []);
    });
  }

  /** A statement in which some words stand for others. */
  const instead = (words: string, others: string): Sabotage => ({
    sql: (sql) => sql.replace(words, others),
  });

  const sabotages: [what: string, sabotage: Sabotage, says: RegExp][] = [
    [
      'S7: nobody is known as a user',
      instead('where u.canonical = any', 'where false and u.canonical = any'),
      /by the model S7/,
    ],
    [
      'S9: claims are forgotten',
      instead('where c.mailbox_id = :mailboxId and c.contact', 'where false and c.contact'),
      /by the model S8, S9/,
    ],
    [
      'T1: the cursor passes over a message without a decision',
      instead('cursor_uid = :uid,', 'cursor_uid = :uid + 1,'),
      /was not judged/,
    ],
    ['T1: the provider hides every third message', { session: hiding }, /was not judged/],
    [
      'U2: what is done in the mailbox is not written down',
      instead('update sightings s set is_read = t.is_read', 'update sightings s set is_read = s.is_read'),
      /in the mailbox/,
    ],
  ];

  for (const [what, sabotage, says] of sabotages) {
    test(`a gateway that is broken is found: ${what}`, async () => {
      for (let seed = 1; seed <= 60; seed += 1) {
        const wrong = await play(database.db, historyOf(seed, 25), sabotage);
        if (wrong.length === 0) continue;
        assert.match(wrong.join('\n'), says);
        return;
      }
      assert.fail('60 histories did not show it');
    });
  }

  test('a gateway that is broken is found: D5: it does not note that a message may have been taken', async () => {
    const steps: Step[] = [
      connectAnn,
      crmSends(1, 'north-carla', null),
      { do: 'send', node: 0, answers: ['taken_then_crash'], fault: null },
      { do: 'wait', seconds: 60 },
      { do: 'send', node: 0, answers: [], fault: null },
    ];
    const history = { cast: smallCast, steps };
    assert.deepEqual(await play(database.db, history), []);
    const broken = instead(`a set outcome = 'uncertain'`, `a set outcome = null`);
    const wrong = await play(database.db, history, broken);
    assert.match(wrong.join('\n'), /taken 2 times/);
  });

  test('a gateway that is broken is found: T2: an audit finds nothing missing', async () => {
    const steps: Step[] = [
      connectAnn,
      ...strangerWrites,
      { do: 'audit', sub: 'north', user: 'ann', hole: 0 },
      { do: 'errands', node: 0, fault: null },
    ];
    const history = { cast: smallCast, steps };
    assert.deepEqual(await play(database.db, history), []);
    const asked = 'as asked (uid bigint, "idHash" text)';
    const broken = instead(asked, `${asked} join (select where false) n on true`);
    assert.match((await play(database.db, history, broken)).join('\n'), /was not healed/);
  });

  test('a gateway that is broken is found: D6: a delivery report changes nothing', async () => {
    const steps: Step[] = [
      connectAnn,
      crmSends(1, 'north-carla', null),
      { do: 'send', node: 0, answers: ['accepted'], fault: null },
      { do: 'bounce', n: 10_001, of: 1 },
    ];
    const history = { cast: smallCast, steps };
    assert.deepEqual(await play(database.db, history), []);
    const broken = instead(`(s.state in ('sending', 'uncertain', 'sent', 'bounced')`, `(s.state = 'lost'`);
    assert.match((await play(database.db, history, broken)).join('\n'), /mail 1 is sent/);
  });

  test('what fails is cut down to what it takes', async () => {
    const step = (n: number): Step => ({ do: 'wait', seconds: n });
    const steps = [1, 2, 3, 4, 5, 6, 7, 8].map(step);
    const has = (history: History, n: number) =>
      history.steps.some((each) => each.do === 'wait' && each.seconds === n);
    const least = await shrink({ cast: smallCast, steps }, (part) =>
      Promise.resolve(has(part, 3) && has(part, 6)),
    );
    assert.deepEqual(least.steps, [step(3), step(6)]);
  });
});

/** Every third UID is not there. */
function hiding(session: Session): Session {
  const isShown = (uid: number) => uid % 3 !== 0;
  return {
    ...session,
    uids: async (set) => (await session.uids(set)).filter(isShown),
    headers: async (set, onWhole) => (await session.headers(set, onWhole)).filter(({ uid }) => isShown(uid)),
  };
}
