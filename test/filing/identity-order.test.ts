import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { batchesOf, createOffice, parseTable } from './identity-table.ts';
import type { Line } from './identity-table.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

/** A conversation with a contact, or with a doctor, which is private: how it grew, who wrote, and where each message was seen. */
type Conversation = {
  contact: 'carla' | 'cyril' | 'doctor';
  /** It begins as a forward of a message of an earlier conversation; null: it does not. */
  forwards: number | null;
  /** Whose thread numbers are on its messages, besides the ids. */
  provider: 'gmail' | 'outlook' | 'other';
  messages: {
    /** One of those before it. */
    answers: number;
    from: 'contact' | 'home' | 'ann' | 'bob';
    to: 'ann' | 'bob' | 'ann, bob';
    seenAgain: 'no' | 'archive' | 'renamed';
    hasId: boolean;
  }[];
};

const conversations: fc.Arbitrary<Conversation[]> = fc.array(
  fc.record({
    contact: fc.constantFrom('carla', 'cyril', 'doctor'),
    forwards: fc.option(fc.nat(9), { freq: 2 }),
    provider: fc.constantFrom('gmail', 'outlook', 'other'),
    messages: fc.array(
      fc.record({
        answers: fc.nat(9),
        from: fc.constantFrom('contact', 'contact', 'home', 'ann', 'bob'),
        to: fc.constantFrom('ann', 'bob', 'ann, bob'),
        seenAgain: fc.constantFrom('no', 'no', 'archive', 'renamed'),
        hasId: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  { minLength: 1, maxLength: 3 },
);

/** What nobody asked for, with ids that are in use. */
const strangers = fc
  .record({
    letter: fc.constantFrom('X', 'Y', 'Z'),
    who: fc.constantFrom('doctor > ann', 'doctor > ann cc bob', 'ann > doctor', 'carla > ann cc doctor'),
    id: fc.constantFrom('p0', 'p1', 'q0', 'x', 'root'),
    refs: fc.constantFrom('p0', 'p1 q0', 'q1', 'root', 'x'),
  })
  .map(
    ({ letter, who, id, refs }) =>
      `${letter}  ${who.startsWith('ann') ? 'sent' : 'inbox'}  ${who}  Re: Plan 0  id ${id}  refs ${refs} = ?`,
  );

/** Of each property. */
const numRuns = 10;

type Written = { letter: string; id: string; chain: string[]; subject: string; family: number };

/**
 * The lines of the table for them. Of a message's ancestors, from the first to the one that it answers,
 * `cites` picks those that it names. Letters say the conversation: P0, P1, Q0, a private one's X0; one that is seen twice: P0'.
 */
function linesOf(told: readonly Conversation[], cites: (chain: string[]) => string[]): Line[] {
  const table: string[] = [];
  const all: Written[] = [];
  for (const [n, { contact, forwards, provider, messages }] of told.entries()) {
    const forwarded = forwards === null ? undefined : all[forwards % all.length];
    // Answers to two forwards of one mail to the same person are told apart only once the forwards are there.
    if (
      forwarded !== undefined &&
      told.slice(0, n).some((other) => other.contact === contact && other.forwards !== null)
    )
      continue;
    const answerable: Written[] = [];
    for (const [m, message] of messages.entries()) {
      const isRoot = answerable.length === 0;
      const parent = isRoot ? forwarded : answerable[message.answers % answerable.length];
      const from = isRoot && forwarded !== undefined ? 'ann' : message.from;
      const mark = parent === undefined ? '' : isRoot ? 'Fwd: ' : 'Re: ';
      const letter = `${(contact === 'doctor' ? 'XYZ' : 'PQR')[n]}${m}`;
      const written: Written = {
        letter,
        id: letter.toLowerCase(),
        chain: parent === undefined ? [] : [...parent.chain, parent.id],
        subject: mark + (parent?.subject ?? `Plan ${n}`),
        family: parent?.family ?? n,
      };
      all.push(written);
      const hasId = message.hasId || isRoot;
      if (hasId) answerable.push(written);
      table.push(...rowsOf(written, { ...message, from, hasId, contact, provider }, cites(written.chain)));
    }
  }
  const lines = parseTable(table.map((row) => `${row} = ?`).join('\n'));
  // As a counterexample shows it.
  return lines.map((line, n) => Object.assign(line, { [fc.toStringMethod]: () => `\n${table[n]}` }));
}

function rowsOf(
  { letter, id, subject, family }: Written,
  message: Conversation['messages'][number] & Pick<Conversation, 'contact' | 'provider'>,
  cited: readonly string[],
): string[] {
  const { from, to, contact, provider, seenAgain, hasId } = message;
  const isOurs = from === 'ann' || from === 'bob';
  const person = from === 'home' && contact === 'carla' ? 'carla-home' : contact;
  const owner = isOurs ? from : to === 'bob' ? 'bob' : 'ann';
  const at = owner === 'bob' ? 'bob:' : '';
  const columns = [
    isOurs ? `${from} > ${person}` : `${person} > ${to}`,
    subject,
    hasId ? `id ${id}` : 'id -',
    ...(cited.length === 0 ? [] : [`refs ${cited.join(' ')}`]),
    ...(provider === 'gmail' ? [`gm ${family}/${letter}`] : []),
    ...(provider === 'outlook' ? [`ti ${family + 1}`] : []),
  ];
  return [
    [letter, at + (isOurs ? 'sent' : 'inbox'), ...columns],
    ...(!isOurs && to === 'ann, bob' ? [[`${letter}'`, 'bob:inbox', `copy ${letter}`]] : []),
    ...(seenAgain === 'archive' ? [[`${letter}''`, `${at}archive`, `copy ${letter}`]] : []),
    ...(seenAgain === 'renamed' && hasId
      ? [[`${letter}''`, `${at}other`, `copy ${letter}`, `id new-${id}`, `orig ${id}`]]
      : []),
  ].map((row) => row.join('  '));
}

const anyOrder = (lines: Line[]) => fc.shuffledSubarray(lines, { minLength: lines.length });

/** The same, except that nothing comes before what it answers. */
function parentsFirst(lines: readonly Line[]): Line[] {
  const [open, done] = [[...lines], new Set<string>()];
  const ids = new Set(lines.map(({ mail }) => mail.id));
  const sorted: Line[] = [];
  while (open.length > 0) {
    const next = open.findIndex(({ mail }) => {
      const parent = /<([^<>]*)>$/.exec(mail.headers?.['References'] ?? '')?.[1];
      return parent === undefined || !ids.has(parent) || done.has(parent);
    });
    const [line] = open.splice(next, 1);
    if (line === undefined) throw new Error('two answer each other');
    sorted.push(line);
    done.add(nameOf(line.letter).toLowerCase() + '@x.example');
  }
  return sorted;
}

const nameOf = (letter: string) => letter.replaceAll("'", '');

const isPrivate = (letter: string) => /^[XYZ]/.test(letter);

/** The threads that were made, with the letters of their messages; and what went wrong: left out, let in, or taken for another. */
function threadsIn(made: readonly string[]): string[] {
  const threads = new Map<string, Set<string>>();
  const wrong: string[] = [];
  for (const line of made) {
    const [, letter = '', message = '', thread = ''] = /^(\S+) = \S+ ?(\S*) ?(\d*)$/.exec(line) ?? [];
    if (isPrivate(letter) ? thread === '' : nameOf(letter) === nameOf(message)) {
      if (thread !== '') threads.set(thread, (threads.get(thread) ?? new Set()).add(nameOf(letter)));
    } else wrong.push(line);
  }
  return [...wrong, ...[...threads.values()].map((letters) => [...letters].sort().join(' '))].sort();
}

/** The same, with threads of one conversation as one. */
function conversationsOf(threads: readonly string[]): string[] {
  const groups = Object.groupBy(threads, (letters) =>
    [...new Set(letters.split(' ').map((letter) => letter.slice(0, 1)))].join(),
  );
  return Object.values(groups).map((group) => (group ?? []).join(' ').split(' ').sort().join(' '));
}

/** A thread for each conversation that is not private. */
function wanted(lines: readonly Line[]): string[] {
  const shared = lines.filter(({ letter }) => !isPrivate(letter));
  const letters = [...new Set(shared.map(({ letter }) => nameOf(letter)))].sort();
  const groups = Object.groupBy(letters, (letter) => letter.slice(0, 1));
  return Object.values(groups).map((group) => (group ?? []).join(' '));
}

// What the order of arrival may change, and what not. By RULES a message for which nothing but S3 asks (a
// stranger's) is stored only if its thread is there already; the conversations here are of messages that S2
// or S6 would store by themselves, so all of them must be there in the end, once each, whatever came first; or
// they are with somebody who is no contact, and then none is ever there, also when a contact got a forward of it.
//
// Their threads: the first message of a conversation opens one, each later one joins what it names, so two
// messages that name nothing in common open two, and a message that names both comes too late: threads are
// never merged. Where each message cites all before it (RFC 5322 §3.6.4, as the common programs do) two of one
// conversation always have the first id in common, and the order changes nothing. Where each cites only what it
// answers, it changes nothing as long as no answer comes before what it answers; where one does, its
// conversation may be in several threads, each of messages of that conversation alone.
describe('identity and threads, in any order', () => {
  let database: TestDatabase;
  let world: World;

  before(async () => {
    database = await testDatabase('postgres');
    world = await createWorld(database.db);
  });
  after(() => database.drop());

  test('S3, S12: messages that cite all before them come in any order: the same messages, a thread for each conversation; once more, nothing', async () => {
    const cases = conversations
      .map((told) => linesOf(told, (chain) => chain))
      .chain((lines) => fc.tuple(anyOrder(lines), anyOrder(lines)));
    await fc.assert(
      fc.asyncProperty(cases, async ([order, again]) => {
        const office = await createOffice(world);
        assert.deepEqual(threadsIn(await office.file(batchesOf(order))), wanted(order));
        await office.renumber();
        const more = await office.file(batchesOf(again));
        assert.deepEqual(threadsIn(more), wanted(order));
        assert.deepEqual(
          more.filter((line) => !isPrivate(line) && !line.includes(' = duplicate ')),
          [],
        );
      }),
      { numRuns },
    );
  });

  test('S3, S12: messages that cite only what they answer: the same messages in any order, in threads that mix no conversations', async () => {
    const cases = conversations.map((told) => linesOf(told, (chain) => chain.slice(-1))).chain(anyOrder);
    await fc.assert(
      fc.asyncProperty(cases, async (order) => {
        const office = await createOffice(world);
        const made = threadsIn(await office.file(batchesOf(order)));
        assert.deepEqual(conversationsOf(made), wanted(order));
      }),
      { numRuns },
    );
  });

  test('S3, S12: messages that cite only what they answer, each after that: a thread for each conversation', async () => {
    const cases = conversations.map((told) => linesOf(told, (chain) => chain.slice(-1))).chain(anyOrder);
    await fc.assert(
      fc.asyncProperty(cases.map(parentsFirst), async (order) => {
        const office = await createOffice(world);
        assert.deepEqual(threadsIn(await office.file(batchesOf(order))), wanted(order));
      }),
      { numRuns },
    );
  });

  test('T1: the same mail in the same order, however it is cut into batches: the same decisions', async () => {
    const cases = fc.tuple(conversations, fc.array(strangers, { maxLength: 4 }), fc.constantFrom(1, 2, 9));
    await fc.assert(
      fc.asyncProperty(
        cases.chain(([told, others, cited]) =>
          anyOrder([...linesOf(told, (chain) => chain.slice(-cited)), ...parseTable(others.join('\n'))]),
        ),
        async (order) => {
          const [apart, together] = [await createOffice(world), await createOffice(world)];
          assert.deepEqual(
            await together.file(batchesOf(order)),
            await apart.file(order.map((line) => [line])),
          );
        },
      ),
      { numRuns },
    );
  });
});
