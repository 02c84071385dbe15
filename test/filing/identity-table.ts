import assert from 'node:assert/strict';
import type { FolderRole } from '../../src/filing/sighting.ts';
import { rows } from '../../src/store/database.ts';
import { startFolders } from '../../src/store/folders.ts';
import type { Letter, TestMailbox, World } from './world.ts';

/**
 * A message of the table, as it was seen once. A line of it reads
 *
 *     B  sent  ann > carla cc stan  Re: Plan  reply a  refs r a = thread_member B 1
 *
 * in columns that are two blanks apart: its letter, the folder (of Bob's mailbox: `bob:inbox`), who wrote
 * it to whom, its subject (`-`: none), what else is in its header, and behind the `=` what must come of it:
 * the reason, and where it is stored the letter of the line that stored this message first and its thread,
 * numbered as they appear. Instead of who and subject, `copy A` says that it is A's letter once more.
 *
 * In the header: `id b` (as the letter where not given; `-`: none), `reply a`, `refs r a` and `orig a`
 * name `<a@x.example>`; `gm 7` is Gmail's thread, `gm 7/3` with Gmail's id of the message; `ti 1` the root of
 * a Thread-Index, `ti 1.4` an answer's; `at 5` is Date's second; `Name: value` is any header, `\` a fold of it.
 */
export type Line = {
  letter: string;
  mailbox: 'ann' | 'bob';
  role: FolderRole;
  mail: Letter;
  expected: string;
};

/** The messages of a case, one line each. */
export function parseTable(text: string): Line[] {
  const lines: Line[] = [];
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue;
    const [, left = '', expected = ''] = /^(.*) = (.*)$/.exec(line) ?? assert.fail(`no outcome: ${line}`);
    const [letter = '', folder = '', who = '', ...rest] = left.trim().split(/\s{2,}/);
    const [mailbox, role] = folder.startsWith('bob:')
      ? ['bob' as const, folder.slice(4)]
      : ['ann' as const, folder];
    const copied = who.startsWith('copy ') ? lines.find((each) => each.letter === who.slice(5)) : undefined;
    const mail =
      copied === undefined ? written(letter, who, rest.shift() ?? '', lines.length) : { ...copied.mail };
    for (const word of rest) addField(mail, word);
    lines.push({ letter, mailbox, role: role as FolderRole, mail, expected });
  }
  return lines;
}

/** Lines that follow each other in one folder, as one batch each. */
export function batchesOf(lines: readonly Line[]): Line[][] {
  const batches: Line[][] = [];
  for (const line of lines) {
    const last = batches.at(-1)?.[0];
    if (last?.mailbox === line.mailbox && last.role === line.role) batches.at(-1)?.push(line);
    else batches.push([line]);
  }
  return batches;
}

function written(letter: string, who: string, subject: string, position: number): Letter {
  const [from = '', recipients = ''] = who.split(' > ');
  const [to = '', cc] = recipients.split(' cc ');
  const mail: Letter = {
    id: `${letter.toLowerCase()}@x.example`,
    from,
    to,
    ...(cc === undefined ? {} : { cc }),
    subject: subject === '-' ? '' : subject,
    date: dateOf(position),
    text: `Text of ${letter}.`,
    headers: {},
    internalDate: Date.now(),
  };
  return mail;
}

function addField(mail: Letter, word: string): void {
  const [, name = '', value = ''] = /^(\S+) (.*)$/.exec(word) ?? assert.fail(`no field: ${word}`);
  const ids = () => value.split(' ').map((id) => `<${id}@x.example>`);
  const set = (header: string, text: string) => (mail.headers = { ...mail.headers, [header]: text });
  switch (name) {
    case 'id':
      mail.id = value === '-' ? null : `${value}@x.example`;
      break;
    case 'reply':
      set('In-Reply-To', ids().join(' '));
      break;
    case 'refs':
      set('References', ids().join(' '));
      break;
    case 'orig':
      set('X-Microsoft-Original-Message-ID', ids().join(' '));
      break;
    case 'at':
      mail.date = dateOf(Number(value));
      break;
    case 'ti': {
      const [root = '', answer = ''] = value.split('.');
      const bytes = `01da${root.padStart(8, '0')}${'5c'.repeat(15)}${root.padStart(2, '0')}`;
      set(
        'Thread-Index',
        Buffer.from(bytes + answer.padStart(2, '0').repeat(answer === '' ? 0 : 5), 'hex').toString('base64'),
      );
      break;
    }
    case 'gm': {
      const [threadId = '', messageId = `${mail.id}`] = value.split('/');
      mail.gmail = { threadId, messageId };
      break;
    }
    case 'subject':
      mail.subject = value;
      break;
    case 'from':
      mail.from = value;
      break;
    default:
      assert.ok(name.endsWith(':'), `no field: ${word}`);
      // Instead of those that every letter has.
      if (name === 'Message-ID:') mail.id = null;
      if (name === 'Date:') mail.date = value;
      else set(name.slice(0, -1), value.replaceAll('\\', '\r\n '));
  }
}

const dateOf = (second: number) => new Date(Date.UTC(2026, 10, 20, 9, 0, second)).toUTCString();

/** A sub-account of its own, with Ann's mailbox, Bob's, and the contacts Carla (two addresses) and Cyril. */
export type Office = {
  /** Files them as they come, those of one batch in one go; answers what came of each, as the table says it. */
  file(batches: readonly (readonly Line[])[]): Promise<string[]>;
  /** Every folder is numbered anew, and read again from its beginning. */
  renumber(): Promise<void>;
};

let offices = 0;

export async function createOffice(world: World): Promise<Office> {
  offices += 1;
  const n = offices;
  const sub = `office${n}`;
  await world.addSubAccount(sub);
  for (const name of ['ann', 'bob']) await world.addUser(`${name}${n}`, `${name}@m${n}.example`, [sub]);
  const mailboxes = new Map<Line['mailbox'], TestMailbox>();
  /** Connected when it is needed first; whose it is, is known before. */
  const mailboxOf = async (name: Line['mailbox']) => {
    const mailbox =
      mailboxes.get(name) ?? (await world.connect(`${name}@m${n}.example`, [[sub, `${name}${n}`]]));
    mailboxes.set(name, mailbox);
    return mailbox;
  };
  await world.addContact(sub, 'carla', ['carla@customer.example', 'carla@home.example']);
  await world.addContact(sub, 'cyril', ['cyril@partner.example']);
  const { db } = world;

  /** Where what is stored was seen. */
  const sightings = async () =>
    new Map(
      (
        await rows<{ place: string; message_id: string; thread_id: string }>(
          db,
          `select concat_ws(' ', s.folder_id, s.uid_validity, s.uid) as place, m.id as message_id, m.thread_id
             from sightings s join messages m on m.id = s.message_id where s.sub_account_id = :sub`,
          { sub },
        )
      ).map((row) => [row.place, row]),
    );

  const letters = new Map<string, string>();
  const numbers = new Map<string, number>();
  const file: Office['file'] = async (batches) => {
    const made: { letter: string; reason: string; place: string }[] = [];
    for (const batch of batches) {
      const [first] = batch;
      if (first === undefined) continue;
      const mailbox = await mailboxOf(first.mailbox);
      const { id, uidValidity, cursorUid } = mailbox.folder(first.role);
      const reasons = await mailbox.see(first.role, ...batch.map(({ mail }) => addressed(mail, n)));
      for (const [position, { letter }] of batch.entries()) {
        const reason = (reasons[position] ?? '').replace(`${sub}:`, '');
        made.push({ letter, reason, place: `${id} ${uidValidity} ${cursorUid + 1 + position}` });
      }
    }
    const stored = await sightings();
    return made.map(({ letter, reason, place }) => {
      const found = stored.get(place);
      if (found === undefined) return `${letter} = ${reason}`;
      if (!letters.has(found.message_id)) letters.set(found.message_id, letter);
      if (!numbers.has(found.thread_id)) numbers.set(found.thread_id, numbers.size + 1);
      return `${letter} = ${reason} ${letters.get(found.message_id)} ${numbers.get(found.thread_id)}`;
    });
  };
  return {
    file,
    renumber: async () => {
      for (const mailbox of mailboxes.values()) {
        for (const role of ['inbox', 'sent', 'all', 'archive', 'other'] as const) {
          const folder = mailbox.folder(role);
          const was = { ...folder };
          Object.assign(folder, { uidValidity: folder.uidValidity + 1, cursorUid: 0 });
          const { uidValidity, cursorUid } = folder;
          const begun = await startFolders(db, [{ folder: was, uidValidity, cursorUid }]);
          if (!begun.has(was.id)) throw new Error(`${role} does not stand where it was`);
        }
      }
    },
  };
}

const people: Readonly<Record<string, string>> = {
  carla: 'carla@customer.example',
  'carla-home': 'carla@home.example',
  cyril: 'cyril@partner.example',
  list: 'sales@list.example',
};

/** With the addresses that the names stand for in office `n`; who is none of them is a stranger. */
function addressed(mail: Letter, n: number): Letter {
  const address = (name: string) =>
    people[name] ?? (name === 'ann' || name === 'bob' ? `${name}@m${n}.example` : `${name}@stranger.example`);
  const list = (text: string) =>
    text
      .split(', ')
      .map((one) => one.replace(/([\w-]+)$/, (name) => (one.includes('@') ? name : `<${address(name)}>`)))
      .join(', ');
  return {
    ...mail,
    from: list(mail.from),
    to: list(mail.to ?? ''),
    ...(mail.cc === undefined ? {} : { cc: list(mail.cc) }),
  };
}
