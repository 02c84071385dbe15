import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { createDiscover, createFetchText } from '../../src/mailbox/discovery.ts';
import { silentLog } from '../filing/world.ts';
import { makeCertificates } from '../support/certificates.ts';

const config = (host: string) =>
  `<clientConfig version="1.1"><emailProvider id="x"><displayName>Their host</displayName>
    <incomingServer type="imap"><hostname>imap.${host}</hostname><port>993</port><socketType>SSL</socketType><username>%EMAILLOCALPART%</username></incomingServer>
    <outgoingServer type="smtp"><hostname>smtp.${host}</hostname><port>465</port><socketType>SSL</socketType></outgoingServer>
  </emailProvider></clientConfig>`;

/** What the DNS and the web hold, and what was asked. */
function world(records: Record<string, unknown[]>, files: Record<string, string> = {}) {
  const asked: string[] = [];
  const discover = createDiscover({
    resolve: (name, type) => {
      asked.push(`${type} ${name}`);
      const found = records[`${type} ${name}`];
      return found === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(found);
    },
    fetchText: (url) => {
      asked.push(url);
      return Promise.resolve(files[url] ?? null);
    },
  });
  return { asked, discover };
}

const srv = (name: string, port: number) => [{ name, port, priority: 0, weight: 0 }];
const srvOf = (domain: string) => ({
  [`SRV _imaps._tcp.${domain}`]: srv(`imap.${domain}`, 993),
  [`SRV _submissions._tcp.${domain}`]: srv(`smtp.${domain}`, 465),
});
const mx = (exchange: string) => [{ exchange, priority: 10 }];
const file = 'https://autoconfig.company.example/mail/config-v1.1.xml';
const wellKnown = 'https://company.example/.well-known/autoconfig/mail/config-v1.1.xml';

describe('C3: mail servers found from an address', () => {
  const table: [string, Record<string, unknown[]>, Record<string, string>, Record<string, unknown>][] = [
    [
      'SRV before autoconfig and exchangers',
      { ...srvOf('company.example'), 'MX company.example': mx('mx.one.com') },
      { [file]: config('other.example') },
      { by: 'srv', imap: 'imap.company.example' },
    ],
    [
      'autoconfig before exchangers',
      { 'MX company.example': mx('mx.one.com') },
      { [file]: config('file.example') },
      { by: 'autoconfig', imap: 'imap.file.example', user: 'ann', label: 'Their host' },
    ],
    [
      'autoconfig at the domain itself',
      {},
      { [wellKnown]: config('file.example') },
      { by: 'autoconfig', imap: 'imap.file.example' },
    ],
    [
      'a file that is none is passed over',
      {},
      { [file]: '<html/>', [wellKnown]: config('file.example') },
      { by: 'autoconfig', imap: 'imap.file.example' },
    ],
    [
      'the exchanger of a known host',
      { 'MX company.example': mx('mx1.one.com') },
      {},
      { by: 'exchanger', imap: 'imap.one.com', label: 'one.com' },
    ],
    [
      'Google by its exchanger leads to its consent',
      { 'MX company.example': mx('aspmx.l.google.com') },
      {},
      { by: 'exchanger', provider: 'gmail' },
    ],
    [
      'Microsoft by its exchanger',
      { 'MX company.example': mx('x.mail.protection.outlook.com') },
      {},
      { by: 'exchanger', provider: 'outlook', imap: null, hint: 'no_password' },
    ],
    [
      'IMAP by SRV, but no submission',
      {
        'SRV _imaps._tcp.company.example': srv('i.company.example', 993),
        'MX company.example': mx('mx1.one.com'),
      },
      {},
      { by: 'exchanger' },
    ],
    [
      'a domain that says it has no IMAP',
      { 'SRV _imaps._tcp.company.example': srv('', 0) },
      { [file]: config('file.example') },
      { by: 'srv', imap: null },
    ],
    [
      'nothing: a guess',
      { 'MX company.example': mx('mx.company.example') },
      {},
      { by: 'guess', imap: 'imap.company.example' },
    ],
  ];
  for (const [name, records, files, expected] of table) {
    test(name, async () => {
      const { servers, ...found } = await world(records, files).discover('ann@company.example');
      const all = { ...found, imap: servers?.imap.host ?? null };
      assert.deepEqual({ ...all, ...expected }, all);
    });
  }

  test('the list of large hosts comes first, and nobody is asked', async () => {
    const { asked, discover } = world(srvOf('gmx.de'));
    assert.deepEqual(await discover('ann@GMX.de'), {
      by: 'list',
      label: 'GMX',
      servers: {
        imap: { host: 'imap.gmx.net', port: 993, security: 'tls' },
        smtp: { host: 'mail.gmx.net', port: 465, security: 'tls' },
      },
      user: null,
      hint: 'imap_off',
      provider: null,
    });
    assert.deepEqual(asked, []);
  });

  test('only the domain itself is asked, and not whose address it is', async () => {
    const { asked, discover } = world({});
    await discover('ann.secret@company.example');
    assert.deepEqual(asked.sort(), [
      'MX company.example',
      'SRV _imap._tcp.company.example',
      'SRV _imaps._tcp.company.example',
      'SRV _submission._tcp.company.example',
      'SRV _submissions._tcp.company.example',
      file,
      wellKnown,
    ]);
  });

  for (const domain of ['[10.0.0.1]', 'localhost', '10.0.0.1', 'a_b.example']) {
    test(`a domain that is none is not asked about: ${domain}`, async () => {
      const { asked, discover } = world({});
      assert.equal((await discover(`ann@${domain}`)).by, 'guess');
      assert.deepEqual(asked, []);
    });
  }

  test('names in other scripts are asked about in ASCII', async () => {
    const { discover } = world(srvOf('xn--mller-kva.example'));
    assert.equal((await discover('ann@müller.example')).by, 'srv');
  });
});

describe('C3: files of strangers', () => {
  const trusted = getCACertificates('default');
  let directory: string;
  let answer: RequestListener = (_, response) => response.end();
  let port: number;
  let stop: () => Promise<void>;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'discovery-'));
    const { caPath, certificatePath, keyPath } = await makeCertificates(directory, []);
    const server = createServer(
      { key: await readFile(keyPath), cert: await readFile(certificatePath) },
      (request, response) => answer(request, response),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    setDefaultCACertificates([...trusted, await readFile(caPath, 'utf8')]);
    stop = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
  });
  after(async () => {
    setDefaultCACertificates(trusted);
    await stop();
    await rm(directory, { recursive: true });
  });

  const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 as const }]);
  async function fetched(
    url: string,
    allow: string[] = ['localhost', 'other.example'],
  ): Promise<string | null> {
    const fetchText = createFetchText(createNetGuard({ allow, lookup }), silentLog);
    try {
      return await fetchText(url);
    } finally {
      await fetchText.close();
    }
  }
  const own = () => `https://localhost:${port}/mail/config-v1.1.xml`;

  test('is fetched, and a redirect followed', async () => {
    answer = (request, response) => {
      if (request.url === '/there') response.end('<a/>');
      else response.writeHead(301, { location: '/there' }).end();
    };
    assert.equal(await fetched(own()), '<a/>');
  });

  for (const [name, listener] of [
    ['is not there', (_, response) => response.writeHead(404).end('<a/>')],
    ['is too large', (_, response) => response.end('x'.repeat(70_000))],
    ['redirects for ever', (_, response) => response.writeHead(302, { location: '/again' }).end()],
    [
      'redirects to no TLS',
      (_, response) => response.writeHead(302, { location: 'http://localhost/' }).end(),
    ],
    [
      'redirects to another scheme',
      (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    ],
    [
      'redirects into a private network',
      (_, response) => response.writeHead(302, { location: 'https://10.0.0.1/' }).end(),
    ],
    [
      'ends in the middle',
      (_, response) => {
        response.writeHead(200, { 'content-length': '10' });
        response.write('<a');
        setImmediate(() => response.destroy());
      },
    ],
  ] as [string, RequestListener][]) {
    test(`nothing comes of one that ${name}`, async () => {
      answer = listener;
      assert.equal(await fetched(own()), null);
    });
  }

  test('not of a private network, and not of a server whose certificate is another’s', async () => {
    answer = (_, response) => response.end('<a/>');
    assert.equal(await fetched(own(), []), null);
    assert.equal(await fetched(`https://other.example:${port}/`), null);
    assert.equal(await fetched(`http://localhost:${port}/`), null);
  });
});
