import type { ConnectionId, FolderId, MailboxId, SendId, SpoolId, WebhookId } from '../../../src/lib/id.ts';
import { rows } from '../../../src/store/database.ts';
import type { Db } from '../../../src/store/database.ts';
import { countDecided, findUndecided, readDecided } from '../../../src/store/decisions.ts';
import { listDueWebhooks, settleDeliveries } from '../../../src/store/deliveries.ts';
import { claimDeliveries } from '../../../src/store/delivery-claims.ts';
import { publicationMax, publishBatch } from '../../../src/store/events.ts';
import { lockPosition, readFactRows, readPosition } from '../../../src/store/filing-facts.ts';
import type { FactKeys } from '../../../src/store/filing-facts.ts';
import { findMailboxWork } from '../../../src/store/mailbox-work.ts';
import { takeSendingLeases } from '../../../src/store/sending-leases.ts';
import { findSendLanes } from '../../../src/store/send-lanes.ts';
import { findDueOfLane, findHeldToSettle, lockSends, nextSendDueMs } from '../../../src/store/sends.ts';
import { readAwaitedCopies } from '../../../src/store/sent-copies.ts';
import { findForwarded, readLoggedMail, subAccountsLogging } from '../../../src/store/spool.ts';
import { claimLanes, claimWork } from '../../../src/store/work.ts';
import { upkeepQuestions } from './upkeep.ts';
import type { UpTo } from './watch.ts';

/** What a flow asks of the database, as it does: for a whole batch, whatever has piled up. */
export type WorkQuestion = { what: string; ask(db: Db): Promise<unknown>; upTo?: UpTo };

const owner = 'plans';
const leaseMs = 60_000;
/** The most that one claim takes, or one batch holds. */
const batch = 100;

/** A place of the mailbox that has most, with the message that was seen there. */
type Seen = { uid: number; key: string; sender: string; fingerprint: string; idHash: string };

/**
 * What filing, the listeners and every worker ask, in an order in which they may: what is claimed is in hand. `db` is
 * for what the questions are about.
 */
export async function workQuestions(db: Db): Promise<WorkQuestion[]> {
  const [of] = await rows<{
    mailboxId: MailboxId;
    connectionId: ConnectionId;
    folderId: FolderId;
    webhookId: WebhookId;
  }>(
    db,
    `select (select min(id) from mailboxes) as "mailboxId", (select min(id) from connections) as "connectionId",
            (select min(id) from folders) as "folderId", (select min(id) from webhooks) as "webhookId"`,
  );
  const seen = await rows<Seen>(
    db,
    `select s.uid::int as uid, k.key, k.fingerprint, m.sender ->> 'address' as sender,
            encode(d.id_hash, 'hex') as "idHash"
       from sightings s join messages m on m.id = s.message_id join message_keys k on k.message_id = m.id
       left join decisions d on d.message_id = m.id and d.outcome = 'stored'
      where s.folder_id = (select min(id) from folders) order by s.uid desc limit :batch`,
    { batch },
  );
  if (of === undefined || seen.length < batch) throw new Error('nothing was generated');
  return [
    ...filing(db, of, seen),
    ...sending(db, of.mailboxId),
    ...spooled(db),
    ...delivering(db, of.webhookId),
    ...(await upkeepQuestions(db)),
  ];
}

function filing(
  aside: Db,
  of: { mailboxId: MailboxId; connectionId: ConnectionId; folderId: FolderId },
  seen: readonly Seen[],
): WorkQuestion[] {
  const { folderId } = of;
  const uids = seen.map(({ uid }) => uid);
  const place = { connectionId: of.connectionId, folderId, uidValidity: 1 };
  const keys = factKeys(of.mailboxId, seen);
  const strange = factKeys(
    of.mailboxId,
    seen.map((one) => ({
      ...one,
      key: `x${one.key}`,
      fingerprint: 'x',
      sender: `x${one.uid}@stranger.example`,
    })),
  );
  return [
    { what: 'readPosition', ask: (db) => readPosition(db, folderId) },
    { what: 'lockPosition', ask: (db) => db.transaction((tx) => lockPosition(tx, folderId)) },
    { what: 'readFactRows of known mail', ask: (db) => readFactRows(db, keys) },
    { what: 'readFactRows of strange mail', ask: (db) => readFactRows(db, strange) },
    { what: 'readDecided', ask: (db) => readDecided(db, { ...place, uids }) },
    {
      what: 'countDecided',
      ask: (db) =>
        countDecided(db, { ...place, places: uids.map((uid) => ({ folderId, uidValidity: 1, uid })) }),
    },
    {
      what: 'findUndecided',
      ask: (db) =>
        findUndecided(db, {
          ...place,
          asked: seen.map(({ uid, idHash }) => ({ uid: uid + 1, idHash })),
          besides: null,
        }),
    },
    {
      what: 'findMailboxWork',
      ask: async (db) =>
        findMailboxWork(db, await ids<MailboxId>(aside, 'select id from mailboxes limit 100')),
    },
    ...(['wanted_changes', 'sent_copies', 'errands'] as const).map((table) => ({
      what: `claim of ${table} of a mailbox`,
      ...(table === 'errands' ? { upTo: errandsUpTo } : {}),
      ask: (db: Db) =>
        claimWork(db, {
          table,
          owner,
          leaseMs,
          limit: batch,
          filter: { column: 'mailbox_id', value: of.mailboxId },
        }),
    })),
    {
      what: 'claim of errands',
      ask: (db) => claimWork(db, { table: 'errands', owner, leaseMs, limit: 1 }),
      upTo: errandsUpTo,
    },
    {
      what: 'readAwaitedCopies',
      ask: async (db) => readAwaitedCopies(db, await ids(aside, 'select id from sent_copies limit 100')),
    },
  ];
}

const errandsUpTo: UpTo = {
  most: (messages) => messages / 200,
  because: 'what waits in a mailbox where one is in hand is passed over',
};

function factKeys(mailboxId: MailboxId, seen: readonly Seen[]): FactKeys {
  const addresses = [...new Set(seen.map(({ sender }) => sender)), 'user-0@crm.example'];
  return {
    mailboxId,
    subAccountIds: ['s1', 's2'],
    userIds: ['u0', 'u1'],
    addresses,
    ownAddresses: addresses,
    neverLogPatterns: [...addresses, '@customer.example', '@crm.example'],
    messageKeys: seen.map(({ key }) => key),
    threadKeys: seen.map(({ key }) => key),
    threadIds: [],
    fingerprints: seen.map(({ fingerprint }) => fingerprint),
    tombstones: seen.map(({ uid, idHash }) => ({ uid, hash: idHash, ofSent: false })),
  };
}

const lettersUpTo: UpTo = {
  most: (messages) => messages / 50,
  because: 'letters that are due are gone through',
};

const lanesUpTo: UpTo = {
  most: () => 5 * batch * 50,
  because: 'of each lane that is found, what is in front is looked at',
};

function sending(aside: Db, mailboxId: MailboxId): WorkQuestion[] {
  const lanes = (db: Db) => findSendLanes(db, { owner, limit: batch, after: null });
  const claim = (individual: boolean) => async (db: Db) => {
    const mailboxIds = await ids(aside, 'select id from mailboxes order by id limit 20');
    const all = ['provider of s1', ...mailboxIds];
    return claimLanes(db, {
      owner,
      leaseMs,
      individual,
      lanes: all.map((lane) => ({ lane, limit: 5 })),
      limit: 200,
    });
  };
  return [
    { what: 'findSendLanes', ask: lanes, upTo: lanesUpTo },
    { what: 'claim of letters', ask: claim(true), upTo: lettersUpTo },
    { what: 'claim of a campaign', ask: claim(false), upTo: lettersUpTo },
    { what: 'findSendLanes behind what is in hand', ask: lanes, upTo: lanesUpTo },
    {
      what: 'lockSends',
      ask: (db) =>
        db.transaction(async (tx) =>
          lockSends(
            tx,
            await ids<SendId>(
              aside,
              `select id from sends where lease_owner = '${owner}' and ready limit 20`,
            ),
          ),
        ),
    },
    { what: 'findDueOfLane', ask: (db) => findDueOfLane(db, { lane: mailboxId, limit: batch }) },
    { what: 'nextSendDueMs', ask: (db) => nextSendDueMs(db) },
    {
      what: 'takeSendingLeases',
      ask: (db) => takeSendingLeases(db, { owner, leaseMs, mailboxIds: [mailboxId], most: 1 }),
    },
    {
      what: 'findHeldToSettle',
      ask: (db) =>
        findHeldToSettle(db, { blockedStates: ['reauth_required'], heldMsMax: 86_400_000, limit: batch }),
    },
  ];
}

function spooled(aside: Db): WorkQuestion[] {
  const some = () =>
    ids<SpoolId>(aside, `select id from intake_spool where lease_owner = '${owner}' limit 100`);
  return [
    {
      what: 'claim of logged mail',
      ask: (db) => claimWork(db, { table: 'intake_spool', owner, leaseMs, limit: batch }),
    },
    { what: 'readLoggedMail', ask: async (db) => readLoggedMail(db, await some()) },
    { what: 'subAccountsLogging', ask: async (db) => subAccountsLogging(db, await some()) },
    {
      what: 'findForwarded',
      ask: (db) =>
        findForwarded(db, 's1', [
          { uid: 1, author: 'contact-0@customer.example', date: Date.now(), cited: 'id-0@customer.example' },
        ]),
      upTo: { most: (messages) => messages / 20, because: 'all that one contact has is looked through' },
    },
  ];
}

function delivering(aside: Db, webhookId: WebhookId): WorkQuestion[] {
  return [
    {
      what: 'listDueWebhooks',
      ask: (db) => listDueWebhooks(db),
      upTo: { most: () => 10 * batch * batch, because: 'each webhook is asked' },
    },
    {
      what: 'claim of deliveries',
      ask: (db) => claimDeliveries(db, { webhookId, owner, leaseMs, limit: 20 }),
    },
    {
      what: 'settleDeliveries',
      ask: async (db) =>
        settleDeliveries(db, {
          webhookId,
          owner,
          settled: (
            await ids(aside, `select id from deliveries where lease_owner = '${owner}' limit 20`)
          ).map((id) => ({
            id: id as `dlv_${string}`,
            tried: true,
            state: 'delivered',
            status: 200,
            error: null,
            delayMs: 0,
          })),
          news: { kind: 'answered' },
          pauseMs: () => 0,
        }),
    },
    {
      what: `publishBatch of ${publicationMax}`,
      ask: (db) => publishBatch(db),
      upTo: {
        most: () => 8 * publicationMax,
        because: 'each event is told to each webhook that wants it',
      },
    },
  ];
}

async function ids<Id extends string>(db: Db, sql: string): Promise<Id[]> {
  return (await rows<{ id: Id }>(db, sql)).map(({ id }) => id);
}
