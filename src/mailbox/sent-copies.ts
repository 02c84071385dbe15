import { noteCopyEnd } from '../filing/sent-copies.ts';
import type { FilingDeps } from '../filing/file.ts';
import { backoffMs } from '../lib/backoff.ts';
import { Failure } from '../lib/failure.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { dropAwaitedCopy, noteAppend, postponeCopy, readAwaitedCopies } from '../store/sent-copies.ts';
import type { AwaitedCopy } from '../store/sent-copies.ts';
import { claimWork } from '../store/work.ts';
import { appendRefused } from './imap-write.ts';
import { placeOfError } from '../lib/failure.ts';
import { copyBytes, givesUp, planCopy } from './sent-copy-plan.ts';
import type { Session } from './session.ts';

type Deps = {
  filing: FilingDeps;
  log: Log;
  mailboxId: MailboxId;
  connect(): Promise<Session>;
};

/**
 * In ms, but the number that is taken up at once. The lease is renewed right before each APPEND, and is longer than
 * a connection may be silent (mailbox/session.ts): whoever takes over finds what the one before has left.
 */
const limits = {
  leaseMs: 300_000,
  atOnce: 20,
  waitMs: 30_000,
  retry: { firstMs: 60_000, mostMs: 3_600_000 },
};

/**
 * Puts into Sent the copies that are due in one mailbox: searched for first, and only what is absent is put there.
 * False when nothing was due, or the connection is of no use now.
 *
 * A host whose own copy comes in the moment between the search and APPEND has it twice: IMAP knows no way to
 * append only what is absent. The wait makes that unlikely, and by the next copy that host is known.
 */
export async function putSentCopies(deps: Deps, owner: string): Promise<boolean> {
  const { db } = deps.filing;
  const claim = { table: 'sent_copies', owner, leaseMs: limits.leaseMs, limit: limits.atOnce } as const;
  const ids = await claimWork(db, { ...claim, filter: { column: 'mailbox_id', value: deps.mailboxId } });
  let session: Session | null = null;
  let failure: Failure | null = null;
  try {
    for (const copy of await readAwaitedCopies(db, ids)) {
      const plan = planCopy(copy);
      const { id } = copy;
      if (plan.step === 'drop') await dropAwaitedCopy(db, { id, owner });
      else if (plan.step === 'end')
        await noteCopyEnd(deps.filing, copy, { owner, isRefused: false, ...plan });
      else if (plan.step === 'wait') {
        const pause = { pauseMs: limits.waitMs, reason: null, isRefused: false, isTrouble: false };
        await postponeCopy(db, { id, owner, ...pause });
      } else {
        try {
          if (failure !== null) throw failure;
          session ??= await deps.connect();
          await searchOrAppend(deps, session, { copy, path: plan.path, owner });
        } catch (error) {
          const said = failureOf(deps.log, error);
          if (said.code !== appendRefused) failure = said;
          await noteTrouble(deps, copy, { owner, failure: said });
        }
      }
    }
  } finally {
    session?.close();
  }
  return ids.length > 0 && failure === null;
}

async function searchOrAppend(
  { filing }: Deps,
  session: Session,
  { copy, path, owner }: { copy: AwaitedCopy; path: string; owner: string },
): Promise<void> {
  const { id } = copy;
  await session.open(path);
  const there = await session.messageIds(copy.messageIds);
  if (there.size > 0) {
    if (!copy.isBegun) return dropAwaitedCopy(filing.db, { id, owner });
  } else {
    const chunks: Buffer[] = [];
    for await (const chunk of filing.blobs.get(copy.rawSha256)) chunks.push(chunk as Buffer);
    if (!(await noteAppend(filing.db, { id, owner, leaseMs: limits.leaseMs }))) return;
    await session.appendSeen(path, copyBytes(Buffer.concat(chunks), copy.bcc), copy.sentAt);
  }
  await noteCopyEnd(filing, copy, { owner, outcome: 'appended', reason: null, isRefused: false });
}

function failureOf(log: Log, error: unknown): Failure {
  if (error instanceof Failure) return error;
  log.error({ ...placeOfError(error) }, 'a copy was not put into Sent by an error of our own');
  return new Failure('temporary', 'gateway_error', 'the gateway failed by itself', { cause: error });
}

async function noteTrouble(
  { filing, log }: Deps,
  copy: AwaitedCopy,
  { owner, failure }: { owner: string; failure: Failure },
): Promise<void> {
  const isRefused = failure.code === appendRefused;
  const reason = isRefused ? `refused: ${failure.message}` : failure.code;
  if (givesUp(copy, isRefused ? 'refused' : 'passing')) {
    log.error({ send: copy.id, reason }, 'a copy cannot be put into Sent');
    return noteCopyEnd(filing, copy, { owner, outcome: 'not_appended', reason, isRefused });
  }
  log.warn({ send: copy.id, reason }, 'a copy is not in Sent yet');
  const pauseMs = Math.max(failure.retryAfterMs ?? 0, backoffMs(copy.attempts, limits.retry));
  await postponeCopy(filing.db, { id: copy.id, owner, pauseMs, reason, isRefused, isTrouble: true });
}
