import type { Cast, ContactSpec } from './steps.ts';

/*
 * RULES S1-S12, C6, C7 and C8 once more, for the mails of a history: what each sub-account must hold in
 * the end. It knows which mail is which, so that it needs no ids to tell them apart, and shares no code
 * with src/filing/. It follows the order in which mail was judged, and nothing else of what was decided.
 */

/** A mail, as far as the rules look at it. Addresses are plain ones, lower-case. */
export type ModelMail = {
  n: number;
  from: string;
  to: readonly string[];
  cc: readonly string[];
  /** The id that it travels with. */
  messageId: string | null;
  /** The id that it was written with, where a provider gave it another. */
  writtenId: string | null;
  inReplyTo: string | null;
  references: readonly string[];
  /** Of its subject. */
  forwards: number;
  isForward: boolean;
  kind: 'person' | 'auto_reply' | 'list' | 'report';
};

/** What happened, in the order in which it took effect. */
export type Happened =
  | { what: 'connected'; id: string; sub: string; user: string; box: string; at: number }
  | { what: 'ended'; id: string; reason: 'disconnected' | 'superseded' }
  | { what: 'assigned'; sub: string; contact: string; user: string | null }
  | { what: 'contact'; contact: ContactSpec }
  | {
      what: 'crm_sent';
      sub: string;
      box: string;
      contact: string | null;
      mail: ModelMail;
      replyTo: number | null;
    }
  /** The provider said which id it gave a mail of the CRM. */
  | { what: 'renamed'; n: number; id: string }
  /** A node looked up what is known; nothing that follows can change how it judges by that. */
  | { what: 'facts' }
  /** It committed what it judged by the facts of then. */
  | { what: 'judged'; facts: number; seen: Sight[] };

/** A mail that was seen, for one connection. */
export type Sight = {
  connection: string;
  box: string;
  mail: ModelMail;
  received: boolean;
  internalDate: number;
  /** Gmail's own name for its thread. */
  gmailThread: string | null;
  /**
   * It was judged beside the listener: as if the connection had begun `since` (null: when it did), or because a
   * mail that opened a thread answers it (S13).
   */
  again: { since: number | null; answered: boolean } | null;
  /** It was gone when its body was asked for. */
  wasGone: boolean;
  /** Where, and what was decided, for who reads a failure; no input of the model. */
  place: string;
  decided: string;
};

type Thread = {
  id: number;
  mails: number[];
  /** Id → whether a mail of it has that id, or only names it. */
  knows: Map<string, 'has' | 'names'>;
  people: Set<string>;
  links: Map<string, 'live' | 'unlinked'>;
  /** Contacts in whose conversation it shows. */
  contacts: Set<string>;
  forwards: number;
  /** Boxes through which the CRM sent in it. */
  crmBoxes: Set<string>;
};

type SubState = {
  threads: Thread[];
  /** Mail → boxes in which it was seen, or through which it was sent from here. */
  held: Map<number, Set<string>>;
};

type Connection = { id: string; sub: string; user: string; box: string; at: number };

type State = {
  cast: Cast;
  subs: Map<string, SubState>;
  contacts: ContactSpec[];
  connections: Connection[];
  /** Addresses of each user, also of boxes that they were connected to. */
  addresses: Map<string, Set<string>>;
  /** `box address` → the sub-account that has claimed it. */
  claims: Map<string, string>;
};

/** What the rules say of one mail in one sub-account. */
export type Verdict = { stored: boolean; why: string };

/** What comes of a mail that is stored: in which thread it is, or is to be. */
type Outcome = Verdict & { sight: Sight; sub: string; thread: number | null };

/** What a sub-account holds: contact → numbers of mails; and its threads, with where they are live. */
export type Holding = { conversations: Record<string, number[]>; threads: string[] };

export type Expected = {
  holdings: Record<string, Holding>;
  /** What was said of each sight, in order. */
  verdicts: { sight: Sight; sub: string; verdict: Verdict }[];
};

const clockToleranceMs = 5_000;

export function expectedOf(cast: Cast, happened: readonly Happened[]): Expected {
  const state: State = {
    cast,
    subs: new Map(cast.subs.map(({ id }) => [id, { threads: [], held: new Map() }])),
    contacts: cast.contacts.map((contact) => ({ ...contact })),
    connections: [],
    addresses: new Map(cast.users.map(({ id, email }) => [id, new Set([email])])),
    claims: new Map(),
  };
  const judgedBy = new Map<number, (Happened & { what: 'judged' })[]>();
  for (const each of happened) {
    if (each.what !== 'judged') continue;
    judgedBy.set(each.facts, [...(judgedBy.get(each.facts) ?? []), each]);
  }
  const outcomes = new Map<Happened, Outcome[]>();
  const verdicts: Expected['verdicts'] = [];
  for (const [position, each] of happened.entries()) {
    if (each.what === 'facts') {
      // By the facts of this moment, and what it judges itself; others see it when it is committed.
      const batches = judgedBy.get(position) ?? [];
      const then = batches.length === 0 ? state : structuredClone(state);
      for (const batch of batches) outcomes.set(batch, judgeAll(then, batch.seen));
    } else if (each.what === 'judged') {
      for (const outcome of outcomes.get(each) ?? []) {
        verdicts.push({ sight: outcome.sight, sub: outcome.sub, verdict: outcome });
        if (outcome.stored) store(state, outcome);
      }
    } else happen(state, each);
  }
  return { holdings: Object.fromEntries(cast.subs.map(({ id }) => [id, holding(state, id)])), verdicts };
}

function holding(state: State, sub: string): Holding {
  const { threads } = subOf(state, sub);
  const conversations: Record<string, number[]> = {};
  for (const thread of threads) {
    for (const contact of thread.contacts) (conversations[contact] ??= []).push(...thread.mails);
  }
  for (const mails of Object.values(conversations)) mails.sort((a, b) => a - b);
  return { conversations, threads: threads.map(threadLine).toSorted() };
}

function threadLine({ mails, links }: Thread): string {
  const where = [...links].map(([box, link]) => `${box} ${link}`).toSorted();
  return `${mails.toSorted((a, b) => a - b).join(' ')}: ${where.join(', ')}`;
}

function happen(state: State, each: Exclude<Happened, { what: 'facts' | 'judged' }>): void {
  switch (each.what) {
    case 'connected': {
      const { id, sub, user, box, at } = each;
      state.connections.push({ id, sub, user, box, at });
      const { address } = boxOf(state, box);
      state.addresses.get(user)?.add(address);
      return;
    }
    case 'ended':
      return end(state, each.id);
    case 'assigned':
      for (const contact of state.contacts) {
        if (contact.sub === each.sub && contact.id === each.contact) contact.assigned = each.user;
      }
      return;
    case 'contact':
      state.contacts.push(each.contact);
      return;
    case 'renamed':
      for (const { threads } of state.subs.values()) {
        for (const { mails, knows } of threads) if (mails.includes(each.n)) knows.set(each.id, 'has');
      }
      return;
    case 'crm_sent':
      return crmSent(state, each);
  }
}

/** C6, C7: the threads of who leaves a box are unlinked there, and what they claimed there is free. */
function end(state: State, id: string): void {
  const ended = state.connections.find((connection) => connection.id === id);
  if (ended === undefined) return;
  state.connections = state.connections.filter((connection) => connection !== ended);
  const { sub, box } = ended;
  if (state.connections.some((other) => other.sub === sub && other.box === box)) return;
  for (const { links } of subOf(state, sub).threads) {
    if (links.get(box) === 'live') links.set(box, 'unlinked');
  }
  for (const [key, claimer] of state.claims) {
    if (claimer === sub && key.startsWith(`${box} `)) state.claims.delete(key);
  }
}

/** S1, S9. */
function crmSent(state: State, sent: Happened & { what: 'crm_sent' }): void {
  const { sub, box, mail } = sent;
  const { threads } = subOf(state, sub);
  const answered = threads.find(({ mails }) => sent.replyTo !== null && mails.includes(sent.replyTo));
  const named = [...mail.to, ...mail.cc].flatMap((address) => contactsAt(state, sub, address));
  const contacts = [
    ...new Set([...(sent.contact === null ? [] : [sent.contact]), ...named.map(({ id }) => id)]),
  ];
  const thread = answered ?? openThread(state, sub, mail, null);
  // The provider may give it another id, which nobody knows yet.
  const asWritten = { ...mail, messageId: mail.writtenId ?? mail.messageId };
  add(state, { sub, box, mail: asWritten, thread, contacts, gmailThread: null });
  thread.crmBoxes.add(box);
  claim(state, sub, box, contacts);
}

function claim(state: State, sub: string, box: string, contacts: readonly string[]): void {
  const others = state.connections.filter((other) => other.box === box && other.sub !== sub);
  if (others.length === 0) return;
  const mine = state.contacts.filter((contact) => contact.sub === sub && contacts.includes(contact.id));
  const reaches = (address: string, connection: Connection) =>
    contactsAt(state, connection.sub, address).some((contact) => opens(state, connection, contact, address));
  const ofBox = state.connections.filter((connection) => connection.box === box);
  const isShared = (address: string) => {
    const reached = ofBox.filter((connection) => reaches(address, connection));
    return reached.some((other) => other.sub === sub) && reached.some((other) => other.sub !== sub);
  };
  const claimed = mine.filter(({ emails }) => emails.some(isShared)).flatMap(({ emails }) => emails);
  const fresh = claimed.filter((address) => !state.claims.has(`${box} ${address}`));
  for (const address of fresh) state.claims.set(`${box} ${address}`, sub);
  for (const [other, { threads }] of state.subs) {
    if (other === sub) continue;
    for (const { people, links } of threads) {
      if (links.get(box) === 'live' && fresh.some((address) => people.has(address))) {
        links.set(box, 'unlinked');
      }
    }
  }
}

function judgeAll(then: State, seen: readonly Sight[]): Outcome[] {
  return seen.map((sight) => {
    const outcome = judge(then, sight);
    // The thread that it opens by these facts is the one that it opens when it is committed.
    if (outcome.stored) outcome.thread = store(then, outcome);
    return outcome;
  });
}

function judge(state: State, sight: Sight): Outcome {
  const connection = state.connections.find(({ id }) => id === sight.connection);
  if (connection === undefined) throw new Error(`${sight.connection} judged mail and is not there`);
  const { sub } = connection;
  const skip = (why: string): Outcome => ({ stored: false, why, sight, sub, thread: null });
  const keep = (why: string, thread: Thread | null): Outcome => {
    // T3: what cannot be read is not stored, unless it is there already.
    if (sight.wasGone && !subOf(state, sub).held.has(sight.mail.n)) return skip('T3');
    const elsewhere = () => belongsTo(state, connection, sight).find(({ links }) => !links.has(sight.box));
    return { stored: true, why, sight, sub, thread: (thread ?? elsewhere())?.id ?? null };
  };
  const { mail, received, box } = sight;
  if (subOf(state, sub).held.get(mail.n)?.has(box) === true) return keep('S12', null);
  if (mail.kind === 'report') return skip('D6, S11');
  const thread = belongsTo(state, connection, sight).find(({ links }) => links.has(box));
  const isHead = sight.again?.answered === true && thread?.links.get(box) === 'live';
  const since = sight.again?.since ?? connection.at;
  if (sight.internalDate < since - clockToleranceMs && !isHead) return skip('C8');
  const { neverLog, settings } = castSub(state, sub);
  const people = [mail.from, ...mail.to, ...mail.cc];
  if (people.some((address) => neverLog.includes(domainOf(address)))) return skip('S15');
  const outside = [...mail.to, ...mail.cc].filter((address) => !isUser(state, connection, address));
  if (received ? isUser(state, connection, mail.from) : outside.length === 0) return skip('S7');
  const contacts = received
    ? contactsAt(state, sub, mail.from).map((contact) => ({ contact, address: mail.from }))
    : settings['sync_sent_to_contacts'] === false
      ? []
      : outside.flatMap((address) =>
          contactsAt(state, sub, address).map((contact) => ({ contact, address })),
        );
  const isOff = boxOf(state, box).provider === 'outlook' && settings['outlook_two_way_sync'] === false;
  if (isOff && !(thread?.crmBoxes.has(box) ?? false)) return skip('S10');
  if (thread?.links.get(box) === 'unlinked') return skip('S4');
  if (thread !== undefined) return keep('S3', thread);
  if (mail.kind !== 'person') return skip('S11');
  if (contacts.length === 0) return skip('S5');
  if (!contacts.some(({ contact, address }) => opens(state, connection, contact, address)))
    return skip('S8, S9');
  return keep(received ? 'S2' : 'S6', null);
}

/** S8, S9: whether mail of a contact opens a thread for a connection. */
function opens(state: State, connection: Connection, contact: ContactSpec, address: string): boolean {
  const { box, sub, user } = connection;
  const here = state.connections.filter((other) => other.box === box);
  const claimer = state.claims.get(`${box} ${address}`);
  if (claimer !== undefined) return claimer === sub;
  const setting = castSub(state, sub).settings['assigned_contacts_only'] ?? 'when_shared';
  const isShared = here.some((other) => other.sub !== sub);
  if (setting === 'never' || (setting === 'when_shared' && !isShared)) return true;
  if (contact.assigned === user) return true;
  return !here.some((other) =>
    contactsAt(state, other.sub, address).some(({ assigned }) => assigned !== null),
  );
}

/** What an id says of a mail and a thread, the most telling first. */
const telling = ['answers', 'is_answered', 'counted_to', 'cites_the_same'] as const;

type Relation = { by: (typeof telling)[number]; shares: 'outside' | 'own' | 'nobody' };

/**
 * S3: threads of the sub-account to which a mail belongs, those of what it answers first. A forward is no answer,
 * but its answer may be there already; of the thread that a forward opened only answers are, not what it forwards.
 */
function belongsTo(state: State, connection: Connection, { mail, box, gmailThread }: Sight): Thread[] {
  const names = [
    ...[mail.inReplyTo, ...mail.references.toReversed()].map((id) => ({ id, what: 'cited' as const })),
    { id: mail.messageId, what: 'own' as const },
    { id: gmailThread === null ? null : gmailKey(box, gmailThread), what: 'gmail' as const },
  ];
  const { threads } = subOf(state, connection.sub);
  const found = new Map<Thread, Relation>();
  for (const { id, what } of names) {
    if (id === null) continue;
    const named = threads.flatMap((thread) => {
      const by = relationOf(what, thread.knows.get(id), thread.mails.includes(mail.n));
      return by === null ? [] : [{ thread, by, shares: sharesOf(state, connection, mail, thread) }];
    });
    const rank = ({ by, shares }: Relation) =>
      telling.indexOf(by) * 3 + ['outside', 'own', 'nobody'].indexOf(shares);
    for (const { thread, ...relation } of named.toSorted((a, b) => rank(a) - rank(b))) {
      const before = found.get(thread);
      if (before === undefined || rank(relation) < rank(before)) found.set(thread, relation);
    }
  }
  return [...found].flatMap(([thread, relation]) => (isMember(mail, thread, relation) ? [thread] : []));
}

function relationOf(
  what: 'cited' | 'own' | 'gmail',
  known: 'has' | 'names' | undefined,
  isIn: boolean,
): Relation['by'] | null {
  if (known === undefined) return null;
  if (what === 'gmail') return 'counted_to';
  if (what === 'cited') return known === 'has' ? 'answers' : 'cites_the_same';
  // Another mail with the same id is another mail.
  return known === 'names' ? 'is_answered' : isIn ? 'answers' : null;
}

function sharesOf(state: State, connection: Connection, mail: ModelMail, thread: Thread): Relation['shares'] {
  const isOwner = (address: string) =>
    address === boxOf(state, connection.box).address ||
    state.addresses.get(connection.user)?.has(address) === true;
  const isThere = (address: string) =>
    thread.people.has(address) ||
    contactsAt(state, connection.sub, address).some(({ id }) => thread.contacts.has(id));
  const people = [mail.from, ...mail.to, ...mail.cc];
  const isOutside = (address: string) => !isOwner(address) && !isUser(state, connection, address);
  if (people.some((address) => isOutside(address) && isThere(address))) return 'outside';
  return people.some((address) => isOwner(address) || (!isOutside(address) && isThere(address)))
    ? 'own'
    : 'nobody';
}

function isMember(mail: ModelMail, thread: Thread, { by, shares }: Relation): boolean {
  if (mail.isForward)
    return by === 'is_answered' && shares === 'outside' && mail.forwards === thread.forwards;
  if (mail.forwards > thread.forwards || (mail.forwards < thread.forwards && by !== 'answers')) return false;
  const isOfTheExchange =
    by === 'answers' || (thread.forwards === 0 && (by === 'is_answered' || by === 'counted_to'));
  return shares === 'outside' || (isOfTheExchange && shares === 'own');
}

/** S12: a mail that is held is seen once more; one that is not comes into its thread, and into conversations. */
function store(state: State, outcome: Outcome): number {
  const { sub, sight } = outcome;
  const { mail, box, gmailThread } = sight;
  const { threads, held } = subOf(state, sub);
  const there = threads.find(({ mails }) => mails.includes(mail.n));
  if (there !== undefined) {
    const isNew = held.get(mail.n)?.has(box) !== true;
    if (isNew) there.links.set(box, 'live');
    held.get(mail.n)?.add(box);
    learn(there, sight.box, mail, gmailThread);
    return there.id;
  }
  const thread =
    threads.find(({ id }) => id === outcome.thread) ?? openThread(state, sub, mail, outcome.thread);
  const connection = state.connections.find(({ id }) => id === sight.connection);
  const isOutside = (address: string) => connection !== undefined && !isUser(state, connection, address);
  const people = [mail.from, ...[...mail.to, ...mail.cc].filter(isOutside)];
  const contacts = people.flatMap((address) => contactsAt(state, sub, address)).map(({ id }) => id);
  add(state, { sub, box, mail, thread, contacts, gmailThread });
  return thread.id;
}

let threadsMade = 0;

function openThread(state: State, sub: string, mail: ModelMail, id: number | null): Thread {
  threadsMade += 1;
  const thread: Thread = {
    id: id ?? threadsMade,
    mails: [],
    knows: new Map(),
    people: new Set(),
    links: new Map(),
    contacts: new Set(),
    forwards: mail.forwards,
    crmBoxes: new Set(),
  };
  subOf(state, sub).threads.push(thread);
  return thread;
}

function add(
  state: State,
  what: {
    sub: string;
    box: string;
    mail: ModelMail;
    thread: Thread;
    contacts: readonly string[];
    gmailThread: string | null;
  },
): void {
  const { sub, box, mail, thread, contacts, gmailThread } = what;
  thread.mails.push(mail.n);
  thread.links.set(box, 'live');
  for (const address of [mail.from, ...mail.to, ...mail.cc]) thread.people.add(address);
  for (const contact of contacts) thread.contacts.add(contact);
  learn(thread, box, mail, gmailThread);
  subOf(state, sub).held.set(mail.n, new Set([box]));
}

function learn(thread: Thread, box: string, mail: ModelMail, gmailThread: string | null): void {
  if (mail.messageId !== null) thread.knows.set(mail.messageId, 'has');
  for (const id of [mail.inReplyTo, ...mail.references]) {
    if (id !== null && !thread.knows.has(id)) thread.knows.set(id, 'names');
  }
  if (gmailThread !== null) thread.knows.set(gmailKey(box, gmailThread), 'has');
}

const gmailKey = (box: string, gmailThread: string) => `gmail ${box} ${gmailThread}`;

/** S7: an address of a user of the sub-account, or of the person whose box it is. */
function isUser(state: State, connection: Connection, address: string): boolean {
  if (address === boxOf(state, connection.box).address) return true;
  return state.cast.users.some(
    ({ id, subs }) =>
      (id === connection.user || subs.includes(connection.sub)) &&
      state.addresses.get(id)?.has(address) === true,
  );
}

function contactsAt(state: State, sub: string, address: string): ContactSpec[] {
  return state.contacts.filter((contact) => contact.sub === sub && contact.emails.includes(address));
}

function subOf(state: State, sub: string): SubState {
  const found = state.subs.get(sub);
  if (found === undefined) throw new Error(`no sub-account ${sub}`);
  return found;
}

function castSub(state: State, sub: string): Cast['subs'][number] {
  const found = state.cast.subs.find(({ id }) => id === sub);
  if (found === undefined) throw new Error(`no sub-account ${sub}`);
  return found;
}

function boxOf(state: State, name: string): Cast['boxes'][number] {
  const found = state.cast.boxes.find((box) => box.name === name);
  if (found === undefined) throw new Error(`no box ${name}`);
  return found;
}

function domainOf(address: string): string {
  return address.slice(address.indexOf('@') + 1);
}
