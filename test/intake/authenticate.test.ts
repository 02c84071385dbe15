import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createProver } from '../../src/intake/authenticate.ts';
import type { Sender } from '../../src/intake/evaluate.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Proof } from '../../src/store/spool.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { keyRecords, sealed, signed, stubDns } from './signing.ts';
import type { Zone } from '../support/dns.ts';
import { keptLog } from './support.ts';

const body = 'Hello,\r\nthe offer is attached.\r\n';
const mail = (from = 'Ann <ann@seller.example>', text = body): string =>
  `From: ${from}\r\nTo: bob@customer.example\r\nSubject: Offer\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n` +
  `Message-ID: <1@seller.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n${text}`;

/** Of a server that SPF of no domain names, unless a test says otherwise. */
const elsewhere: Sender = {
  from: 'ann@elsewhere.example',
  helo: 'mx.elsewhere.example',
  clientAddress: '192.0.2.9',
};
const own: Sender = { from: 'ann@seller.example', helo: 'mx.seller.example', clientAddress: '192.0.2.1' };

const dmarcOf = (domain: string, text: string): Zone => ({ [`TXT _dmarc.${domain}`]: [`v=DMARC1; ${text}`] });
const spfOf = (domain: string, text: string): Zone => ({ [`TXT ${domain}`]: [`v=spf1 ${text}`] });

function prove(raw: string, sender: Sender, zone: Zone): Promise<Proof> {
  const prover = createProver({
    resolve: stubDns(zone),
    clock: systemClock,
    log: keptLog(),
    hostName: 'log.example',
  });
  return prover.proveMessage(Buffer.from(raw), sender);
}

const past = new Date('2026-01-01T00:00:00Z');

type Case = {
  what: string;
  raw: string | (() => Promise<string>);
  sender?: Sender;
  zone?: Zone;
  expected: Partial<Proof>;
};

const reject = dmarcOf('seller.example', 'p=reject');
const key = keyRecords('seller.example');
const sealedBy = async () => sealed(mail(), 'elsewhere.example');
const append = (text: string) => (raw: string) => raw + text;

const cases: Case[] = [
  {
    what: 'signed by the domain itself, with RSA',
    raw: () => signed(mail(), { domain: 'seller.example' }),
    zone: { ...key, ...reject },
    expected: {
      verdict: 'proven',
      by: 'dkim',
      dkim: 'pass',
      dmarcPolicy: 'reject',
      domain: 'seller.example',
    },
  },
  {
    what: 'signed by the domain itself, with Ed25519 (RFC 8463)',
    raw: () => signed(mail(), { domain: 'seller.example', key: 'ed25519' }),
    zone: key,
    expected: { verdict: 'proven', by: 'dkim', dkim: 'pass', dmarcPolicy: null },
  },
  {
    what: 'signed by a sub-domain, and the policy says nothing of strictness',
    raw: () => signed(mail(), { domain: 'mail.seller.example' }),
    zone: { ...keyRecords('mail.seller.example'), ...reject },
    expected: { verdict: 'proven', by: 'dkim' },
  },
  {
    what: 'signed by a sub-domain, and there is no policy',
    raw: () => signed(mail(), { domain: 'mail.seller.example' }),
    zone: keyRecords('mail.seller.example'),
    expected: { verdict: 'proven', by: 'dkim' },
  },
  {
    what: 'signed by a sub-domain, and the policy is strict (adkim=s)',
    raw: () => signed(mail(), { domain: 'mail.seller.example' }),
    zone: { ...keyRecords('mail.seller.example'), ...dmarcOf('seller.example', 'p=reject; adkim=s') },
    expected: { verdict: 'failed', by: null, dkim: 'pass' },
  },
  {
    what: 'signed by another domain, as by a mass mailer',
    raw: () => signed(mail(), { domain: 'mailer.example' }),
    zone: keyRecords('mailer.example'),
    expected: { verdict: 'unproven', by: null, dkim: 'pass' },
  },
  {
    what: 'signed by a neighbour under a public suffix',
    raw: () => signed(mail('ann@one.co.uk'), { domain: 'two.co.uk' }),
    zone: keyRecords('two.co.uk'),
    expected: { verdict: 'unproven', domain: 'one.co.uk' },
  },
  {
    what: 'signed, and the body was changed',
    raw: async () =>
      append('PS: pay to another account\r\n')(await signed(mail(), { domain: 'seller.example' })),
    zone: { ...key, ...reject },
    expected: { verdict: 'failed', dkim: 'fail' },
  },
  {
    what: 'signed, and the subject was changed',
    raw: async () =>
      (await signed(mail(), { domain: 'seller.example' })).replace('Subject: Offer', 'Subject: Pay'),
    zone: { ...key, ...reject },
    expected: { verdict: 'failed', dkim: 'fail' },
  },
  {
    what: 'signed, and a second subject was put above',
    raw: async () => `Subject: Pay\r\n${await signed(mail(), { domain: 'seller.example' })}`,
    zone: key,
    expected: { verdict: 'unproven', dkim: 'policy' },
  },
  {
    what: 'signed with l=, and text was appended',
    raw: async () =>
      append('and more\r\n')(await signed(mail(), { domain: 'seller.example', bodyLength: body.length })),
    zone: key,
    expected: { verdict: 'unproven', dkim: 'policy' },
  },
  {
    what: 'signed, and the signature has expired (x=)',
    raw: () => signed(mail(), { domain: 'seller.example', expires: past }),
    zone: { ...key, ...reject },
    expected: { verdict: 'failed', dkim: 'neutral' },
  },
  {
    what: 'signed by two, of which one is the domain',
    raw: () => signed(mail(), { domain: 'seller.example' }, { domain: 'mailer.example' }),
    zone: { ...key, ...keyRecords('mailer.example') },
    expected: { verdict: 'proven', by: 'dkim' },
  },
  {
    what: 'signed by more than anybody has a reason to',
    raw: () => signed(mail(), ...Array.from({ length: 11 }, () => ({ domain: 'seller.example' }))),
    zone: key,
    expected: { verdict: 'unproven', dkim: 'policy' },
  },
  {
    what: 'signed, and the domain has withdrawn the key',
    raw: () => signed(mail(), { domain: 'seller.example' }),
    zone: { 'TXT rsa._domainkey.seller.example': ['v=DKIM1; p='], ...reject },
    expected: { verdict: 'failed' },
  },
  {
    what: 'signed, and DNS does not tell the key',
    raw: () => signed(mail(), { domain: 'seller.example' }),
    zone: { 'TXT rsa._domainkey.seller.example': 'ESERVFAIL', ...reject },
    expected: { verdict: 'pending', dkim: 'temperror' },
  },
  {
    what: 'signed by a stranger whose key DNS does not tell',
    raw: () => signed(mail(), { domain: 'slow.example' }),
    zone: { 'TXT rsa._domainkey.slow.example': 'ETIMEOUT', ...reject },
    expected: { verdict: 'failed' },
  },
  {
    what: 'as a mailing list changes it, with the list as From',
    raw: async () =>
      `List-Id: <sales.lists.example>\r\n${(await signed(mail(), { domain: 'seller.example' }))
        .replace('Ann <ann@seller.example>', 'Ann via Sales <sales@lists.example>')
        .replace(body, `${body}-- \r\nThe list\r\n`)}`,
    zone: key,
    expected: { verdict: 'unproven', domain: 'lists.example' },
  },
  {
    what: 'SPF passes for the domain: DKIM is not looked at',
    raw: () => signed(mail(), { domain: 'seller.example' }),
    sender: own,
    zone: { ...spfOf('seller.example', 'ip4:192.0.2.1 -all'), ...key },
    expected: { verdict: 'proven', by: 'spf', spf: 'pass', dkim: null, arc: null },
  },
  {
    what: 'SPF passes for a sub-domain of bounces, relaxed',
    raw: mail(),
    sender: { ...own, from: 'b1@bounces.seller.example' },
    zone: { ...spfOf('bounces.seller.example', 'ip4:192.0.2.1 -all'), ...reject },
    expected: { verdict: 'proven', by: 'spf' },
  },
  {
    what: 'SPF passes for a sub-domain of bounces, and the policy is strict (aspf=s)',
    raw: mail(),
    sender: { ...own, from: 'b1@bounces.seller.example' },
    zone: {
      ...spfOf('bounces.seller.example', 'ip4:192.0.2.1 -all'),
      ...dmarcOf('seller.example', 'p=quarantine; aspf=s'),
    },
    expected: { verdict: 'failed', spf: 'pass', dmarcPolicy: 'quarantine' },
  },
  {
    what: 'SPF passes for another domain',
    raw: mail(),
    sender: elsewhere,
    zone: { ...spfOf('elsewhere.example', 'ip4:192.0.2.9 -all'), ...reject },
    expected: { verdict: 'failed', spf: 'pass' },
  },
  {
    what: 'SPF softfails',
    raw: mail(),
    sender: own,
    zone: spfOf('seller.example', '~all'),
    expected: { verdict: 'unproven', spf: 'softfail' },
  },
  {
    what: 'SPF fails, DKIM passes, as with mail that was forwarded',
    raw: () => signed(mail(), { domain: 'seller.example' }),
    sender: own,
    zone: { ...spfOf('seller.example', '-all'), ...key, ...reject },
    expected: { verdict: 'proven', by: 'dkim', spf: 'fail' },
  },
  {
    what: 'DNS does not tell the SPF record',
    raw: mail(),
    sender: own,
    zone: { 'TXT seller.example': 'ETIMEOUT' },
    expected: { verdict: 'pending', spf: 'temperror' },
  },
  {
    what: 'SPF asks for more look-ups than it may',
    raw: mail(),
    sender: own,
    zone: {
      ...spfOf('seller.example', Array.from({ length: 12 }, (_, n) => `include:s${n}.example`).join(' ')),
      ...Object.assign({}, ...Array.from({ length: 12 }, (_, n) => spfOf(`s${n}.example`, '?all'))),
      ...reject,
    },
    expected: { verdict: 'failed', spf: 'permerror' },
  },
  {
    what: 'the policy is none',
    raw: mail(),
    zone: dmarcOf('seller.example', 'p=none'),
    expected: { verdict: 'unproven', dmarcPolicy: 'none', spf: 'none', dkim: 'none' },
  },
  {
    what: 'the policy is quarantine, for one in a hundred (pct is history)',
    raw: mail(),
    zone: dmarcOf('seller.example', 'p=quarantine; pct=1'),
    expected: { verdict: 'failed', dmarcPolicy: 'quarantine' },
  },
  {
    what: 'the policy for sub-domains is milder (sp=none)',
    raw: mail('ann@team.seller.example'),
    zone: dmarcOf('seller.example', 'p=reject; sp=none'),
    expected: { verdict: 'unproven', dmarcPolicy: 'none', domain: 'team.seller.example' },
  },
  {
    what: 'the policy for sub-domains is harder (sp=reject)',
    raw: mail('ann@team.seller.example'),
    zone: dmarcOf('seller.example', 'p=none; sp=reject'),
    expected: { verdict: 'failed', dmarcPolicy: 'reject' },
  },
  {
    what: 'DNS does not tell the policy',
    raw: mail(),
    zone: { 'TXT _dmarc.seller.example': 'ESERVFAIL' },
    expected: { verdict: 'pending', dmarcPolicy: null },
  },
  {
    what: 'sealed by a forwarder (ARC): a hint and no proof',
    raw: sealedBy,
    zone: { ...keyRecords('elsewhere.example'), ...dmarcOf('seller.example', 'p=none') },
    expected: { verdict: 'unproven', arc: 'pass' },
  },
  {
    what: 'sealed by a forwarder, and changed afterwards',
    raw: async () => append('more\r\n')(await sealedBy()),
    zone: keyRecords('elsewhere.example'),
    expected: { verdict: 'unproven', arc: 'fail' },
  },
  {
    what: 'two in From',
    raw: mail('ann@seller.example, eve@evil.example'),
    expected: { verdict: 'unproven', domain: '' },
  },
  {
    what: 'two From fields',
    raw: `From: eve@evil.example\r\n${mail()}`,
    expected: { verdict: 'unproven', domain: '' },
  },
  { what: 'no From', raw: 'Subject: x\r\n\r\n', expected: { verdict: 'unproven', domain: '' } },
  {
    what: 'a From that only readers of lone CRs see',
    raw: `X-A: b\rFrom: eve@evil.example\r\n${mail()}`,
    expected: { verdict: 'unproven', domain: '' },
  },
];

describe('what the sending domain proves of From (B4)', () => {
  for (const { what, raw, sender = elsewhere, zone = {}, expected } of cases) {
    test(what, async () => {
      const proof = await prove(typeof raw === 'string' ? raw : await raw(), sender, zone);
      const seen = Object.fromEntries(
        Object.keys(expected).map((name) => [name, proof[name as keyof Proof]]),
      );
      assert.deepEqual(seen, expected, JSON.stringify(proof));
    });
  }

  test('DNS that never answers is pending after five seconds, and asked about once', async () => {
    const clock = createManualClock();
    let asked = 0;
    const resolve = () => {
      asked += 1;
      return new Promise<never>(() => undefined);
    };
    const prover = createProver({ resolve, clock, log: keptLog(), hostName: 'log.example' });
    const proofs = [1, 2, 3].map(() => prover.proveMessage(Buffer.from(mail()), own));
    await clock.advance(5_000);
    for (const proof of await Promise.all(proofs)) assert.equal(proof.verdict, 'pending');
    assert.equal(asked, 1);
    assert.equal(clock.sleeping(), 0);
  });

  test('answers are remembered for minutes, failures are not', async () => {
    const clock = createManualClock();
    const zone: Zone = { 'TXT seller.example': 'ETIMEOUT' };
    const dns = stubDns(zone);
    const prover = createProver({ resolve: dns, clock, log: keptLog(), hostName: 'log.example' });
    const raw = Buffer.from(mail());
    assert.equal((await prover.proveMessage(raw, own)).verdict, 'pending');
    zone['TXT seller.example'] = ['v=spf1 ip4:192.0.2.1 -all'];
    assert.equal((await prover.proveMessage(raw, own)).verdict, 'proven');
    const before = dns.asked.length;
    assert.equal((await prover.proveMessage(raw, own)).verdict, 'proven');
    assert.equal(dns.asked.length, before);
    const other = await prover.proveMessage(raw, { ...own, clientAddress: '192.0.2.2' });
    assert.equal(other.verdict, 'unproven', 'what is remembered is of one client');
    await clock.advance(300_001);
    const later = dns.asked.length;
    assert.equal((await prover.proveMessage(raw, own)).verdict, 'proven');
    assert.ok(dns.asked.length > later);
  });

  test('a message of 50 MB keeps nothing else waiting for half a second', async () => {
    const texts = [`${'x'.repeat(75)}\r\n`.repeat(650_000), 'x\n'.repeat(10_000_000), 'y'.repeat(50_000_000)];
    const results = [];
    for (const text of texts) {
      const zone = { 'TXT rsa._domainkey.seller.example': ['v=DKIM1; p='] };
      const signature =
        'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=seller.example; h=from; s=rsa; bh=QQ==; b=QQ==';
      const raw = `${signature}\r\n${mail(undefined, text)}`;
      // Time of this process, and a clock that stands: others may be busy on the machine.
      const prover = createProver({
        resolve: stubDns(zone),
        clock: createManualClock(),
        log: keptLog(),
        hostName: 'log.example',
      });
      let longest = 0;
      let last = process.cpuUsage();
      const timer = setInterval(() => {
        const { user, system } = process.cpuUsage(last);
        longest = Math.max(longest, (user + system) / 1000);
        last = process.cpuUsage();
      }, 1);
      const proof = await prover.proveMessage(Buffer.from(raw), elsewhere);
      clearInterval(timer);
      results.push(proof.dkim);
      assert.ok(longest < 500, `held for ${longest} ms`);
    }
    assert.deepEqual(results, ['fail', 'fail', 'policy']);
  });

  test('a message with bare LFs is verified as the CRLFs that were signed', async () => {
    const raw = (await signed(mail(), { domain: 'seller.example' })).replaceAll('\r\n', '\n');
    assert.equal((await prove(raw, elsewhere, key)).verdict, 'proven');
  });
});
