import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { Failure, messageOf } from '../lib/failure.ts';
import type { SendId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { idKey } from '../message/message-id.ts';
import type { Provider, ProviderName } from '../provider/providers.ts';
import type { TokenService } from '../provider/tokens.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Db } from '../store/database.ts';
import { readPassword } from '../store/mailboxes.ts';
import { addServerMessageId, endAttempt, lockSend, noteHandover, startAttempt } from '../store/sends.ts';
import type { AttemptOutcome, LockedSend, SendChange, SendingMailbox } from '../store/sends.ts';
import { blockedStates } from './route.ts';
import { judgeSmtp } from './smtp-errors.ts';
import type { Pause } from './smtp-errors.ts';
import { SmtpFailure } from './smtp.ts';
import type { Accepted, RefusedRecipient, SmtpLogin, Submission } from './smtp.ts';
import { changeSend } from './transition.ts';

/** The patience of sending, in ms. */
export const sendLimits = {
  /** A send belongs to a node for so long without a word of it; what a crashed node held waits no longer. */
  leaseMs: 30_000,
  /** The first pause after a temporary refusal, and the longest. */
  retryFirstMs: 30_000,
  retryMostMs: 60 * 60_000,
  /** The same after a provider said that there are too many sessions. */
  sessionsFirstMs: 5_000,
  sessionsMostMs: 2 * 60_000,
  /** The first pause after a provider said that mail comes too fast. */
  slowFirstMs: 5 * 60_000,
  /** After a daily limit. */
  dayMs: 24 * 60 * 60_000,
  /** Temporary refusals for so long, and it is given up. */
  giveUpMs: 48 * 60 * 60_000,
  /** What a provider refuses until a person acts, who tells nobody, is tried again so often. */
  heldRetryMs: 60 * 60_000,
  /** The longest pause between two looks for what became of an uncertain send. */
  uncertainCheckMostMs: 5 * 60_000,
};

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
  /** Hands a message over; smtp.ts. */
  submit(submission: Submission): Promise<Accepted>;
  limits: typeof sendLimits;
};

/** A send that this node has claimed. */
export type Claimed = {
  id: SendId;
  owner: string;
  /** Aborted when the send is to be given back, or was lost to another node. */
  signal: AbortSignal;
  /** Told when the message's end goes out: from then on it is better waited for than aborted. */
  onHandover(): void;
};

/**
 * Takes a claimed send one step on. The state is written before the socket is opened and after the
 * answer came; in between, right before the message's end goes out, it is noted that only the answer
 * or the Sent folder can tell now. So a crash is, wherever it comes, either certain to have sent
 * nothing, and the send is tried again, or uncertain, and the Sent folder is asked first (D5).
 */
export async function trySend(deps: AttemptDeps, claimed: Claimed): Promise<void> {
  const begun = await deps.db.transaction((tx) => begin(deps, tx, claimed));
  deps.wakePublisher();
  if (begun === null) return;
  const { send, n } = begun;
  const startedAt = deps.clock.monotonic();
  const log = deps.log.child({ send_id: send.id, attempt: n, mailbox_id: send.mailbox?.id });
  const end = await handOver(deps, claimed, begun).then(
    (accepted): Ending => ({ accepted }),
    (error: unknown): Ending => judge(deps, send, error),
  );
  const outcome = 'accepted' in end ? 'accepted' : end.outcome;
  log.info(
    {
      outcome,
      reason: 'accepted' in end ? null : end.word,
      ms: Math.round(deps.clock.monotonic() - startedAt),
    },
    'tried',
  );
  if ('fault' in end) log.error({ error: end.fault }, 'a try failed in a way that was not thought of');
  await finish(deps, { owner: claimed.owner, send, n }, end);
  deps.wakePublisher();
}

type Begun = { send: LockedSend & { mailbox: SendingMailbox }; n: number };

/** The first transaction: what is to be done, and that it is done now. Null: nothing goes out. */
async function begin(deps: AttemptDeps, tx: Db, claimed: Claimed): Promise<Begun | null> {
  const send = await lockSend(tx, claimed.id);
  if (send?.leaseOwner !== claimed.owner) return null;
  const { mailbox, state } = send;
  if (mailbox === null) throw new Error(`${send.id} goes through no mailbox`);
  if (state === 'sending') {
    await afterCrash(deps, tx, send, mailbox);
    return null;
  }
  if (state === 'uncertain') {
    await changeSend(tx, send, resolveUncertain(deps, send, mailbox));
    return null;
  }
  if (state !== 'queued' && state !== 'held') throw new Error(`${send.id} is ${state} and cannot be sent`);
  const blocked = blockedStates.find((candidate) => candidate === send.connectionState);
  if (send.connectionState === null) {
    await changeSend(tx, send, { state: 'failed', reason: 'mailbox_disconnected', next: 'over' });
    return null;
  }
  if (blocked !== undefined) {
    await changeSend(tx, send, { state: 'held', reason: blocked, next: 'waiting' });
    return null;
  }
  const n = await startAttempt(tx, send.id);
  await changeSend(tx, send, { state: 'sending', reason: null, next: 'in_hand' });
  return { send: { ...send, state: 'sending', mailbox }, n };
}

/** The node that had it in `sending` is gone. How far it came is in its attempt (see noteHandover). */
async function afterCrash(
  deps: AttemptDeps,
  tx: Db,
  send: LockedSend,
  mailbox: SendingMailbox,
): Promise<void> {
  if (send.attempts?.outcome === 'uncertain') {
    return changeSend(tx, send, uncertain(deps, mailbox));
  }
  if (send.attempts !== null) {
    await endAttempt(tx, { id: send.id, n: send.attempts.n }, { outcome: 'temporary', reply: null });
  }
  await changeSend(tx, send, { state: 'queued', reason: 'interrupted', next: 0 });
}

function uncertain(deps: AttemptDeps, mailbox: SendingMailbox): SendChange {
  return { state: 'uncertain', reason: 'no_answer', next: graceMs(deps, mailbox) };
}

function graceMs(deps: AttemptDeps, mailbox: SendingMailbox): number {
  return deps.provider(mailbox.provider).sentCopyMsMax;
}

/**
 * Uncertain, and no copy has been seen (else filing/ would have made it `sent`). When the Sent folder
 * was looked at, whole, after the time within which a copy appears, then there is none: where copies
 * appear by themselves, the provider did not take the message. Elsewhere nobody can know, nor where
 * something in Sent could not be read, or Sent was not to be read for days.
 */
function resolveUncertain(deps: AttemptDeps, send: LockedSend, mailbox: SendingMailbox): SendChange {
  const grace = graceMs(deps, mailbox);
  const { sentLookedAfterMs, inStateForMs, copyUnreadable } = send;
  const looked = sentLookedAfterMs !== null && sentLookedAfterMs > grace;
  const saves = mailbox.savesSentCopy || deps.provider(mailbox.provider).savesSentCopy;
  if (looked && saves && !copyUnreadable) return { state: 'queued', reason: 'not_in_sent_folder', next: 0 };
  if (looked || inStateForMs >= deps.limits.giveUpMs)
    return { state: 'uncertain', reason: 'sent_folder_cannot_tell', next: 'over' };
  if (send.connectionState === null)
    return { state: 'uncertain', reason: 'mailbox_disconnected', next: 'over' };
  const pauseMs = Math.min(Math.max(grace, inStateForMs) / 4, deps.limits.uncertainCheckMostMs);
  return { state: 'uncertain', reason: send.reason, next: pauseMs };
}

async function handOver(deps: AttemptDeps, claimed: Claimed, { send, n }: Begun): Promise<Accepted> {
  const { mailbox } = send;
  const server = mailbox.smtp ?? deps.provider(mailbox.provider).smtp;
  if (server === null)
    throw new Failure('operator', 'no_smtp_server', `${mailbox.provider} has no SMTP server`);
  return deps.submit({
    server,
    // Looked up each time: a name that was public when it was proven may lead elsewhere by now.
    ...(mailbox.smtp === null ? {} : { address: (await deps.resolveHost(mailbox.smtp.host)).address }),
    login: await loginOf(deps, mailbox),
    envelope: send.envelope,
    sizeBytes: send.rawSize,
    content: () => deps.blobs.get(send.rawSha256) as AsyncIterable<Buffer>,
    beforeEnd: async () => {
      const { id, owner } = claimed;
      const mine = await noteHandover(deps.db, { id, n, owner, leaseMs: deps.limits.leaseMs });
      if (mine) claimed.onHandover();
      return mine;
    },
    signal: claimed.signal,
  });
}

async function loginOf(deps: AttemptDeps, mailbox: SendingMailbox): Promise<SmtpLogin> {
  const { id, login: user, credentialKind } = mailbox;
  if (credentialKind === 'password') {
    const password = await readPassword(deps.db, deps.secretBox, id);
    if (password === null) throw new Failure('denied', 'credential_missing', `${id} has no password`);
    return { user, password };
  }
  return {
    user,
    token: async (refused) => (await deps.tokens.accessToken(id, refused === null ? {} : { refused })).token,
  };
}

/** How a try ended, and what comes of it. */
type Ending =
  | { accepted: Accepted }
  | {
      outcome: Exclude<AttemptOutcome, 'accepted'>;
      word: string;
      reply: string | null;
      change: SendChange;
      /** What to look for in the program, for the log. */
      fault?: string;
    };

function judge(deps: AttemptDeps, send: Begun['send'], error: unknown): Ending {
  if (error instanceof Failure) return judgeToken(deps, send, error);
  if (!(error instanceof SmtpFailure)) {
    // Nothing of ours is thrown after the message's end went out (see smtp.ts), so nothing was sent.
    return { ...later(deps, send, 'normal', 'internal', null), fault: messageOf(error) };
  }
  // One refused recipient's reply is the reply.
  const reply = wordsOf(error.problem.reply, error.refused.length > 1 ? error.refused : []);
  const verdict = judgeSmtp(error.problem);
  const word = verdict.reason;
  switch (verdict.verdict) {
    case 'retry': {
      const ending = later(deps, send, verdict.pause, word, reply);
      // The library's own words could name an address.
      return word === 'unknown' ? { ...ending, fault: codeOf(error.cause) } : ending;
    }
    case 'fail': {
      const change: SendChange = { state: 'failed', reason: withWords(word, reply), next: 'over' };
      return { outcome: 'permanent', word, reply, change };
    }
    case 'uncertain':
      return { outcome: 'uncertain', word, reply, change: uncertain(deps, send.mailbox) };
    case 'renew_token':
    case 'hold':
      break;
  }
  return { outcome: 'denied', word, reply, change: heldForProvider(deps, word) };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code';
  return `${error instanceof Error ? error.name : typeof error} (${code})`;
}

/** The token service has no token. What a person must do is a hold; all else passes. */
function judgeToken(deps: AttemptDeps, send: Begun['send'], failure: Failure): Ending {
  if (failure.kind !== 'denied') {
    return later(deps, send, 'normal', failure.code, null, failure.retryAfterMs);
  }
  const word = administratorCodes.includes(failure.code) ? failure.code : 'reauth_required';
  return { outcome: 'denied', word, reply: null, change: heldForProvider(deps, word) };
}

/** Failures of a token call that the user cannot mend alone (provider/oauth-failures.ts). */
const administratorCodes = ['admin_consent_required', 'blocked_by_administrator', 'wrong_account_type'];

/** Held for what a provider said, not for a state that we keep: nobody tells us when it is mended. */
function heldForProvider(deps: AttemptDeps, word: string): SendChange {
  return { state: 'held', reason: word, next: deps.limits.heldRetryMs };
}

function later(
  deps: AttemptDeps,
  send: LockedSend,
  pause: Pause,
  word: string,
  reply: string | null,
  atLeastMs = 0,
): Extract<Ending, { outcome: unknown }> {
  if (send.triedForMs >= deps.limits.giveUpMs) {
    const reason = withWords(`gave_up: ${word}`, reply);
    return { outcome: 'permanent', word, reply, change: { state: 'failed', reason, next: 'over' } };
  }
  const next = Math.max(pauses[pause](deps.limits, send.triedTimes + 1), atLeastMs);
  return {
    outcome: 'temporary',
    word,
    reply,
    change: { state: 'queued', reason: withWords(word, reply), next },
  };
}

/** The pauses, by the limits and the number of tries. */
const pauses: Readonly<Record<Pause, (limits: typeof sendLimits, tries: number) => number>> = {
  none: () => 0,
  seconds: (limits, tries) =>
    backoffMs(tries, { firstMs: limits.sessionsFirstMs, mostMs: limits.sessionsMostMs }),
  normal: (limits, tries) => backoffMs(tries, { firstMs: limits.retryFirstMs, mostMs: limits.retryMostMs }),
  slow: (limits, tries) => backoffMs(tries, { firstMs: limits.slowFirstMs, mostMs: limits.retryMostMs }),
  day: (limits) => limits.dayMs,
};

/** How often what happened is written down before the lease is left to tell. */
const finishTriesMax = 6;

/** The second transaction. What is known by now is dear: a database that is away for a moment is waited for. */
async function finish(
  deps: AttemptDeps,
  attempt: { owner: string; send: Begun['send']; n: number },
  end: Ending,
): Promise<void> {
  for (let round = 1; ; round += 1) {
    try {
      return await deps.db.transaction((tx) => writeEnd(tx, attempt, end));
    } catch (error) {
      if (round === finishTriesMax) throw error;
      deps.log.warn(
        { send_id: attempt.send.id, error: messageOf(error) },
        'the end of a try is not stored yet',
      );
      await deps.clock.sleep(backoffMs(round, { firstMs: 250, mostMs: 4_000 }));
    }
  }
}

async function writeEnd(
  tx: Db,
  attempt: { owner: string; send: Begun['send']; n: number },
  end: Ending,
): Promise<void> {
  const { id } = attempt.send;
  const send = await lockSend(tx, id);
  // Erased meanwhile, with its sub-account.
  if (send === null) return;
  if ('accepted' in end) {
    const { reply, refused, serverMessageId } = end.accepted;
    await endAttempt(tx, { id, n: attempt.n }, { outcome: 'accepted', reply: wordsOf(reply, refused) });
    if (serverMessageId !== null) {
      const key = idKey(serverMessageId);
      await addServerMessageId(tx, send, {
        messageId: serverMessageId,
        key,
        sentKey: idKey(send.internetMessageId),
      });
    }
    // True whoever holds the lease by now: another node, or nobody, since its copy was seen already.
    if (send.state !== 'sending' && send.state !== 'uncertain') return;
    const reason = refused.length === 0 ? null : withWords('recipients_refused', refusedWords(refused));
    return changeSend(tx, send, { state: 'sent', reason, next: 'over' });
  }
  await endAttempt(tx, { id, n: attempt.n }, { outcome: end.outcome, reply: end.reply });
  const mine = send.leaseOwner === attempt.owner && send.state === 'sending';
  if (mine) await changeSend(tx, send, end.change);
}

const wordsCharsMax = 2_000;

/** What the provider said, of the message and of each refused recipient. */
function wordsOf(reply: string | null, refused: readonly RefusedRecipient[]): string | null {
  const words = [reply ?? '', refusedWords(refused)].filter((text) => text !== '').join('\n');
  return words === '' ? null : words.replaceAll('\0', '').toWellFormed().slice(0, wordsCharsMax);
}

function refusedWords(refused: readonly RefusedRecipient[]): string {
  return refused.map(({ address, reply }) => `${address}: ${reply}`).join('\n');
}

function withWords(word: string, words: string | null): string {
  return words === null ? word : `${word}: ${words}`.slice(0, wordsCharsMax);
}
