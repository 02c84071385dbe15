import type { MailboxLimits, ProviderName, ServerAddress } from '../provider/providers.ts';
import type { MailboxState } from '../provider/connection-states.ts';
import type { ConnectionId, MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { jsonText, lockFor, rows, run } from './database.ts';
import type { Db, WhenLocked } from './database.ts';

/** A mailbox as its listener and its sender need it. */
export type Mailbox = {
  id: MailboxId;
  provider: ProviderName;
  address: string;
  /** What XOAUTH2 or LOGIN names; for Microsoft not always the address (C2). */
  login: string;
  /** Of a generic mailbox; null where the provider's table says it. */
  servers: { imap: ServerAddress; smtp: ServerAddress } | null;
  credentialKind: 'oauth' | 'password' | null;
  /** Raised by each consent and each renewed token. */
  credentialVersion: number;
  state: MailboxState;
  /** Since when its connections want its mail, ms since the epoch; null when there is none. */
  syncSince: number | null;
  /** Up to when every message has a decision, ms since the epoch; null before the first look. */
  caughtUpTo: number | null;
  /** What is said in sessions that begin now is to be written down. */
  isTraced: boolean;
};

/** A mailbox with an active connection or without; null when there is no such mailbox. */
export async function readMailbox(db: Db, id: MailboxId): Promise<Mailbox | null> {
  return (await readMailboxes(db, [id])).get(id) ?? null;
}

/** Several of them, by id. */
export async function readMailboxes(db: Db, ids: readonly MailboxId[]): Promise<Map<MailboxId, Mailbox>> {
  const found = await rows<
    Omit<Mailbox, 'credentialKind' | 'credentialVersion' | 'syncSince' | 'caughtUpTo'> & {
      caught_up_to: Date | null;
      credential_kind: Mailbox['credentialKind'];
      token_version: string;
      since: Date | null;
    }
  >(
    db,
    `select m.id, m.provider, m.address, m.login, m.servers, m.credential_kind, m.token_version, m.state,
            m.caught_up_to, coalesce(m.trace_until > now(), false) as "isTraced",
            (select min(c.started_at) from connections c where c.mailbox_id = m.id and c.ended_at is null) as since
       from mailboxes m where m.id = any(:ids)`,
    { ids: [...ids] },
  );
  return new Map(
    found.map(({ credential_kind, token_version, since, caught_up_to, ...mailbox }) => [
      mailbox.id,
      {
        ...mailbox,
        credentialKind: credential_kind,
        credentialVersion: Number(token_version),
        syncSince: since?.getTime() ?? null,
        caughtUpTo: caught_up_to?.getTime() ?? null,
      },
    ]),
  );
}

/** What a mailbox's sealed credential is bound to. */
export function credentialContext(mailboxId: MailboxId): string {
  return `mailboxes.credential ${mailboxId}`;
}

/** The password of a generic mailbox; null once it was erased. */
export async function readPassword(
  db: Db,
  secretBox: SecretBox,
  mailboxId: MailboxId,
): Promise<string | null> {
  const [row] = await rows<{ credential_sealed: string | null }>(
    db,
    `select credential_sealed from mailboxes where id = :mailboxId and credential_kind = 'password'`,
    { mailboxId },
  );
  return row?.credential_sealed == null
    ? null
    : secretBox.open(row.credential_sealed, credentialContext(mailboxId));
}

/** A mailbox that is to be listened to: it has a credential, an active connection, and does not wait for a person. */
export const wanted = `m.credential_sealed is not null and m.state <> 'reauth_required' and exists (
  select from connections c where c.mailbox_id = m.id and c.ended_at is null and c.state <> 'paused')`;

/** A start of a node. */
export type NodeInstance = { id: string; instance: string };

/** Makes this start the one that the node's mailboxes belong to, also when an earlier one was killed just now. */
export async function enterNode(db: Db, node: NodeInstance, leaseMs: number): Promise<void> {
  await run(
    db,
    `insert into nodes (id, instance, seen_until) values (:id, :instance, now() + :leaseMs * interval '1 ms')
     on conflict (id) do update
        set instance = excluded.instance, seen_until = excluded.seen_until, leaving = false`,
    { ...node, leaseMs },
  );
  await run(db, `delete from nodes where seen_until < now() - interval '1 day'`);
}

/**
 * Says that a node is there for `leaseMs` more. Answers how many are there, without those that are leaving, how many
 * mailboxes there are for them all, and in how many ms the first of the others is gone if it falls silent (null: there
 * is none); null when the node was entered by somebody else since.
 */
export async function keepNode(
  db: Db,
  node: NodeInstance,
  leaseMs: number,
): Promise<{ nodes: number; mailboxes: number; nextGoneMs: number | null } | null> {
  const kept = await run(
    db,
    `update nodes set seen_until = now() + :leaseMs * interval '1 ms' where id = :id and instance = :instance`,
    { ...node, leaseMs },
  );
  if (kept === 0) return null;
  const [counted] = await rows<{ nodes: number; mailboxes: number; nextGoneMs: number | null }>(
    db,
    `select n.nodes, n."nextGoneMs", (select count(*) from mailboxes m where ${wanted})::int as mailboxes
       from (select (count(*) filter (where not leaving))::int as nodes,
                    ceil(extract(epoch from min(seen_until) filter (where id <> :id) - now()) * 1000)::int as "nextGoneMs"
               from nodes where seen_until > now()) n`,
    { id: node.id },
  );
  return counted ?? null;
}

/**
 * Says that a node takes no more mailboxes and gives back what it has, within `leaseMs`. Answers whether there is
 * another one to take them.
 */
export async function beginToLeave(db: Db, node: NodeInstance, leaseMs: number): Promise<boolean> {
  const [left] = await rows<{ others: boolean }>(
    db,
    `with me as (
       update nodes set leaving = true, seen_until = now() + :leaseMs * interval '1 ms'
        where id = :id and instance = :instance returning id)
     select exists (select from nodes n where n.id <> me.id and not n.leaving and n.seen_until > now()) as others from me`,
    { ...node, leaseMs },
  );
  return left?.others ?? false;
}

/** How many of these mailboxes are to be listened to, and nobody has them. */
export async function countFree(db: Db, ids: readonly MailboxId[]): Promise<number> {
  const [free] = await rows<{ n: number }>(
    db,
    `select count(*)::int as n from mailboxes m where m.id = any(:ids) and m.node_id is null and ${wanted}`,
    { ids },
  );
  return free?.n ?? 0;
}

/** The mailboxes that a node has, and that are still to be listened to. */
export async function readLeased(db: Db, nodeId: string): Promise<Set<MailboxId>> {
  const found = await rows<{ id: MailboxId }>(
    db,
    `select m.id from mailboxes m where m.node_id = :nodeId and ${wanted}`,
    { nodeId },
  );
  return new Set(found.map((row) => row.id));
}

/** Leases mailboxes that no node which is there listens to. Each is leased by one node at a time. */
export async function leaseMailboxes(db: Db, nodeId: string, limit: number): Promise<MailboxId[]> {
  const found = await rows<{ id: MailboxId }>(
    db,
    `update mailboxes set node_id = :nodeId
      where id in (
        select m.id from mailboxes m
         where ${wanted} and (m.node_id is null or not exists (
                 select from nodes n where n.id = m.node_id and n.seen_until > now()))
         limit :limit for update of m skip locked)
     returning id`,
    { nodeId, limit },
  );
  return found.map((row) => row.id);
}

/** Gives mailboxes back, so that another node, or a later start, need not wait. */
export async function releaseMailboxes(db: Db, nodeId: string, ids: readonly MailboxId[]): Promise<void> {
  await run(db, 'update mailboxes set node_id = null where node_id = :nodeId and id = any(:ids)', {
    nodeId,
    ids,
  });
}

/** Ends a node: whatever it still has is free at once. */
export async function leaveNode(db: Db, node: NodeInstance): Promise<void> {
  await run(db, 'delete from nodes where id = :id and instance = :instance', node);
}

/** How far a mailbox has been judged. Times are ms since the epoch; null leaves a column as it is. */
export type Progress = {
  mailboxId: MailboxId;
  caughtUpTo: number | null;
  sentLookedMsAgo: number | null;
  backlog: number;
};

/**
 * Notes how far mailboxes have been judged, each of them once; answers by id whether it is to be traced. One is missing
 * from the answer that somebody else has locked where `locked` says not to wait, or that there is not.
 */
export async function saveProgress(
  db: Db,
  progress: readonly Progress[],
  locked: WhenLocked,
): Promise<Map<MailboxId, boolean>> {
  const noted = progress.map(({ mailboxId, caughtUpTo, sentLookedMsAgo, backlog }) => ({
    mailbox_id: mailboxId,
    caught_up_to: caughtUpTo === null ? null : new Date(caughtUpTo),
    sent_looked_ms_ago: sentLookedMsAgo,
    backlog,
  }));
  const saved = await rows<{ id: MailboxId; isTraced: boolean }>(
    db,
    `with noted as (
       select n.* from json_to_recordset(:noted::json)
         as n (mailbox_id text, caught_up_to timestamptz, sent_looked_ms_ago float8, backlog integer)
     ), mine as materialized (
       select id from mailboxes where id = any(:ids) order by id ${lockFor[locked]}
     )
     update mailboxes m set caught_up_to = greatest(m.caught_up_to, n.caught_up_to),
            sent_looked_at = greatest(m.sent_looked_at, now() - n.sent_looked_ms_ago * interval '1 millisecond'),
            backlog = n.backlog
       from mine join noted n on n.mailbox_id = mine.id
      where m.id = mine.id
     returning m.id, coalesce(m.trace_until > now(), false) as "isTraced"`,
    { noted: jsonText(noted), ids: progress.map(({ mailboxId }) => mailboxId) },
  );
  return new Map(saved.map(({ id, isTraced }) => [id, isTraced]));
}

/** Says of the mailbox of a connection what differs from its provider's limits (L4); false: it has no mailbox. */
export async function setMailboxLimits(
  db: Db,
  connectionId: ConnectionId,
  limits: Partial<MailboxLimits>,
): Promise<boolean> {
  const changed = await run(
    db,
    `update mailboxes set limits = :limits::jsonb, updated_at = now()
      where id = (select mailbox_id from connections where id = :connectionId)`,
    { connectionId, limits: jsonText(limits) },
  );
  return changed > 0;
}
