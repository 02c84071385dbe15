import { createForesight } from '../filing/foresight.ts';
import type { Foretold } from '../filing/foresight.ts';
import type { FilingDeps } from '../filing/file.ts';
import type { Judged } from '../filing/judge.ts';
import { Failure } from '../lib/failure.ts';
import { newId } from '../lib/id.ts';
import type { ResolvedAddress } from '../lib/net-guard.ts';
import type { Provider, ProviderName } from '../provider/providers.ts';
import { readPublicContacts } from '../store/contacts.ts';
import type { SavedFolder } from '../store/folders.ts';
import type { Member } from '../store/lifecycle.ts';
import { readProspect } from '../store/prospects.ts';
import type { Prospect } from '../store/prospects.ts';
import type { ProvenLogin } from '../store/proven-logins.ts';
import { roleOf } from './plan.ts';
import { openSession } from './session.ts';
import type { Session } from './session.ts';
import { proofOfLogin } from './settle.ts';
import type { Proof } from './settle.ts';
import { walkByDate } from './walk.ts';
import { createWalker } from './walker.ts';

/** A message that would be in the CRM, as its header has it: hostile text. */
export type WouldBe = {
  direction: 'inbound' | 'outbound';
  /** Names of the contacts for whose sake; none where a stranger writes in a contact's thread. */
  contacts: string[];
  subject: string;
  /** When the provider received it, RFC 3339. */
  date: string;
};

/** What would have been in the CRM, had the mailbox been connected some days ago. */
export type DryRun = {
  days: number;
  /** The newest first, `listedMax` at most. */
  listed: WouldBe[];
  /** All of them. */
  stored: number;
  contacts: number;
  /** Different messages that would stay private. */
  left: number;
  /** Messages that were looked at. */
  seen: number;
  /** False where the time was up, or there was too much: some of the days were not looked at. */
  whole: boolean;
};

/** How far a dry run has come. `share`: of its days, from 0 to 1. */
export type DryRunProgress = { seen: number; stored: number; share: number };

/** Looks at the last days of a mailbox that is not connected yet, and stores nothing. */
export type LookAhead = (
  of: Member & { login: ProvenLogin & { credentialSealed: string } },
  onProgress: (progress: DryRunProgress) => void,
  stop: AbortSignal,
) => Promise<DryRun>;

/** A person waits for it. */
const limits = { days: 7, timeMs: 20_000, seenMax: 2_000, foldersMax: 30, listedMax: 100 };

const dayMs = 24 * 3_600_000;

type Deps = {
  filing: FilingDeps;
  providerOf(name: ProviderName): Provider;
  resolveHost(host: string): Promise<ResolvedAddress>;
};

/**
 * Makes the dry run of C8 for a mailbox before it is connected (C1): the same rules on headers alone, on a connection
 * of its own, bounded in time. It rejects with a Failure where nothing could be looked at, or `stop` was aborted.
 */
export function createLookAhead(deps: Deps): LookAhead {
  const { filing } = deps;
  return async ({ login, ...member }, onProgress, stop) => {
    const proof = proofOfLogin(filing.secretBox, login);
    const prospect = await readProspect(filing.db, member, proof.mailbox);
    if (prospect === null) throw new Failure('permanent', 'not_a_member', 'they are no member any more');
    const over = AbortSignal.any([stop, AbortSignal.timeout(limits.timeMs)]);
    const tally = newTally();
    let whole = false;
    try {
      whole = await look(deps, { proof, prospect, tally, over, onProgress });
    } catch (error) {
      if (stop.aborted || tally.seen === 0) throw error;
      filing.log.info({ code: error instanceof Failure ? error.code : 'unknown' }, 'a dry run ended early');
    }
    return resultOf(deps, member, { tally, whole });
  };
}

/** Goes through the days; whether all of them were seen. */
async function look(
  deps: Deps,
  at: {
    proof: Proof;
    prospect: Prospect;
    tally: Tally;
    over: AbortSignal;
    onProgress: (progress: DryRunProgress) => void;
  },
): Promise<boolean> {
  const { filing } = deps;
  const { prospect, tally, over } = at;
  const { mailboxId, own, connections } = prospect;
  const to = filing.clock.now();
  const from = to - limits.days * dayMs;
  const again = { connectionId: own.id, errandId: newId('err'), since: from, byHand: false, answered: false };
  const foresee = createForesight(filing, { mailboxId, again, connections });
  const provider = deps.providerOf(at.proof.mailbox.provider);
  const session = await connect(deps, at.proof, provider, over);
  try {
    const { folders, whole } = await foldersOf(session);
    const walker = createWalker(
      { filing, log: filing.log, session, mailboxId, provider, leavesOut: true },
      folders,
    );
    let isThrough = true;
    await walkByDate(walker, { from, to, people: null }, async ({ runs, upTo }) => {
      for (const { folder, sightings } of runs)
        count(tally, await foresee(sightings, (uids) => walker.structures(folder, uids)));
      at.onProgress({ seen: tally.seen, stored: tally.stored.length, share: (upTo - from) / (to - from) });
      isThrough = !over.aborted && (tally.seen < limits.seenMax || upTo >= to);
      return isThrough;
    });
    return whole && isThrough && !walker.leftOut();
  } finally {
    session.close();
  }
}

async function connect(deps: Deps, proof: Proof, provider: Provider, stop: AbortSignal): Promise<Session> {
  const { login: user, servers } = proof.mailbox;
  const server = servers?.imap ?? provider.imap;
  if (server === null) throw new Failure('operator', 'no_server', `${provider.name} has no IMAP server`);
  // Only what people name may lead anywhere; a provider's own servers are the operator's business.
  const resolved = servers === null ? {} : { address: (await deps.resolveHost(server.host)).address };
  const { credential, accessToken } = proof;
  return openSession({
    server,
    ...resolved,
    login: accessToken === null ? { user, password: credential } : { user, accessToken: accessToken.token },
    stop,
    onArrival: () => undefined,
    onClose: () => undefined,
  });
}

/** The folders as a listener would find them; `whole`: all of them, where there are not too many for a look. */
async function foldersOf(session: Session): Promise<{ folders: SavedFolder[]; whole: boolean }> {
  const listed = (await session.list()).flatMap((folder) => {
    const role = roleOf(folder);
    return role === null || unwatched.has(role) ? [] : [{ ...folder, role }];
  });
  const first = listed.sort((one, other) => rank(one) - rank(other)).slice(0, limits.foldersMax);
  const folders: SavedFolder[] = [];
  for (const { path, role, observed } of first) {
    const standing = observed ?? (await session.status(path));
    if (standing === null) continue;
    const { uidValidity } = standing;
    const place = { id: newId('fld'), path, role, uidValidity, highestModseq: null, missing: false };
    folders.push({ ...place, cursorUid: Number.MAX_SAFE_INTEGER });
  }
  return { folders, whole: folders.length === listed.length };
}

const unwatched: ReadonlySet<SavedFolder['role']> = new Set(['spam', 'trash', 'drafts']);

function rank({ role }: Pick<SavedFolder, 'role'>): number {
  return role === 'other' ? 1 : 0;
}

type Tally = {
  seen: number;
  stored: { judged: Judged; contacts: string[] }[];
  contacts: Set<string>;
  /** By what they are known, so that one in two folders counts once. */
  left: Set<string>;
};

function newTally(): Tally {
  return { seen: 0, stored: [], contacts: new Set(), left: new Set() };
}

function count(tally: Tally, foretold: readonly Foretold[]): void {
  for (const { outcome, reason, judged } of foretold) {
    tally.seen += 1;
    if (judged === null) continue;
    const { sighting, facts } = judged;
    if (outcome !== 'stored') {
      tally.left.add(sighting.messageKeys[0] ?? `${sighting.place.folderId} ${sighting.place.uid}`);
      continue;
    }
    // Once more, in another folder, or by a colleague's mailbox already.
    if (reason === 'duplicate' || reason === 'sent_copy') continue;
    const named = [...facts.author.contacts, ...facts.recipientContacts].map(({ id }) => id);
    const contacts = [...new Set(named)];
    for (const id of contacts) tally.contacts.add(id);
    tally.stored.push({ judged, contacts });
  }
}

async function resultOf(
  { filing }: Deps,
  { subAccountId }: Member,
  { tally, whole }: { tally: Tally; whole: boolean },
): Promise<DryRun> {
  const { stored, contacts, left, seen } = tally;
  const newest = stored
    .toSorted((one, other) => other.judged.sighting.internalDate - one.judged.sighting.internalDate)
    .slice(0, limits.listedMax);
  const ids = [...new Set(newest.flatMap((one) => one.contacts))];
  const known = await readPublicContacts(filing.db, subAccountId, ids);
  const names = new Map(known.map(({ id, name, emails }) => [id, name || (emails[0] ?? id)]));
  const listed = newest.map(({ judged: { sighting, facts }, contacts: of }) => ({
    direction: facts.direction,
    contacts: of.map((id) => names.get(id) ?? id),
    subject: sighting.header.subject,
    date: new Date(sighting.internalDate).toISOString(),
  }));
  const counts = { stored: stored.length, contacts: contacts.size, left: left.size, seen };
  return { days: limits.days, listed, ...counts, whole };
}
