import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import type { Sighting } from '../../src/filing/sighting.ts';
import { fetchingAhead, partsBySize, walkByDate } from '../../src/mailbox/walk.ts';
import type { Outline, Walked, Walker } from '../../src/mailbox/walker.ts';

const hourMs = 3_600_000;

describe('a walk through a mailbox', () => {
  test('what the next part needs is fetched while one is dealt with, one part ahead and no more', async () => {
    const said: string[] = [];
    const goesOn = await fetchingAhead(
      [1, 2, 3],
      (part) => {
        said.push(`ask ${part}`);
        return Promise.resolve(part);
      },
      async (shown) => {
        said.push(`begin ${shown}`);
        await Promise.resolve();
        said.push(`end ${shown}`);
        return true;
      },
    );
    assert.equal(goesOn, true);
    assert.deepEqual(said.join(', '), 'ask 1, ask 2, begin 1, end 1, ask 3, begin 2, end 2, begin 3, end 3');
  });

  for (const [how, take] of [
    ['is the last one that is wanted', () => Promise.resolve(false)],
    ['fails', () => Promise.reject(new Error('filing'))],
  ] as const) {
    test(`when one ${how}, what was asked for ahead is waited for, and nothing more is asked`, async () => {
      let answer: (shown: number) => void = () => undefined;
      const asked: number[] = [];
      const fetch = (part: number) => {
        asked.push(part);
        if (part === 1) return Promise.resolve(1);
        return new Promise<number>((resolve) => (answer = resolve));
      };
      let over = false;
      const walk = fetchingAhead([1, 2, 3], fetch, take)
        .catch((error: unknown) => (error as Error).message)
        .finally(() => (over = true));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(over, false);
      answer(2);
      assert.equal(await walk, how === 'fails' ? 'filing' : false);
      assert.deepEqual(asked, [1, 2]);
    });
  }

  test('what cannot be fetched ahead is told in its turn', async () => {
    const taken: number[] = [];
    const walk = fetchingAhead(
      [1, 2],
      (part) => (part === 1 ? Promise.resolve(1) : Promise.reject(new Error('away'))),
      (shown) => Promise.resolve(taken.push(shown) > 0),
    );
    await assert.rejects(walk, /away/);
    assert.deepEqual(taken, [1]);
  });

  test('C8: between two chunks is no more than can be downloaded at once; what came in one second stays together', async () => {
    const folder: Walked = {
      id: newId('fld'),
      path: 'INBOX',
      role: 'inbox',
      uidValidity: 1,
      cursorUid: 9,
      highestModseq: null,
      missing: false,
    };
    const large = 30_000_000;
    const outlines: Outline[] = [
      { uid: 1, date: 1 * hourMs, size: large },
      { uid: 2, date: 2 * hourMs, size: 100 },
      { uid: 3, date: 3 * hourMs, size: large },
      { uid: 4, date: 3 * hourMs, size: large },
      { uid: 5, date: 4 * hourMs, size: 3 * large },
      { uid: 6, date: 5 * hourMs, size: 100 },
    ];
    const walker: Pick<Walker, 'folders' | 'find' | 'outlines' | 'look'> = {
      folders: [folder],
      find: () => Promise.resolve(outlines.map(({ uid }) => uid)),
      outlines: () => Promise.resolve(outlines),
      look: (_folder, uids) => Promise.resolve(uids.map((uid) => ({ place: { uid } }) as Sighting)),
    };
    const chunks: string[] = [];
    await walkByDate(walker as Walker, { from: 0, to: 6 * hourMs, people: null }, ({ runs, upTo }) => {
      const uids = runs.flatMap(({ sightings }) => sightings.map(({ place }) => place.uid));
      chunks.push(`${uids.join(' ')} up to ${upTo}`);
      return Promise.resolve(true);
    });
    assert.deepEqual(chunks, [
      `1 2 up to ${2 * hourMs + 1}`,
      `3 4 up to ${3 * hourMs + 1}`,
      `5 up to ${4 * hourMs + 1}`,
      `6 up to ${6 * hourMs}`,
    ]);
  });

  test('parts by size: what is larger than a part is one of its own', () => {
    const sized = [4, 5, 3, 20, 1, 9, 1].map((size) => ({ size }));
    assert.deepEqual(
      partsBySize(sized, 10).map((part) => part.map(({ size }) => size)),
      [[4, 5], [3], [20], [1, 9], [1]],
    );
    assert.deepEqual(partsBySize([], 10), []);
  });
});
