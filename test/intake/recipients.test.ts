import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRecipients, readRecipient } from '../../src/intake/recipients.ts';
import type { KnownAddress } from '../../src/intake/recipients.ts';
import { createManualClock } from '../support/manual-clock.ts';

const known: KnownAddress = {
  id: 'lad_1',
  subAccountId: 's',
  userId: 'u',
  ownAddresses: new Set(['ann@seller.example']),
};

describe('what a recipient is', () => {
  const cases: [address: string, expected: ReturnType<typeof readRecipient>][] = [
    ['abc@log.example', { local: 'abc', tag: '' }],
    ['ABC@LOG.Example', { local: 'abc', tag: '' }],
    ['abc+Deal+7@log.example', { local: 'abc', tag: 'Deal+7' }],
    ['abc@other.example', null],
    ['abc@sub.log.example', null],
    ['abc@log.example.evil.example', null],
    ['postmaster', null],
    ['@log.example', null],
  ];
  for (const [address, expected] of cases) {
    test(address, () => assert.deepEqual(readRecipient(address, 'log.example'), expected));
  }
});

describe('looking recipients up', () => {
  test('those who wait while one question is asked go along in the next, each once', async () => {
    const asked: string[][] = [];
    let answer = () => undefined as void;
    const lookUp = (locals: readonly string[]) => {
      asked.push([...locals]);
      return new Promise<Map<string, KnownAddress>>((resolve) => {
        answer = () => resolve(new Map(locals.includes('a') ? [['a', known]] : []));
      });
    };
    const recipients = createRecipients({ lookUp, clock: createManualClock(), msMax: 1_000 });
    const first = recipients.find('a');
    await new Promise((resolve) => setImmediate(resolve));
    const more = ['b', 'c', 'b'].map(async (local) => recipients.find(local));
    answer();
    assert.equal(await first, known);
    await new Promise((resolve) => setImmediate(resolve));
    answer();
    assert.deepEqual(await Promise.all(more), [null, null, null]);
    assert.deepEqual(asked, [['a'], ['b', 'c']]);
  });

  test('what is known and what is not is remembered alike, for ten seconds', async () => {
    const clock = createManualClock();
    let questions = 0;
    const lookUp = async (locals: readonly string[]) => {
      questions += 1;
      return new Map(locals.includes('a') ? [['a', known]] : []);
    };
    const recipients = createRecipients({ lookUp, clock, msMax: 1_000 });
    const both = async () => [await recipients.find('a'), await recipients.find('b')];
    await both();
    assert.deepEqual(await both(), [known, null]);
    assert.equal(questions, 2);
    await clock.advance(10_000);
    await both();
    assert.equal(questions, 4);
  });

  test('a database that does not answer in time is one that cannot tell, and is asked again', async () => {
    const clock = createManualClock();
    let isAway = true;
    const lookUp = () =>
      isAway ? new Promise<never>(() => undefined) : Promise.resolve(new Map([['a', known]]));
    const recipients = createRecipients({ lookUp, clock, msMax: 1_000 });
    const refused = assert.rejects(async () => recipients.find('a'), /took too long/);
    await clock.advance(1_000);
    await refused;
    isAway = false;
    assert.equal(await recipients.find('a'), known);
    assert.equal(clock.sleeping(), 0);
  });
});
