import { backoffMs } from '../lib/backoff.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { sendTries, sendTryTime } from '../lib/meters.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { idKey } from '../message/message-id.ts';
import { limitsBy } from '../provider/figures.ts';
import type { Provider, ProviderName } from '../provider/providers.ts';
import type { TokenService } from '../provider/tokens.ts';
import type { BlobStore } from '../store/blobs.ts';
import { inOneGo } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import { addServerMessageIds, endAttempts, noteHandovers, startAttempts } from '../store/send-attempts.ts';
import { closeQuota } from '../store/quota.ts';
import type { EndedAttempt, HandedOver, ServerMessageId } from '../store/send-attempts.ts';
import { lockSends } from '../store/sends.ts';
import type { LockedSend, SendChange, SendingMailbox, SendingWay } from '../store/sends.ts';
import { judgeFailure, uncertain, wordsOf } from './outcome.ts';
import type { Ending, sendLimits, SentFolder } from './outcome.ts';
import { blockedStates } from './route.ts';
import type { Accepted, Submission } from './smtp.ts';
import { dayMs } from './places.ts';
import { takePlacesNow } from './quota.ts';
import { isTaken, recipientsToTry, refusedAtHandover, withRefused } from './refused.ts';
import { changeAfter, changeBeforeRest } from './rest.ts';
import type { KnownEnd } from './rest.ts';
import { changeSends, tellSends } from './transition.ts';
import type { Transition } from './transition.ts';

export type AttemptDeps = {
  db: Db;
  blobs: BlobStore;
  secretBox: SecretBox;
  tokens: TokenService;
  clock: Clock;
  log: Log;
  provider(name: ProviderName): Provider;
  /** The address to connect to in place of a host that a person named; rejects where that is a private one. */
  resolveHost(host: string): Promise<{ address: string }>;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  limits: typeof sendLimits;
};

/** A try that has begun. Its send is `sending`, or was taken before, and goes once more `to` those who were put off. */
export type Begun = { send: LockedSend; way: SendingWay; n: number; to: string[] };

/** How a begun try is made. */
export type Trying = {
  /** Aborted when the send is to be given back, or was lost to another node. */
  signal: AbortSignal;
  /** Told when the message's end goes out: from then on it is better waited for than aborted. */
  onHandover(): void;
  /** Hands the message over, on a session of its lane. */
  submit(send: Pick<LockedSend, 'subAccountId'>, way: SendingWay, submission: Submission): Promise<Accepted>;
};

/** Takes claimed sends one step on, in three parts; those that come at the same time share their transactions. */
export type Attempts = {
  /** Null: none is made, and what was to be done instead is done. */
  begin(id: SendId, individual: boolean): Promise<Begun | null>;
  /** Answers how it ended. */
  make(begun: Begun, trying: Trying): Promise<Ending>;
  end(begun: Begun, ending: Ending): Promise<void>;
};

/** Sends of one transaction, at most: what takes some ten milliseconds. */
const batchMax = 50;

/**
 * How long the ends of tries gather, ms: nobody waits for them but the CRM. A node that dies meanwhile leaves as many
 * sends uncertain.
 */
const endRestMs = 30;

/**
 * The state is written before the socket is opened and after the answer came; in between, right before the message's
 * end goes out, it is noted that only the answer or the Sent folder can tell now. So a crash is, wherever it comes,
 * either certain to have sent nothing, and the send is tried again, or uncertain, and the Sent folder is asked first
 * (D5). `owner` names this process as the holder of leases; once it is `stopping`, ends are written without a pause.
 */
export function createAttempts(deps: AttemptDeps, owner: string, stopping: AbortSignal): Attempts {
  // Apart, each on connections of its own: a letter never waits for a batch of a campaign.
  const letters = createSteps(deps, owner, stopping);
  const others = createSteps(deps, owner, stopping);
  const stepsOf = (individual: boolean) => (individual ? letters : others);
  return {
    begin: (id, individual) => stepsOf(individual).begin(id),
    async make({ send, way, n, to }, { signal, onHandover, submit }) {
      const steps = stepsOf(send.kind === 'individual');
      const startedAt = deps.clock.monotonic();
      const ids = { request_id: send.requestId, send_id: send.id };
      const log = deps.log.child({ ...ids, attempt: n, lane: send.lane });
      const submission: Submission = {
        envelope: { from: send.envelope.from, to },
        sizeBytes: send.rawSize,
        // With its end said, nothing is read to find it.
        content: () =>
          deps.blobs.get(send.rawSha256, { start: 0, end: send.rawSize - 1 }) as AsyncIterable<Buffer>,
        beforeEnd: async (refused) => {
          const known = refusedAtHandover(send, to, refused);
          const handed = { id: send.id, n, refused: known.length === 0 ? null : known };
          const mine = await steps.noteHandover(handed);
          if (mine) onHandover();
          return mine;
        },
        signal,
      };
      const ending = await submit(send, way, submission).then(
        (accepted): Ending => ({ accepted }),
        (error: unknown) =>
          judgeFailure(error, { send, sentFolder: sentFolderOf(deps, way), limits: deps.limits }),
      );
      const ms = Math.round(deps.clock.monotonic() - startedAt);
      const reason = 'accepted' in ending ? null : ending.word;
      sendTries.add([way.through, outcomeOf(ending)]);
      sendTryTime.observe([way.through], ms / 1_000);
      log.info({ outcome: outcomeOf(ending), reason, ms }, 'tried');
      if ('fault' in ending)
        log.error({ error: ending.fault }, 'a try failed in a way that was not thought of');
      return ending;
    },
    async end(begun, ending) {
      const { id, kind } = begun.send;
      await finish(deps, () => stepsOf(kind === 'individual').end({ ...begun, ending }), id);
    },
  };
}

/** What is written down of tries; of those that come at the same time in one transaction, or one statement. */
function createSteps(deps: AttemptDeps, owner: string, stopping: AbortSignal) {
  const { db, clock } = deps;
  return {
    begin: createBatcher({
      most: batchMax,
      run: async (ids: readonly SendId[]) => {
        const begun = await db.transaction((tx) => beginAll(deps, tx, owner, ids));
        // That a message is on its way is told with what becomes of it, or when the publisher next looks.
        if (begun.includes(null)) deps.wakePublisher();
        return begun;
      },
    }),
    noteHandover: createBatcher({
      most: batchMax,
      run: async (attempts: readonly HandedOver[]) => {
        const mine = await noteHandovers(db, { owner, attempts });
        return attempts.map(({ id }) => mine.has(id));
      },
    }),
    end: createBatcher({
      most: batchMax,
      run: async (ended: readonly Ended[]) => {
        await db.transaction((tx) => endAll(deps, tx, owner, ended));
        deps.wakePublisher();
        return ended;
      },
      rest: () => clock.sleep(endRestMs, stopping),
    }),
  };
}

function outcomeOf(ending: Ending): EndedAttempt['outcome'] {
  return 'accepted' in ending ? 'accepted' : ending.outcome;
}

/** The first transaction: what is to be done, and that it is done now. Null: nothing goes out. */
async function beginAll(
  deps: AttemptDeps,
  tx: Db,
  owner: string,
  ids: readonly SendId[],
): Promise<(Begun | null)[]> {
  const locked = await lockSends(tx, ids);
  const mine = locked.filter(({ leaseOwner }) => leaseOwner === owner);
  const stays = new Map<SendId, SendChange>();
  for (const send of mine) {
    const change = changeBefore(deps, send);
    if (change !== null) stays.set(send.id, change);
  }
  for (const [id, change] of await pastLimit(
    deps,
    tx,
    mine.filter((send) => !stays.has(send.id)),
  ))
    stays.set(id, change);
  const goes = mine.filter(({ id }) => !stays.has(id));
  const [, numbers] = await inOneGo([
    endAttempts(tx, mine.flatMap(interruptedTry)),
    startAttempts(
      tx,
      goes.map(({ id }) => id),
    ),
    changeSends(
      tx,
      mine.map((send): Transition => {
        const { id, state, reason } = send;
        const going = isTaken(send) ? { state, reason } : { state: 'sending' as const, reason: null };
        return { send, change: stays.get(id) ?? { ...going, next: 'in_hand' } };
      }),
    ),
  ]);
  const begun = new Map(
    goes.flatMap((send): [SendId, Begun][] => {
      const n = numbers.get(send.id);
      return n === undefined || send.way === null
        ? []
        : [[send.id, { send, way: send.way, n, to: recipientsToTry(send) }]];
    }),
  );
  return ids.map((id) => begun.get(id) ?? null);
}

/**
 * L3: of those that could go, what has no place in the day's count of its mailbox. Only individual mail is counted, and
 * that once, however often it goes to recipients who were put off.
 */
async function pastLimit(
  { provider }: AttemptDeps,
  tx: Db,
  sends: readonly LockedSend[],
): Promise<[SendId, SendChange][]> {
  const limitsOf = limitsBy(provider);
  const counted = sends.flatMap(({ id: sendId, kind, way, state }) =>
    kind !== 'individual' || way?.through !== 'mailbox' || isTaken({ state })
      ? []
      : [{ sendId, mailboxId: way.id, limits: limitsOf(way.provider, way.limitsSaid) }],
  );
  const later = await takePlacesNow(tx, counted);
  return [...later].map(([id, next]) => [id, { state: 'queued', reason: 'daily_limit', next }]);
}

/** What becomes of a send instead of a try; null: it is tried. */
function changeBefore(deps: AttemptDeps, send: LockedSend): SendChange | null {
  const { way, state, connectionState, dueMs } = send;
  if (isTaken(send)) return changeBeforeRest(deps.limits, send);
  if (state === 'sending') return withRefused(send, afterCrash(deps, send));
  if (state === 'uncertain') return withRefused(send, resolveUncertain(deps, send));
  if (state !== 'queued' && state !== 'held') throw new Error(`${send.id} is ${state} and cannot be sent`);
  if (way === null) return { state: 'held', reason: 'no_provider', next: 'waiting' };
  if (way.through === 'provider') return null;
  if (connectionState === null) return { state: 'failed', reason: 'mailbox_disconnected', next: 'over' };
  const blocked = blockedStates.find((candidate) => candidate === connectionState);
  if (blocked !== undefined) return { state: 'held', reason: blocked, next: 'waiting' };
  // Its connection had ended, which it was to be told at once, and the same mailbox was connected again before that.
  return dueMs > 0 ? { state: 'queued', reason: send.reason, next: dueMs } : null;
}

/** The node that had it in `sending` is gone. How far it came is in its attempt (see noteHandovers). */
function afterCrash(deps: AttemptDeps, send: LockedSend): SendChange {
  if (send.attempts?.outcome === 'uncertain') return uncertain(sentFolderOf(deps, send.way));
  return { state: 'queued', reason: 'interrupted', next: 0 };
}

/** A try of a node that is gone, of which nothing went out. */
function interruptedTry({ id, attempts }: LockedSend): EndedAttempt[] {
  if (attempts === null || attempts.outcome !== null) return [];
  return [{ id, n: attempts.n, outcome: 'temporary', reply: null }];
}

function sentFolderOf(deps: AttemptDeps, way: SendingWay | null): SentFolder | null {
  return way?.through === 'mailbox' ? { graceMs: deps.provider(way.provider).sentCopyMsMax } : null;
}

/**
 * Uncertain, and no copy has been seen (else filing/ would have made it `sent`). When the Sent folder
 * was looked at, whole, after the time within which a copy appears, then there is none: where copies
 * appear by themselves, the provider did not take the message. Elsewhere nobody can know, nor where
 * something in Sent could not be read, or Sent was not to be read for days.
 */
function resolveUncertain(deps: AttemptDeps, send: LockedSend): SendChange {
  const sentFolder = sentFolderOf(deps, send.way);
  if (sentFolder === null) return uncertain(null);
  const { graceMs } = sentFolder;
  const { sentLookedAfterMs, inStateForMs, copyUnreadable } = send;
  const looked = sentLookedAfterMs !== null && sentLookedAfterMs > graceMs;
  const saves = savesCopies(deps, send.way as SendingMailbox);
  if (looked && saves && !copyUnreadable) return { state: 'queued', reason: 'not_in_sent_folder', next: 0 };
  if (looked || inStateForMs >= deps.limits.giveUpMs)
    return { state: 'uncertain', reason: 'sent_folder_cannot_tell', next: 'over' };
  if (send.connectionState === null)
    return { state: 'uncertain', reason: 'mailbox_disconnected', next: 'over' };
  const pauseMs = Math.min(Math.max(graceMs, inStateForMs) / 4, deps.limits.uncertainCheckMostMs);
  return { state: 'uncertain', reason: send.reason, next: pauseMs };
}

function savesCopies(deps: AttemptDeps, mailbox: SendingMailbox): boolean {
  return mailbox.savesSentCopy || deps.provider(mailbox.provider).savesSentCopy;
}

/** How often what happened is written down before the lease is left to tell. */
const finishTriesMax = 6;

/** What is known by now is dear: a database that is away for a moment is waited for. */
async function finish(deps: AttemptDeps, write: () => Promise<unknown>, id: SendId): Promise<void> {
  for (let round = 1; ; round += 1) {
    try {
      await write();
      return;
    } catch (error) {
      if (round === finishTriesMax) throw error;
      deps.log.warn({ send_id: id, error: messageOf(error) }, 'the end of a try is not stored yet');
      await deps.clock.sleep(backoffMs(round, { firstMs: 250, mostMs: 4_000 }));
    }
  }
}

type Ended = Begun & { ending: Ending };

/** The second transaction. */
async function endAll(
  { limits }: AttemptDeps,
  tx: Db,
  owner: string,
  ended: readonly Ended[],
): Promise<void> {
  const ids = ended.map(({ send }) => send.id);
  const locked = new Map((await lockSends(tx, ids)).map((send) => [send.id, send]));
  // Those that are not there were erased meanwhile, with their sub-account.
  const known = ended.flatMap(({ send: begun, ...each }) => {
    const send = locked.get(begun.id);
    return send === undefined ? [] : [{ ...each, send, isRest: isTaken(begun) }];
  });
  await inOneGo([
    endAttempts(
      tx,
      known.map(({ send: { id }, n, ending }) => ({
        id,
        n,
        outcome: outcomeOf(ending),
        reply: replyOf(ending),
      })),
    ),
    addServerMessageIds(
      tx,
      known.flatMap(({ send, ending }) => serverIdOf(send, ending)),
    ),
    changeSends(
      tx,
      known.flatMap((each): Transition[] => {
        const change = changeAfter(limits, owner, each);
        return change === null ? [] : [{ send: each.send, change }];
      }),
    ),
  ]);
  await closeForTheDay(tx, known);
}

/** L3: a provider has counted otherwise, and is believed: what waits is not tried in vain. */
async function closeForTheDay(tx: Db, ended: readonly KnownEnd[]): Promise<void> {
  const refused = ended.flatMap(({ ending, send: { id: sendId, way } }) =>
    'accepted' in ending || ending.word !== 'daily_limit' || way?.through !== 'mailbox'
      ? []
      : [{ sendId, mailboxId: way.id }],
  );
  const byMailbox = Map.groupBy(refused, ({ mailboxId }) => mailboxId);
  for (const [mailboxId, sends] of [...byMailbox].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const sendIds = sends.map(({ sendId }) => sendId);
    const postponed = await closeQuota(tx, { mailboxId, sendIds, ms: dayMs });
    await tellSends(
      tx,
      postponed.map((send) => ({ send, state: 'queued', isNew: true })),
    );
  }
}

function replyOf(ending: Ending): string | null {
  if (!('accepted' in ending)) return ending.reply;
  return wordsOf(ending.accepted.reply, ending.accepted.refused);
}

function serverIdOf(send: LockedSend, ending: Ending): ServerMessageId[] {
  const serverId = 'accepted' in ending ? ending.accepted.serverMessageId : null;
  if (serverId === null) return [];
  const { id, messageId, threadId, internetMessageId } = send;
  return [{ id, messageId, threadId, serverId, key: idKey(serverId), sentKey: idKey(internetMessageId) }];
}
