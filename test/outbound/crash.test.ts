import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { SendId } from '../../src/lib/id.ts';
import { openSession } from '../../src/outbound/smtp.ts';
import type { Accepted, SmtpServer, Submission } from '../../src/outbound/smtp.ts';
import { run } from '../../src/store/database.ts';
import { recogniseMessages } from '../../src/store/filing-writes.ts';
import { claimWork } from '../../src/store/work.ts';
import { databaseKinds } from '../support/database.ts';
import { openMailbox } from '../support/mail.ts';
import { useServers } from '../support/shared-servers.ts';
import type { UsedServers } from '../support/shared-servers.ts';
import { openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';

/** Between which two steps a node dies. */
const deaths = [
  'claimed, nothing written',
  'its state written, no socket opened',
  'waiting for a token',
  'the message half out',
  'all but its end out, the hand-over not noted',
  'the hand-over noted, its end not out',
  'answered, the answer not written',
] as const;
type Death = (typeof deaths)[number];

/** How many messages the provider took before the node died. */
const takenBefore = (death: Death) => (death === 'answered, the answer not written' ? 1 : 0);

/** Whether only the Sent folder can tell what became of the message. */
const uncertainAfter = (death: Death) =>
  death === 'the hand-over noted, its end not out' || death === 'answered, the answer not written';

/** Long enough for what a node does before it dies. */
const leaseMs = 60_000;

const never = new Promise<never>(() => {});

/**
 * A submission at a real server that dies: its sockets are closed, as the kernel does, and nothing
 * of its process ever goes on. `reached` is told when it has come so far.
 */
async function dyingSubmit(
  death: Death,
  submission: Submission,
  to: SmtpServer,
  reached: () => void,
): Promise<Accepted> {
  const kernel = new AbortController();
  const die = (): Promise<never> => {
    kernel.abort();
    reached();
    return never;
  };
  if (death === 'its state written, no socket opened') return die();
  const { content, beforeEnd } = submission;
  const login =
    to.login !== null && death === 'waiting for a token' ? { user: to.login.user, token: die } : to.login;
  const dying: Submission = {
    ...submission,
    signal: kernel.signal,
    content: async function* () {
      for await (const chunk of content()) {
        yield chunk.subarray(0, 100);
        if (death === 'the message half out') await die();
        yield chunk.subarray(100);
      }
    },
    beforeEnd: async (refused) => {
      if (death === 'all but its end out, the hand-over not noted') await die();
      const mine = await beforeEnd(refused);
      if (death === 'the hand-over noted, its end not out') await die();
      return mine;
    },
  };
  // What the abort makes of the session is nothing that a dead process hears of.
  const session = await openSession({ ...to, login }, kernel.signal).catch(() => never);
  await session.submit(dying).catch(() => never);
  session.end();
  return die();
}

describe('D5: no crash, at any point, sends twice or loses an accepted message', () => {
  let servers: UsedServers;
  before(async () => {
    servers = await useServers();
  });

  for (const kind of databaseKinds) {
    describe(kind, () => {
      let office: Office;
      before(async () => {
        // Copies are recognised without being filed.
        office = await openOffice(kind, {
          breaks: ['message_has_source', 'confirmed_is_sent', 'send_is_told'],
        });
        await office.addContact('carla', `carla@crash-${kind}.example`);
      });
      after(() => office.close());

      for (const [n, death] of deaths.entries()) {
        test(`a node dies: ${death}`, async () => {
          const anna = `anna-${n}@crash-${kind}.test`;
          const subject = `${kind}, ${death}`;
          const { mailboxId } = await connectAtPostfix(office, servers, `u${n}`, anna);
          const { send, message } = await office.accept({
            userId: `u${n}`,
            contactId: 'carla',
            subject,
            text: 'x',
          });
          await killNode(office, death, send.id);
          const sender = office.sender();
          if (uncertainAfter(death)) {
            const lost = await office.waitForState(send.id, 'uncertain');
            assert.equal(lost.attempts.length, 1);
            await lookAtSent(office, servers, { anna, mailboxId, sendId: send.id, messageId: message.id });
          }
          const sent = await office.waitForState(send.id, 'sent');
          await sender.stop();
          const accepted = sent.attempts.filter(({ outcome }) => outcome === 'accepted').length;
          assert.equal(accepted + takenBefore(death), 1);
          assert.equal(sent.copy_seen, takenBefore(death) === 1);
          assert.equal(
            await arrived(servers, `carla@crash-${kind}.example`, subject),
            message.internet_message_id,
          );
        });
      }
    });
  }
});

async function connectAtPostfix(office: Office, servers: UsedServers, userId: string, address: string) {
  const { host, submissionPort } = servers.smtp;
  const token = await servers.identity.issueToken(address);
  office.tokens.give = () => token;
  const smtp = { host, port: submissionPort, security: 'starttls' } as const;
  return office.connect({ userId, address, provider: 'gmail', smtp });
}

/** A node that claims the send and dies; what is left of it is a lease that runs out. */
async function killNode(office: Office, death: Death, id: SendId): Promise<void> {
  if (death === 'claimed, nothing written') {
    const claimed = await claimWork(office.db, { table: 'sends', owner: 'dead', leaseMs, limit: 1 });
    assert.deepEqual(claimed, [id]);
    return endLease(office, id);
  }
  await new Promise<void>((reached) => {
    office.abandonedSender({
      open: sessionsOf((submission, to) => dyingSubmit(death, submission, to, reached)),
      // It claims what is there, and never again: no timer of a dead process goes off.
      clock: { ...systemClock, sleep: () => never },
      limits: { leaseMs },
    });
  });
  await endLease(office, id);
}

/** As time does, which a slow machine must not have done before the node dies. */
async function endLease(office: Office, id: SendId): Promise<void> {
  const ended = await run(
    office.db,
    'update sends set lease_until = now() where id = :id and lease_until > now()',
    { id },
  );
  assert.equal(ended, 1);
}

/** What the listener does: a complete look at Sent, late enough, recognises our own copy. */
async function lookAtSent(
  office: Office,
  servers: UsedServers,
  of: { anna: string; mailboxId: string; sendId: SendId; messageId: `msg_${string}` },
): Promise<void> {
  const mailbox = await openMailbox(servers, of.anna);
  const copies = await mailbox.list('Sent');
  await mailbox.close();
  await recogniseMessages(
    office.db,
    copies.map(() => ({
      message_id: of.messageId,
      internet_message_id: null,
      date: null,
      send_id: of.sendId,
      in_sent: true,
    })),
  );
  await run(
    office.db,
    `update sends set uncertain_at = uncertain_at - interval '12 minutes' where id = :sendId`,
    of,
  );
  await run(office.db, 'update mailboxes set sent_looked_at = now() where id = :mailboxId', of);
  await office.hurry(of.sendId);
}

/** The one message with this subject, by its Message-ID; two are an error. */
async function arrived(servers: UsedServers, address: string, subject: string): Promise<string> {
  const mailbox = await openMailbox(servers, address);
  try {
    return (await mailbox.waitForMail(subject)).messageId.replaceAll(/[<>]/g, '');
  } finally {
    await mailbox.close();
  }
}
