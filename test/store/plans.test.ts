import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { openDatabase, rows } from '../../src/store/database.ts';
import { timestamp } from '../../src/store/timestamp.ts';
import { startApi } from '../api/support.ts';
import type { ApiUnderTest } from '../api/support.ts';
import { generate, smallCounts } from './plans/data.ts';
import { askList, listQuestions } from './plans/lists.ts';
import type { ListQuestion } from './plans/lists.ts';
import { openWatched } from './plans/watch.ts';
import type { Watched } from './plans/watch.ts';

/** What a page of fifty may read at most, of one table by one step; a sub-account here has some ten thousands of each. */
const rowsMax = 500;

describe('lists of the API go by an index, whatever there is', () => {
  let url: string;
  let watched: Watched;
  let t: ApiUnderTest;
  let questions: ListQuestion[];
  before(async () => {
    url = await createPostgresDatabase('migrated');
    const filling = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
    await generate(filling.db, url, { counts: smallCounts, now: Date.now(), addressHash: '00'.repeat(16) });
    await filling.close();
    watched = await openWatched(url);
    const { db } = watched.database;
    t = await startApi({ db });
    const [ids] = await rows<Parameters<typeof listQuestions>[0]>(
      db,
      `select (select min(id) from connections) as "connectionId", (select min(id) from conversations) as "conversationId",
              (select min(id) from webhooks) as "webhookId", ${timestamp("(now() - interval '1 day')")} as recent,
              (select max(sequence)::int from events) as "lastEvent"`,
    );
    assert.ok(ids !== undefined);
    questions = listQuestions(ids);
  });
  after(async () => {
    await t.close();
    await watched.database.close();
    await dropPostgresDatabase(url);
  });

  test('every list route is asked', () => {
    const golden = new URL('../golden/openapi.json', import.meta.url);
    const { paths } = JSON.parse(readFileSync(golden, 'utf8')) as {
      paths: Record<string, { get?: { parameters?: { name: string }[] } }>;
    };
    const lists = Object.entries(paths)
      .filter(([, { get }]) => get?.parameters?.some(({ name }) => name === 'cursor'))
      .map(([path]) => path);
    assert.ok(lists.length > 8);
    assert.deepEqual(
      lists.filter((path) => !questions.some(({ route }) => route === path)),
      [],
    );
  });

  test('a page reads, sorts and hashes no more than it shows, on the first page and behind it', async () => {
    const tooMuch: unknown[] = [];
    for (const { path, upTo } of questions)
      for (const { work, sql, path: page } of await askList(t, watched, path)) {
        const most = upTo?.rows ?? rowsMax;
        if (work.rows > most || work.sorted > most || work.whole.length > 0)
          tooMuch.push({ page, work, sql });
        assert.ok(
          work.buffers < 20 * rowsMax || upTo !== undefined,
          `${page}: ${JSON.stringify(work)} ${sql}`,
        );
      }
    assert.deepEqual(tooMuch, []);
  });
});
