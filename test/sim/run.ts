import { checkInvariants } from '../../src/store/check/check.ts';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { expectedOf } from './model.ts';
import type { Expected, Happened } from './model.ts';
import { folderOf, renumber, watchedFolders } from './provider.ts';
import type { History } from './steps.ts';
import { startTime } from './time.ts';
import { createWorld } from './world.ts';
import type { Sabotage, World } from './world.ts';

/** A database for one history after another. Its tables stay small, so that each statement is planned once. */
export async function historyDatabase(): Promise<TestDatabase> {
  const database = await testDatabase('pglite');
  await database.db.raw('set plan_cache_mode = force_generic_plan');
  return database;
}

/** What is wrong with how a history ended, in lines; empty: nothing is. */
export type Verdict = string[];

/** Plays a history on a database that is its own, empties that first, and looks at what came of it. */
export async function play(db: Db, history: History, sabotage: Sabotage = {}): Promise<Verdict> {
  await empty(db);
  const time = startTime();
  try {
    const world = await createWorld(db, time, structuredClone(history.cast), sabotage);
    for (const step of history.steps) await world.apply(step);
    await world.calm();
    return await judgeEnd(world);
  } catch (error) {
    return [`it failed: ${error instanceof Error ? error.stack : String(error)}`];
  } finally {
    time.end();
  }
}

/** The first thing that is wrong says most. */
async function judgeEnd(world: World): Promise<Verdict> {
  try {
    for (const look of [asTheModel, asMuchAsThereIs, sentOnce, asRead, missed]) {
      const wrong = await look(world);
      if (wrong.length > 0) return wrong;
    }
    const before = await contentOf(world.db);
    await world.lookAtAll('net');
    const again = differences(before, await contentOf(world.db));
    if (again.length > 0) return ['a second look changes something', ...again];
    return await renumbered(world);
  } finally {
    await world.stop();
  }
}

/** After all UIDs have changed, what is held is recognised; what was left out is judged anew, as the model says. */
async function renumbered(world: World): Promise<Verdict> {
  for (const box of world.boxes.values()) {
    for (const path of [...watchedFolders, ...(box.allMail ? ['All Mail'] : [])]) renumber(box, path);
  }
  await world.lookAtAll('start');
  for (const look of [asTheModel, sound]) {
    const wrong = await look(world);
    if (wrong.length > 0) return ['after every folder was numbered anew', ...wrong];
  }
  return [];
}

async function asTheModel(world: World): Promise<Verdict> {
  const told = await world.told();
  const expected = expectedOf(world.cast, told);
  for (const { sight, sub, verdict } of expected.verdicts) {
    const stored = sight.decided.startsWith('stored');
    if (stored === verdict.stored) continue;
    const mail = JSON.stringify({ ...sight.mail, kind: sight.mail.kind });
    return [
      `mail ${sight.mail.n} at ${sight.place} for ${sub}: ${sight.decided}, and by the model ${verdict.why}`,
      mail,
    ];
  }
  const held = await holdingsOf(
    world.db,
    world.cast.subs.map(({ id }) => id),
  );
  const wrong = differences(lines(expected.holdings), lines(held));
  return wrong.length === 0 ? [] : ['what is held is not what the model says (- model, + held)', ...wrong];
}

function lines(holdings: Expected['holdings']): string[] {
  return Object.entries(holdings).flatMap(([sub, { conversations, threads }]) => [
    ...Object.entries(conversations).map(([contact, mails]) => `${sub} ${contact}: ${mails.join(' ')}`),
    ...threads.map((thread) => `${sub} thread ${thread}`),
  ]);
}

async function holdingsOf(db: Db, subs: readonly string[]): Promise<Expected['holdings']> {
  const shown = await rows<{ sub: string; contact: string; mails: number[] }>(
    db,
    `select v.sub_account_id as sub, v.contact_id as contact,
            json_agg(substring(m.body_text from '#([0-9]+)#')::int order by substring(m.body_text from '#([0-9]+)#')::int) as mails
       from conversations v join conversation_threads t on t.conversation_id = v.id
       join messages m on m.thread_id = t.thread_id group by 1, 2`,
  );
  const threads = await rows<{ sub: string; mails: string; links: string }>(
    db,
    `select t.sub_account_id as sub,
            (select string_agg(n::text, ' ' order by n) from (
               select substring(m.body_text from '#([0-9]+)#')::int as n from messages m where m.thread_id = t.id) x) as mails,
            (select string_agg(split_part(b.address, '@', 1) || ' ' || l.state, ', '
                               order by split_part(b.address, '@', 1) || ' ' || l.state collate "C")
               from thread_links l join mailboxes b on b.id = l.mailbox_id where l.thread_id = t.id) as links
       from threads t`,
  );
  return Object.fromEntries(
    subs.map((sub) => [
      sub,
      {
        conversations: Object.fromEntries(
          shown.filter((row) => row.sub === sub).map(({ contact, mails }) => [contact, mails]),
        ),
        threads: threads
          .filter((row) => row.sub === sub)
          .map(({ mails, links }) => `${mails}: ${links}`)
          .toSorted(),
      },
    ]),
  );
}

/** T1, C7: whatever came while somebody was connected, and is still in a watched folder, has a decision for them. */
async function asMuchAsThereIs(world: World): Promise<Verdict> {
  const told = await world.told();
  const judged = new Set(
    told
      .flatMap((each) => (each.what === 'judged' ? each.seen : []))
      .map(({ connection, mail }) => `${connection} ${mail.n}`),
  );
  return activeIn(told).flatMap(({ id, box: name, at }) => {
    const box = world.boxes.get(name);
    if (box === undefined) return [];
    return (box.allMail ? ['All Mail'] : watchedFolders).flatMap((path) =>
      folderOf(box, path).copies.flatMap(({ mail, internalDate, uid }) =>
        internalDate < at || judged.has(`${id} ${mail.n}`)
          ? []
          : [`mail ${mail.n} is in ${name} ${path} under ${uid}, and was not judged for ${id}`],
      ),
    );
  });
}

function activeIn(told: readonly Happened[]): (Happened & { what: 'connected' })[] {
  const ended = new Set(told.flatMap((each) => (each.what === 'ended' ? [each.id] : [])));
  return told.flatMap((each) => (each.what === 'connected' && !ended.has(each.id) ? [each] : []));
}

async function sound(world: World): Promise<Verdict> {
  return (await checkInvariants(world.db))
    .filter(({ count }) => count > 0)
    .map(({ name, holds, examples }) => `${name}: ${holds} ${JSON.stringify(examples)}`);
}

/**
 * D5, D6: what the CRM sent was taken once, or not at all where that is what the CRM was told; and it bounced where
 * a report said so that was seen, and nowhere else.
 */
async function sentOnce(world: World): Promise<Verdict> {
  const sends = await rows<{ sub: string; text: string; state: string; reason: string | null }>(
    world.db,
    `select s.sub_account_id as sub, m.body_text as text, s.state, s.state_reason as reason
       from sends s join messages m on m.id = s.message_id`,
  );
  const told = await world.told();
  const subs = new Map(told.flatMap((each) => (each.what === 'connected' ? [[each.id, each.sub]] : [])));
  const reported = new Set(
    told.flatMap((each) =>
      each.what === 'judged'
        ? each.seen.map(({ connection, mail }) => `${subs.get(connection)} ${world.reports.get(mail.n)}`)
        : [],
    ),
  );
  return sends.flatMap(({ sub, text, state, reason }) => {
    const n = Number(/#(\d+)#/.exec(text)?.[1]);
    const taken = world.taken.get(n) ?? 0;
    // A report names the id that the mail travelled with, which the provider may have kept to itself.
    const isReported = reported.has(`${sub} ${n}`) && world.mails.get(n)?.writtenId === null;
    const right =
      state === 'bounced'
        ? taken === 1 && reported.has(`${sub} ${n}`)
        : state === 'sent'
          ? taken === 1 && !isReported
          : state === 'uncertain'
            ? taken <= 1
            : state === 'failed'
              ? taken === 0
              : false;
    return right ? [] : [`mail ${n} is ${state} (${reason}), and was taken ${taken} times`];
  });
}

/** C8, T2: what was asked for has a decision, and so has what a hole was made in. */
const missed = (world: World): Promise<Verdict> => world.missed();

/**
 * U2: a mail is read where a copy of it is, as far as we look at all of them; what the person wrote is read
 * always. And what the CRM wanted last, with no hand in between, is so in the mailbox.
 */
async function asRead(world: World): Promise<Verdict> {
  const active = new Set(activeIn(await world.told()).map(({ sub, box }) => `${sub} ${box}`));
  const messages = await rows<{
    sub: string;
    text: string;
    direction: string;
    read: boolean;
    places: { box: string; path: string; uid: number }[];
  }>(
    world.db,
    `select m.sub_account_id as sub, m.body_text as text, m.direction, m.is_read as read,
            (select coalesce(json_agg(json_build_object('box', split_part(b.address, '@', 1), 'path', f.path, 'uid', s.uid)), '[]')
               from sightings s join folders f on f.id = s.folder_id and f.uid_validity = s.uid_validity
               join mailboxes b on b.id = s.mailbox_id
              where s.message_id = m.id and s.gone_at is null) as places
       from messages m`,
  );
  return messages.flatMap(({ sub, text, direction, read, places }) => {
    const n = Number(/#(\d+)#/.exec(text)?.[1]);
    if (direction === 'outbound') return read ? [] : [`mail ${n} of ${sub} was sent, and is unread`];
    if (places.length === 0 || places.some(({ box }) => !active.has(`${sub} ${box}`))) return [];
    const copies = places.map(({ box: name, path, uid }) => {
      const box = world.boxes.get(name);
      return box === undefined ? undefined : folderOf(box, path).copies.find((copy) => copy.uid === uid);
    });
    const isRead = copies.some((copy) => copy?.marks.has('\\seen') === true);
    const wanted = world.wishes.get(n);
    const said = [`read is ${read}`, `in the mailbox ${isRead}`, `wanted ${wanted?.read ?? 'nothing'}`];
    const isSo = read === isRead && (wanted === undefined || wanted.sub !== sub || wanted.read === isRead);
    return isSo ? [] : [`mail ${n} of ${sub}: ${said.join(', ')} (${JSON.stringify(places)})`];
  });
}

/** Everything that a look which finds nothing new must leave as it is. */
async function contentOf(db: Db): Promise<string[]> {
  const found = await rows<{ line: string }>(
    db,
    `select 'message ' || id || ' ' || updated_at as line from messages
     union all select 'thread ' || id || ' ' || updated_at from threads
     union all select 'link ' || thread_id || mailbox_id || ' ' || state from thread_links
     union all select 'conversation ' || id || ' ' || updated_at from conversations
     union all select 'decision ' || id || ' ' || reason from decisions
     union all select 'sighting ' || folder_id || ' ' || uid_validity || ' ' || uid from sightings
     union all select 'send ' || id || ' ' || state from sends
     union all select 'claim ' || mailbox_id || ' ' || contact_canonical || ' ' || sub_account_id from claims
     union all select 'event ' || id || ' ' || type from events where type not like 'connection.%'
     order by 1`,
  );
  return found.map(({ line }) => line);
}

/** Lines of the one alone, with a minus, and of the other alone, with a plus. */
function differences(one: readonly string[], other: readonly string[]): string[] {
  const [here, there] = [new Set(one), new Set(other)];
  return [
    ...one.filter((line) => !there.has(line)).map((line) => `- ${line}`),
    ...other.filter((line) => !here.has(line)).map((line) => `+ ${line}`),
  ];
}

let emptying: string | undefined;

/** Deletes every row there is. */
async function empty(db: Db): Promise<void> {
  if (emptying === undefined) {
    const tables = await rows<{ name: string }>(
      db,
      `select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'knex%' and tablename <> 'installation'`,
    );
    emptying = tables.map(({ name }) => `delete from ${name};`).join(' ');
  }
  const statements = emptying;
  await db.transaction(async (tx) => {
    await tx.raw('set local session_replication_role = replica');
    await tx.raw(statements);
  });
}
