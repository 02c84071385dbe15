import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { openDatabase } from '../../src/store/database.ts';
import { countDecisions } from '../../src/store/decision-counts.ts';
import { startApi } from '../api/support.ts';
import type { ApiUnderTest } from '../api/support.ts';
import { startPages } from '../console/pages.ts';
import { pileUp } from './plans/backlog.ts';
import { generate, smallCounts } from './plans/data.ts';
import { askList, findHeavy, listQuestions } from './plans/lists.ts';
import type { ListQuestion } from './plans/lists.ts';
import { pageQuestions } from './plans/pages.ts';
import { isTooMuch, openWatched, watch } from './plans/watch.ts';
import type { Watched } from './plans/watch.ts';
import { workQuestions } from './plans/work.ts';

describe('what is asked of the database goes by an index, whatever there is', () => {
  let url: string;
  let watched: Watched;
  let t: ApiUnderTest;
  let questions: ListQuestion[];
  before(async () => {
    url = await createPostgresDatabase('migrated');
    const filling = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
    await generate(filling.db, url, { counts: smallCounts, now: Date.now() });
    await filling.close();
    watched = await openWatched(url);
    const { db } = watched.database;
    t = await startApi({ db });
    questions = listQuestions(await findHeavy(db));
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
      for (const page of await askList(t, watched, path))
        if (isTooMuch(page.work, upTo, smallCounts.messages)) tooMuch.push(page);
    assert.deepEqual(tooMuch, []);
  });

  test('a page of the console reads no more either, on the first page and far behind it', async () => {
    const { db } = watched.database;
    // As the hourly work does.
    await countDecisions(db);
    const pages = await startPages({ db });
    const browser = await pages.administrator();
    const tooMuch: unknown[] = [];
    for (const { path, upTo } of await pageQuestions(db, await findHeavy(db))) {
      const read = await watch(watched, async () => {
        assert.equal((await browser.get(path)).status, 200, path);
      });
      for (const statement of read)
        if (isTooMuch(statement.work, upTo, smallCounts.messages)) tooMuch.push({ path, ...statement });
    }
    await pages.close();
    assert.deepEqual(tooMuch, []);
  });

  test('filing, listeners and workers read no more than their batch, whatever has piled up', async () => {
    await pileUp(url);
    const aside = await openDatabase({ kind: 'postgres', url, connectionsMax: 2 });
    const tooMuch: unknown[] = [];
    for (const { what, ask, upTo } of await workQuestions(aside.db)) {
      const read = await watch(watched, () => ask(watched.database.db));
      assert.ok(read.length > 0, what);
      for (const statement of read)
        if (isTooMuch(statement.work, upTo, smallCounts.messages)) tooMuch.push({ what, ...statement });
    }
    await aside.close();
    assert.deepEqual(tooMuch, []);
  });
});
