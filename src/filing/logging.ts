import { canonicalAddress, canonicalOwnAddress, domainOf, isNoReplyAddress } from '../message/addresses.ts';
import type { Address } from '../message/addresses.ts';
import { idKey } from '../message/message-id.ts';
import { newId } from '../lib/id.ts';
import type { MessageId } from '../lib/id.ts';
import type { MadeContact } from '../store/made-contacts.ts';
import type { Verdict } from './decide.ts';
import { addKeys, draftOf, fillMessage, noEffects, storeMessage } from './effects.ts';
import type { Effects } from './effects.ts';
import { factsOf } from './facts.ts';
import type { ContactFact, Facts, LoggedFacts } from './facts.ts';
import type { Ground } from './gather.ts';
import { citedAs, quoted } from './sighting.ts';
import { addLink, addThreadKeys, showInConversations } from './thread-effects.ts';
import type { Letter } from './letter.ts';

/** What a filing transaction does of logged mail, besides what it does of any. */
export type LoggedEffects = Effects & {
  contacts: MadeContact[];
  /** Messages that came to a logging address, new ones and others, with the tags that were on it. */
  logged: { message_id: MessageId; tags: string[] }[];
};

export function noLoggedEffects(): LoggedEffects {
  return { ...noEffects(), contacts: [], logged: [] };
}

/**
 * For whose sake a mail is logged (B2): outside recipients in To and Cc, or the author of what was forwarded, but
 * nobody whose address reads no mail or is never logged. Pure.
 */
export function counterpartsOf(
  { sighting }: Letter,
  ground: Ground,
): { people: Address[]; neverLogged: number } {
  const { author, recipients } = sighting.people;
  const written = sighting.place.role === 'sent' ? recipients : author === null ? [] : [author];
  const outside = written.filter(
    ({ address }) => !ground.userAddresses.has(canonicalOwnAddress(address)) && !isNoReplyAddress(address),
  );
  const people = outside.filter(({ address }) => !isNeverLogged(address, ground));
  return { people, neverLogged: outside.length - people.length };
}

function isNeverLogged(address: string, { neverLog }: Ground): boolean {
  return neverLog.has(canonicalAddress(address)) || neverLog.has(`@${domainOf(address)}`);
}

/** The facts of a logged mail; of one whose user is no member any more there are no others. Pure. */
export function loggedFactsOf(letter: Letter, ground: Ground): Facts & { logged: LoggedFacts } {
  const { people, neverLogged } = counterpartsOf(letter, ground);
  const { mail, writer, kind, loop, forwarded } = letter;
  return {
    // A logged copy is no Sent copy: it confirms no send.
    ...factsOf(letter.sighting, { ...ground, unconfirmedSends: new Map() }, null),
    logged: {
      kind,
      loop,
      gone: false,
      byUser: writer !== null && ground.ownAddresses.has(canonicalOwnAddress(writer.address)),
      proof: mail.proof.verdict,
      released: mail.isReleased,
      forwarded,
      tooLarge: letter.isTooLarge,
      counterparts: people.length,
      contacts: people.flatMap(({ address }) => ground.contacts.get(canonicalAddress(address)) ?? []),
      neverLogged,
    },
  };
}

/** What the rules said of a logged mail. */
type LoggedVerdict = {
  letter: Letter;
  facts: Facts;
  verdict: Verdict;
  /** Addresses in contact's form that another sub-account has claimed for the user's mailbox (S9). */
  claimed: ReadonlySet<string>;
};

/**
 * Adds what a verdict on a logged mail means to `effects`, and lets `ground` know. Answers the message that it is
 * now part of, or null.
 */
export function addLoggedEffects(
  effects: LoggedEffects,
  ground: Ground,
  { letter, facts, verdict, claimed }: LoggedVerdict,
): MessageId | null {
  if (verdict.verdict !== 'store' && verdict.verdict !== 'join') return null;
  const { sighting, body, mail } = letter;
  const contactIds = contactsOf(effects, ground, letter);
  // What the mailbox brings of the others goes to whoever has claimed them; this mail is here all the same.
  const links = counterpartsOf(letter, ground).people.some(
    ({ address }) => !claimed.has(canonicalAddress(address)),
  );
  const row = { ...draftOf(sighting, facts, body), via: ['logging_address'] };
  const { messageKeys, threadKeys, fingerprint } = sighting;
  const known = verdict.verdict === 'join' ? verdict.known : verdict.fills;
  const stored =
    known ??
    storeMessage(effects, ground, {
      row,
      attachments: body.attachments,
      threadId: verdict.verdict === 'store' ? verdict.threadId : null,
      openedBy: verdict.reason,
      links,
      contactIds,
      messageKeys,
      threadKeys,
      fingerprint,
      sendId: null,
    });
  const { messageId, threadId } = stored;
  // What was forwarded inline has no Message-ID of its own by which its mailbox's copy could be known as the same.
  if (sighting.quotedKey !== null && sighting.header.messageId === null) {
    const names = { messageId, threadId, here: false, sendId: null, omitted: false };
    addKeys(effects, ground, names, [sighting.quotedKey], quoted, false);
    const cited = citedAs(sighting);
    if (letter.knownAsCited !== null && cited !== null)
      addKeys(effects, ground, names, [idKey(letter.knownAsCited)], cited, false);
  }
  if (verdict.verdict === 'store' && verdict.fills !== null)
    fillMessage(effects, ground, verdict.fills, { row, body });
  if (known !== null) {
    addKeys(effects, ground, known, messageKeys, fingerprint, false);
    addThreadKeys(effects, ground, threadId, threadKeys);
    if (links) addLink(effects, ground, threadId);
    showInConversations(effects, ground, threadId, { row, contactIds });
  }
  // A new row says already that it came this way.
  if (verdict.verdict === 'join' || mail.tags.length > 0)
    effects.logged.push({ message_id: messageId, tags: mail.tags });
  return messageId;
}

/** The contacts in whose conversations it shows; whoever of its counterparts is none becomes one (B2, S10). */
function contactsOf(effects: LoggedEffects, ground: Ground, letter: Letter): string[] {
  const { people } = counterpartsOf(letter, ground);
  if (!ground.twoWaySyncOff) for (const person of people) makeContact(effects, ground, person);
  const { people: on, place } = letter.sighting;
  // Of what was forwarded, who was copied in is shown where the CRM knows them, and made no contact (S3).
  const copied = place.role === 'inbox' ? on.recipients : [];
  const others = copied.filter(
    ({ address }) =>
      !ground.userAddresses.has(canonicalOwnAddress(address)) && !isNeverLogged(address, ground),
  );
  return [...people, ...others].flatMap(({ address }) => idsOf(ground, address));
}

function idsOf(ground: Ground, address: string): string[] {
  return (ground.contacts.get(canonicalAddress(address)) ?? []).map(({ id }) => id);
}

function makeContact(effects: LoggedEffects, ground: Ground, { name, address }: Address): void {
  const canonical = canonicalAddress(address);
  if (ground.contacts.has(canonical)) return;
  const { subAccountId, userId } = ground.connection;
  const id = newId('cct');
  effects.contacts.push({
    id,
    sub_account_id: subAccountId,
    name: name === '' ? address : name,
    address,
    canonical,
    assigned_user_id: userId,
  });
  const made: ContactFact = { id, assigned: 'user', assignedAnywhere: true, claimed: null };
  ground.contacts.set(canonical, [made]);
}
