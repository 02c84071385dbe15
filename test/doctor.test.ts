import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { readConfig } from '../src/config.ts';
import { openData } from '../src/data.ts';
import { doctor } from '../src/doctor.ts';
import type { DoctorMeans } from '../src/doctor.ts';
import type { ResolveDns } from '../src/intake/dns.ts';
import { readDomain } from '../src/intake/domain-records.ts';
import type { TlsaRecord } from '../src/intake/domain-records.ts';
import { systemClock } from '../src/lib/clock.ts';
import { openDoor } from './intake/door.ts';
import { stubDns } from './intake/signing.ts';
import { makeCertificates } from './support/certificates.ts';
import type { Certificates } from './support/certificates.ts';
import { twoway } from './support/cli.ts';
import { startDns } from './support/dns.ts';
import type { Zone } from './support/dns.ts';
import { layEmbeddedDatabase } from './support/embedded.ts';
import { startTestGateway } from './support/gateway.ts';
import { createManualClock } from './support/manual-clock.ts';
import { freePort } from './support/processes.ts';
import { useServers } from './support/shared-servers.ts';

const gb = 1024 ** 3;
const dayMs = 24 * 3_600_000;
/** Its one MX host is where the Internet reaches it. */
const sound: Zone = {
  'MX log.example': ['10 mx.log.example'],
  'A mx.log.example': ['8.8.4.4'],
};

let directory: string;
let made: Certificates;
/** The certificate with its chain, and its fingerprint. */
let chainPath: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twoway-doctor-'));
  made = await makeCertificates(directory, [], { host: 'mx.log.example', days: 90 });
  chainPath = join(directory, 'fullchain.pem');
  await writeFile(
    chainPath,
    `${await readFile(made.certificatePath, 'utf8')}${await readFile(made.caPath, 'utf8')}`,
  );
});
after(() => rm(directory, { recursive: true }));

/** As node:dns gives the records of a zone. */
function dnsOf(zone: Zone, tlsa: readonly TlsaRecord[] = []): ResolveDns {
  const stub = stubDns(zone);
  return async (name, type) => {
    if (type === 'TLSA' && name === '_25._tcp.mx.log.example' && tlsa.length > 0)
      return tlsa as unknown as string[];
    const found = await stub(name, type);
    if (type !== 'MX') return found;
    const records = (found as string[]).map((record) => record.split(' '));
    return records.map(([priority, exchange = '']) => ({
      exchange,
      priority: Number(priority),
    })) as unknown as string[];
  };
}

type Given = {
  zone?: Zone;
  tlsa?: readonly TlsaRecord[];
  settings?: Record<string, string>;
  free?: number;
  /** ms since 1970. */
  now?: number;
  /** What the token endpoints say. */
  tryClient?: string;
  providerDate?: number | null;
};

/** What doctor says of an installation that is sound but for what is given. */
async function look({
  zone = sound,
  tlsa = [],
  settings = {},
  free = 50 * gb,
  now,
  tryClient = 'token_revoked',
  providerDate = null,
}: Given) {
  const config = readConfig({
    TWOWAY_DATA_DIR: join(directory, 'data'),
    TWOWAY_LOGGING_DOMAIN: 'log.example',
    TWOWAY_SMTP_HOST: '0.0.0.0',
    TWOWAY_SMTP_PORT: `${await freePort()}`,
    ...settings,
  });
  const means: DoctorMeans = {
    resolve: dnsOf(zone, tlsa),
    clock: now === undefined ? systemClock : { ...systemClock, now: () => now },
    freeBytes: () => Promise.resolve(free),
    dateOf: () => Promise.resolve(providerDate),
    tryClient: () => Promise.resolve(tryClient),
  };
  return doctor(config, means);
}

/** `problem`, or `ok`, or …: the lines of one check, without its name; with the fixes. */
function linesOf(text: string, check: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, n) => {
    const [, level = '', rest = ''] = /^(\S+) +(.*)$/.exec(line) ?? [];
    if (!rest.startsWith(`${check}: `)) return [];
    const fix = /^ {9}(.*)$/.exec(lines[n + 1] ?? '')?.[1];
    return [`${level}: ${rest.slice(check.length + 2)}${fix === undefined ? '' : ` → ${fix}`}`];
  });
}

const certified = (): Record<string, string> => ({
  TWOWAY_SMTP_TLS_CERT: chainPath,
  TWOWAY_SMTP_TLS_KEY: made.keyPath,
});
const mtaSts: Zone = { ...sound, 'TXT _mta-sts.log.example': ['v=STSv1; id=20261101;'] };

/** `given` is a function where it needs the certificates. */
type Row = [title: string, check: string, expected: RegExp[], given: Given | (() => Given)];

function table(name: string, rows: readonly Row[]): void {
  describe(`twoway doctor, ${name}`, () => {
    for (const [title, check, expected, given] of rows) {
      test(title, async () => {
        const { text, isSound } = await look(typeof given === 'function' ? given() : given);
        const lines = linesOf(text, check);
        assert.equal(lines.length, expected.length, text);
        expected.forEach((line, at) => assert.match(lines[at] ?? '', line));
        assert.equal(isSound, !/^problem /m.test(text));
        for (const line of lines) assert.equal(line.includes(' → '), !line.startsWith('ok'), line);
      });
    }
  });
}

table('DNS', [
  ['an MX record, and where it leads', 'MX record', [/^ok: log\.example has MX 10 mx\.log\.example$/], {}],
  [
    'its host, of which nobody here knows whether it is this one',
    'MX host',
    [/^ok: mx\.log\.example is at 8\.8\.4\.4; .*cannot be seen from here$/],
    {},
  ],
  [
    'two MX hosts, the first one first',
    'MX record',
    [/^ok: .* 20 b\.log\.example, 10 a\.log\.example$/],
    { zone: { 'MX log.example': ['20 b.log.example', '10 a.log.example'] } },
  ],
  [
    'of two MX hosts one is not there',
    'MX host',
    [
      /^ok: a\.log\.example is at 2001:4860:4860::8844;/,
      /^problem: b\.log\.example, .* has no address → Add an A or AAAA/,
    ],
    {
      zone: {
        'MX log.example': ['20 b.log.example', '10 a.log.example'],
        'AAAA a.log.example': ['2001:4860:4860::8844'],
      },
    },
  ],
  [
    'no MX, but an address (RFC 5321 §5.1)',
    'MX record',
    [/^warning: log\.example has no MX record; mail goes to its own address.* → .*log\.example\. MX 10 /],
    { zone: { 'A log.example': ['8.8.4.4'] } },
  ],
  [
    'the address that stands for the MX is looked at, too',
    'MX host',
    [/^problem: log\.example has the address 10\.0\.0\.4, /],
    { zone: { 'A log.example': ['10.0.0.4'] } },
  ],
  [
    'neither MX nor address',
    'MX record',
    [/^problem: log\.example has no MX record, .* → At your DNS provider add: log\.example\. MX 10 /],
    { zone: {} },
  ],
  ['neither MX nor address is told once', 'MX host', [], { zone: {} }],
  [
    'a null MX (RFC 7505)',
    'MX record',
    [/^problem: .*null MX, RFC 7505.* → Replace it/],
    { zone: { 'MX log.example': ['0 '] } },
  ],
  [
    'a null MX beside another',
    'MX record',
    [/^problem: .*null MX \(RFC 7505\) beside others \(10 mx\.log\.example\)/],
    { zone: { ...sound, 'MX log.example': ['0 ', '10 mx.log.example'] } },
  ],
  [
    'an MX that names an alias (RFC 2181 §10.3)',
    'MX host',
    [
      /^problem: mx\.log\.example, .* is an alias \(CNAME\) of vm\.host\.example; .* → .*name vm\.host\.example/,
    ],
    { zone: { ...sound, 'CNAME mx.log.example': ['vm.host.example'] } },
  ],
  [
    'an MX that names an address',
    'MX host',
    [/^problem: the MX record names the address 8\.8\.4\.4 where a host name must stand/],
    { zone: { 'MX log.example': ['10 8.8.4.4'] } },
  ],
  ...['127.0.0.1', '192.168.1.4', '100.64.0.9'].map((address): Row => [
    `an MX host at ${address}`,
    'MX host',
    [new RegExp(`^problem: mx\\.log\\.example has the address ${address}, which cannot be reached`)],
    { zone: { ...sound, 'A mx.log.example': [address] } },
  ]),
  [
    'DNS that fails is no absence',
    'MX record',
    [/^warning: DNS did not tell the MX records of log\.example: ESERVFAIL → Run this again/],
    { zone: { 'MX log.example': 'ESERVFAIL' } },
  ],
  [
    'addresses of which DNS does not tell',
    'MX host',
    [/^warning: DNS did not tell the addresses of mx\.log\.example: ETIMEOUT/],
    { zone: { ...sound, 'A mx.log.example': 'ETIMEOUT' } },
  ],
]);

const inDays = (days: number): number => Date.now() + days * dayMs;
/** The authority's own. */
const selfSigned = (): Record<string, string> => ({
  TWOWAY_SMTP_TLS_CERT: made.caPath,
  TWOWAY_SMTP_TLS_KEY: join(directory, 'ca.key'),
});
/** The sound one, but for one of its files. */
const withFile = (setting: 'CERT' | 'KEY', path: () => string) => (): Given => ({
  settings: { ...certified(), [`TWOWAY_SMTP_TLS_${setting}`]: path() },
});
const otherHost: Zone = { 'MX log.example': ['10 mx2.log.example'], 'A mx2.log.example': ['8.8.4.4'] };

table('the certificate', [
  [
    'one that is sound',
    'certificate',
    [/^ok: it is mx\.log\.example, and valid until 20\d\d-/],
    () => ({ settings: certified() }),
  ],
  ['none', 'certificate', [/^warning: there is none: .*plain text → .*TWOWAY_SMTP_TLS_CERT/], {}],
  [
    'one that expires',
    'certificate',
    [/^warning: it expires on 20.* → Renew it/],
    () => ({ settings: certified(), now: inDays(80) }),
  ],
  [
    'one that has expired',
    'certificate',
    [/^problem: it has expired on 20/],
    () => ({ settings: certified(), now: inDays(91) }),
  ],
  [
    'one that is not yet valid',
    'certificate',
    [/^problem: it is valid only from/],
    () => ({ settings: certified(), now: inDays(-9) }),
  ],
  [
    'files that are not there',
    'certificate',
    [/^problem: it cannot be read: ENOENT/],
    withFile('CERT', () => join(directory, 'none.pem')),
  ],
  [
    'a file without a certificate',
    'certificate',
    [/^problem: it cannot be read: there is no certificate in the file/],
    withFile('CERT', () => made.keyPath),
  ],
  [
    'a key of another',
    'certificate',
    [/^problem: the key is that of another certificate/],
    withFile('KEY', () => join(directory, 'ca.key')),
  ],
  [
    'a key that is none',
    'certificate',
    [/^problem: the key cannot be used: /],
    withFile('KEY', () => made.caPath),
  ],
  [
    'without its chain',
    'certificate',
    [/^warning: its chain is not whole: .* → .*fullchain\.pem/],
    withFile('CERT', () => made.certificatePath),
  ],
  [
    'another name than that of the MX host',
    'certificate',
    [/^warning: it is not for mx2\.log\.example, .* but for mx\.log\.example → Get one with the name mx2/],
    () => ({ settings: certified(), zone: otherHost }),
  ],
  [
    'another name where MTA-STS asks for it',
    'certificate',
    [/^problem: it is not for mx2\.log\.example,/],
    () => ({ settings: certified(), zone: { ...mtaSts, ...otherHost } }),
  ],
  [
    'self-signed',
    'certificate',
    [/^warning: it is not for mx\.log\.example/, /^warning: it is self-signed/],
    () => ({ settings: selfSigned() }),
  ],
  [
    'self-signed where MTA-STS asks for more',
    'certificate',
    [/^problem: it is not for mx\.log\.example/, /^problem: it is self-signed/],
    () => ({ settings: selfSigned(), zone: mtaSts }),
  ],
]);

table('what DNS promises of TLS', [
  ['nothing', 'TLS policy', [/^ok: DNS asks senders for no certificate/], {}],
  [
    'MTA-STS',
    'TLS policy',
    [/^ok: _mta-sts\.log\.example announces/],
    () => ({ settings: certified(), zone: mtaSts }),
  ],
  [
    'MTA-STS without TLS',
    'TLS policy',
    [/^problem: .*no STARTTLS: .* → Set TWOWAY_SMTP_TLS_CERT/],
    { zone: mtaSts },
  ],
  [
    'another TXT record there',
    'TLS policy',
    [/^ok: DNS asks/],
    { zone: { ...sound, 'TXT _mta-sts.log.example': ['v=STSv10'] } },
  ],
  [
    'no answer',
    'TLS policy',
    [/^warning: DNS did not tell whether log\.example has an MTA-STS policy: ESERVFAIL/],
    { zone: { ...sound, 'TXT _mta-sts.log.example': 'ESERVFAIL' } },
  ],
]);

describe('twoway doctor, DANE', () => {
  const record = (certUsage: number, selector: number, match: number, bytes: Buffer): TlsaRecord => {
    const hashed =
      match === 0
        ? bytes
        : createHash(match === 1 ? 'sha256' : 'sha512')
            .update(bytes)
            .digest();
    return { certUsage, selector, match, data: new Uint8Array(hashed).buffer };
  };
  test('a record that fits, by any usage that SMTP knows, is enough; none is a problem', async () => {
    const [own, ca] = [made.certificatePath, made.caPath];
    const certificate = new X509Certificate(await readFile(own));
    const authority = new X509Certificate(await readFile(ca));
    const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
    const wrong = record(3, 1, 1, Buffer.from('the key before'));
    const told = async (...tlsa: TlsaRecord[]) =>
      linesOf((await look({ tlsa, settings: certified() })).text, 'TLS policy');
    for (const fitting of [
      record(3, 1, 1, key),
      record(3, 0, 2, certificate.raw),
      record(3, 1, 0, key),
      record(2, 0, 1, authority.raw),
    ])
      assert.match((await told(wrong, fitting))[0] ?? '', /^ok: .*fits one of them$/);
    assert.match(
      (await told(wrong))[0] ?? '',
      /^problem: _25\._tcp\.mx\.log\.example .*none fits .* → Publish/,
    );
    assert.match((await told(record(3, 0, 1, authority.raw)))[0] ?? '', /^problem: /);
    assert.match((await told(record(1, 1, 1, key)))[0] ?? '', /^ok: DNS asks/);
    const bare = await look({ tlsa: [wrong] });
    assert.match(linesOf(bare.text, 'TLS policy')[0] ?? '', /^problem: .*offers no STARTTLS/);
    assert.equal(bare.isSound, false);
  });
});

table('what else there is', [
  [
    'no domain',
    'logging domain',
    [/^warning: there is none: .* → Set TWOWAY_LOGGING_DOMAIN/],
    { settings: { TWOWAY_LOGGING_DOMAIN: '', TWOWAY_SANDBOX: 'off' } },
  ],
  ['no domain: DNS is not asked', 'MX record', [], { settings: { TWOWAY_LOGGING_DOMAIN: '' } }],
  [
    'the sandbox',
    'logging domain',
    [/^ok: log\.sandbox\.example, .*DNS says nothing/],
    { settings: { TWOWAY_LOGGING_DOMAIN: '' } },
  ],
  [
    'no way to a port of loopback',
    'way of the mail',
    [/^warning: .*127\.0\.0\.1:\d+, which only this machine/],
    { settings: { TWOWAY_SMTP_HOST: '127.0.0.1' } },
  ],
  [
    'a balancer on this machine',
    'way of the mail',
    [/^ok: .*a load balancer among 127\.0\.0\.1 must lead port 25 there/],
    { settings: { TWOWAY_SMTP_HOST: '127.0.0.1', TWOWAY_SMTP_PROXIES: '127.0.0.1' } },
  ],
  ['another port than 25', 'way of the mail', [/^ok: .*must lead port 25 there$/], {}],
  [
    'port 25',
    'way of the mail',
    [/^ok: the gateway listens at 127\.0\.0\.9:25 itself$/],
    { settings: { TWOWAY_SMTP_HOST: '127.0.0.9', TWOWAY_SMTP_PORT: '25', TWOWAY_SMTP_PROXIES: '192.0.2.1' } },
  ],
  ['any port', 'SMTP port', [/^warning: TWOWAY_SMTP_PORT is 0/], { settings: { TWOWAY_SMTP_PORT: '0' } }],
  [
    'nobody at the port',
    'SMTP port',
    [/^warning: no gateway answers at port \d+ of 127\.0\.0\.1 \(.*ECONNREFUSED.*→ Is the gateway running\?/],
    {},
  ],
  ['a full disk', 'disk', [/^problem: 512 MB are free /], { free: gb / 2 }],
  [
    'a disk that a spool would fill',
    'disk',
    [/^warning: 4\.0 GB are free .*8\.0 GB while the database is away/],
    { free: 4 * gb },
  ],
  ['room', 'disk', [/^ok: 50\.0 GB are free/], {}],
  ['no database yet', 'database', [/^warning: there is none in .*data yet → The first start makes it/], {}],
  [
    'the embedded database in production',
    'database',
    [/^warning: .*power cut → .*PostgreSQL/, /^warning: there is none/],
    { settings: { NODE_ENV: 'production' } },
  ],
  [
    'no https in production',
    'public address',
    [/^problem: http:\/\/crm\.example is not https/],
    { settings: { NODE_ENV: 'production', TWOWAY_PUBLIC_URL: 'http://crm.example' } },
  ],
  [
    'no address in production',
    'public address',
    [/^problem: TWOWAY_PUBLIC_URL is not set/],
    { settings: { NODE_ENV: 'production' } },
  ],
  [
    'https in production',
    'public address',
    [/^ok: https:\/\/crm\.example$/],
    { settings: { NODE_ENV: 'production', TWOWAY_PUBLIC_URL: 'https://crm.example' } },
  ],
]);

describe('twoway doctor at the SMTP port', () => {
  const at = (port: number, more: Record<string, string> = {}) =>
    look({ settings: { TWOWAY_SMTP_PORT: `${port}`, ...more } }).then(({ text }) =>
      linesOf(text, 'SMTP port'),
    );

  /** Answers each line by the first of these that is left, then by nothing. */
  const scripted = async (t: TestContext, ...replies: string[]): Promise<number> => {
    const server = createServer((socket) => {
      const left = [...replies];
      const next = () => void socket.write(left.shift() ?? '');
      socket.on('data', next);
      socket.on('error', (error: NodeJS.ErrnoException) => assert.equal(error.code, 'ECONNRESET'));
      next();
    });
    t.after(() => server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  test('a gateway with and without STARTTLS, and one of other settings', async (t) => {
    const certificate = { certPath: chainPath, keyPath: made.keyPath };
    const secure = await openDoor({ certificate });
    t.after(() => secure.stop());
    const plain = await openDoor();
    t.after(() => plain.stop());
    const rows: [number, Record<string, string>, RegExp][] = [
      [
        secure.intake.port,
        certified(),
        /^ok: the gateway answers at port \d+ of 127\.0\.0\.1, and offers STARTTLS/,
      ],
      [plain.intake.port, {}, /^ok: the gateway answers at port \d+ of 127\.0\.0\.1$/],
      [
        plain.intake.port,
        certified(),
        /^problem: .*does not offer STARTTLS, although .* → Start the gateway again/,
      ],
      [secure.intake.port, selfSigned(), /^warning: .*another certificate than the file has/],
      [
        secure.intake.port,
        { TWOWAY_LOGGING_DOMAIN: 'log.other.example' },
        /^problem: .*does not take mail for log\.other/,
      ],
    ];
    for (const [port, settings, expected] of rows) {
      const lines = await at(port, settings);
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', expected);
    }
  });

  test('a gateway that wants a PROXY header of this machine gets one', async (t) => {
    const opened = await openDoor({ proxies: ['127.0.0.0/8'] });
    t.after(() => opened.stop());
    const [line = ''] = await at(opened.intake.port, { TWOWAY_SMTP_PROXIES: '127.0.0.0/8' });
    assert.match(line, /^ok: the gateway answers/);
  });

  test('what is no gateway, or closes', async (t) => {
    const strange = await scripted(t, '220 mail.example ESMTP Postfix\r\n', '250 mail.example\r\n');
    assert.match((await at(strange))[0] ?? '', /^problem: .*"220 mail\.example ESMTP Postfix", which is not/);
    const busy = await scripted(t, '421 4.3.2 Too many sessions\r\n');
    assert.match((await at(busy))[0] ?? '', /^problem: .*"421 4\.3\.2 Too many sessions"/);
    const greeting = '220 log.example ESMTP Twoway\r\n';
    const garbled = await scripted(
      t,
      greeting,
      '250-log.example\r\n250 STARTTLS\r\n',
      '220 2.0.0 Go\r\n',
      'what?\r\n',
    );
    assert.match(
      (await at(garbled))[0] ?? '',
      /^warning: no gateway answers .*SSL.* → Is the gateway running/,
    );
    const closing = createServer((socket) => socket.end());
    t.after(() => closing.close());
    closing.listen(0, '127.0.0.1');
    await once(closing, 'listening');
    const { port } = closing.address() as AddressInfo;
    assert.match((await at(port))[0] ?? '', /^warning: no gateway answers .*the connection was closed/);
  });
});

describe('twoway doctor on the disk', () => {
  test('how much waits, and what a gateway of another host name has left', async () => {
    const data = join(directory, 'spooling');
    const spool = (host: string) => join(data, 'spool', host, 'messages');
    await Promise.all(
      [hostname(), 'gone', 'elsewhere', 'empty'].map((host) => mkdir(spool(host), { recursive: true })),
    );
    await writeFile(join(spool(hostname()), '000000000001.journal'), Buffer.alloc(3 * 1024 ** 2));
    await writeFile(join(spool('gone'), 'spl_1.eml'), 'x');
    await writeFile(join(spool('elsewhere'), 'spl_2.eml'), 'x');
    await writeFile(join(data, 'spool', 'elsewhere', 'lock'), '1 1\n');
    const { text } = await look({ settings: { TWOWAY_DATA_DIR: data } });
    const [left = '', own = '', ...more] = linesOf(text, 'spool');
    assert.match(
      left,
      /^warning: 1 MB of accepted mail wait in .*spool\/gone, which no gateway uses → Start/,
    );
    assert.match(own, /^ok: 3 MB in /);
    assert.deepEqual(more, []);
  });

  test('a file where the folder should be', async () => {
    const data = join(directory, 'file');
    await writeFile(data, '');
    const { text } = await look({ settings: { TWOWAY_DATA_DIR: data } });
    assert.match(
      linesOf(text, 'spool')[0] ?? '',
      /^problem: nothing can be written in .*file\/spool.*ENOTDIR/,
    );
    assert.match(linesOf(text, 'disk')[0] ?? '', /^ok/);
  });

  test('the embedded database: in use by the gateway, and afterwards of this version', async () => {
    const settings = { TWOWAY_DATA_DIR: join(directory, 'embedded') };
    await layEmbeddedDatabase(settings.TWOWAY_DATA_DIR);
    const gateway = await openData(readConfig(settings));
    const beside = linesOf((await look({ settings })).text, 'database');
    assert.deepEqual(beside, [`ok: the embedded one, in use by the gateway (process ${process.pid})`]);
    await gateway.close();
    assert.deepEqual(linesOf((await look({ settings })).text, 'database'), [
      'ok: the embedded one, of this version',
    ]);
  });

  test('a PostgreSQL that does not answer is a problem, and keeps nothing else from being told', async () => {
    const settings = {
      TWOWAY_DATABASE_URL: `postgres://twoway@127.0.0.1:${await freePort()}/twoway`,
      TWOWAY_SECRET_KEYS: Buffer.alloc(32, 1).toString('base64'),
    };
    const { text, isSound } = await look({ settings });
    assert.match(
      linesOf(text, 'database')[0] ?? '',
      /^problem: it cannot be used: .*ECONNREFUSED.* → .*PostgreSQL runs/,
    );
    assert.equal(isSound, false);
    assert.match(text, /^ok {7}MX record: /m);
    assert.match(text, /\n\n1 problem, 2 warnings\.\n$/);
  });
});

test('DNS that never answers is waited for five seconds a question', async () => {
  const clock = createManualClock();
  const reading = readDomain({ resolve: () => new Promise(() => undefined), clock }, 'log.example');
  await clock.advance(5_000);
  const { mx, hosts, mtaSts } = await reading;
  assert.deepEqual(
    [mx.failure, hosts.length, mtaSts.failure],
    ['no answer within 5000 ms', 0, 'no answer within 5000 ms'],
  );
});

describe('twoway doctor as a command', () => {
  test('beside a gateway on PostgreSQL: nothing to do, with 0; without its MX host a problem, with 1', async (t) => {
    const dns = await startDns({ ...sound });
    t.after(() => dns.stop());
    const environment = {
      TWOWAY_SMTP_PORT: `${await freePort()}`,
      TWOWAY_SMTP_PROXIES: '127.0.0.1',
      TWOWAY_LOGGING_DOMAIN: 'log.example',
      TWOWAY_DNS_SERVERS: dns.address,
      ...certified(),
    };
    const gateway = await startTestGateway(await useServers(), { database: 'postgres', environment });
    try {
      const settings = {
        ...environment,
        TWOWAY_DATA_DIR: gateway.dataDir,
        TWOWAY_DATABASE_URL: gateway.databaseUrl ?? '',
        TWOWAY_SECRET_KEYS: Buffer.alloc(32, 5).toString('base64'),
      };
      const { code, stdout, stderr } = await twoway(['doctor'], settings);
      assert.deepEqual([code, stderr], [0, '']);
      for (const line of [
        /^ok {7}database: PostgreSQL 1\d\.\d+, of this version of Twoway; it answers within \d+ ms, /m,
        /^ok {7}MX record: log\.example has MX 10 mx\.log\.example$/m,
        /^ok {7}SMTP port: the gateway answers .*, and offers STARTTLS with the certificate$/m,
        /^ok {7}certificate: it is mx\.log\.example, and valid until /m,
        /^ok {7}spool: 0 MB in /m,
      ])
        assert.match(stdout, line);
      assert.match(stdout, /\n\nEverything is as it should be\.\n$/);
      // CNAME and TLSA by their numbers.
      assert.deepEqual(
        new Set(dns.asked.map((question) => question.split(' ')[0])),
        new Set(['5', '52', 'A', 'AAAA', 'MX', 'TXT']),
      );
      delete dns.zone['A mx.log.example'];
      await gateway.kill();
      const later = await twoway(['doctor'], settings);
      assert.equal(later.code, 1);
      assert.match(
        later.stdout,
        /^problem {2}MX host: mx\.log\.example, .*has no address\n {9}Add an A or AAAA/m,
      );
      assert.match(later.stdout, /^warning {2}SMTP port: no gateway answers/m);
      assert.match(later.stdout, /\n\n1 problem, 1 warning\.\n$/);
    } finally {
      await gateway.remove();
    }
  });

  test('words and settings that it does not know, with 2', async () => {
    const unknown = await twoway(['doctor', 'dns'], {});
    assert.deepEqual([unknown.code, unknown.stdout], [2, '']);
    assert.match(unknown.stderr, /doctor knows no 'dns'/);
    const wrong = await twoway(['doctor'], { TWOWAY_SMTP_TLS_CERT: '/tmp/cert.pem' });
    assert.deepEqual([wrong.code, /TWOWAY_SMTP_TLS_CERT and _KEY/.test(wrong.stderr)], [2, true]);
  });
});
