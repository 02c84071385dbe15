import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import type { FailureKind } from '../../src/lib/failure.ts';
import { imapFailure } from '../../src/mailbox/imap-errors.ts';
import { openSession } from '../../src/mailbox/session.ts';
import type { Session } from '../../src/mailbox/session.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startScriptPeer } from '../support/script-peer.ts';

type Expected = { kind: FailureKind; code: string; retryAfterMs?: number };

const script = (
  more: string,
) => `capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE UIDPLUS
folder: INBOX uidvalidity 7 uidnext 3 exists 2
${more}`;

/** What a server says, at which command, and what it means. The objects are those that imapflow throws. */
const answers: { name: string; at: string; says: string; means: Expected }[] = [
  {
    name: 'Gmail: too many connections, as a refused login',
    at: 'AUTHENTICATE *',
    says: '$tag NO [ALERT] Too many simultaneous connections. (Failure)',
    means: { kind: 'throttled', code: 'too_many_connections', retryAfterMs: 60_000 },
  },
  {
    name: 'Dovecot: too many connections',
    at: 'AUTHENTICATE *',
    says: '$tag NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)',
    means: { kind: 'throttled', code: 'too_many_connections', retryAfterMs: 60_000 },
  },
  {
    name: 'Gmail: no bandwidth left today, as a refused login',
    at: 'AUTHENTICATE *',
    says: '$tag NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)',
    means: { kind: 'throttled', code: 'bandwidth_limit', retryAfterMs: 3_600_000 },
  },
  {
    name: 'the same in the middle of things',
    at: 'EXAMINE *',
    says: '$tag NO Account exceeded command or bandwidth limits.',
    means: { kind: 'throttled', code: 'bandwidth_limit', retryAfterMs: 3_600_000 },
  },
  {
    name: 'the token checker is down, as a refused login',
    at: 'AUTHENTICATE *',
    says: '$tag NO [UNAVAILABLE] Temporary authentication failure.',
    means: { kind: 'temporary', code: 'server_unavailable' },
  },
  {
    name: 'Gmail: a bad moment, as a refused login',
    at: 'AUTHENTICATE *',
    says: '$tag NO [UNAVAILABLE] Temporary System Error (Failure)',
    means: { kind: 'temporary', code: 'server_unavailable' },
  },
  {
    name: 'Exchange: a bad moment, without any code',
    at: 'AUTHENTICATE *',
    says: '$tag NO Server Unavailable. 15',
    means: { kind: 'temporary', code: 'server_unavailable' },
  },
  {
    name: 'Gmail wants the person in a browser',
    at: 'AUTHENTICATE *',
    says: '$tag NO [WEBALERT https://accounts.google.com/signin] Web login required.',
    means: { kind: 'temporary', code: 'web_login_required' },
  },
  {
    name: 'Gmail: IMAP is switched off',
    at: 'AUTHENTICATE *',
    says: '$tag NO [ALERT] IMAP access is disabled for your domain. Please contact your administrator.',
    means: { kind: 'temporary', code: 'imap_alert' },
  },
  {
    name: 'Exchange slows down a login',
    at: 'AUTHENTICATE *',
    says: '$tag BAD Request is throttled. Suggested Backoff Time: 30 milliseconds',
    means: { kind: 'throttled', code: 'provider_throttles', retryAfterMs: 30 },
  },
  {
    name: 'Exchange slows down a command, for a moment',
    at: 'EXAMINE *',
    says: '$tag BAD Request is throttled. Suggested Backoff Time: 30 milliseconds',
    means: { kind: 'throttled', code: 'provider_throttles', retryAfterMs: 30 },
  },
  {
    name: 'Exchange slows down a command for minutes: not waited for inside the call',
    at: 'UID SEARCH *',
    says: '$tag BAD Request is throttled. Suggested Backoff Time: 240000 milliseconds',
    means: { kind: 'throttled', code: 'provider_throttles', retryAfterMs: 240_000 },
  },
  {
    name: 'the same at a FETCH, which imapflow would try four times over',
    at: 'UID FETCH *',
    says: '$tag BAD Request is throttled. Suggested Backoff Time: 240000 milliseconds',
    means: { kind: 'throttled', code: 'provider_throttles', retryAfterMs: 240_000 },
  },
  {
    name: 'a wrong password, and a kind word for the person',
    at: 'AUTHENTICATE *',
    says: '$tag NO [AUTHENTICATIONFAILED] Authentication failed. Please try again.',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'the same word where nothing was wrong with the password',
    at: 'AUTHENTICATE *',
    says: '$tag NO Authentication is not to be had now. Please try again.',
    means: { kind: 'temporary', code: 'server_unavailable' },
  },
  {
    name: 'Gmail refuses a token',
    at: 'AUTHENTICATE *',
    says: '$tag NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'Exchange refuses a token in two words',
    at: 'AUTHENTICATE *',
    says: '$tag NO AUTHENTICATE failed.',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'Exchange takes no passwords any more',
    at: 'AUTHENTICATE *',
    says: '$tag NO Basic authentication is disabled.',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'Gmail wants another kind of password',
    at: 'AUTHENTICATE *',
    says: '$tag NO [ALERT] Application-specific password required: https://support.google.com/accounts',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'a password has expired (RFC 5530)',
    at: 'AUTHENTICATE *',
    says: '$tag NO [EXPIRED] That password is not current any more',
    means: { kind: 'denied', code: 'login_refused' },
  },
  {
    name: 'Exchange took the token and has no mailbox for it',
    at: 'NAMESPACE',
    says: '$tag BAD User is authenticated but not connected.',
    means: { kind: 'temporary', code: 'authenticated_not_connected' },
  },
  {
    name: 'a folder that cannot be opened',
    at: 'EXAMINE *',
    says: '$tag NO [NONEXISTENT] Unknown folder',
    means: { kind: 'temporary', code: 'command_refused' },
  },
  {
    name: 'Exchange after the end of its session',
    at: 'UID SEARCH *',
    says: '$tag BAD Command received in Invalid state.',
    means: { kind: 'temporary', code: 'command_refused' },
  },
  {
    name: 'a message that a server cannot give',
    at: 'UID FETCH *',
    says: '$tag NO FETCH failed.',
    means: { kind: 'temporary', code: 'command_refused' },
  },
];

async function failureOf(session: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await session.then(
    () => assert.fail('this must fail'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof Failure, String(thrown));
  return thrown;
}

function assertMeans(failure: Failure, { kind, code, retryAfterMs }: Expected): void {
  assert.deepEqual(
    { kind: failure.kind, code: failure.code, retryAfterMs: failure.retryAfterMs },
    { kind, code, retryAfterMs },
  );
}

/** Logs in, opens the inbox and reads from it: until something fails. */
async function everything(server: ServerAddress, onClose: (why: Failure) => void): Promise<Session> {
  const session = await openSession({
    server,
    login: { user: 'ann@company.example', accessToken: 'token' },
    onArrival: () => undefined,
    onClose,
  });
  try {
    await session.open('INBOX');
    await session.uids('1:*');
    await session.headers('1:*');
    return session;
  } catch (error) {
    session.close();
    throw error;
  }
}

async function withServer(
  source: string,
  work: (server: ServerAddress) => Promise<void>,
  tls?: { key: string; cert: string },
): Promise<void> {
  const peer = await startScriptPeer(script(source), tls === undefined ? {} : { tls });
  try {
    await work({ host: peer.host, port: peer.port, security: tls === undefined ? 'none' : 'tls' });
  } finally {
    await peer.stop();
  }
}

describe('what a server’s answer means', () => {
  for (const { name, at, says, means } of answers) {
    test(name, () =>
      withServer(`on ${at}:\n  S: ${says}\n`, async (server) => {
        assertMeans(await failureOf(everything(server, () => undefined)), means);
      }),
    );
  }

  test('a greeting that is a goodbye', () =>
    withServer('greeting: * BYE Too many connections from your address\n', async (server) => {
      const failure = await failureOf(everything(server, () => undefined));
      assertMeans(failure, { kind: 'throttled', code: 'too_many_connections', retryAfterMs: 60_000 });
    }));

  test('a goodbye in the middle of things', () =>
    withServer(
      'on EXAMINE *:\n  S: * BYE Session invalidated - AccessTokenExpired\n  S: (close)\n',
      async (server) => {
        const failure = await failureOf(everything(server, () => undefined));
        assertMeans(failure, { kind: 'temporary', code: 'connection_closed' });
      },
    ));

  test('a connection that is cut in the middle of things', () =>
    withServer('on EXAMINE *:\n  S: (reset)\n', async (server) => {
      const failure = await failureOf(everything(server, () => undefined));
      assertMeans(failure, { kind: 'temporary', code: 'connection_closed' });
    }));

  for (const [how, says, code] of [
    ['with a goodbye', '  S: * BYE Session expired, please login again.\n', 'connection_closed'],
    ['without a word', '', 'connection_closed'],
    ['with the day’s bandwidth', '  S: * BYE [OVERQUOTA] bandwidth limits exceeded\n', 'bandwidth_limit'],
  ] as const) {
    test(`the end of an idle session ${how} is told once, and is no error`, () =>
      withServer(`on IDLE:\n  S: + idling\n${says}  S: (close)\n`, async (server) => {
        const ended: Failure[] = [];
        await new Promise<void>((resolve, reject) => {
          const onClose = (why: Failure) => resolve(void ended.push(why));
          everything(server, onClose).then((session) => session.idle(), reject);
        });
        assert.deepEqual(
          ended.map((why) => why.code),
          [code],
        );
      }));
  }
});

describe('what a broken connection means', () => {
  test('nobody listens there', async () => {
    const server: ServerAddress = { host: '127.0.0.1', port: 1, security: 'none' };
    assertMeans(await failureOf(everything(server, () => undefined)), {
      kind: 'temporary',
      code: 'imap_econnrefused',
    });
  });

  test('there is no such host', async () => {
    const server: ServerAddress = { host: 'nowhere.invalid', port: 143, security: 'none' };
    const failure = await failureOf(everything(server, () => undefined));
    assert.equal(failure.kind, 'temporary');
    assert.match(failure.code, /^imap_(enotfound|eai_again)$/);
  });

  test('a certificate that nobody vouches for', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'imap-errors-'));
    const { certificatePath, keyPath } = await makeCertificates(directory, []);
    const tls = { key: await readFile(keyPath, 'utf8'), cert: await readFile(certificatePath, 'utf8') };
    await rm(directory, { recursive: true });
    await withServer(
      '',
      async (server) => {
        const failure = await failureOf(everything(server, () => undefined));
        assertMeans(failure, { kind: 'temporary', code: 'imap_unable_to_verify_leaf_signature' });
      },
      tls,
    );
  });

  test('a server that accepts and says nothing: stopped at will', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    const stop = new AbortController();
    const opening = openSession({
      server: { host: '127.0.0.1', port: address.port, security: 'none' },
      login: { user: 'ann@company.example', password: 'secret' },
      stop: stop.signal,
      onArrival: () => undefined,
      onClose: () => undefined,
    });
    setImmediate(() => stop.abort());
    assert.equal((await failureOf(opening)).kind, 'temporary');
    silent.close();
  });
});

/** As imapflow 2.10.2 makes them where making them takes half a minute. */
const late: [name: string, error: object, code: string][] = [
  [
    'no greeting in time',
    { code: 'GREETING_TIMEOUT', message: 'Failed to receive greeting' },
    'imap_greeting_timeout',
  ],
  [
    'no connection in time',
    { code: 'CONNECT_TIMEOUT', message: 'Failed to establish connection' },
    'imap_connect_timeout',
  ],
  ['a peer that fell silent', { code: 'ETIMEOUT', message: 'Socket timeout' }, 'imap_etimeout'],
];

describe('what a time-out means', () => {
  for (const [name, error, code] of late) {
    test(name, () =>
      assertMeans(imapFailure(Object.assign(new Error(), error)), { kind: 'temporary', code }),
    );
  }

  test('a failure stays what it is, and anything else thrown is no answer that we know', () => {
    const failure = new Failure('operator', 'no_imap_server', 'for a test');
    assert.equal(imapFailure(failure), failure);
    assert.equal(imapFailure(undefined).code, 'unexpected_answer');
    assert.equal(imapFailure('what?').code, 'unexpected_answer');
  });
});
