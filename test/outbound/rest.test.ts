import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { cancelSend } from '../../src/outbound/cancel.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import { openSession } from '../../src/outbound/smtp.ts';
import type { Submission } from '../../src/outbound/smtp.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import { recogniseMessages } from '../../src/store/filing-writes.ts';
import { closeQuota } from '../../src/store/quota.ts';
import { noteReports } from '../../src/store/send-reports.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';

/*
 * D5, partial refusals: Carla is taken, Cyril is put off. The message is sent to her once, whatever happens, and to him
 * when his server wants it.
 */

const carla = 'carla@customer.example';
const cyril = 'cyril@customer.example';
const busy = '450 4.2.0 Greylisted, come back later';
/** A provider that puts Cyril off so often (`, once`), and then does what `more` says. */
const script = (times: string, more = '') =>
  `protocol: smtp\nehlo: AUTH XOAUTH2\nehlo: ENHANCEDSTATUSCODES\n\n` +
  `on RCPT TO:<cyril@*${times}:\n  S: ${busy}\n${more}`;

type Scene = {
  office: Office;
  peer: ScriptPeer;
  mailboxId: MailboxId;
  /** To Carla, with Cyril in Cc. */
  write(more?: { replyTo?: string; to?: string[]; kind?: 'individual' | 'bulk' }): Promise<SendAnswer>;
  /** As filing does when a copy shows up in Sent. */
  seeCopy(answer: SendAnswer, named?: string): Promise<void>;
};

/** What a copy breaks that is recognised without being filed. */
const byHand = ['message_has_source', 'confirmed_is_sent', 'send_is_told'];

async function withPeer(
  source: string,
  { provider = 'gmail', breaks = [] }: { provider?: ProviderName; breaks?: string[] },
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const office = await openOffice('postgres', { breaks });
  const peer = await startScriptPeer(source);
  try {
    await office.addContact('carla', carla);
    const smtp = { host: peer.host, port: peer.port, security: 'none' } as const;
    const anna = { userId: 'anna', address: 'anna@company.example', provider, smtp };
    const { mailboxId } = await office.connect(anna);
    await play({
      office,
      peer,
      mailboxId,
      write: ({ replyTo, to = [cyril], kind = 'individual' } = {}) =>
        office.accept({
          userId: 'anna',
          kind,
          contactId: 'carla',
          cc: to.map((address) => ({ name: '', address })),
          subject: 'An offer',
          text: 'Dear Carla',
          replyToMessageId: replyTo ?? null,
        }),
      async seeCopy({ message, send }, named) {
        const internet_message_id = named ?? message.internet_message_id;
        await recogniseMessages(office.db, [
          { message_id: message.id, internet_message_id, date: null, send_id: send.id, in_sent: true },
        ]);
      },
    });
  } finally {
    await office.close();
    await peer.stop();
  }
}

const receivers = (peer: ScriptPeer) => peer.taken().map(({ to }) => to.join(' '));
const outcomes = async (office: Office, { send }: SendAnswer) =>
  (await office.send(send.id)).attempts.map(({ outcome }) => outcome);

/** Waits until nothing more is to be done about it. */
const over = (office: Office, { send: { id } }: SendAnswer) =>
  waitFor(`${id} is over`, async () => {
    const send = await office.send(id);
    const isOver = send.attempts.length > 0 && send.next_try_at === null;
    return isOver ? send : Promise.reject(new Error(JSON.stringify(send)));
  });

/** Waits until it is sent, and Cyril waits. */
async function putOff(office: Office, { send: { id } }: SendAnswer, tries = 1) {
  const sent = await office.waitForState(id, 'sent', tries);
  assert.deepEqual(sent.refused, [{ address: cyril, state: 'deferred', reply: busy }]);
  assert.equal(sent.reason, `recipients_deferred: ${cyril}: ${busy}`);
  return sent;
}

describe('D5: recipients who are put off while others are taken', () => {
  test('they alone are tried again, with growing pauses, the same id and bytes, until they are taken', async () => {
    await withPeer(script(', twice'), {}, async ({ office, peer, write }) => {
      office.sender();
      const answer = await write();
      const sent = await putOff(office, answer);
      const firstMs = Date.parse(sent.next_try_at ?? '') - Date.now();
      assert.ok(firstMs > 1_000 && firstMs < 60_000, `${firstMs} ms`);
      await office.hurry(answer.send.id);
      const again = await putOff(office, answer, 2);
      const thenMs = Date.parse(again.next_try_at ?? '') - Date.now();
      assert.ok(thenMs > 15_000, `${thenMs} ms`);
      await office.hurry(answer.send.id);
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.reason, done.refused], ['sent', null, []]);
      assert.deepEqual(await outcomes(office, answer), ['accepted', 'temporary', 'accepted']);
      assert.deepEqual(receivers(peer), [carla, cyril]);
      assert.deepEqual(peer.taken()[1]?.raw, peer.taken()[0]?.raw);
      assert.deepEqual(peer.sent('MAIL FROM:*'), Array(3).fill('MAIL FROM:<anna@company.example>'));
      assert.equal(peer.sent(`RCPT TO:<${carla}>`).length, 1);
      assert.deepEqual(
        (await office.events()).filter((event) => !event.startsWith('conversation')),
        [
          'message.created queued',
          'send.queued queued',
          'message.updated sending',
          'send.sent sent',
          'message.updated sent',
        ],
      );
    });
  });

  test('D4: the rest holds up nothing in its thread', async () => {
    await withPeer(script(''), {}, async ({ office, peer, write }) => {
      office.sender();
      const first = await write();
      await putOff(office, first);
      const second = await write({ replyTo: first.message.id, to: [] });
      await office.waitForState(second.send.id, 'sent');
      assert.deepEqual(receivers(peer), [carla, carla]);
    });
  });

  test('through the sub-account’s provider as well', async () => {
    await withPeer(script(', once'), {}, async ({ office, peer, write }) => {
      await office.setProvider({ host: peer.host, port: peer.port, security: 'none' });
      office.sender();
      const answer = await write({ kind: 'bulk' });
      await putOff(office, answer);
      await office.hurry(answer.send.id);
      await over(office, answer);
      assert.deepEqual(receivers(peer), [carla, cyril]);
    });
  });

  const ends: [name: string, more: string, state: string, word: string][] = [
    [
      'refused for good',
      'on RCPT TO:<cyril@*:\n  S: 550 5.1.1 No such user\n',
      'refused',
      'recipients_refused',
    ],
    ['refused with the message', 'on ., once:\n  S: 554 5.7.1 Spam\n', 'refused', 'recipients_refused'],
    ['no answer', 'on ., once:\n  @ store\n  S: (close)\n', 'uncertain', 'recipients_uncertain'],
  ];
  for (const [name, more, state, word] of ends) {
    test(`a later try: ${name}; that is told, and nobody gets it again`, async () => {
      // The first message is taken, whatever becomes of the second.
      const source = script(
        ', once',
        more.replace('on .,', 'on ., once:\n  @ store\n  S: 250 2.0.0 OK\n\non .,'),
      );
      await withPeer(source, {}, async ({ office, peer, write }) => {
        office.sender();
        const answer = await write();
        await putOff(office, answer);
        await office.hurry(answer.send.id);
        const done = await over(office, answer);
        assert.deepEqual([done.state, done.refused.map((each) => each.state)], ['sent', [state]]);
        assert.match(done.reason ?? '', new RegExp(`^${word}: ${cyril}: `));
        await office.hurry(answer.send.id);
        await office.waitForState((await write({ to: [] })).send.id, 'sent');
        assert.equal(peer.sent(`RCPT TO:<${cyril}>`).length, 2);
      });
    });
  }

  test('given up after two days, with the words; one who was refused at once was told at once', async () => {
    const gone = 'gone@customer.example';
    const source = script('', `on RCPT TO:<gone@*:\n  S: 550 5.1.1 No such user\n`);
    await withPeer(source, {}, async ({ office, peer, write }) => {
      office.sender();
      const answer = await write({ to: [cyril, gone] });
      const sent = await office.waitForState(answer.send.id, 'sent', 1);
      assert.deepEqual(
        sent.refused.map(({ address, state }) => `${address} ${state}`),
        [`${cyril} deferred`, `${gone} refused`],
      );
      await run(office.db, `update sends set state_since = now() - interval '49 hours'`);
      await office.hurry(answer.send.id);
      const done = await over(office, answer);
      assert.deepEqual(done.refused.map(({ state }) => state).toSorted(), ['given_up', 'refused']);
      assert.match(done.reason ?? '', /^recipients_refused: .*gone@.*550 5\.1\.1/s);
      assert.match(done.reason ?? '', new RegExp(busy));
      assert.equal(peer.sent(`RCPT TO:<${gone}>`).length, 1);
    });
  });

  test('U1, S12: the copy in Sent ends nothing, neither does a second one; the first id is shown', async () => {
    const source = script(
      ', once',
      'on .:\n  @ store as <A$n@eurprd01.prod.outlook.com>\n  S: 250 2.0.0 OK <A$n@eurprd01.prod.outlook.com> [Hostname=A.eurprd01.prod.outlook.com]\n',
    );
    await withPeer(
      source,
      { provider: 'outlook', breaks: byHand },
      async ({ office, peer, write, seeCopy }) => {
        office.sender();
        const answer = await write();
        const { send, message } = answer;
        await putOff(office, answer);
        const shown = async () =>
          (
            await rows<{ id: string }>(
              office.db,
              'select internet_message_id as id from messages where id = :id',
              message,
            )
          )[0]?.id;
        const firstId = await shown();
        await seeCopy(answer, firstId);
        assert.equal((await putOff(office, answer)).copy_seen, true);
        await office.hurry(send.id);
        await over(office, answer);
        assert.deepEqual(receivers(peer), [carla, cyril]);
        const keys = await rows<{ key: string }>(
          office.db,
          'select key from message_keys where message_id = :id',
          message,
        );
        assert.equal(keys.length, 3, 'both ids and our own are names of it');
        await seeCopy(
          answer,
          keys.map(({ key }) => key).find((key) => key !== firstId && key !== message.internet_message_id),
        );
        assert.equal(await shown(), firstId);
      },
    );
  });

  test('the answer is lost: the copy in Sent says that Carla has it, and Cyril is tried', async () => {
    const source = script(', once', 'on ., once:\n  @ store\n  S: (close)\n');
    await withPeer(source, { breaks: byHand }, async ({ office, peer, write, seeCopy }) => {
      office.sender();
      const answer = await write();
      const lost = await office.waitForState(answer.send.id, 'uncertain');
      assert.deepEqual(
        lost.refused.map(({ state }) => state),
        ['deferred'],
      );
      await seeCopy(answer);
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.reason, done.refused], ['sent', null, []]);
      assert.deepEqual(receivers(peer), [carla, cyril]);
    });
  });

  test('the answer of a relay is lost: nobody is tried again, and Cyril is told of', async () => {
    const source = script('', 'on .:\n  @ store\n  S: (close)\n');
    await withPeer(source, {}, async ({ office, peer, write }) => {
      await office.setProvider({ host: peer.host, port: peer.port, security: 'none' });
      office.sender();
      const answer = await write({ kind: 'bulk' });
      const lost = await office.waitForState(answer.send.id, 'uncertain', 1);
      assert.deepEqual(lost.refused, [{ address: cyril, state: 'given_up', reply: busy }]);
      assert.equal(lost.next_try_at, null);
      assert.deepEqual(receivers(peer), [carla]);
    });
  });

  test('the message itself is put off after all: everybody is tried again', async () => {
    const source = script(', once', 'on ., once:\n  S: 451 4.3.0 Later\n');
    await withPeer(source, {}, async ({ office, peer, write }) => {
      office.sender();
      const answer = await write();
      const queued = await office.waitForState(answer.send.id, 'queued', 1);
      assert.deepEqual(queued.refused, []);
      await office.hurry(answer.send.id);
      await over(office, answer);
      assert.deepEqual(receivers(peer), [`${carla} ${cyril}`]);
    });
  });

  test('D6: a bounce from Carla ends nothing for Cyril, and stays', async () => {
    await withPeer(script(', once'), { breaks: ['send_is_told'] }, async ({ office, peer, write }) => {
      office.sender();
      const answer = await write();
      await putOff(office, answer);
      const failed = {
        address: carla,
        action: 'failed',
        class: 'hard',
        status: '5.1.1',
        words: 'gone',
      } as const;
      await noteReports(office.db, [{ sendId: answer.send.id, at: Date.now(), recipients: [failed] }]);
      assert.equal((await office.send(answer.send.id)).state, 'bounced');
      await office.hurry(answer.send.id);
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.reason, done.refused], ['bounced', `${carla}: gone`, []]);
      assert.deepEqual(receivers(peer), [carla, cyril]);
    });
  });
});

describe('D5: who was put off, and what becomes of the mailbox', () => {
  test('D6: taken back by the CRM: it stays sent, and Cyril is tried no more', async () => {
    await withPeer(script(''), {}, async ({ office, peer, write }) => {
      office.sender();
      const answer = await write();
      await putOff(office, answer);
      const { id } = answer.send;
      assert.equal(await cancelSend(office.db, 'acme', id), 'cancelled');
      assert.equal(await cancelSend(office.db, 'acme', id), 'cancelled');
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.refused.map(({ state }) => state)], ['sent', ['cancelled']]);
      const other = await write({ to: [] });
      await office.waitForState(other.send.id, 'sent');
      assert.equal(await cancelSend(office.db, 'acme', other.send.id), 'too_late');
      assert.equal(peer.sent(`RCPT TO:<${cyril}>`).length, 1);
    });
  });

  test('D1: while it needs a person he waits, untried; when it is disconnected he is given up', async () => {
    await withPeer(
      script(''),
      { breaks: ['credential_is_in_use', 'live_thread_has_connection'] },
      async ({ office, peer, write }) => {
        office.sender();
        const answer = await write();
        await putOff(office, answer);
        await run(office.db, `update connections set state = 'paused', state_since = now()`);
        await office.hurry(answer.send.id);
        await waitFor('it was looked at', async () => {
          const { next_try_at: at } = await office.send(answer.send.id);
          return Date.parse(at ?? '') > Date.now() + 1_800_000;
        });
        await putOff(office, answer);
        await run(office.db, `update connections set state = 'disconnected', ended_at = now()`);
        await office.hurry(answer.send.id);
        const done = await over(office, answer);
        assert.deepEqual([done.state, done.refused.map(({ state }) => state)], ['sent', ['given_up']]);
        assert.equal(peer.sent(`RCPT TO:<${cyril}>`).length, 1);
      },
    );
  });

  test('L3: one message takes one place, however often it goes; a closed day closes it for him as well', async () => {
    await withPeer(script(', once'), {}, async ({ office, peer, write, mailboxId }) => {
      const limits = JSON.stringify({ individualMessagesPerDayMax: 1 });
      await run(office.db, 'update mailboxes set limits = :limits', { limits });
      office.sender();
      const answer = await write();
      await putOff(office, answer);
      const places = () => rows<{ at: Date }>(office.db, 'select at from daily_places');
      const before = await places();
      assert.equal(before.length, 1);
      const closed = { mailboxId, sendIds: ['snd_another' as const], ms: 3_600_000 };
      assert.deepEqual(await closeQuota(office.db, closed), []);
      const later = await putOff(office, answer);
      assert.ok(Date.parse(later.next_try_at ?? '') > Date.now() + 3_500_000);
      await office.hurry(answer.send.id);
      await over(office, answer);
      assert.deepEqual(receivers(peer), [carla, cyril]);
      assert.deepEqual(await places(), before);
    });
  });
});

const never = new Promise<never>(() => undefined);

/** A node that dies in the try that comes next: what is left of it is a lease, which is over. */
async function killNode(office: Office, { send }: SendAnswer, isEndOut: boolean): Promise<void> {
  await new Promise<void>((reached) => {
    const kernel = new AbortController();
    const die = () => {
      kernel.abort();
      reached();
      return never;
    };
    office.abandonedSender({
      open: sessionsOf(async (submission, to) => {
        const dying: Submission = {
          ...submission,
          signal: kernel.signal,
          async beforeEnd(refused) {
            if (!isEndOut) await die();
            return submission.beforeEnd(refused);
          },
        };
        const session = await openSession(to, kernel.signal);
        await session.submit(dying).catch(() => never);
        return die();
      }),
      clock: { ...systemClock, sleep: () => never },
    });
  });
  await run(office.db, 'update sends set lease_until = now() where id = :id', send);
}

describe('D5: a node dies, and nobody gets it twice or is forgotten', () => {
  test('after the first try, its answer not written down: the copy says that Carla has it, and Cyril is tried', async () => {
    await withPeer(script(', once'), { breaks: byHand }, async ({ office, peer, write, seeCopy }) => {
      const answer = await write();
      await killNode(office, answer, true);
      office.sender();
      await office.waitForState(answer.send.id, 'uncertain');
      await seeCopy(answer);
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.refused], ['sent', []]);
      assert.deepEqual(receivers(peer), [carla, cyril]);
    });
  });

  test('the same where the copy is seen before anybody takes over', async () => {
    await withPeer(script(', once'), { breaks: byHand }, async ({ office, peer, write, seeCopy }) => {
      const answer = await write();
      await killNode(office, answer, true);
      await seeCopy(answer);
      office.sender();
      const done = await over(office, answer);
      assert.deepEqual([done.state, done.refused], ['sent', []]);
      assert.deepEqual(receivers(peer), [carla, cyril]);
    });
  });

  for (const isEndOut of [false, true]) {
    test(`in a later try, its end ${isEndOut ? 'out: nobody can tell, and he is not tried again' : 'not out: he is tried again'}`, async () => {
      await withPeer(script(', once'), {}, async ({ office, peer, write }) => {
        const first = office.sender();
        const answer = await write();
        await putOff(office, answer);
        await first.stop();
        await run(office.db, 'update sends set due_at = now()');
        await killNode(office, answer, isEndOut);
        office.sender();
        const done = await over(office, answer);
        assert.deepEqual(
          done.refused.map(({ state }) => state),
          isEndOut ? ['uncertain'] : [],
        );
        assert.equal(done.state, 'sent');
        assert.deepEqual(receivers(peer), [carla, cyril]);
        assert.deepEqual(
          done.attempts.map(({ outcome }) => outcome),
          isEndOut ? ['accepted', 'uncertain'] : ['accepted', 'temporary', 'accepted'],
        );
      });
    });
  }
});
