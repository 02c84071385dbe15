import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectionId, MailboxId, SendId } from '../../src/lib/id.ts';
import { cancelSend } from '../../src/outbound/cancel.ts';
import { SmtpFailure } from '../../src/outbound/smtp.ts';
import type { Accepted, Submission } from '../../src/outbound/smtp.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import { endConnection, openConnection } from '../../src/store/lifecycle.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;

/** A provider in this process: says what went out, and holds back what a test wants held back. */
function createPost() {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const post = {
    /** Recipients of what was taken, in order. */
    taken: [] as string[],
    /** Submissions that are open now, the most at once, and by sender. */
    open: 0,
    most: 0,
    answer: (_submission: Submission): Promise<Accepted> | Accepted => ok,
    /** Holds back every submission of this sender, or to this recipient. */
    hold(address: string) {
      const gate = Promise.withResolvers<void>();
      gates.set(address, gate);
      return () => {
        gates.delete(address);
        gate.resolve();
      };
    },
    async submit(submission: Submission): Promise<Accepted> {
      post.open += 1;
      post.most = Math.max(post.most, post.open);
      try {
        const { from, to } = submission.envelope;
        const aborted = new Promise<never>((_resolve, reject) => {
          const stop = () =>
            reject(new SmtpFailure({ phase: 'envelope', reply: null, cause: 'stopped' }, [], null));
          submission.signal.addEventListener('abort', stop);
          if (submission.signal.aborted) stop();
        });
        for (const address of [from, ...to]) await Promise.race([gates.get(address)?.promise, aborted]);
        if (!(await submission.beforeEnd([]))) {
          throw new SmtpFailure({ phase: 'data', reply: null, cause: 'stopped' }, [], null);
        }
        const accepted = await post.answer(submission);
        post.taken.push(...to);
        return accepted;
      } finally {
        post.open -= 1;
      }
    },
  };
  return post;
}

const ok: Accepted = { reply: '250 2.0.0 OK', serverMessageId: null, refused: [] };

/** Anna at Gmail with three contacts. */
async function withAnna(
  play: (scene: {
    office: Office;
    post: ReturnType<typeof createPost>;
    mailboxId: MailboxId;
    connectionId: ConnectionId;
    write(contactId: string, more?: { replyTo?: string; sendAt?: number }): ReturnType<Office['accept']>;
  }) => Promise<void>,
): Promise<void> {
  const office = await openOffice();
  try {
    for (const name of ['carla', 'carlo', 'cleo']) await office.addContact(name, `${name}@customer.example`);
    const anna = { userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp } as const;
    const connected = await office.connect(anna);
    await play({
      office,
      post: createPost(),
      ...connected,
      write: (contactId, { replyTo, sendAt } = {}) =>
        office.accept({
          userId: 'anna',
          contactId,
          text: 'x',
          replyToMessageId: replyTo ?? null,
          sendAt: sendAt ?? null,
        }),
    });
  } finally {
    await office.close();
  }
}

async function setState(office: Office, state: string): Promise<void> {
  await run(office.db, 'update connections set state = :state, state_since = now()', { state });
  const own = state === 'reauth_required' ? state : 'live';
  await run(office.db, 'update mailboxes set state = :own, state_since = now()', { own });
}

describe('D1: held, never on another way', () => {
  for (const state of ['reauth_required', 'admin_consent_required', 'permission_missing', 'paused']) {
    test(`${state}: accepted and held, sent when the mailbox works again`, async () => {
      await withAnna(async ({ office, post, write }) => {
        await setState(office, state);
        office.sender({ open: sessionsOf(post.submit) });
        const { send } = await write('carla');
        assert.deepEqual([send.state, send.reason, send.next_try_at], ['held', state, null]);
        await setState(office, 'live');
        await office.waitForState(send.id, 'sent');
        assert.deepEqual(
          (await office.events()).filter((event) => event.startsWith('send.')),
          ['send.held held', 'send.queued queued', 'send.sent sent'],
        );
      });
    });
  }

  test('all that is held goes on in one round, however much of it there is', async () => {
    await withAnna(async ({ office, post, write }) => {
      await setState(office, 'paused');
      const written = await Promise.all(['carla', 'carlo', 'cleo'].map((name) => write(name)));
      const held = written.map(({ send }) => send.id);
      await setState(office, 'live');
      office.sender({ open: sessionsOf(post.submit), limits: { heldBatchMax: 1, pollMs: 3_600_000 } });
      for (const id of held) await office.waitForState(id, 'sent');
      assert.equal(post.taken.length, held.length);
    });
  });

  test('D6: what is to go out later waits for its time, also where its mailbox works again before', async () => {
    await withAnna(async ({ office, post, write }) => {
      await setState(office, 'reauth_required');
      const sendAt = Date.now() + 3_600_000;
      const { send } = await write('carla', { sendAt });
      assert.equal(send.state, 'held');
      office.sender({ open: sessionsOf(post.submit) });
      await setState(office, 'live');
      const queued = await office.waitForState(send.id, 'queued');
      const early = Math.abs(Date.parse(queued.next_try_at ?? '') - sendAt);
      assert.ok(early < 5_000, `${early} ms from its time`);
      await office.waitForState((await write('carlo')).send.id, 'sent');
      assert.equal((await office.send(send.id)).state, 'queued');
      assert.equal(post.taken.length, 1);
    });
  });

  test('D6: the week for which a message is held begins at its time', async () => {
    await withAnna(async ({ office, post, write }) => {
      await setState(office, 'paused');
      const { send } = await write('carla', { sendAt: Date.now() + 3_600_000 });
      const other = await write('carlo');
      await run(office.db, `update sends set state_since = now() - interval '8 days'`);
      office.sender({ open: sessionsOf(post.submit) });
      await office.waitForState(other.send.id, 'failed');
      assert.equal((await office.send(send.id)).state, 'held');
    });
  });

  test('the mailbox breaks while the message waits: held, and in order', async () => {
    await withAnna(async ({ office, post, write }) => {
      const { send, message } = await write('carla');
      await setState(office, 'reauth_required');
      const behind = await write('carla', { replyTo: message.id });
      office.sender({ open: sessionsOf(post.submit) });
      await office.waitForState(send.id, 'held');
      await setState(office, 'live');
      await office.waitForState(behind.send.id, 'sent');
      assert.equal((await office.send(send.id)).state, 'sent');
    });
  });

  test('held for what the provider said: not again before its time, unless the mailbox changes its state', async () => {
    await withAnna(async ({ office, post, write }) => {
      let tries = 0;
      post.answer = () => {
        tries += 1;
        if (tries > 1) return ok;
        const reply = '535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.';
        throw new SmtpFailure({ phase: 'login', reply, cause: 'unknown' }, [], null);
      };
      office.sender({ open: sessionsOf(post.submit) });
      const { send } = await write('carla');
      const held = await office.waitForState(send.id, 'held');
      assert.equal(held.reason, 'smtp_auth_disabled');
      // Another send makes rounds of the loop go by.
      await office.waitForState((await write('carlo')).send.id, 'sent');
      assert.equal((await office.send(send.id)).state, 'held');
      await setState(office, 'live');
      await office.waitForState(send.id, 'sent');
    });
  });

  test('C7: a connection that ended sends nothing more: failed at once, whether held, put off or for another day', async () => {
    await withAnna(async ({ office, post, connectionId, mailboxId, write }) => {
      const scheduled = await write('carla', { sendAt: Date.now() + 7 * 86_400_000 });
      const putOff = await write('cleo');
      await run(office.db, `update sends set due_at = now() + interval '1 hour' where id = :id`, {
        id: putOff.send.id,
      });
      await setState(office, 'reauth_required');
      const held = await write('carlo');
      await endConnection(office.db, connectionId, 'disconnected');
      office.sender({ open: sessionsOf(post.submit) });
      for (const { send } of [held, scheduled, putOff])
        assert.equal((await office.waitForState(send.id, 'failed')).reason, 'mailbox_disconnected');
      assert.deepEqual(post.taken, []);
      assert.equal((await office.events()).filter((event) => event.startsWith('send.failed')).length, 3);
      const [quota] = await rows(office.db, 'select 1 from daily_places where mailbox_id = :mailboxId', {
        mailboxId,
      });
      assert.equal(quota, undefined, 'its place in the day is free');
    });
  });

  test('C7: who disconnects and connects again before that was seen: what is for another day waits for its time', async () => {
    await withAnna(async ({ office, post, connectionId, mailboxId, write }) => {
      const sendAt = Date.now() + 7 * 86_400_000;
      const { send } = await write('carla', { sendAt });
      await endConnection(office.db, connectionId, 'disconnected');
      const of = { subAccountId: 'acme', userId: 'anna', mailboxId, provider: 'gmail' } as const;
      await openConnection(office.db, { ...of, waiting: null });
      office.sender({ open: sessionsOf(post.submit) });
      // Another send makes rounds of the loop go by.
      await office.waitForState((await write('carlo')).send.id, 'sent');
      await waitFor('its time to be put back', async () => {
        const [row] = await rows<{ at: Date; state: string }>(
          office.db,
          'select due_at as at, state from sends where id = :id',
          { id: send.id },
        );
        assert.equal(row?.state, 'queued');
        return Math.abs(row.at.getTime() - sendAt) < 1_000;
      });
      assert.deepEqual(post.taken, ['carlo@customer.example']);
    });
  });

  test('held for a week: failed, since nobody waits for that mail any more', async () => {
    await withAnna(async ({ office, post, write }) => {
      await setState(office, 'paused');
      const { send } = await write('carla');
      await run(office.db, `update sends set state_since = now() - interval '6 days 23 hours'`);
      office.sender({ open: sessionsOf(post.submit) });
      await setState(office, 'reauth_required');
      assert.equal((await office.send(send.id)).state, 'held');
      await run(office.db, `update sends set state_since = now() - interval '7 days 1 minute'`);
      assert.equal((await office.waitForState(send.id, 'failed')).reason, 'held_too_long');
    });
  });
});

describe('D6: scheduled and cancelled', () => {
  test('waits for send_at, and keeps nothing of its thread back meanwhile', async () => {
    await withAnna(async ({ office, post, write }) => {
      office.sender({ open: sessionsOf(post.submit) });
      const at = Date.now() + 3_600_000;
      const later = await write('carla', { sendAt: at });
      assert.equal(later.send.next_try_at, new Date(at).toISOString());
      assert.equal(Date.parse(later.message.date), Math.floor(at / 1000) * 1000);
      const now = await write('carla', { replyTo: later.message.id });
      await office.waitForState(now.send.id, 'sent');
      assert.equal((await office.send(later.send.id)).state, 'queued');
      await office.hurry(later.send.id);
      await office.waitForState(later.send.id, 'sent');
    });
  });

  test('can be taken back while it waits, once and again; nothing goes out', async () => {
    await withAnna(async ({ office, post, write }) => {
      const { send } = await write('carla', { sendAt: Date.now() + 3_600_000 });
      assert.equal(await cancelSend(office.db, 'acme', send.id), 'cancelled');
      assert.equal(await cancelSend(office.db, 'acme', send.id), 'cancelled');
      const events = (await office.events()).filter((event) => event.startsWith('send.'));
      assert.deepEqual(events, ['send.queued queued', 'send.cancelled cancelled']);
      const sender = office.sender({ open: sessionsOf(post.submit) });
      await office.hurry(send.id);
      await office.waitForState((await write('carlo')).send.id, 'sent');
      await sender.stop();
      assert.deepEqual(post.taken, ['carlo@customer.example']);
    });
  });

  test('cannot be taken back on its way or after; another tenant’s is not there', async () => {
    await withAnna(async ({ office, post, write }) => {
      const release = post.hold('carla@customer.example');
      office.sender({ open: sessionsOf(post.submit) });
      const { send } = await write('carla');
      await office.waitForState(send.id, 'sending');
      assert.equal(await cancelSend(office.db, 'acme', send.id), 'too_late');
      release();
      await office.waitForState(send.id, 'sent');
      assert.equal(await cancelSend(office.db, 'acme', send.id), 'too_late');
      assert.equal(await cancelSend(office.db, 'other', send.id), 'not_found');
      assert.equal(await cancelSend(office.db, 'acme', 'snd_none'), 'not_found');
    });
  });

  test('taking one back lets what is behind it go', async () => {
    await withAnna(async ({ office, post, write }) => {
      post.answer = ({ envelope }) => {
        if (post.taken.length > 0 || envelope.to.length > 1) return ok;
        const reply = '451 4.7.1 Later';
        throw new SmtpFailure({ phase: 'envelope', reply, cause: 'unknown' }, [], null);
      };
      office.sender({ open: sessionsOf(post.submit) });
      const first = await write('carla');
      await office.waitForState(first.send.id, 'queued', 1);
      const behind = await write('carla', { replyTo: first.message.id });
      post.taken.push('nobody');
      assert.equal((await office.send(behind.send.id)).attempts.length, 0);
      await cancelSend(office.db, 'acme', first.send.id);
      await office.waitForState(behind.send.id, 'sent');
    });
  });
});

describe('D5: order and room', () => {
  test('within a thread one after the other, in the order of the calls', async () => {
    await withAnna(async ({ office, post, write }) => {
      const first = await write('carla');
      const sends: SendId[] = [first.send.id];
      for (let n = 0; n < 5; n += 1) {
        const more = await office.accept({
          userId: 'anna',
          to: [{ name: '', address: `n${n}@customer.example` }],
          replyToMessageId: first.message.id,
          text: 'x',
        });
        sends.push(more.send.id);
      }
      office.sender({ open: sessionsOf(post.submit) });
      for (const id of sends) await office.waitForState(id, 'sent');
      assert.deepEqual(
        post.taken.map((address) => address.split('@')[0]),
        ['carla', 'n0', 'n1', 'n2', 'n3', 'n4'],
      );
      assert.equal(post.most, 1);
    });
  });

  test('what one mailbox has to put off keeps nothing back that goes through another one, in the same thread', async () => {
    await withAnna(async ({ office, post, mailboxId, write }) => {
      await office.connect({ userId: 'bert', address: 'bert@mail.example', provider: 'gmail', smtp });
      const bert = (replyToMessageId: string) =>
        office.accept({ userId: 'bert', contactId: 'carla', text: 'x', replyToMessageId });
      office.sender({ open: sessionsOf(post.submit) });
      const { send, message } = await write('carla');
      await office.waitForState(send.id, 'sent');
      post.answer = ({ envelope: { from } }) => {
        if (from !== 'anna@mail.example') return ok;
        throw new SmtpFailure({ phase: 'envelope', reply: '451 4.7.1 Later', cause: 'unknown' }, [], null);
      };
      const late = await write('carla', { replyTo: message.id });
      await office.waitForState(late.send.id, 'queued', 1);
      const own = await write('carla', { replyTo: message.id });
      await office.waitForState((await bert(message.id)).send.id, 'sent');
      await run(office.db, `update mailboxes set state = 'reauth_required' where id = :mailboxId`, {
        mailboxId,
      });
      await office.hurry(late.send.id);
      await office.waitForState(late.send.id, 'held');
      await office.waitForState((await bert(message.id)).send.id, 'sent');
      // Her own next one waits for its turn all the same.
      const { state, attempts } = await office.send(own.send.id);
      assert.deepEqual([state, attempts], ['queued', []]);
    });
  });

  test('no more sessions of a mailbox than its provider takes, and a mailbox that hangs blocks no other', async () => {
    await withAnna(async ({ office, post, write }) => {
      await office.connect({ userId: 'bert', address: 'bert@mail.example', provider: 'gmail', smtp });
      const release = post.hold('anna@mail.example');
      office.sender({ open: sessionsOf(post.submit) });
      const anna: SendId[] = [];
      for (const name of ['carla', 'carlo', 'cleo', 'carla']) anna.push((await write(name)).send.id);
      await waitFor('two sessions of Anna', () => post.open === 2);
      const bert = await office.accept({ userId: 'bert', contactId: 'carla', text: 'x' });
      await office.waitForState(bert.send.id, 'sent');
      assert.equal(post.open, 2);
      release();
      for (const id of anna) await office.waitForState(id, 'sent');
      assert.equal(post.most, 3);
    });
  });

  test('what comes due right after it was looked what is due does not wait for the next poll', async () => {
    await withAnna(async ({ office, post, write }) => {
      const sendAt = Date.now() + 1_000;
      const { send } = await write('carla', { sendAt });
      const isDue = () =>
        waitFor('its time', async () => {
          const passed = await rows(office.db, 'select where now() > to_timestamp(:sendAt::float8 / 1000)', {
            sendAt,
          });
          return passed.length > 0;
        });
      const db = new Proxy(office.db, {
        get: (target, name: keyof typeof office.db) =>
          name !== 'raw'
            ? (target[name] as unknown)
            : (sql: string, values: Record<string, never>) => ({
                options: async (options: object) => {
                  const answer = await target.raw<unknown>(sql, values).options(options);
                  if (sql.includes('with recursive longest')) await isDue();
                  return answer;
                },
              }),
      });
      office.sender({ db, open: sessionsOf(post.submit), limits: { pollMs: 3_600_000 } });
      await office.waitForState(send.id, 'sent');
    });
  });

  test('a refused login while the database is away: what was claimed is left to its lease, and the process lives', async () => {
    await withAnna(async ({ office, write }) => {
      for (let n = 0; n < 12; n += 1) await write('carla');
      let isAway = false;
      const db = new Proxy(office.db, {
        get: (target, name: keyof typeof office.db) =>
          name !== 'raw'
            ? (target[name] as unknown)
            : (sql: string, values: Record<string, never>) =>
                isAway ? { options: () => Promise.reject(new Error('away')) } : target.raw(sql, values),
      });
      office.sender({
        db,
        open: sessionsOf(() => {
          isAway = true;
          const reply = '535 5.7.8 Wrong password';
          throw new SmtpFailure({ phase: 'login', reply, cause: 'unknown' }, [], null);
        }),
      });
      await waitFor('what was claimed to be left', () =>
        Promise.resolve(office.logged.some(({ message }) => message.includes('left to their leases'))),
      );
      await new Promise(setImmediate);
      isAway = false;
    });
  });

  test('a stop while the database is away: what was not begun is left to its lease', async () => {
    await withAnna(async ({ office, post, write }) => {
      for (let n = 0; n < 12; n += 1) await write('carla');
      let isAway = false;
      const db = new Proxy(office.db, {
        get: (target, name: keyof typeof office.db) =>
          name !== 'raw'
            ? (target[name] as unknown)
            : (sql: string, values: Record<string, never>) =>
                isAway && sql.includes('set lease_owner = null')
                  ? { options: () => Promise.reject(new Error('away')) }
                  : target.raw(sql, values),
      });
      const release = post.hold('anna@mail.example');
      const sender = office.sender({ db, open: sessionsOf(post.submit) });
      await waitFor('sessions to be open', () => Promise.resolve(post.open > 0));
      isAway = true;
      await sender.stop();
      release();
      assert.deepEqual(post.taken, []);
      assert.ok(office.logged.some(({ message }) => message.includes('left to their leases')));
    });
  });

  test('no more tries in a minute than the provider takes, of letters and campaigns together', async () => {
    const office = await openOffice();
    try {
      const most = 5;
      const [post, other] = [createPost(), createPost()];
      const outlook = { userId: 'anna', address: 'anna@mail.example', provider: 'outlook', smtp } as const;
      await office.connect(outlook);
      await office.connect({ userId: 'bert', address: 'bert@mail.example', provider: 'gmail', smtp });
      for (let n = 0; n < 24; n += 1) {
        await office.addContact(`c${n}`, `c${n}@customer.example`);
        const kind = n < 3 ? 'individual' : 'bulk';
        await office.accept({ kind, userId: 'anna', from: outlook.address, contactId: `c${n}`, text: 'x' });
      }
      office.sender({
        provider: (name) => ({
          ...resolveProvider(name),
          smtp,
          smtpMessagesPerMinuteMax: name === 'outlook' ? most : null,
        }),
        open: sessionsOf((submission) =>
          (submission.envelope.from === outlook.address ? post : other).submit(submission),
        ),
      });
      await waitFor('as many to go as may', () => Promise.resolve(post.taken.length >= most));
      // Others make rounds of the loop go by.
      for (let n = 0; n < 3; n += 1) {
        const { send } = await office.accept({ userId: 'bert', contactId: `c${n}`, text: 'x' });
        await office.waitForState(send.id, 'sent');
      }
      assert.equal(post.taken.length, most);
      // The letters are among them, whichever of the sessions was the quickest.
      for (let n = 0; n < 3; n += 1)
        assert.ok(post.taken.includes(`c${n}@customer.example`), post.taken.join());
    } finally {
      await office.close();
    }
  });

  test('temporary refusals: growing pauses, and after two days it is given up with the provider’s words', async () => {
    await withAnna(async ({ office, post, write }) => {
      post.answer = () => {
        throw new SmtpFailure({ phase: 'envelope', reply: '451 4.7.1 Later', cause: 'unknown' }, [], null);
      };
      office.sender({ open: sessionsOf(post.submit) });
      const { send } = await write('carla');
      const pauses: number[] = [];
      for (let tries = 1; tries <= 9; tries += 1) {
        const waiting = await office.waitForState(send.id, 'queued', tries);
        pauses.push(Date.parse(waiting.next_try_at ?? '') - Date.parse(waiting.state_since));
        await office.hurry(send.id);
      }
      for (const [n, pause] of pauses.entries()) {
        const most = Math.min(30_000 * 2 ** n, 3_600_000);
        assert(pause >= most / 2 - 50 && pause <= most + 50, `pause ${n + 1} is ${pause} ms`);
      }
      await office.waitForState(send.id, 'queued', 10);
      await run(office.db, `update send_attempts set started_at = started_at - interval '49 hours'`);
      await office.hurry(send.id);
      const failed = await office.waitForState(send.id, 'failed');
      assert.equal(failed.reason, 'gave_up: refused_for_now: 451 4.7.1 Later');
    });
  });
});

describe('stop', () => {
  test('what is not at its end is given back at once, what is at its end is waited for', async () => {
    await withAnna(async ({ office, post, write }) => {
      const end = Promise.withResolvers<Accepted>();
      post.answer = () => end.promise;
      post.hold('carlo@customer.example');
      const sender = office.sender({ open: sessionsOf(post.submit) });
      const [atItsEnd, before] = [await write('carla'), await write('carlo')];
      await waitFor('both are on their way', async () => {
        const [a, b] = [await office.send(atItsEnd.send.id), await office.send(before.send.id)];
        return a.attempts[0]?.outcome === 'uncertain' && b.state === 'sending';
      });
      const stopped = sender.stop();
      const given = await office.waitForState(before.send.id, 'queued', 1);
      assert.equal(given.reason, 'stopped');
      end.resolve(ok);
      await stopped;
      assert.equal((await office.send(atItsEnd.send.id)).state, 'sent');
      assert.equal(post.open, 0);
    });
  });

  test('an answer that does not come in time leaves it uncertain', async () => {
    await withAnna(async ({ office, post, write }) => {
      post.answer = ({ signal }) =>
        new Promise((_resolve, reject) => {
          const lost = new SmtpFailure({ phase: 'handed_over', reply: null, cause: 'stopped' }, [], null);
          signal.addEventListener('abort', () => reject(lost));
        });
      const sender = office.sender({ open: sessionsOf(post.submit), limits: { stopMs: 100 } });
      const { send } = await write('carla');
      await waitFor(
        'its end is out',
        async () => (await office.send(send.id)).attempts[0]?.outcome === 'uncertain',
      );
      await sender.stop();
      assert.equal((await office.send(send.id)).state, 'uncertain');
    });
  });
});
