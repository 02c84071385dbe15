import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cachedDns, limitedDns, systemDns } from '../../src/intake/dns.ts';
import { startDns } from '../support/dns.ts';
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

  test('the servers that are named are asked, and whoever says nothing is left', async (t) => {
    const long = `v=DKIM1; p=${'A'.repeat(392)}`;
    const dns = await startDns({
      'TXT rsa._domainkey.a.example': [long],
      'MX a.example': ['10 mail.a.example'],
      'A mail.a.example': ['192.0.2.1'],
      'TXT broken.example': 'ESERVFAIL',
      'TXT silent.example': 'ETIMEOUT',
    });
    t.after(() => dns.stop());
    const resolve = systemDns([dns.address]);
    const [record] = await resolve('RSA._domainkey.a.example', 'TXT');
    assert.deepEqual([record].flat().join(''), long);
    assert.deepEqual(await resolve('a.example', 'MX'), [
      { exchange: 'mail.a.example', priority: 10, type: 'MX' },
    ]);
    assert.deepEqual(await resolve('mail.a.example', 'A'), ['192.0.2.1']);
    await assert.rejects(resolve('mail.a.example', 'TXT'), { code: 'ENODATA' });
    await assert.rejects(resolve('b.example', 'TXT'), { code: 'ENOTFOUND' });
    await assert.rejects(resolve('broken.example', 'TXT'), { code: 'ESERVFAIL' });
    await assert.rejects(resolve('silent.example', 'TXT'), { code: 'ETIMEOUT' });
    assert.equal(dns.asked.filter((question) => question === 'TXT silent.example').length, 2);
  });
});
