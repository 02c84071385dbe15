import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { idFrom } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { countDecisions, countedMax, readDecisionDays } from '../../src/store/decision-counts.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

const hourMs = 3_600_000;

for (const kind of databaseKinds)
  describe(`what was decided, counted by the hour, on ${kind}`, () => {
    let database: TestDatabase;
    let startMs = 0;
    before(async () => {
      // All of it in one hour and one day.
      await waitFor('an hour that does not end soon', () => Date.now() % hourMs < hourMs - 20_000, {
        deadlineMs: 30_000,
      });
      startMs = Date.now();
      // They are of no message and no mailbox.
      database = await testDatabase(kind, { breaks: ['decision_names_message', 'decision_has_place'] });
      await run(database.db, `insert into sub_accounts (id, name) values ('north', 'North')`);
    });
    after(() => database.drop());

    let made = 0;
    /** Decisions that were made so many hours ago. */
    const decide = async (hoursAgo: number, outcome: string, count = 1) => {
      made += count;
      await run(
        database.db,
        `insert into decisions (id, sub_account_id, outcome, reason, reasons, decided_at)
         select :start || '-7000-8000-' || lpad(to_hex(:made::int - n), 12, '0'), 'north', :outcome, 'no_match', '[]', :at
           from generate_series(1, :count::int) as n`,
        {
          start: idFrom('dec', startMs - hoursAgo * hourMs),
          at: new Date(startMs - hoursAgo * hourMs),
          made,
          outcome,
          count,
        },
      );
    };
    const total = async () => {
      const { days } = await readDecisionDays(database.db);
      const sum = (of: (day: (typeof days)[number]) => number) => days.reduce((all, day) => all + of(day), 0);
      return [sum((day) => day.stored), sum((day) => day.skipped), sum((day) => day.failed)];
    };
    const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);

    test('nothing was decided: seven days of nothing, the last of them today', async () => {
      const { days, atLeast } = await readDecisionDays(database.db);
      assert.equal(atLeast, false);
      assert.deepEqual(
        days.map(({ day }) => day),
        Array.from({ length: 7 }, (_, n) => dayOf(Date.now() - (6 - n) * 24 * hourMs)),
      );
      assert.deepEqual(await total(), [0, 0, 0]);
    });

    test('counted before or after its hours are kept, it is the same, and each counts on its own day', async () => {
      await decide(0, 'stored');
      await decide(3, 'stored', 2);
      await decide(30, 'skipped', 5);
      await decide(100, 'failed');
      await decide(9 * 24, 'stored');
      const uncounted = await readDecisionDays(database.db);
      assert.deepEqual(await total(), [3, 5, 1]);
      await countDecisions(database.db);
      await countDecisions(database.db);
      assert.deepEqual(await readDecisionDays(database.db), uncounted);
      const day = uncounted.days.find((each) => each.day === dayOf(startMs - 30 * hourMs));
      assert.equal(day?.skipped, 5);
      const kept = await rows<{ count: number }>(
        database.db,
        'select sum(count)::int as count from decision_counts',
      );
      assert.equal(kept[0]?.count, 8, 'what the open hour has is not kept yet');
    });

    test('what came after the hours that are kept is counted with them', async () => {
      await decide(0, 'skipped', 3);
      assert.deepEqual(await total(), [3, 8, 1]);
    });

    test('what a new decision has replaced does not count', async () => {
      await run(
        database.db,
        `update decisions set replaced_by = id where id >= :since and outcome = 'skipped'`,
        { since: idFrom('dec', startMs) },
      );
      assert.deepEqual(await total(), [3, 5, 1]);
    });

    test('more than is counted for a page: today has at least so many', async () => {
      await decide(0, 'skipped', countedMax);
      assert.equal((await readDecisionDays(database.db)).atLeast, true);
    });

    test('what is not shown any more is forgotten', async () => {
      await run(
        database.db,
        `insert into decision_counts (hour, outcome, count) values (now() - interval '9 days', 'stored', 1)`,
      );
      await countDecisions(database.db);
      const old = `select 1 from decision_counts where hour < now() - interval '8 days'`;
      assert.deepEqual(await rows(database.db, old), []);
    });
  });
