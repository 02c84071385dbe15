import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import type { MailboxId, SendId } from '../../src/lib/id.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import type { PublicSend, SendState } from '../../src/store/public-send.ts';
import type { SenderDeps } from '../../src/outbound/sender.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import { recogniseMessages } from '../../src/store/filing-writes.ts';
import { waitFor } from '../support/wait.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

type Scene = {
  office: Office;
  peer: ScriptPeer;
  mailboxId: MailboxId;
  /** Sends to Carla and to those given besides. */
  write(more?: { cc?: string[]; replyTo?: string }): Promise<SendAnswer>;
};

/** What a copy breaks that is recognised without being filed. */
const recognisedByHand = ['message_has_source', 'confirmed_is_sent', 'send_is_told'];

/** One person whose provider is a transcript, and a running sender. */
async function withPeer(
  script: string,
  options: {
    provider?: ProviderName;
    tokens?: string[];
    breaks?: string[];
    limits?: SenderDeps['limits'];
  },
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const office = await openOffice('postgres', { breaks: options.breaks ?? [] });
  const peer = await startScriptPeer(script, options.tokens === undefined ? {} : { tokens: options.tokens });
  try {
    await office.addContact('carla', 'carla@customer.example');
    const { mailboxId } = await office.connect({
      userId: 'anna',
      address: 'anna@company.example',
      login: 'anna@login.example',
      provider: options.provider ?? 'gmail',
      smtp: { host: peer.host, port: peer.port, security: 'none' },
    });
    office.sender(options.limits === undefined ? {} : { limits: options.limits });
    await play({
      office,
      peer,
      mailboxId,
      write: ({ cc = [], replyTo } = {}) =>
        office.accept({
          userId: 'anna',
          contactId: 'carla',
          cc: cc.map((address) => ({ name: '', address })),
          subject: 'An offer',
          text: 'Dear Carla',
          replyToMessageId: replyTo ?? null,
        }),
    });
  } finally {
    await office.close();
    await peer.stop();
  }
}

const last = (send: PublicSend) => send.attempts.at(-1);

describe('D5: one try, against what a provider says', () => {
  const table: {
    script: string;
    provider?: ProviderName;
    tokens?: string[];
    state: SendState;
    reason: RegExp | null;
    outcome: string;
    /** Hours until the next try, at least; null: none is planned. */
    hours: number | null;
  }[] = [
    {
      script: 'gmail-daily-limit',
      state: 'queued',
      reason: /^daily_limit: 550-5\.4\.5 Daily user sending limit exceeded/,
      outcome: 'temporary',
      hours: 23.9,
    },
    {
      script: 'gmail-454',
      state: 'queued',
      reason: /^login_unavailable: 454/,
      outcome: 'temporary',
      hours: 0,
    },
    { script: 'outlook-432', state: 'queued', reason: /^too_many_sessions/, outcome: 'temporary', hours: 0 },
    {
      script: 'greylisting-451',
      state: 'queued',
      reason: /^refused_for_now/,
      outcome: 'temporary',
      hours: 0,
    },
    {
      script: 'gmail-334-challenge',
      tokens: [],
      state: 'held',
      reason: /^reauth_required$/,
      outcome: 'denied',
      hours: 0.9,
    },
    {
      script: 'outlook-535-5.7.3',
      provider: 'outlook',
      tokens: [],
      state: 'held',
      reason: /^reauth_required$/,
      outcome: 'denied',
      hours: 0.9,
    },
    {
      script: 'outlook-535-5.7.139',
      provider: 'outlook',
      state: 'held',
      reason: /^smtp_auth_disabled$/,
      outcome: 'denied',
      hours: 0.9,
    },
    {
      script: 'senddenied-554-5.2.252',
      provider: 'outlook',
      state: 'held',
      reason: /^send_as_denied$/,
      outcome: 'denied',
      hours: 0.9,
    },
    {
      script: 'too-big-552',
      state: 'failed',
      reason: /^message_too_large: 552 5\.3\.4 Message size exceeds fixed limit$/,
      outcome: 'permanent',
      hours: null,
    },
  ];
  for (const { script, state, reason, outcome, hours, ...options } of table) {
    test(`${script}: ${state}, ${outcome}`, async () => {
      await withPeer(`smtp/${script}`, options, async ({ office, write }) => {
        const { send } = await write();
        const tried = await office.waitForState(send.id, state, 1);
        assert.match(tried.reason ?? '', reason ?? /^$/);
        assert.equal(tried.attempts.length, 1);
        assert.equal(last(tried)?.outcome, outcome);
        assert.notEqual(last(tried)?.reply, null);
        if (hours === null) assert.equal(tried.next_try_at, null);
        else {
          const wait = Date.parse(tried.next_try_at ?? '') - Date.now();
          assert(wait > hours * 3_600_000, `waits ${wait} ms`);
        }
        assert.equal((await office.events()).at(-1), `send.${state} ${state}`);
      });
    });
  }

  for (const script of ['gmail-454', 'outlook-432', 'greylisting-451']) {
    test(`${script}: the next try goes through, with the same bytes`, async () => {
      // What is said before a message is said of all, and nothing is tried meanwhile.
      const limits = { retryFirstMs: 200, sessionsFirstMs: 200 };
      await withPeer(`smtp/${script}`, { limits }, async ({ office, peer, write }) => {
        const { send, message } = await write();
        await office.waitForState(send.id, 'queued', 1);
        await office.hurry(send.id);
        const sent = await office.waitForState(send.id, 'sent');
        assert.deepEqual(
          sent.attempts.map(({ outcome }) => outcome),
          ['temporary', 'accepted'],
        );
        await peer.finished();
        const [taken, ...more] = peer.taken();
        assert.deepEqual(more, []);
        assert.match(
          taken?.raw.toString() ?? '',
          new RegExp(`^Message-ID: <${message.internet_message_id}>`, 'm'),
        );
      });
    });
  }
});

describe('D5: a refused token is renewed once', () => {
  const renewals: [script: string, provider: ProviderName, logins: number][] = [
    ['gmail-334-challenge', 'gmail', 1],
    ['outlook-535-5.7.3', 'outlook', 2],
  ];
  for (const [script, provider, connections] of renewals) {
    test(`${script}: the renewed token is let in, on connection ${connections}`, async () => {
      await withPeer(`smtp/${script}`, { provider, tokens: ['new'] }, async ({ office, peer, write }) => {
        office.tokens.give = (refused) => (refused === null ? 'old' : 'new');
        const { send } = await write();
        const sent = await office.waitForState(send.id, 'sent');
        assert.equal(sent.attempts.length, 1);
        assert.deepEqual(office.tokens.asked, [null, 'old']);
        const login = Buffer.from('user=anna@login.example\u0001auth=Bearer new\u0001\u0001').toString(
          'base64',
        );
        assert.deepEqual(peer.sent('AUTH *').slice(1), [`AUTH XOAUTH2 ${login}`]);
        assert.equal(peer.sent('EHLO *').length, connections);
      });
    });
  }

  test('no token at all: held when consent is gone, tried again when the provider is away', async () => {
    await withPeer('protocol: smtp\nehlo: AUTH XOAUTH2\n', {}, async ({ office, peer, write }) => {
      office.tokens.give = () => {
        throw new Failure('temporary', 'token_endpoint_unavailable', 'HTTP 503');
      };
      const { send } = await write();
      const waiting = await office.waitForState(send.id, 'queued', 1);
      assert.equal(waiting.reason, 'token_endpoint_unavailable');
      office.tokens.give = () => {
        throw new Failure('denied', 'token_revoked', 'invalid_grant');
      };
      await office.hurry(send.id);
      const held = await office.waitForState(send.id, 'held');
      assert.equal(held.reason, 'reauth_required');
      assert.deepEqual(peer.sent('AUTH *'), []);
    });
  });
});

test('bytes that cannot be read: nothing goes out, and the log says where to look, without an address', async () => {
  await withPeer(
    'protocol: smtp\nehlo: AUTH XOAUTH2\n',
    { breaks: ['message_has_bytes'] },
    async ({ office, peer, write }) => {
      const { send } = await office.accept({
        userId: 'anna',
        contactId: 'carla',
        text: 'x',
        sendAt: Date.now() + 60_000,
      });
      await run(office.db, `update sends set raw_sha256 = repeat('0', 64)`);
      await office.hurry(send.id);
      assert.equal((await office.waitForState(send.id, 'queued', 1)).reason, 'unknown');
      assert.deepEqual(peer.taken(), []);
      const [fault] = office.logged.filter(({ level }) => level === 'error');
      assert.match(String(fault?.fields['error']), /^Error \(/);
      assert.doesNotMatch(JSON.stringify(office.logged), /@/);
      const healthy = await write();
      await office.waitForState(healthy.send.id, 'sent');
    },
  );
});

describe('D5: recipients and ids that the reply tells of', () => {
  test('one refused recipient among several is told apart', async () => {
    await withPeer('smtp/partial-refusal', {}, async ({ office, peer, write }) => {
      const { send } = await write({ cc: ['nobody@customer.example'] });
      const sent = await office.waitForState(send.id, 'sent');
      const words = 'nobody@customer.example: 550 5.1.1 The account you tried to reach does not exist';
      assert.equal(sent.reason, `recipients_refused: ${words}`);
      assert.equal(last(sent)?.outcome, 'accepted');
      assert.equal(last(sent)?.reply, `250 2.0.0 OK\n${words}`);
      assert.deepEqual(peer.taken()[0]?.to, ['carla@customer.example']);
    });
  });

  test('S12, S3: the id in the reply is one more name of the message, and answers cite it (D4)', async () => {
    await withPeer('smtp/outlook-rewritten-id', { provider: 'outlook' }, async ({ office, peer, write }) => {
      const { send, message } = await write();
      await office.waitForState(send.id, 'sent');
      const renamed = /<(AM0.*)>/.exec(peer.taken()[0]?.raw.toString() ?? '')?.[1] ?? '';
      assert.notEqual(renamed, '');
      const names = await rows<{ key: string; prints: number }>(
        office.db,
        `select key, (select count(distinct fingerprint)::int from message_keys) as prints
           from message_keys where message_id = :id order by key = :own`,
        { id: message.id, own: message.internet_message_id },
      );
      assert.deepEqual(names, [
        { key: renamed, prints: 1 },
        { key: message.internet_message_id, prints: 1 },
      ]);
      const [thread] = await rows<{ thread_id: string; kind: string }>(
        office.db,
        'select thread_id, kind from thread_keys where key = :renamed',
        { renamed },
      );
      assert.deepEqual(thread, { thread_id: message.thread_id, kind: 'message' });

      const answer = await write({ replyTo: message.id });
      await office.waitForState(answer.send.id, 'sent');
      const raw =
        peer
          .taken()[1]
          ?.raw.toString()
          .replaceAll(/\r\n\s+/g, ' ') ?? '';
      assert.match(raw, new RegExp(`^In-Reply-To: <${renamed}>\r$`, 'm'));
      assert.match(raw, new RegExp(`^References: <${message.internet_message_id}> <${renamed}>\r$`, 'm'));
    });
  });
});

const graceMs = resolveProvider('gmail').sentCopyMsMax;

/** As a complete look at the Sent folder leaves it, `afterMs` after the send became uncertain. */
async function lookedAtSent(scene: Scene, id: SendId, afterMs: number): Promise<void> {
  await run(
    scene.office.db,
    `update mailboxes set sent_looked_at = (select uncertain_at from sends where id = :id) + :afterMs * interval '1 ms'
      where id = :mailboxId`,
    { id, afterMs, mailboxId: scene.mailboxId },
  );
  await scene.office.hurry(id);
}

describe('D5: a connection lost after DATA is uncertain, and the Sent folder decides', () => {
  test('not tried again before the Sent folder was looked at late enough; then again, the same bytes', async () => {
    await withPeer('smtp/drop-after-data-lost', {}, async (scene) => {
      const { office, peer, write } = scene;
      const { send, message } = await write();
      const lost = await office.waitForState(send.id, 'uncertain');
      assert.equal(last(lost)?.outcome, 'uncertain');
      assert.equal((await office.events()).at(-1), 'message.updated uncertain');
      // A look while a copy may still appear says nothing.
      await lookedAtSent(scene, send.id, graceMs - 1_000);

      await waitFor('the look was judged too early', async () => {
        const now = await office.send(send.id);
        return Date.parse(now.next_try_at ?? '') > Date.now() + 1_000;
      });
      assert.equal((await office.send(send.id)).state, 'uncertain');
      assert.equal(peer.sent('EHLO *').length, 1);
      await lookedAtSent(scene, send.id, graceMs + 1_000);
      const sent = await office.waitForState(send.id, 'sent');
      assert.deepEqual(
        sent.attempts.map(({ outcome }) => outcome),
        ['uncertain', 'accepted'],
      );
      assert.equal(peer.taken().length, 1);
      const [blob] = await rows<{ raw_sha256: string }>(office.db, 'select raw_sha256 from sends', {});
      const stored = await buffer(office.blobs.get(blob?.raw_sha256 ?? ''));
      assert.deepEqual(peer.taken()[0]?.raw, stored);
      assert.match(peer.taken()[0]?.raw.toString() ?? '', new RegExp(message.internet_message_id ?? '-'));
    });
  });

  test('U1: its copy was seen: sent, and never sent again', async () => {
    await withPeer('smtp/drop-after-data-stored', { breaks: recognisedByHand }, async (scene) => {
      const { office, peer, write } = scene;
      const { send, message } = await write();
      await office.waitForState(send.id, 'uncertain');

      await recogniseMessages(office.db, [
        {
          message_id: message.id,
          internet_message_id: message.internet_message_id,
          date: null,
          send_id: send.id,
          in_sent: true,
        },
      ]);
      await lookedAtSent(scene, send.id, graceMs + 1_000);
      const sent = await office.waitForState(send.id, 'sent');
      assert.equal(sent.copy_seen, true);
      assert.equal(sent.next_try_at, null);
      assert.equal(peer.taken().length, 1);
      assert.equal(peer.sent('EHLO *').length, 1);
    });
  });

  test('a host of which nothing is known: it stays uncertain and visible, and keeps nothing else back', async () => {
    await withPeer('smtp/drop-after-data-stored', { provider: 'imap' }, async (scene) => {
      const { office, peer, write } = scene;
      const { send, message } = await write();
      const behind = await write({ replyTo: message.id });
      await office.waitForState(send.id, 'uncertain');
      assert.equal((await office.send(behind.send.id)).state, 'queued');
      await lookedAtSent(scene, send.id, graceMs + 1_000);
      await office.waitForState(behind.send.id, 'sent');
      const stays = await office.send(send.id);
      assert.deepEqual([stays.state, stays.reason], ['uncertain', 'sent_folder_cannot_tell']);
      assert.equal(stays.next_try_at, null);
      assert.equal(peer.taken().length, 2);
    });
  });

  test('a host that was seen to save copies is trusted to have saved this one', async () => {
    await withPeer('smtp/drop-after-data-lost', { provider: 'imap' }, async (scene) => {
      const { office, peer, write, mailboxId } = scene;
      await run(office.db, 'update mailboxes set saves_sent_copy = true where id = :mailboxId', {
        mailboxId,
      });
      const { send } = await write();
      await office.waitForState(send.id, 'uncertain');
      await lookedAtSent(scene, send.id, graceMs + 1_000);
      await office.waitForState(send.id, 'sent');
      assert.equal(peer.taken().length, 1);
    });
  });

  test('a message in Sent that could not be read may be the copy: it is not sent again', async () => {
    await withPeer('smtp/drop-after-data-stored', { breaks: ['decision_has_place'] }, async (scene) => {
      const { office, peer, write, mailboxId } = scene;
      const { send } = await write();
      await office.waitForState(send.id, 'uncertain');
      await run(
        office.db,
        `insert into folders (id, mailbox_id, path, role) values ('fld_sent', :mailboxId, 'Sent', 'sent')`,
        { mailboxId },
      );
      await run(
        office.db,
        `insert into decisions (id, sub_account_id, mailbox_id, folder_id, outcome, reason, reasons)
         values ('dec_failed', 'acme', :mailboxId, 'fld_sent', 'failed', 'unreadable', '[]')`,
        { mailboxId },
      );
      await lookedAtSent(scene, send.id, graceMs + 1_000);
      await waitFor('the verdict', async () => (await office.send(send.id)).next_try_at === null);
      const stays = await office.send(send.id);
      assert.deepEqual([stays.state, stays.reason], ['uncertain', 'sent_folder_cannot_tell']);
      assert.equal(peer.taken().length, 1);
    });
  });

  test('Sent that cannot be looked at for days: it stays uncertain, and keeps nothing else back', async () => {
    await withPeer('smtp/drop-after-data-stored', {}, async (scene) => {
      const { office, peer, write } = scene;
      const { send, message } = await write();
      const behind = await write({ replyTo: message.id });
      await office.waitForState(send.id, 'uncertain');
      await run(office.db, `update sends set state_since = now() - interval '49 hours' where id = :id`, {
        id: send.id,
      });
      await office.hurry(send.id);
      await office.waitForState(behind.send.id, 'sent');
      const stays = await office.send(send.id);
      assert.deepEqual([stays.state, stays.reason], ['uncertain', 'sent_folder_cannot_tell']);
      assert.equal(peer.taken().length, 2);
    });
  });
});

describe('C3: where mail of a generic host goes', () => {
  const script = 'protocol: smtp\nehlo: mail.company.example\nehlo: AUTH PLAIN\n';

  /** A sender whose host is a name that leads where `leadsTo` says. */
  async function withHost(
    provider: ProviderName,
    leadsTo: { address: string; asked: string[] },
    play: (office: Office, peer: ScriptPeer, send: () => Promise<SendId>) => Promise<void>,
  ): Promise<void> {
    const office = await openOffice();
    const peer = await startScriptPeer(script, { tokens: ['right'] });
    try {
      await office.addContact('carla', 'carla@customer.example');
      const host = provider === 'imap' ? 'mail.company.example' : peer.host;
      const smtp = { host, port: peer.port, security: 'none' } as const;
      const person = { userId: 'anna', address: 'anna@company.example', password: 'right' };
      await office.connect({ ...person, provider, smtp });
      const { resolve } = createNetGuard({
        allow: ['127.0.0.1'],
        lookup: (name) => {
          leadsTo.asked.push(name);
          return Promise.resolve([{ address: leadsTo.address, family: 4 }]);
        },
      });
      office.sender({ resolveHost: resolve });
      const accept = { userId: 'anna', contactId: 'carla', text: 'Dear Carla' };
      await play(office, peer, async () => (await office.accept(accept)).send.id);
    } finally {
      await office.close();
      await peer.stop();
    }
  }

  test('a name that leads elsewhere since it was proven is looked up again and not connected to', async () => {
    const leadsTo = { address: '127.0.0.1', asked: [] as string[] };
    await withHost('imap', leadsTo, async (office, peer, send) => {
      await office.waitForState(await send(), 'sent');
      assert.equal(peer.taken().length, 1, 'at the address that the name stands for');
      leadsTo.address = '10.0.0.7';
      const refused = await send();
      assert.equal((await office.waitForState(refused, 'queued', 1)).reason, 'private_address');
      assert.deepEqual(leadsTo.asked, ['mail.company.example', 'mail.company.example']);
      leadsTo.address = '127.0.0.1';
      await office.hurry(refused);
      await office.waitForState(refused, 'sent');
    });
  });

  test('the hosts of a provider are the operator’s own, and are not judged', async () => {
    const leadsTo = { address: '10.0.0.7', asked: [] as string[] };
    await withHost('gmail', leadsTo, async (office, _peer, send) => {
      await office.waitForState(await send(), 'sent');
      assert.deepEqual(leadsTo.asked, []);
    });
  });
});
