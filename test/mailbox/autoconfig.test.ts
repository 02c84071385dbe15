import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isHostName, parseAutoconfig } from '../../src/mailbox/autoconfig.ts';

const server = (kind: 'incoming' | 'outgoing', type: string, fields: Record<string, string>) =>
  `<${kind}Server type="${type}">${Object.entries(fields)
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('')}</${kind}Server>`;
const file = (...servers: string[]) =>
  `<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="company.example"><domain>company.example</domain><displayName>Company &amp; Co</displayName>${servers.join('')}</emailProvider></clientConfig>`;
const tls = {
  port: '993',
  socketType: 'SSL',
  username: '%EMAILADDRESS%',
  authentication: 'password-cleartext',
};
const imap = server('incoming', 'imap', { hostname: 'imap.company.example', ...tls });
const smtp = server('outgoing', 'smtp', {
  hostname: 'smtp.company.example',
  ...tls,
  port: '587',
  socketType: 'STARTTLS',
});
const ann = 'ann@company.example';

describe('autoconfig', () => {
  test('the first server of each kind with TLS and a password', () => {
    const pop = server('incoming', 'pop3', { hostname: 'pop.company.example', ...tls });
    const plain = server('incoming', 'imap', {
      hostname: 'plain.company.example',
      ...tls,
      socketType: 'plain',
    });
    const tokens = server('incoming', 'imap', {
      hostname: 'o.company.example',
      ...tls,
      authentication: 'OAuth2',
    });
    assert.deepEqual(parseAutoconfig(file(pop, plain, tokens, imap, smtp), ann), {
      imap: { host: 'imap.company.example', port: 993, security: 'tls' },
      smtp: { host: 'smtp.company.example', port: 587, security: 'starttls' },
      user: null,
      label: 'Company & Co',
    });
  });

  test('user names and hosts with parts of the address in them', () => {
    const own = server('incoming', 'imap', {
      ...tls,
      hostname: 'mail.%EMAILDOMAIN%',
      username: '%EMAILLOCALPART%',
    });
    const found = parseAutoconfig(file(own, smtp), ann);
    assert.deepEqual([found?.imap.host, found?.user], ['mail.company.example', 'ann']);
    const odd = server('incoming', 'imap', { ...tls, hostname: 'i.company.example', username: '%toString%' });
    assert.equal(parseAutoconfig(file(odd, smtp), ann)?.user, '%toString%', 'what is none stays');
  });

  for (const [name, source] of [
    ['no SMTP', file(imap)],
    ['only POP3', file(server('incoming', 'pop3', { hostname: 'pop.company.example', ...tls }), smtp)],
    [
      'only without encryption',
      file(server('incoming', 'imap', { hostname: 'i.company.example', ...tls, socketType: 'plain' }), smtp),
    ],
    ...['constructor', 'toString', '__proto__'].map(
      (socketType) =>
        [
          `an encryption that is called ${socketType}`,
          file(server('incoming', 'imap', { hostname: 'i.company.example', ...tls, socketType }), smtp),
        ] as const,
    ),
    ['an address for a host', file(server('incoming', 'imap', { hostname: '127.0.0.1', ...tls }), smtp)],
    ['a host that is none', file(server('incoming', 'imap', { hostname: 'a b/c', ...tls }), smtp)],
    [
      'a port that is none',
      file(server('incoming', 'imap', { hostname: 'i.company.example', ...tls, port: '99999' }), smtp),
    ],
    ['another document', '<html><body>Not found</body></html>'],
    ['a document type', `<!DOCTYPE clientConfig>${file(imap, smtp)}`],
    ['no XML', 'Not found'],
  ] as const) {
    test(`${name}: nothing is found`, () => assert.equal(parseAutoconfig(source, ann), null));
  }

  test('host names', () => {
    for (const good of ['imap.company.example', 'x-1.co', 'IMAP.Company.Example'])
      assert.ok(isHostName(good), good);
    for (const bad of [
      'localhost',
      '10.0.0.1',
      '[::1]',
      'a..b',
      '-a.example',
      'a.example.',
      'a b.example',
      '',
    ]) {
      assert.equal(isHostName(bad), false, bad);
    }
  });
});
