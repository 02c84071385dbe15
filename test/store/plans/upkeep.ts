import { createHash } from 'node:crypto';
import { hashOfAddress } from '../../../src/filing/hashes.ts';
import type { ConversationId, MailboxId, MessageId } from '../../../src/lib/id.ts';
import { findUnreferencedBlobs } from '../../../src/store/blob-references.ts';
import { sweepBatch } from '../../../src/store/blobs.ts';
import { countEarlierMail, forgetFacts, readHistory } from '../../../src/store/decisions.ts';
import { rows } from '../../../src/store/database.ts';
import type { Db } from '../../../src/store/database.ts';
import { insertDeliveries } from '../../../src/store/deliveries.ts';
import { findOfContact, findOfConversation, findOfMailbox } from '../../../src/store/erasable.ts';
import { dropPastEvents, listHoldingUp } from '../../../src/store/event-retention.ts';
import { readGauges } from '../../../src/store/gauges.ts';
import { countMax } from '../../../src/store/overview.ts';
import { dropPast } from '../../../src/store/partitions.ts';
import { eraseMessages } from '../../../src/filing/erase.ts';
import { secretBox } from '../../api/support.ts';
import { rowsMax } from './watch.ts';
import type { UpTo } from './watch.ts';
import type { WorkQuestion } from './work.ts';

/** So many events, decisions or deliveries are gone through in one statement of the housekeeping. */
const portion: UpTo = {
  most: () => 10_000,
  because: 'a portion of 5,000 is gone through, with what belongs to it',
};

const dayMs = 86_400_000;

/** What is asked without anybody waiting for it: by the housekeeping, by /metrics, by an erasure, by who asks why. */
export async function upkeepQuestions(aside: Db): Promise<WorkQuestion[]> {
  const [of] = await rows<{
    mailbox: MailboxId;
    webhook: string;
    conversation: ConversationId;
    message: MessageId;
    last: number;
  }>(
    aside,
    `select (select min(id) from mailboxes) as mailbox, (select min(id) from webhooks) as webhook, (select min(id) from conversations) as conversation,
            (select message_id from sends where state = 'sent' order by id limit 1) as message,
            (select max(sequence)::int from events) as last`,
  );
  if (of === undefined) throw new Error('nothing was generated');
  const { mailbox, webhook, conversation, message, last } = of;
  const blobs = Array.from({ length: sweepBatch }, (_, n) =>
    createHash('sha256').update(`${n}`).digest('hex'),
  );
  return [
    {
      what: 'insertDeliveries of 100 events',
      ask: (db) =>
        insertDeliveries(db, {
          first: String(last - 99),
          last: String(last),
          webhookIds: [webhook],
        }),
    },
    {
      what: 'readGauges',
      ask: (db) => readGauges(db, ['live', 'paused']),
      upTo: {
        most: (messages) => 4 * countMax + messages / 200,
        because:
          'each state of sends is counted, up to so many, and of some that are due all that waits in their threads is read',
      },
    },
    { what: 'findUnreferencedBlobs', ask: (db) => findUnreferencedBlobs(db, blobs) },
    { what: 'readHistory', ask: (db) => readHistory(db, message) },
    {
      what: 'countEarlierMail of an address that has much',
      ask: (db) =>
        countEarlierMail(db, {
          subAccountId: 's1',
          addressHashes: [hashOfAddress(secretBox, 'contact-0@customer.example')],
        }),
      upTo: { most: (messages) => messages / 20, because: 'all decisions about one address are found by it' },
    },
    {
      what: 'forgetFacts',
      ask: async (db) => {
        const [first] = await rows<{ at: number }>(
          aside,
          `select floor(extract(epoch from min(decided_at)) * 1000)::float8 as at from decisions`,
        );
        await forgetFacts(
          db,
          { before: (first?.at ?? 0) + dayMs / 24, after: '' },
          new AbortController().signal,
        );
      },
      upTo: portion,
    },
    { what: 'findOfConversation', ask: (db) => findOfConversation(db, 's1', conversation) },
    { what: 'findOfContact', ask: (db) => findOfContact(db, 's1', 'c0') },
    {
      what: 'findOfMailbox',
      ask: (db) => findOfMailbox(db, { subAccountId: 's1', mailboxId: mailbox, after: null }),
      upTo: { most: (messages) => messages / 50, because: 'what is left of a folder is put in order' },
    },
    {
      what: 'eraseMessages of a conversation',
      ask: async (db) => eraseMessages({ db, secretBox }, 's1', await findErasable(aside)),
      upTo: {
        most: (messages) => Math.max(rowsMax, messages / 500),
        because: 'the conversation is dated by the newest of each thread that is left in it',
      },
    },
    {
      what: 'listHoldingUp',
      ask: (db) => listHoldingUp(db, Date.now() - 90 * dayMs),
      upTo: { most: (messages) => messages / 10, because: 'what waits is looked through for what is old' },
    },
    { what: 'dropPastEvents', ask: (db) => dropPastEvents(db, Date.now() - 130 * dayMs), upTo: portion },
    { what: 'dropPast of decisions', ask: (db) => dropPast(db, 'decisions', Date.now() - 100 * dayMs) },
    {
      what: 'dropPast of send_attempts',
      ask: (db) => dropPast(db, 'send_attempts', Date.now() - 100 * dayMs),
    },
  ];
}

/** Messages of the contact that has most, of which none is still to be sent. */
async function findErasable(db: Db): Promise<MessageId[]> {
  const found = await rows<{ id: MessageId }>(
    db,
    `select m.id from conversation_threads t join messages m on m.thread_id = t.thread_id
      where t.conversation_id = (select min(id) from conversations)
        and not exists (select from sends s where s.message_id = m.id and s.ready)
      order by m.thread_id, m.id limit 50`,
  );
  return found.map(({ id }) => id);
}
