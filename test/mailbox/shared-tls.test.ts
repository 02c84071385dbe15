import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates, TLSSocket } from 'node:tls';
import { sessionLimits } from '../../src/mailbox/answer-limits.ts';
import { openSession } from '../../src/mailbox/session.ts';
import type { SessionOptions } from '../../src/mailbox/session.ts';
import { createSharedTls } from '../../src/mailbox/shared-tls.ts';
import type { SharedTls } from '../../src/mailbox/shared-tls.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { makeCertificates } from '../support/certificates.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';

const script =
  'capabilities: IMAP4rev1 SASL-IR AUTH=PLAIN IDLE\nfolder: INBOX uidvalidity 7 uidnext 1 exists 0\n';

describe('what connections have of each other in TLS', () => {
  const trusted = getCACertificates('default');
  const peers: ScriptPeer[] = [];
  let directory: string;
  let certificate: { key: string; cert: string };
  let tls: SharedTls;
  const clock = createManualClock();
  /** Of each connection: whether it went on with the session of one before. */
  let wentOn: boolean[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'shared-tls-'));
    const { caPath, certificatePath, keyPath } = await makeCertificates(directory, []);
    certificate = { key: await readFile(keyPath, 'utf8'), cert: await readFile(certificatePath, 'utf8') };
    setDefaultCACertificates([...trusted, await readFile(caPath, 'utf8')]);
    const shared = createSharedTls(clock);
    tls = {
      ...shared,
      begun: (server, socket) => {
        assert.ok(socket instanceof TLSSocket);
        wentOn.push(socket.isSessionReused());
        shared.begun(server, socket);
      },
    };
  });
  afterEach(async () => {
    wentOn = [];
    await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  });
  after(async () => {
    setDefaultCACertificates(trusted);
    await rm(directory, { recursive: true });
  });

  async function startServer(): Promise<ServerAddress> {
    const peer = await startScriptPeer(script, { tls: certificate });
    peers.push(peer);
    return { host: 'localhost', port: peer.port, security: 'tls' };
  }

  async function connect(
    server: ServerAddress,
    more: Pick<SessionOptions, 'address' | 'stop' | 'limits'> = {},
    shared = tls,
  ): Promise<void> {
    const session = await openSession({
      server,
      tls: shared,
      login: { user: 'ann@company.example', password: 'secret' },
      ...more,
      onArrival: () => undefined,
      onClose: () => undefined,
    });
    session.close();
  }

  test('the next ones to a server go on with the session of the first, and those to another do not', async () => {
    const [one, other] = [await startServer(), await startServer()];
    await connect(one);
    await connect(one);
    await connect(one);
    await connect(other);
    assert.deepEqual(wentOn, [false, true, true, false]);
  });

  test('the first session that began with the certificate is kept, so that it ends', async () => {
    const server = await startServer();
    await connect(server);
    const { session } = tls.beginWith(server);
    assert.ok(session !== undefined);
    await connect(server);
    assert.deepEqual(tls.beginWith(server).session, session);
  });

  test('where none goes on with another, they have one session between them, and another after a minute', async () => {
    const server = await startServer();
    const { secureContext } = tls.beginWith(server);
    const fromNothing: SharedTls = { ...tls, beginWith: () => ({ secureContext }) };
    await connect(server, {}, fromNothing);
    const { session } = tls.beginWith(server);
    assert.ok(session !== undefined);
    await connect(server, {}, fromNothing);
    assert.equal(tls.beginWith(server).session, session);
    await clock.advance(60_000);
    await connect(server, {}, fromNothing);
    assert.notEqual(tls.beginWith(server).session, session);
    assert.deepEqual(wentOn, [false, false, false]);
  });

  test('after one that failed the next begins from nothing', async () => {
    const server = await startServer();
    await connect(server);
    await assert.rejects(connect(server, { stop: AbortSignal.abort() }));
    await connect(server);
    assert.deepEqual(wentOn, [false, false]);
  });

  test('after one at which TLS itself failed with a session, none is tried for an hour: else each second one would fail', async () => {
    const server = await startServer();
    await connect(server);
    tls.failed(server, Object.assign(new Error('alert'), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' }));
    await connect(server);
    await connect(server);
    await clock.advance(3_600_000);
    await connect(server);
    await connect(server);
    assert.deepEqual(wentOn, [false, false, false, false, true]);
  });

  test('the same after one that TLS let wait in vain with a session', async () => {
    const server = await startServer();
    await connect(server);
    // The same port at another address, where nobody says anything.
    const silent = createServer().listen(server.port, '127.0.0.2');
    await once(silent, 'listening');
    try {
      await assert.rejects(
        connect(server, { address: '127.0.0.2', limits: { ...sessionLimits, connectMs: 200 } }),
      );
    } finally {
      silent.close();
    }
    await connect(server);
    await connect(server);
    assert.deepEqual(wentOn, [false, false, false]);
  });

  test('one that could not be reached says nothing of its sessions', async () => {
    const server = await startServer();
    await connect(server);
    tls.failed(server, Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    await connect(server);
    await connect(server);
    assert.deepEqual(wentOn, [false, false, true]);
  });
});

describe('what is kept of servers', () => {
  const at = (host: string): ServerAddress => ({ host, port: 993, security: 'tls' });
  /** A connection that came about, as far as it is asked. */
  const socket = (session: string, isReused = false): unknown =>
    Object.create(TLSSocket.prototype, {
      getSession: { value: () => Buffer.from(session) },
      isSessionReused: { value: () => isReused },
    });

  test('no session that went on with another: the certificate would never be seen again', () => {
    const tls = createSharedTls(createManualClock());
    tls.begun(at('imap.one.example'), socket('first'));
    tls.begun(at('imap.one.example'), socket('second', true));
    assert.equal(String(tls.beginWith(at('imap.one.example')).session), 'first');
  });

  test('sessions of a thousand servers, the last ones; and one context for all', async () => {
    const clock = createManualClock();
    const tls = createSharedTls(clock);
    const name = (n: number) => at(`imap.${n}.example`);
    for (let n = 0; n < 1_000; n += 1) tls.begun(name(n), socket('x'));
    await clock.advance(60_000);
    tls.begun(name(0), socket('y'));
    tls.begun(name(1_000), socket('x'));
    const kept = [0, 1, 2, 1_000].map((n) => tls.beginWith(name(n)).session !== undefined);
    assert.deepEqual(kept, [true, false, true, true]);
    assert.equal(tls.beginWith(name(1)).secureContext, tls.beginWith(name(2)).secureContext);
  });
});
