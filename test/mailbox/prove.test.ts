import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { after, afterEach, before, describe, test } from 'node:test';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { LoginProblem, proveLogin } from '../../src/mailbox/prove.ts';
import type { PasswordLogin } from '../../src/mailbox/prove.ts';
import { proveSmtpLogin } from '../../src/outbound/prove.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';

type Tls = { key: string; cert: string };

const imapScript = (capabilities = 'IMAP4rev1 AUTH=PLAIN SASL-IR') => `protocol: imap
capabilities: ${capabilities}
refusal:
  S: $tag NO [AUTHENTICATIONFAILED] Wrong password
`;
const smtpScript = (more = '') => `protocol: smtp
ehlo: mail.company.example
ehlo: AUTH PLAIN LOGIN
${more}refusal:
  S: 535 5.7.8 Wrong password
`;
const notOffered = 'on STARTTLS:\n  S: 502 5.5.1 Command not implemented\n';

describe('C3 a password is proven at both servers', () => {
  const peers: ScriptPeer[] = [];
  const trusted = getCACertificates('default');
  let directory: string;
  let tls: Tls;
  let authority: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'prove-'));
    // For the name `localhost` alone: a check against the address that is connected to would fail.
    const { caPath, certificatePath, keyPath } = await makeCertificates(directory, []);
    tls = { key: await readFile(keyPath, 'utf8'), cert: await readFile(certificatePath, 'utf8') };
    authority = await readFile(caPath, 'utf8');
  });
  afterEach(async () => {
    setDefaultCACertificates(trusted);
    await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  });
  after(() => rm(directory, { recursive: true }));

  async function peer(script: string, options: { tls?: Tls } = {}): Promise<ServerAddress> {
    const started = await startScriptPeer(script, { tokens: ['right'], ...options });
    peers.push(started);
    return { host: 'localhost', port: started.port, security: 'none' };
  }
  const netGuard = createNetGuard({
    allow: ['localhost'],
    lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
  });
  const prove = (login: Partial<PasswordLogin> & Pick<PasswordLogin, 'imap' | 'smtp'>) =>
    proveLogin({ netGuard, proveSmtpLogin }, { user: 'ann', password: 'right', ...login });

  async function refuses(
    login: Parameters<typeof prove>[0],
    expected: { step: string; code: string; kind: string },
  ): Promise<void> {
    const thrown: unknown = await prove(login).then(
      () => assert.fail('it was proven'),
      (error: unknown) => error,
    );
    assert(thrown instanceof LoginProblem, String(thrown));
    const { step, code, kind } = thrown;
    assert.deepEqual({ step, code, kind }, expected);
    assert.doesNotMatch(thrown.message, /right|wrong|localhost/);
  }
  /** A port at which nobody listens any more. */
  async function deadPort(): Promise<ServerAddress> {
    const server = await peer(smtpScript());
    await peers.pop()?.stop();
    return server;
  }

  test('a login that works at both', async () => {
    await prove({ imap: await peer(imapScript()), smtp: await peer(smtpScript()) });
    assert.equal(peers[1]?.sent('AUTH *').length, 1);
    assert.deepEqual(peers[1].sent('MAIL *'), []);
  });

  for (const [name, capabilities, more, expected] of [
    [
      'tells them in the listing',
      ' LIST-STATUS',
      '',
      [
        { path: 'Empty', role: 'other', uidValidity: 10, cursorUid: 0 },
        { path: 'Old', role: 'other', uidValidity: 9, cursorUid: 20 },
      ],
    ],
    ['does not', '', '! * STATUS *\n', []],
    ['has Gmail’s extensions', ' LIST-STATUS X-GM-EXT-1', '! * STATUS *\n', []],
    ['refuses the listing', ' LIST-STATUS', 'on LIST *:\n  S: $tag NO not now\n', []],
  ] as const) {
    test(`C8 answers where the folders ended to which nobody will listen by themselves: the server ${name}`, async () => {
      const folders = `folder: INBOX uidvalidity 7 uidnext 11 exists 2
folder: Sent \\Sent uidvalidity 8 uidnext 3 exists 1
folder: Junk \\Junk uidvalidity 3 uidnext 9 exists 3
folder: Old uidvalidity 9 uidnext 21 exists 2
folder: Empty uidvalidity 10 uidnext 1
`;
      const imap = await peer(
        `${imapScript(`IMAP4rev1 AUTH=PLAIN SASL-IR SPECIAL-USE LIST-EXTENDED${capabilities}`)}${folders}${more}`,
      );
      assert.deepEqual(await prove({ imap, smtp: await peer(smtpScript()) }), expected);
      assert.deepEqual(peers[0]?.sent('* EXAMINE *'), []);
    });
  }

  test('one that IMAP refuses is not tried again at SMTP', async () => {
    const login = { imap: await peer(imapScript()), smtp: await peer(smtpScript()), password: 'wrong' };
    await refuses(login, { step: 'imap', code: 'imap_login_refused', kind: 'denied' });
    assert.deepEqual(peers[1]?.sent('*'), []);
  });

  test('one that only SMTP refuses', async () => {
    const started = await startScriptPeer(smtpScript(), { tokens: ['another'] });
    peers.push(started);
    const smtp = { host: 'localhost', port: started.port, security: 'none' } as const;
    const imap = await peer(imapScript());
    await refuses({ imap, smtp }, { step: 'smtp', code: 'smtp_login_refused', kind: 'denied' });
  });

  test('an SMTP server that cannot tell just now has refused nobody', async () => {
    const smtp = await peer(`protocol: smtp
ehlo: mail.company.example
ehlo: AUTH PLAIN
on AUTH *:
  S: 454 4.7.0 Temporary authentication failure
`);
    const imap = await peer(imapScript());
    await refuses({ imap, smtp }, { step: 'smtp', code: 'smtp_unreachable', kind: 'temporary' });
  });

  test('an SMTP server that knows no login proves nothing', async () => {
    const smtp = await peer(`protocol: smtp
ehlo: mail.company.example
on AUTH *:
  S: 502 5.5.1 Command not implemented
`);
    const imap = await peer(imapScript());
    await refuses({ imap, smtp }, { step: 'smtp', code: 'smtp_login_refused', kind: 'denied' });
  });

  test('servers that are not there', async () => {
    const [imap, smtp] = [await peer(imapScript()), await deadPort()];
    await refuses({ imap: smtp, smtp }, { step: 'imap', code: 'imap_unreachable', kind: 'temporary' });
    await refuses({ imap, smtp }, { step: 'smtp', code: 'smtp_unreachable', kind: 'temporary' });
  });

  test('a certificate of nobody that is trusted', async () => {
    const imap: ServerAddress = { ...(await peer(imapScript(), { tls })), security: 'tls' };
    const smtp: ServerAddress = { ...(await peer(smtpScript(), { tls })), security: 'tls' };
    await refuses({ imap, smtp }, { step: 'imap', code: 'tls_untrusted', kind: 'permanent' });
    const plain = await peer(imapScript());
    await refuses({ imap: plain, smtp }, { step: 'smtp', code: 'tls_untrusted', kind: 'permanent' });
  });

  test('the same by STARTTLS', async () => {
    const script = imapScript('IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR');
    const imap: ServerAddress = { ...(await peer(script, { tls })), security: 'starttls' };
    const smtp: ServerAddress = {
      ...(await peer(smtpScript('ehlo: STARTTLS\n'), { tls })),
      security: 'starttls',
    };
    await refuses({ imap, smtp }, { step: 'imap', code: 'tls_untrusted', kind: 'permanent' });
    const plain = await peer(imapScript());
    await refuses({ imap: plain, smtp }, { step: 'smtp', code: 'tls_untrusted', kind: 'permanent' });
  });

  test('the certificate counts for the name, not for the address that the name stood for', async () => {
    setDefaultCACertificates([...trusted, authority]);
    const imap: ServerAddress = { ...(await peer(imapScript(), { tls })), security: 'tls' };
    const smtp: ServerAddress = { ...(await peer(smtpScript(), { tls })), security: 'tls' };
    await prove({ imap, smtp });
    const other = { ...imap, host: '127.0.0.1' };
    const guard = createNetGuard({ allow: ['127.0.0.1'] });
    await assert.rejects(
      proveLogin({ netGuard: guard, proveSmtpLogin }, { imap: other, smtp, user: 'ann', password: 'right' }),
      { code: 'tls_untrusted' },
    );
  });

  test('a server that offers no STARTTLS', async () => {
    const plain = { imap: await peer(imapScript()), smtp: await peer(smtpScript(notOffered)) };
    const imap: ServerAddress = { ...plain.imap, security: 'starttls' };
    const smtp: ServerAddress = { ...plain.smtp, security: 'starttls' };
    await refuses({ ...plain, imap }, { step: 'imap', code: 'tls_failed', kind: 'permanent' });
    await refuses({ ...plain, smtp }, { step: 'smtp', code: 'tls_failed', kind: 'permanent' });
    assert.deepEqual(peers[1]?.sent('AUTH *'), [], 'a password never goes out in clear where TLS is wanted');
  });

  test('a port that speaks no TLS', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 ready\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const deaf: ServerAddress = { host: 'localhost', port, security: 'tls' };
    await refuses({ imap: deaf, smtp: deaf }, { step: 'imap', code: 'tls_failed', kind: 'permanent' });
    const imap = await peer(imapScript());
    await refuses({ imap, smtp: deaf }, { step: 'smtp', code: 'tls_failed', kind: 'permanent' });
    server.close();
  });

  test('hosts in a private network are not connected to', async () => {
    const [imap, smtp] = [await peer(imapScript()), await peer(smtpScript())];
    const metadata: ServerAddress = { host: '169.254.169.254', port: 993, security: 'tls' };
    await refuses({ imap: metadata, smtp }, { step: 'imap', code: 'private_address', kind: 'permanent' });
    await refuses({ imap, smtp: metadata }, { step: 'smtp', code: 'private_address', kind: 'permanent' });
    const rebound = { ...imap, host: 'mail.evil.example' };
    await refuses({ imap: rebound, smtp }, { step: 'imap', code: 'private_address', kind: 'permanent' });
  });
});
