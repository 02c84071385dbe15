import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { failLogged, fileLogged, LeaseLost } from '../filing/file-logged.ts';
import type { LoggedDeps } from '../filing/file-logged.ts';
import { backoffMs } from '../lib/backoff.ts';
import { isOfOneMessage, placeOfError } from '../lib/failure.ts';
import { createWorker } from '../lib/waker.ts';
import type { Worker } from '../lib/waker.ts';
import { keepProof, readLoggedMail } from '../store/spool.ts';
import type { LoggedMail } from '../store/spool.ts';
import { claimWork, postponeWork } from '../store/work.ts';
import type { Prover } from './authenticate.ts';

/** In ms, and counts. */
const limits = {
  /** So many that of a backlog of many users each has several, which are filed by one transaction. */
  claimMax: 1_000,
  /** Of one user's mail; so much is in memory at once, and the mailbox's own mail waits as long as it takes. */
  portionMax: 100,
  portionBytesMax: 16 * 1024 * 1024,
  parallel: 4,
  /** Well over what filing takes; what a process held when it was killed waits so long. */
  leaseMs: 30_000,
  pollMs: 2_000,
  retry: { firstMs: 1_000, mostMs: 10 * 60_000 },
  /** A message of which our own code, or the database, makes nothing so often is kept as failed (T3). */
  triesMax: 6,
  /** For so long DNS is asked again about a message whose sender it did not tell of; then a person decides. */
  proofMsMax: 60 * 60_000,
};

type Deps = LoggedDeps & { proveMessage: Prover['proveMessage'] };

/** Makes what files mail that came to logging addresses (B2, B5), on every node; one for each process. */
export function createFiler(deps: Deps): Worker {
  const { db, clock, log } = deps;
  const owner = randomUUID();
  return createWorker({
    clock,
    log,
    pollMs: limits.pollMs,
    failed: 'logged mail could not be filed; trying again',
    async turn() {
      const of = { table: 'intake_spool', owner, leaseMs: limits.leaseMs, limit: limits.claimMax } as const;
      const until = clock.monotonic() + limits.leaseMs;
      const ids = await claimWork(db, of);
      await fileAll(deps, owner, { mails: await readLoggedMail(db, ids), until });
      return ids.length > 0;
    },
  });
}

/**
 * Each user's mail by itself, in portions; never rejects for what befalls a portion. What is not begun when the
 * lease is over is left to the next claim, whoever's that is.
 */
async function fileAll(
  deps: Deps,
  owner: string,
  { mails, until }: { mails: readonly LoggedMail[]; until: number },
): Promise<void> {
  const byUser = Map.groupBy(mails, ({ subAccountId, userId }) => JSON.stringify([subAccountId, userId]));
  const portions = [...byUser.values()].flatMap(portionsOf);
  let next = 0;
  const work = async () => {
    for (let n = next++; n < portions.length && deps.clock.monotonic() < until; n = next++) {
      try {
        await filePortion(deps, owner, portions[n] ?? []);
      } catch (error) {
        // Not even given back: whoever claims it when its lease is over has it. The others go on.
        deps.log.warn(placeOfError(error), 'logged mail is not filed, and could not be given back');
      }
    }
  };
  await Promise.all(Array.from({ length: limits.parallel }, work));
}

function portionsOf(mails: readonly LoggedMail[]): LoggedMail[][] {
  const portions: LoggedMail[][] = [];
  let bytes = 0;
  for (const mail of mails) {
    const last = portions.at(-1);
    const isFull = last?.length === limits.portionMax || bytes + mail.size > limits.portionBytesMax;
    if (last === undefined || isFull) {
      portions.push([mail]);
      bytes = mail.size;
    } else {
      last.push(mail);
      bytes += mail.size;
    }
  }
  return portions;
}

async function filePortion(deps: Deps, owner: string, portion: readonly LoggedMail[]): Promise<void> {
  const { log } = deps;
  try {
    const proven = await Promise.all(portion.map((mail) => proveAgain(deps, owner, mail)));
    await fileLogged(
      deps,
      owner,
      proven.filter((mail) => mail !== null),
    );
  } catch (error) {
    if (error instanceof LeaseLost) return;
    // The one that is to blame must not hold the others.
    if (portion.length > 1 && isToBlame(error)) {
      for (const mail of portion) await filePortion(deps, owner, [mail]);
      return;
    }
    const [first] = portion;
    const fields = { ...placeOfError(error), messages: portion.length, intake_id: first?.id };
    if (
      portion.length === 1 &&
      first !== undefined &&
      isToBlame(error) &&
      first.attempts >= limits.triesMax
    ) {
      log.error(fields, 'a logged mail cannot be filed; it is kept as failed');
      await failLogged(deps, owner, first);
      return;
    }
    log.warn(fields, 'logged mail is not filed yet');
    for (const mail of portion) await postpone(deps, owner, mail, backoffMs(mail.attempts, limits.retry));
  }
}

/** A fault of our own, values that the database does not take, or bytes that are not there. */
function isToBlame(error: unknown): boolean {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return isMissing || isOfOneMessage(error);
}

async function postpone({ db, clock }: Deps, owner: string, { id }: LoggedMail, ms: number): Promise<void> {
  const dueAt = new Date(clock.now() + ms);
  await postponeWork(db, { table: 'intake_spool', id, owner, dueAt });
}

/** Asks once more who sent it, where DNS did not tell when it came; null: it is to be asked again later. */
async function proveAgain(deps: Deps, owner: string, mail: LoggedMail): Promise<LoggedMail | null> {
  if (mail.proof.verdict !== 'pending' || mail.isReleased) return mail;
  const raw = await buffer(deps.blobs.get(mail.sha256));
  const proof = await deps.proveMessage(raw, mail.envelope);
  if (proof.verdict !== 'pending') {
    await keepProof(deps.db, mail.id, proof);
    return { ...mail, proof };
  }
  if (deps.clock.now() - mail.receivedAt > limits.proofMsMax) return mail;
  await postpone(deps, owner, mail, backoffMs(mail.attempts, limits.retry));
  return null;
}
