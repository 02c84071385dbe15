import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cachedDns, limitedDns } from '../../src/intake/dns.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { stubDns } from './signing.ts';

describe('DNS', () => {
  test('that there is no record is remembered for a minute, an answer for five', async () => {
    const clock = createManualClock();
    const dns = stubDns({ 'TXT a.example': ['x'] });
    const resolve = cachedDns(dns, clock);
    const ask = async () => {
      await resolve('A.example', 'TXT');
      await assert.rejects(resolve('b.example', 'TXT'), { code: 'ENOTFOUND' });
    };
    await ask();
    await ask();
    assert.equal(dns.asked.length, 2);
    await clock.advance(60_000);
    await ask();
    assert.deepEqual(dns.asked.slice(2), ['TXT b.example']);
    await clock.advance(240_000);
    await ask();
    assert.equal(dns.asked.length, 5);
  });

  test('a message gets no more than so many answers, and changes none of those kept for others', async () => {
    const resolve = limitedDns(cachedDns(stubDns({ 'MX a.example': ['b', 'a'] }), createManualClock()), 2);
    const first = await resolve('a.example', 'MX');
    first.reverse();
    assert.deepEqual(await resolve('a.example', 'MX'), ['b', 'a']);
    await assert.rejects(resolve('a.example', 'MX'), { code: 'ENODATA' });
  });
});
