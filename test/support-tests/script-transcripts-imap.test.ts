import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';

/** What imapflow puts on its errors. */
type ImapError = Error & {
  code?: string;
  authenticationFailed?: boolean;
  serverResponseCode?: string;
  responseText?: string;
  response?: string;
  throttleReset?: number;
  oauthError?: { status?: string };
  reason?: string;
};

type Scene = {
  peer: ScriptPeer;
  /** A client that is not connected yet. */
  client: () => ImapFlow;
  /** A connected client with the folder open and, where asked, in IDLE. */
  idleIn: (folder: string) => Promise<ImapFlow>;
};

const ALL_MAIL = '[Gmail]/All Mail';
const HEADERS = { uid: true, flags: true, headers: ['message-id', 'in-reply-to'], bodyStructure: true };

/** What bare imapflow makes of each transcript; the gateway's own tests play the same files. */
const PLAYS: Record<string, (scene: Scene) => Promise<void>> = {
  async 'gmail-all-mail-idle'({ idleIn, peer }) {
    const client = await idleIn(ALL_MAIL);
    await peer.waitFor('idle');
    await lookAgain(client, peer, { count: 13, uid: 501, signal: 'received' });
    await lookAgain(client, peer, { count: 14, uid: 502, signal: 'sent' });
    const rows = await client.fetchAll(
      '501:502',
      { ...HEADERS, labels: true, threadId: true },
      { uid: true },
    );
    assert.deepEqual(
      rows.map(({ labels, threadId, emailId }) => [...(labels ?? []), threadId, emailId]),
      [
        ['\\Inbox', '\\Important', '1848902113355901111', '1848902113355901111'],
        ['\\Sent', '1848902113355901111', '1848902113355902222'],
      ],
    );
    await client.mailboxOpen('INBOX', { readOnly: true });
    assert.deepEqual(await client.search({ emailId: '1848902113355901111' }, { uid: true }), [41]);
  },
  async 'gmail-all-mail-hidden'({ idleIn, peer }) {
    const [inbox, sent] = [await idleIn('INBOX'), await idleIn('[Gmail]/Sent Mail')];
    assert.ok(inbox.capabilities.has('X-GM-EXT-1'));
    await Promise.all([peer.waitFor('idle'), peer.waitFor('idle')]);
    assert.ok((await inbox.list()).every(({ specialUse }) => specialUse !== '\\All'));
    await lookAgain(inbox, peer, { count: 4, uid: 41, signal: 'received' });
    await lookAgain(sent, peer, { count: 3, uid: 31, signal: 'sent' });
  },
  async 'gmail-bye-after-an-hour'({ idleIn, peer }) {
    const client = await idleIn(ALL_MAIL);
    await closed(client);
    assert.match(String(client.byeReason), /Session expired/);
    const again = await idleIn(ALL_MAIL);
    await peer.waitFor('back');
    assert.deepEqual(await again.search({ uid: '501:*' }, { uid: true }), [501]);
  },
  async 'gmail-bad-token'({ client, peer }) {
    const error = await refused(client());
    assert.equal(error.serverResponseCode, 'AUTHENTICATIONFAILED');
    assert.equal(error.oauthError?.status, '400');
    assert.deepEqual(peer.sent('AQ=='), ['AQ==']);
  },
  async 'gmail-too-many-connections'({ client, idleIn, peer }) {
    const error = await refused(client());
    assert.equal(error.serverResponseCode, 'ALERT');
    await idleIn(ALL_MAIL);
    await peer.waitFor('idle');
  },
  async 'gmail-unavailable-at-login'({ client, idleIn }) {
    assert.equal((await refused(client())).serverResponseCode, 'UNAVAILABLE');
    await idleIn(ALL_MAIL);
  },
  async 'gmail-overquota'({ client, idleIn }) {
    assert.equal((await refused(client())).serverResponseCode, 'OVERQUOTA');
    await idleIn(ALL_MAIL);
  },
  async 'outlook-idle-silent'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    let announced = 0;
    client.on('exists', () => (announced += 1));
    await peer.waitFor('silent');
    // A whole round trip: whatever was sent before has been read.
    const other = await idleIn('Archive');
    await other.noop();
    assert.equal(announced, 0);
    await client.noop();
    assert.equal(announced, 1);
    void client.idle();
    await peer.waitFor('renewed');
  },
  async 'outlook-bye-access-token-expired'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    peer.signal('hour');
    await closed(client);
    assert.match(String(client.byeReason), /AccessTokenExpired/);
    const again = await idleIn('INBOX');
    await peer.waitFor('back');
    assert.deepEqual(await again.search({ uid: '1042:*' }, { uid: true }), [1042]);
  },
  async 'outlook-bad-token'({ client }) {
    const error = await refused(client());
    assert.equal(error.responseText, 'AUTHENTICATE failed.');
    assert.equal(error.serverResponseCode, undefined);
  },
  async 'outlook-authenticated-but-not-connected'({ client, idleIn }) {
    assert.match(String((await refused(client())).response), /User is authenticated but not connected/);
    await idleIn('INBOX');
  },
  async 'outlook-throttled'({ client, peer }) {
    const slowed = client();
    await slowed.connect();
    const error = await failure(slowed.mailboxOpen('INBOX', { readOnly: true }));
    assert.equal(error.code, 'ETHROTTLE');
    assert.equal(error.throttleReset, 120);
    await slowed.mailboxOpen('INBOX', { readOnly: true });
    void slowed.idle();
    await peer.waitFor('idle');
  },
  async 'outlook-fetch-misses-new-message'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    await peer.waitFor('idle');
    await announcement(client, 6);
    assert.deepEqual(await client.fetchAll('1042:*', HEADERS, { uid: true }), []);
    const [row] = await client.fetchAll('1042:*', HEADERS, { uid: true });
    assert.equal(row?.uid, 1042);
    void client.idle();
    await peer.waitFor('found');
  },
  async 'outlook-unconvertible-item'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    await peer.waitFor('idle');
    await announcement(client, 9);
    const uids = async (query: object) =>
      (await client.fetchAll('1042:1045', { uid: true, ...query }, { uid: true })).map(({ uid }) => uid);
    assert.deepEqual(await uids({ flags: true, size: true }), [1042, 1043, 1044, 1045]);
    assert.deepEqual(await uids(HEADERS), [1042, 1044, 1045]);
    assert.deepEqual(await uids({ source: true }), [1042, 1045]);
    assert.deepEqual(await uids({ bodyParts: ['1'] }), [1042, 1045]);
    void client.idle();
    await peer.waitFor('looked');
  },
  async 'outlook-localised-folders'({ idleIn, peer }) {
    const inbox = await idleIn('INBOX');
    await peer.waitFor('idle');
    const roles = (await inbox.list()).map(({ path, specialUse, specialUseSource }) =>
      [path, specialUse, specialUseSource].join(' '),
    );
    assert.ok(roles.includes('Gesendete Elemente \\Sent name'), roles.join('\n'));
    assert.ok(roles.includes('Gelöschte Elemente \\Trash name'), roles.join('\n'));
    const sent = await idleIn('Gesendete Elemente');
    await peer.waitFor('sent-idle');
    await lookAgain(sent, peer, { count: 3, uid: 201, signal: 'sent' });
  },
  async 'uidvalidity-change'({ idleIn, peer }) {
    const before = await idleIn('INBOX');
    const known = before.mailbox;
    await peer.waitFor('idle');
    await closed(before);
    const after = await idleIn('INBOX');
    await peer.waitFor('back');
    assert.ok(known !== false && after.mailbox !== false);
    assert.equal(known.uidValidity, 7n);
    assert.equal(after.mailbox.uidValidity, 8n);
    const rows = await after.fetchAll('1:*', { uid: true, envelope: true }, { uid: true });
    assert.deepEqual(rows.map(({ uid, envelope }) => [uid, envelope?.messageId]).slice(3), [
      [4, '<q1@customer.example>'],
      [5, '<q2@customer.example>'],
    ]);
  },
  async 'folder-vanishes'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    await peer.waitFor('vanished');
    const error = await failure(client.status('Projects', { uidNext: true }));
    assert.equal(error.code, 'NotFound');
    void client.idle();
    peer.signal('swept');
    await announcement(client, 3);
    await client.noop();
    void client.idle();
    await peer.waitFor('received');
  },
  async 'dead-in-idle'({ idleIn, peer }) {
    const client = await idleIn('INBOX');
    await peer.waitFor('idle');
    let answered = false;
    const noop = client.noop().finally(() => (answered = true));
    const again = await idleIn('INBOX');
    await peer.waitFor('back');
    assert.deepEqual(await again.search({ uid: '11:*' }, { uid: true }), [11]);
    assert.equal(answered, false);
    client.close();
    await noop;
  },
};

describe('IMAP transcripts played by bare imapflow', () => {
  for (const [name, play] of Object.entries(PLAYS)) {
    test(name, () => staged(`imap/${name}`, play));
  }

  test('every transcript is played here', () => {
    const files = readdirSync(new URL('../fixtures/imap', import.meta.url));
    assert.deepEqual(
      files.sort(),
      Object.keys(PLAYS)
        .map((name) => `${name}.txt`)
        .sort(),
    );
  });
});

async function staged(file: string, play: (scene: Scene) => Promise<void>): Promise<void> {
  const peer = await startScriptPeer(file);
  const clients: ImapFlow[] = [];
  const client: Scene['client'] = () => {
    const made = new ImapFlow({
      host: peer.host,
      port: peer.port,
      secure: false,
      auth: { user: 'user@company.example', accessToken: 'token' },
      logger: false,
      disableAutoIdle: true,
    });
    made.on('error', () => made.close());
    clients.push(made);
    return made;
  };
  const idleIn: Scene['idleIn'] = async (folder) => {
    const made = client();
    await made.connect();
    await made.mailboxOpen(folder, { readOnly: true });
    void made.idle();
    return made;
  };
  try {
    await play({ peer, client, idleIn });
    await peer.finished();
  } finally {
    clients.forEach((made) => made.close());
    await peer.stop();
  }
}

/** Waits for the folder to hold `count` messages, finds `uid` and idles until the script has seen that. */
async function lookAgain(
  client: ImapFlow,
  peer: ScriptPeer,
  { count, uid, signal }: { count: number; uid: number; signal: string },
): Promise<void> {
  await announcement(client, count);
  assert.deepEqual(await client.search({ uid: `${uid}:*` }, { uid: true }), [uid]);
  void client.idle();
  await peer.waitFor(signal);
}

async function announcement(client: ImapFlow, count: number): Promise<void> {
  const exists = () => (client.mailbox === false ? 0 : client.mailbox.exists);
  while (exists() < count) await once(client, 'exists', { signal: AbortSignal.timeout(5000) });
}

async function closed(client: ImapFlow): Promise<void> {
  if (!client.isClosed) await once(client, 'close', { signal: AbortSignal.timeout(5000) });
}

/** The error of a login that must fail; imapflow calls each of them an authentication failure. */
async function refused(client: ImapFlow): Promise<ImapError> {
  const error = await failure(client.connect());
  assert.equal(error.authenticationFailed, true);
  return error;
}

async function failure(promise: Promise<unknown>): Promise<ImapError> {
  const error: unknown = await promise.then(
    () => assert.fail('this must fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error);
  return error;
}
