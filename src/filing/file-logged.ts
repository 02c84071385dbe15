import { canonicalAddress, canonicalOwnAddress } from '../message/addresses.ts';
import { differByZone, minuteOf, subjectAsWritten } from '../message/fingerprint.ts';
import { idKey } from '../message/message-id.ts';
import { baseSubject } from '../message/subject.ts';
import { noLimits } from '../message/attachment-limits.ts';
import { newId } from '../lib/id.ts';
import { findClaimedElsewhere, holdOffFiling } from '../store/claims.ts';
import { refersToNothing, wasOvertaken } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import { replaceDecisions } from '../store/decisions.ts';
import {
  findUserAddresses,
  lockLoggingParty,
  nowhere,
  readFactRows,
  readLoggingParty,
} from '../store/filing-facts.ts';
import type { LoggingParty } from '../store/filing-facts.ts';
import { FiledMeanwhile, noteLogged, noWrites, writeFiling } from '../store/filing-writes.ts';
import { makeContacts } from '../store/made-contacts.ts';
import { effectiveSettings } from '../store/sub-accounts.ts';
import { endSpooled, findForwarded } from '../store/spool.ts';
import type { LoggedMail, SpoolOutcome } from '../store/spool.ts';
import { linkStored } from './answers.ts';
import { decide, outcomes } from './decide.ts';
import type { Step, Verdict } from './decide.ts';
import { tellEffects, tellHeld } from './events.ts';
import type { Facts } from './facts.ts';
import { noteDecisions } from './figures.ts';
import type { FilingDeps } from './file.ts';
import { factKeysOf, groundsFor } from './gather.ts';
import type { Ground } from './gather.ts';
import { hashOfAddress, hashOfMessageKey } from './hashes.ts';
import { openMail, readLetter } from './letter.ts';
import type { Letter, OpenMail, Reading } from './letter.ts';
import { addLoggedEffects, loggedFactsOf, noLoggedEffects } from './logging.ts';
import type { LoggedEffects } from './logging.ts';
import { claimAnswered, judgeLeftOut } from './logged-exchange.ts';
import type { JudgedLetter } from './logged-exchange.ts';
import { assertNotErased, soughtTombstones } from './tombstones.ts';

/** The work on mail was taken over by another node, which files it. */
export class LeaseLost extends Error {}

/** The user, their connection, a setting or a never-log list is not what it was when the facts were looked up. */
class PartyChanged extends Error {}

/** How often facts may change between deciding and storing before it must be an error of ours. */
const roundsMax = 10;

export type LoggedDeps = FilingDeps & {
  /** Called after a commit that left something to do in a mailbox behind. */
  wakeErrands(): void;
};

/**
 * The one door for mail that came to the logging addresses of one member (B): as fileBatch for a mailbox, facts,
 * rules and effects are gathered over all of it, and written in one transaction with the decisions, the
 * events and the end of the work (`owner` is who has claimed it). A crash before the commit repeats all of it; the
 * lease, and the unique index on message_keys, make the repeat harmless. Throws LeaseLost.
 */
export async function fileLogged(
  deps: LoggedDeps,
  owner: string,
  mails: readonly LoggedMail[],
): Promise<void> {
  const [first] = mails;
  if (first === undefined) return;
  const opened = await Promise.all(mails.map((mail) => openMail(deps.blobs, mail)));
  for (let round = 1; ; round += 1) {
    try {
      await attempt(deps, owner, { member: first, opened });
      return;
    } catch (error) {
      if (!isOutdated(error) || round === roundsMax) throw error;
    }
  }
}

/** Keeps a mail that cannot be filed as `failed`, visible and to be tried again (T3). */
export async function failLogged(
  { db }: Pick<LoggedDeps, 'db'>,
  owner: string,
  { id, subAccountId, decidedBefore }: LoggedMail,
): Promise<void> {
  const row: DecisionRow = {
    ...placeless,
    id: newId('dec'),
    sub_account_id: subAccountId,
    outcome: 'failed',
    reason: 'unreadable',
    reasons: [{ rule: 'T3', because: { say: 'failed_again' } } satisfies Step],
    facts: null,
    id_hash: null,
    address_hashes: [],
    message_id: null,
    attempts: 1,
    intake_id: id,
  };
  await db.transaction(async (tx) => {
    await writeFiling(tx, { ...noWrites(), decisions: [row] }, null);
    const replaced = decidedBefore === null ? [] : [{ id: decidedBefore, by: row.id }];
    await replaceDecisions(tx, { replaced, failedAgain: [] });
    const outcome: SpoolOutcome = { id, state: 'failed', decisionId: row.id, read: null };
    if (!(await endSpooled(tx, owner, [outcome]))) throw new LeaseLost();
  });
}

/** It was seen in no mailbox. */
const placeless = {
  connection_id: null,
  mailbox_id: null,
  folder_id: null,
  uid_validity: null,
  uid: null,
  errand_id: null,
} as const;

function isOutdated(error: unknown): boolean {
  return (
    error instanceof FiledMeanwhile ||
    error instanceof PartyChanged ||
    wasOvertaken(error) ||
    refersToNothing(error)
  );
}

type Member = { subAccountId: string; userId: string };

async function attempt(
  deps: LoggedDeps,
  owner: string,
  { member, opened }: { member: Member; opened: readonly OpenMail[] },
): Promise<void> {
  const party = await readLoggingParty(deps.db, member);
  const judged = await judgeAll(deps, { member, party, opened });
  const events = await deps.db.transaction(async (tx) => {
    const now = await lockLoggingParty(tx, member, party?.mailboxId ?? null);
    if (JSON.stringify(now) !== JSON.stringify(party)) throw new PartyChanged();
    return write(deps, tx, { owner, party, judged });
  });
  noteDecisions('logging_address', judged.effects.writes.decisions);
  if (events > 0) deps.wakePublisher();
  if (judged.effects.contacts.length > 0) deps.wakeErrands();
}

type JudgedAll = {
  effects: LoggedEffects;
  letters: JudgedLetter[];
  ground: Ground | null;
  connection: LoggingParty['connection'];
};

async function judgeAll(
  deps: LoggedDeps,
  of: { member: Member; party: LoggingParty | null; opened: readonly OpenMail[] },
): Promise<JudgedAll> {
  const { db, blobs, loggingDomain, secretBox } = deps;
  const { party, opened } = of;
  const { subAccountId } = of.member;
  const people = opened.flatMap(({ parsed: { header } }) => [...header.to, ...header.cc]);
  const users = await findUserAddresses(db, subAccountId, [
    ...new Set(people.map(({ address }) => canonicalOwnAddress(address))),
  ]);
  const mailboxId = party?.mailboxId ?? nowhere.mailboxId;
  const isUser = (address: string) => users.has(canonicalOwnAddress(address));
  const reading = { blobs, secretBox, loggingDomain, mailboxId, isUser, ...readingLimits(deps, party) };
  const letters = await Promise.all(opened.map((mail, uid) => readLetter(reading, mail, uid)));
  const connection = party?.connection ?? { ...nobody, ...of.member };
  const sightings = letters.map(({ sighting }) => sighting);
  const tombstones = soughtTombstones(secretBox, sightings, [connection]);
  const again = await knownAgain(db, subAccountId, letters);
  const keys = factKeysOf(mailboxId, sightings, [connection]);
  const threadIds = again.map(({ threadId }) => threadId);
  const rows = await readFactRows(db, { ...keys, tombstones, threadIds });
  const ground = groundsFor(party?.mailboxId ?? null, [connection], rows).get(connection.id);
  if (ground === undefined) throw new Error(`no ground for ${connection.id}`);
  for (const { key, ...known } of again) {
    ground.messages.set(key, [
      ...(ground.messages.get(key) ?? []),
      { ...known, here: false, sendId: null, omitted: false, sent: null },
    ]);
  }
  const claimed = await claimedOf(db, party, letters);
  const effects = noLoggedEffects();
  const judged = letters.map((letter): JudgedLetter => {
    const known = loggedFactsOf(letter, ground);
    const facts = party === null ? { ...known, logged: { ...known.logged, gone: true } } : known;
    const verdict = decide(facts);
    const messageId = addLoggedEffects(effects, ground, { letter, facts, verdict, claimed });
    const row = decisionRow(deps, { letter, facts, verdict, messageId });
    effects.writes.decisions.push(row);
    return { letter, facts, verdict, row };
  });
  return { effects, letters: judged, ground: party === null ? null : ground, connection };
}

/** B7. Whoever has no mailbox has its limits neither. */
function readingLimits(
  { limitsOf }: LoggedDeps,
  party: LoggingParty | null,
): Pick<Reading, 'limits' | 'refusesTooLarge'> {
  if (party === null || party.mailboxId === null) return { limits: noLimits, refusesTooLarge: false };
  const { provider, limitsSaid, settings } = party.connection;
  const refusesTooLarge = effectiveSettings(settings).inbound_attachments === 'skip_message';
  return { limits: limitsOf(provider, limitsSaid), refusesTooLarge };
}

/**
 * S12: above what is forwarded inline stands no Message-ID, and no second of its date. It is a stored message by its
 * author, minute and subject; or, since often no zone stands there either, by what the forward cites, and the same but
 * for the zone, with the subject as it is written: programs may cite another mail of the thread.
 */
async function knownAgain(db: Db, subAccountId: string, letters: readonly Letter[]) {
  const sought = letters.flatMap(({ sighting: { header, people, place }, knownAsCited }) =>
    header.messageId !== null || header.date === null || people.author === null || place.role !== 'inbox'
      ? []
      : [
          {
            uid: place.uid,
            author: canonicalAddress(people.author.address),
            date: minuteOf(header.date) * minuteMs,
            cited: knownAsCited === null ? null : idKey(knownAsCited),
          },
        ],
  );
  const found = await findForwarded(db, subAccountId, sought);
  return found.flatMap(({ uid, sender, subject, date, messageId, threadId }) => {
    const sighting = letters[uid]?.sighting;
    const mail = sought.find((each) => each.uid === uid);
    if (sighting === undefined || canonicalAddress(sender) !== mail?.author) return [];
    const [read, written] = [minuteOf(mail.date), minuteOf(date)];
    const isSame =
      read === written
        ? baseSubject(subject) === baseSubject(sighting.header.subject)
        : differByZone({ read, written }) &&
          subjectAsWritten(subject) === subjectAsWritten(sighting.header.subject);
    if (!isSame) return [];
    const [key = ''] = sighting.messageKeys;
    return [{ key, fingerprint: sighting.fingerprint, messageId, threadId }];
  });
}

const minuteMs = 60_000;

async function claimedOf(
  db: Db,
  party: LoggingParty | null,
  letters: readonly Letter[],
): Promise<ReadonlySet<string>> {
  if (party === null || party.mailboxId === null) return new Set();
  const people = letters.flatMap(({ sighting }) => {
    const { author, recipients } = sighting.people;
    return author === null ? recipients : [author, ...recipients];
  });
  const canonicals = [...new Set(people.map(({ address }) => canonicalAddress(address)))];
  const { subAccountId } = party.connection;
  return findClaimedElsewhere(db, { mailboxId: party.mailboxId, subAccountId, canonicals });
}

/** Whose membership has ended: nothing is theirs. */
const nobody: LoggingParty['connection'] = {
  id: nowhere.connectionId,
  subAccountId: '',
  userId: '',
  provider: 'imap',
  startedAt: 0,
  paused: false,
  settings: {},
  limitsSaid: {},
  claimsVersion: 0,
  neverLogVersions: [0, 0],
  hasErased: false,
  mailboxAddress: '',
  ownAddresses: [],
};

function decisionRow(
  { secretBox }: LoggedDeps,
  of: { letter: Letter; facts: Facts; verdict: Verdict; messageId: DecisionRow['message_id'] },
): DecisionRow {
  const { letter, facts, verdict, messageId } = of;
  const { sighting, mail } = letter;
  const { author, recipients } = sighting.people;
  const others = facts.direction === 'outbound' || author === null ? recipients : [author];
  return {
    ...placeless,
    id: newId('dec'),
    sub_account_id: mail.subAccountId,
    outcome: outcomes[verdict.verdict],
    reason: verdict.reason,
    reasons: verdict.steps,
    facts,
    id_hash: hashOfMessageKey(secretBox, sighting.messageKeys[0] ?? ''),
    address_hashes: others.slice(0, hashedMax).map(({ address }) => hashOfAddress(secretBox, address)),
    message_id: messageId,
    attempts: 0,
    intake_id: mail.id,
  };
}

/** Most hashed counterparts of one decision. */
const hashedMax = 20;

async function write(
  deps: LoggedDeps,
  tx: Db,
  of: { owner: string; party: LoggingParty | null; judged: JudgedAll },
): Promise<number> {
  const { judged, party } = of;
  const { effects, letters } = judged;
  const mailboxId = party?.mailboxId ?? null;
  await makeContacts(tx, effects.contacts);
  // Before anything is written for which whoever files the mailbox's mail might wait.
  if (mailboxId !== null && letters.some(({ row }) => row.message_id !== null))
    await holdOffFiling(tx, mailboxId);
  await writeFiling(tx, effects.writes, null);
  const written = letters.flatMap(({ letter, row }) =>
    row.message_id === null ? [] : [{ uid: letter.sighting.place.uid, message_id: row.message_id }],
  );
  await assertNotErased(
    tx,
    deps.secretBox,
    { messages: effects.writes.messages, sightings: written },
    { sightings: letters.map(({ letter }) => letter.sighting), connections: [judged.connection] },
  );
  await Promise.all(letters.map(({ letter }) => letter.kept));
  const replaced = letters.flatMap(({ letter, row }) =>
    letter.mail.decidedBefore === null ? [] : [{ id: letter.mail.decidedBefore, by: row.id }],
  );
  await replaceDecisions(tx, { replaced, failedAgain: [] });
  const changed = await noteLogged(tx, effects.logged);
  if (mailboxId !== null) {
    await claimAnswered(tx, deps, mailboxId, letters);
    await judgeLeftOut(deps, tx, mailboxId, judged);
  }
  const ended = letters.map(outcomeOf);
  if (!(await endSpooled(tx, of.owner, ended))) throw new LeaseLost();
  const filled = effects.writes.fills.map(({ id }) => id);
  const messages = [...new Set([...changed, ...filled, ...(await linkStored(tx, effects))])];
  const events = await tellEffects(tx, effects, { messages, sends: [] }, effects.contacts);
  return (
    events.length +
    (await tellHeld(
      tx,
      ended.flatMap(({ id, state }) => (state === 'held' ? [id] : [])),
    ))
  );
}

function outcomeOf({ letter, verdict, row }: JudgedLetter): SpoolOutcome {
  const isHeld = verdict.verdict === 'hold';
  return {
    id: letter.mail.id,
    state: isHeld ? 'held' : 'filed',
    decisionId: row.id,
    read: isHeld ? letter.reading : null,
  };
}
