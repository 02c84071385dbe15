import { createHash } from 'node:crypto';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { newId } from '../../src/lib/id.ts';
import type { ConnectionId, FolderId, MailboxId } from '../../src/lib/id.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { canonicalAddress, canonicalOwnAddress } from '../../src/message/addresses.ts';
import type { Again } from '../../src/filing/again.ts';
import { fileBatch } from '../../src/filing/file.ts';
import { createForesight } from '../../src/filing/foresight.ts';
import type { FilingDeps } from '../../src/filing/file.ts';
import type { StructurePart } from '../../src/message/attachment-limits.ts';
import type { FolderRole, Sighting } from '../../src/filing/sighting.ts';
import type { Outcomes } from '../../src/store/decisions.ts';
import { sightingOf } from '../../src/mailbox/seen.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import { rows, run } from '../../src/store/database.ts';
import { addLoggingAddress } from '../../src/store/logging-addresses.ts';
import type { Db } from '../../src/store/database.ts';
import { endConnection, findActiveConnection, openConnection } from '../../src/store/lifecycle.ts';
import { Readable } from 'node:stream';
import { usualLimits } from '../support/limits.ts';

/** Blobs in memory, for tests of what files them. */
export function memoryBlobs(): BlobStore & { all: Map<string, Buffer> } {
  const all = new Map<string, Buffer>();
  return {
    all,
    put: (contents) =>
      Promise.resolve(
        contents.map((content) => {
          const name = createHash('sha256').update(content).digest('hex');
          all.set(name, content);
          return name;
        }),
      ),
    get: (name) => Readable.from([all.get(name) ?? Buffer.alloc(0)]),
    size: (name) => Promise.resolve(all.get(name)?.length ?? null),
  };
}

export const silentLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

/** A letter in a few words; what is not given is made up. */
export type Letter = {
  id?: string | null;
  from: string;
  to?: string;
  cc?: string;
  subject?: string;
  date?: string;
  inReplyTo?: string;
  references?: string;
  headers?: Record<string, string>;
  text?: string;
  seen?: boolean;
  /** ms since the epoch; default: now. */
  internalDate?: number;
  gmail?: { messageId: string; threadId: string; labels?: string[] };
};

let letters = 0;

/** The letter as it travels. */
export function rawOf(letter: Letter): Buffer {
  letters += 1;
  const id = letter.id === undefined ? `letter-${letters}@example.com` : letter.id;
  const lines = [
    `From: ${letter.from}`,
    `To: ${letter.to ?? 'ann@mail.example'}`,
    ...(letter.cc === undefined ? [] : [`Cc: ${letter.cc}`]),
    `Subject: ${letter.subject ?? `Letter ${letters}`}`,
    `Date: ${letter.date ?? new Date(Date.UTC(2026, 10, 20, 9, 0, letters)).toUTCString()}`,
    ...(id === null ? [] : [`Message-ID: <${id}>`]),
    ...(letter.inReplyTo === undefined ? [] : [`In-Reply-To: <${letter.inReplyTo}>`]),
    ...(letter.references === undefined ? [] : [`References: ${letter.references}`]),
    ...Object.entries(letter.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    'Content-Type: text/plain; charset=utf-8',
    '',
    letter.text ?? `Text of letter ${letters}.`,
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}

/** What BODYSTRUCTURE says of a letter with attachments (see attachmentsOf), or of a plain one. */
function structureOf(raw: Buffer): StructurePart[] {
  const text = raw.toString('latin1');
  const boundary = /boundary="([^"]+)"/.exec(text)?.[1];
  const entities = boundary === undefined ? [text] : text.split(`\r\n--${boundary}`).slice(1, -1);
  return entities.map((entity) => {
    const start = entity.indexOf('\r\n\r\n') + 4;
    const field = (name: string) =>
      new RegExp(`^${name}: *([^;\r\n]*)`, 'im').exec(entity.slice(0, start))?.[1]?.toLowerCase();
    return {
      type: field('Content-Type') ?? 'text/plain',
      encoding: field('Content-Transfer-Encoding') ?? '7bit',
      size: entity.length - start,
      disposition: field('Content-Disposition') ?? null,
      hasId: field('Content-ID') !== undefined,
    };
  });
}

/** Files, as a letter has them attached. */
export type TestFile = { name: string; type: string; content: Buffer; contentId?: string };

/** The letter with files, in base64. */
export function withFiles(letter: Letter, files: readonly TestFile[]): Buffer {
  const raw = rawOf(letter).toString('latin1');
  const [header = '', ...text] = raw.split('\r\n\r\n');
  const [plain = ''] = header.split('\r\nContent-Type:');
  const parts = files.map(({ name, type, content, contentId }) =>
    [
      '--b',
      `Content-Type: ${type}; name="${name}"`,
      contentId === undefined
        ? `Content-Disposition: attachment; filename="${name}"`
        : `Content-ID: <${contentId}>`,
      'Content-Transfer-Encoding: base64',
      '',
      content.toString('base64').replaceAll(/.{76}/g, '$&\r\n'),
    ].join('\r\n'),
  );
  return Buffer.from(
    [
      `${plain}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"`,
      '',
      '--b',
      `Content-Type: text/${text.join('').includes('<img') ? 'html' : 'plain'}; charset=utf-8`,
      '',
      text.join('\r\n\r\n'),
      ...parts,
      '--b--',
      '',
    ].join('\r\n'),
    'latin1',
  );
}

export type World = {
  db: Db;
  filing: FilingDeps;
  blobs: ReturnType<typeof memoryBlobs>;
  /** Happens once, while the next bodies are fetched. */
  meanwhile: (() => Promise<void>) | null;
  /** Bodies that were asked for, by UID: what was never asked for was never seen. */
  fetched: number[];
  addSubAccount(id: string): Promise<void>;
  addUser(id: string, email: string, subAccounts: string[], aliases?: string[]): Promise<void>;
  addContact(sub: string, id: string, emails: string[], assigned?: string): Promise<void>;
  /** A mailbox with INBOX, Sent, All Mail and some more, connected for each (sub-account, user). */
  connect(address: string, for_: [sub: string, user: string][], startedAt?: number): Promise<TestMailbox>;
  /** The folders of a mailbox that was connected otherwise, all of them new to us. */
  watch(mailboxId: MailboxId): Promise<TestMailbox>;
  /** Reason codes of the decisions, in order, as `sub:reason`. */
  decisions(): Promise<string[]>;
  messages(
    sub: string,
  ): Promise<{ id: string; thread_id: string; subject: string; via: string[]; direction: string }[]>;
  eventTypes(): Promise<string[]>;
};

export type TestMailbox = {
  id: MailboxId;
  /** Files letters as seen in a folder, in one batch; answers `sub:reason` for each decision made. */
  see(role: FolderRole, ...letters: (Letter | Buffer)[]): Promise<string[]>;
  /** Judges letters of a folder once more, by UID, for one connection; answers `sub:reason` for each new decision. */
  seeAgain(role: FolderRole, uids: number[], again: Partial<Again> & { sub: string }): Promise<string[]>;
  /** What the rules would say of them. */
  foresee(role: FolderRole, uids: number[], again: Partial<Again> & { sub: string }): Promise<Outcomes>;
  /** UIDs whose bodies the provider does not give. */
  unreadable: Set<number>;
  folder(role: FolderRole): { id: FolderId; cursorUid: number; uidValidity: number };
};

export async function createWorld(db: Db): Promise<World> {
  const blobs = memoryBlobs();
  const fetched: number[] = [];
  const filing: FilingDeps = {
    db,
    blobs,
    secretBox: createSecretBox([Buffer.alloc(32, 7)]),
    clock: systemClock,
    log: silentLog,
    loggingDomain: 'log.crm.example',
    limitsOf: usualLimits,
    wakePublisher: () => undefined,
  };
  const decisions = async (after: string) =>
    (
      await rows<{ line: string }>(
        db,
        `select sub_account_id || ':' || reason as line from decisions where id > :after order by id`,
        { after },
      )
    ).map((row) => row.line);
  const lastDecision = async () =>
    (await rows<{ id: string }>(db, 'select id from decisions order by id desc limit 1'))[0]?.id ?? '';
  const world: World = {
    db,
    filing,
    blobs,
    meanwhile: null,
    fetched,
    addSubAccount: async (id) =>
      void (await run(db, `insert into sub_accounts (id, name) values (:id, :id)`, { id })),
    addUser: async (id, email, subAccounts, aliases = []) => {
      await run(db, `insert into users (id, name, email, aliases) values (:id, :id, :email, :aliases)`, {
        id,
        email,
        aliases,
      });
      for (const address of [email, ...aliases]) {
        await run(
          db,
          `insert into user_addresses (user_id, kind, canonical) values (:id, 'login', :canonical)`,
          {
            id,
            canonical: canonicalOwnAddress(address),
          },
        );
      }
      for (const sub of subAccounts) {
        await run(db, `insert into memberships (sub_account_id, user_id) values (:sub, :id)`, { sub, id });
        await addLoggingAddress(db, { subAccountId: sub, userId: id });
      }
    },
    addContact: async (sub, id, emails, assigned) => {
      await run(
        db,
        `insert into contacts (sub_account_id, id, name, assigned_user_id) values (:sub, :id, :id, :assigned)`,
        { sub, id, assigned: assigned ?? null },
      );
      for (const [position, address] of emails.entries()) {
        await run(
          db,
          `insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
           values (:sub, :id, :position, :address, :canonical)`,
          { sub, id, position, address, canonical: canonicalAddress(address) },
        );
      }
    },
    connect: (address, for_, startedAt = Date.now() - 60_000) =>
      connect({ world, decisions, lastDecision }, address, for_, startedAt),
    watch: (mailboxId) => watch({ world, decisions, lastDecision }, mailboxId),
    decisions: () => decisions(''),
    messages: (sub) =>
      rows(
        db,
        `select id, thread_id, subject, via, direction from messages where sub_account_id = :sub order by id`,
        { sub },
      ),
    eventTypes: async () =>
      (await rows<{ type: string }>(db, 'select type from events order by ord')).map((row) => row.type),
  };
  return world;
}

type Parts = {
  world: World;
  decisions(after: string): Promise<string[]>;
  lastDecision(): Promise<string>;
};

async function connect(
  parts: Parts,
  address: string,
  for_: [sub: string, user: string][],
  startedAt: number,
): Promise<TestMailbox> {
  const { world } = parts;
  const { db } = world;
  const id = newId('mbx');
  await run(
    db,
    `insert into mailboxes (id, provider, address, canonical, login, state) values (:id, 'imap', :address, :canonical, :address, 'live')`,
    { id, address, canonical: canonicalOwnAddress(address) },
  );
  for (const [sub, user] of for_) {
    const member = { subAccountId: sub, userId: user };
    const active = await findActiveConnection(db, member);
    if (active !== null) await endConnection(db, active.id, 'superseded');
    const connection = await openConnection(db, {
      ...member,
      mailboxId: id,
      provider: 'imap',
      waiting: null,
    });
    await run(db, 'update connections set started_at = :startedAt where id = :connection', {
      connection,
      startedAt: new Date(startedAt),
    });
  }
  return watch(parts, id);
}

async function watch(parts: Parts, id: MailboxId): Promise<TestMailbox> {
  const { world } = parts;
  const { db } = world;
  const folders = new Map<FolderRole, { id: FolderId; cursorUid: number; uidValidity: number }>();
  for (const role of ['inbox', 'sent', 'all', 'archive', 'other', 'spam', 'trash', 'drafts'] as const) {
    const folder = { id: newId('fld'), cursorUid: 0, uidValidity: 1 };
    await run(
      db,
      `insert into folders (id, mailbox_id, path, role, uid_validity) values (:folder, :id, :role, :role, 1)`,
      { folder: folder.id, id, role },
    );
    folders.set(role, folder);
  }
  const folder = (role: FolderRole) => {
    const found = folders.get(role);
    if (found === undefined) throw new Error(`no folder for ${role}`);
    return found;
  };
  const unreadable = new Set<number>();
  /** All letters of each folder, by UID. */
  const kept = new Map<FolderRole, Map<number, { raw: Buffer; sighting: Sighting }>>();
  const bodies = async (role: FolderRole, uids: readonly number[]) => {
    world.fetched.push(...uids);
    const { meanwhile } = world;
    world.meanwhile = null;
    await meanwhile?.();
    const given = uids.filter((uid) => !unreadable.has(uid));
    return new Map(given.map((uid) => [uid, kept.get(role)?.get(uid)?.raw ?? Buffer.alloc(0)]));
  };
  const structures = (role: FolderRole, uids: readonly number[]) =>
    new Map(uids.map((uid) => [uid, structureOf(kept.get(role)?.get(uid)?.raw ?? Buffer.alloc(0))]));
  const againFor = async ({ sub, ...more }: Partial<Again> & { sub: string }): Promise<Again> => {
    const [connection] = await rows<{ id: ConnectionId }>(
      db,
      `select id from connections where mailbox_id = :id and sub_account_id = :sub and ended_at is null`,
      { id, sub },
    );
    if (connection === undefined) throw new Error(`${id} is not connected in ${sub}`);
    return {
      connectionId: connection.id,
      errandId: newId('err'),
      since: null,
      byHand: false,
      answered: false,
      ...more,
    };
  };
  const sightingsAt = (role: FolderRole, uids: readonly number[]) =>
    uids.flatMap((uid) => kept.get(role)?.get(uid)?.sighting ?? []);
  return {
    id,
    folder,
    unreadable,
    see: async (role, ...letters) => {
      const place = folder(role);
      const before = await parts.lastDecision();
      const raws = letters.map((letter) => (Buffer.isBuffer(letter) ? letter : rawOf(letter)));
      const sightings = raws.map((raw, position) => {
        const letter = letters[position];
        const given = letter === undefined || Buffer.isBuffer(letter) ? null : letter;
        const marks = [...(given?.seen === true ? ['\\seen'] : []), ...(given?.gmail?.labels ?? [])];
        return sightingOf(
          id,
          { folderId: place.id, role, uidValidity: place.uidValidity },
          {
            uid: place.cursorUid + 1 + position,
            header: raw.subarray(0, raw.indexOf('\r\n\r\n') + 4),
            internalDate: given?.internalDate ?? Date.now(),
            size: raw.length,
            marks: new Set(marks),
            gmail: given?.gmail ?? null,
          },
          Date.now(),
        );
      });
      const mine = kept.get(role) ?? new Map<number, { raw: Buffer; sighting: Sighting }>();
      kept.set(role, mine);
      for (const [position, sighting] of sightings.entries()) {
        mine.set(sighting.place.uid, { raw: raws[position] ?? Buffer.alloc(0), sighting });
      }
      const upToUid = place.cursorUid + raws.length;
      await fileBatch(world.filing, {
        mailboxId: id,
        folderId: place.id,
        uidValidity: place.uidValidity,
        cursorUid: place.cursorUid,
        upToUid,
        sightings,
        fetchBodies: (uids) => bodies(role, uids),
        fetchStructures: (uids) => Promise.resolve(structures(role, uids)),
      });
      place.cursorUid = upToUid;
      return parts.decisions(before);
    },
    seeAgain: async (role, uids, again) => {
      const place = folder(role);
      const before = await parts.lastDecision();
      const sightings = sightingsAt(role, uids);
      await fileBatch(world.filing, {
        mailboxId: id,
        folderId: place.id,
        uidValidity: place.uidValidity,
        cursorUid: 0,
        upToUid: place.cursorUid,
        again: await againFor(again),
        sightings,
        fetchBodies: (wanted) => bodies(role, wanted),
        fetchStructures: (wanted) => Promise.resolve(structures(role, wanted)),
      });
      return parts.decisions(before);
    },
    foresee: async (role, uids, again) => {
      const foresight = createForesight(world.filing, { mailboxId: id, again: await againFor(again) });
      return foresight(sightingsAt(role, uids), (asked) => Promise.resolve(structures(role, asked)));
    },
  };
}
