import type { MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { examplesMax } from '../store/check/invariant.ts';
import type { Checked } from '../store/check/invariant.ts';
import type { Db } from '../store/database.ts';
import type { FactKeys, FilingConnection } from '../store/filing-facts.ts';
import { FiledMeanwhile } from '../store/filing-writes.ts';
import type { FilingWrites } from '../store/filing-writes.ts';
import { findTombstones, listNames } from '../store/tombstones.ts';
import type { StoredName } from '../store/tombstones.ts';
import { citedAs, directionOf, quoted, zoneless } from './sighting.ts';
import type { Sighting } from './sighting.ts';

/*
 * How an erased message is known again (C7) without anything of it being kept: keyed hashes of all that
 * `knownAs` (facts.ts) would have known the stored one by. The two change together.
 */

/** An erased message, as far as it could be known again. */
export type Identity = {
  keys: { key: string; fingerprint: string }[];
  /** The mailbox through which it was sent from here, and whether that mailbox's own copy was seen. */
  send: { mailboxId: MailboxId | null; copySeen: boolean } | null;
};

/** The hashes that are kept of an erased message, in hexadecimal; one at least. */
export function tombstonesOf(secretBox: SecretBox, { keys, send }: Identity): string[] {
  const mailboxId = send?.mailboxId ?? null;
  const marks = keys.flatMap(({ key, fingerprint }) => [
    named(key, fingerprint),
    ...(key.startsWith('gm:') ? [namedByProvider(key)] : []),
    ...(mailboxId === null ? [] : [sent(mailboxId, key)]),
    ...(mailboxId === null || send?.copySeen === true ? [] : [copied(mailboxId, fingerprint)]),
  ]);
  return [...new Set(marks)].map((mark) => hashOf(secretBox, mark));
}

/** The hashes by which sightings are looked up among what was erased; none where nothing was. */
export function soughtTombstones(
  secretBox: SecretBox,
  sightings: readonly Sighting[],
  connections: readonly FilingConnection[],
): FactKeys['tombstones'] {
  return connections.some(({ hasErased }) => hasErased) ? namesOf(secretBox, sightings, connections) : [];
}

function namesOf(
  secretBox: SecretBox,
  sightings: readonly Sighting[],
  connections: readonly FilingConnection[],
): FactKeys['tombstones'] {
  const ownAddresses = new Set(connections.flatMap((connection) => connection.ownAddresses));
  return sightings.flatMap((sighting) =>
    soughtFor(sighting, ownAddresses).map(({ mark, ofSent }) => ({
      uid: sighting.place.uid,
      hash: hashOf(secretBox, mark),
      ofSent,
    })),
  );
}

function soughtFor(
  sighting: Sighting,
  ownAddresses: ReadonlySet<string>,
): { mark: string; ofSent: boolean }[] {
  const { mailboxId, messageKeys, quotedKey, fingerprint } = sighting;
  const received = messageKeys.map((key) =>
    key.startsWith(`gm:${mailboxId}:`) ? namedByProvider(key) : named(key, fingerprint),
  );
  if (quotedKey !== null) received.push(named(quotedKey, quoted));
  const cited = citedAs(sighting);
  if (cited !== null) received.push(...messageKeys.map((key) => named(key, cited)));
  const isSent = directionOf(sighting, ownAddresses) === 'outbound';
  const ofSent = isSent
    ? [...messageKeys.map((key) => sent(mailboxId, key)), copied(mailboxId, fingerprint)]
    : [];
  return [
    ...received.map((mark) => ({ mark, ofSent: false })),
    ...ofSent.map((mark) => ({ mark, ofSent: true })),
  ];
}

/**
 * In the transaction that has written messages: none of them was erased since the facts were looked up.
 * Another mailbox may have brought one of them meanwhile, and somebody have erased it. Throws
 * FiledMeanwhile. Their keys are written by now, so that no erasure of them is under way.
 */
export async function assertNotErased(
  tx: Db,
  secretBox: SecretBox,
  { messages, sightings }: Written,
  of: { sightings: readonly Sighting[]; connections: readonly FilingConnection[] },
): Promise<void> {
  if (messages.length === 0) return;
  const written = new Map(messages.map((message) => [message.id, message]));
  const uids = new Set(sightings.map(({ uid }) => uid));
  const shown = of.sightings.filter(({ place }) => uids.has(place.uid));
  const byUid = Map.groupBy(namesOf(secretBox, shown, of.connections), ({ uid }) => uid);
  const erased = await findTombstones(
    tx,
    sightings.flatMap(({ uid, message_id: id }) => {
      const message = written.get(id);
      const mine = (byUid.get(uid) ?? []).filter(
        ({ ofSent }) => !ofSent || message?.direction === 'outbound',
      );
      return message === undefined ? [] : mine.map(({ hash }) => ({ sub: message.sub_account_id, hash }));
    }),
  );
  if (erased.length > 0)
    throw new FiledMeanwhile('a message was erased after the facts about it were looked up');
}

/** Messages that are new, and by which sighting each was known. */
type Written = Pick<FilingWrites, 'messages'> & {
  sightings: readonly Pick<FilingWrites['sightings'][number], 'uid' | 'message_id'>[];
};

/** How many names are looked up at once. */
const pageMax = 1_000;

/** Checks that nothing is stored under a name that was erased; what the invariants in SQL cannot ask, for want of the key. */
export async function checkTombstones(db: Db, secretBox: SecretBox): Promise<Checked> {
  const broken: Checked['examples'][number][] = [];
  let after: Omit<StoredName, 'message'> | undefined = { sub: '', key: '', fingerprint: '' };
  while (after !== undefined) {
    const page: StoredName[] = await listNames(db, { after, limit: pageMax });
    const sought = page.map(({ sub, key, fingerprint, message }) => ({
      sub,
      hash: hashOf(secretBox, named(key, fingerprint)),
      message,
    }));
    for (const { position } of await findTombstones(db, sought)) {
      broken.push({ message: sought[position]?.message ?? null });
    }
    after = page.at(-1);
  }
  return {
    name: 'erased_stays_out',
    rules: ['C7'],
    holds: 'No stored message is known by a name under which one was erased.',
    count: broken.length,
    examples: broken.slice(0, examplesMax),
  };
}

/** By its name and its content, in whatever mailbox. */
const named = (key: string, fingerprint: string) => `named\n${key}\n${zoneless(fingerprint)}`;
/** By the provider's own id, which nobody else can give. */
const namedByProvider = (key: string) => `provider\n${key}`;
/** The mailbox's own copy of what was sent from here: the provider may have rewritten From or Date. */
const sent = (mailboxId: MailboxId, key: string) => `sent\n${mailboxId}\n${key}`;
/** The same, where it has rewritten the Message-ID. */
const copied = (mailboxId: MailboxId, fingerprint: string) => `copied\n${mailboxId}\n${fingerprint}`;

/** As long as the hashes of decisions. */
function hashOf(secretBox: SecretBox, mark: string): string {
  return secretBox.macHex('tombstone', mark);
}
