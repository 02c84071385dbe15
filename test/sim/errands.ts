import { canonicalAddress } from '../../src/message/addresses.ts';
import { newId } from '../../src/lib/id.ts';
import type { ErrandId, MailboxId } from '../../src/lib/id.ts';
import { createErrandRunner } from '../../src/mailbox/errands.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Db } from '../../src/store/database.ts';
import { rows } from '../../src/store/database.ts';
import { addErrands } from '../../src/store/errands.ts';
import { silentLog } from '../filing/world.ts';
import type { Happened, Sight } from './model.ts';
import { secretBox } from './node.ts';
import type { Process } from './node.ts';
import { folderOf, tokenOf, watchedFolders } from './provider.ts';
import type { Box } from './provider.ts';
import { connectTo } from './session.ts';
import type { Cast, Fault, Step } from './steps.ts';
import { loopClock } from './time.ts';
import type { Time } from './time.ts';
import { usualLimits } from '../support/limits.ts';

/** What it needs of the world around it. */
type Around = {
  db: Db;
  time: Time;
  cast: Cast;
  boxOf(name: string): Box;
  connectionOf(sub: string, user: string): { id: string; box: string } | null;
  active(): { id: string }[];
  told(): Promise<Happened[]>;
  nodeOf(n: number): { process: Process };
  replaceIfDead(n: number): void;
  onCall(process: Process, doing: { calls: number; made: number; fault: Fault | null }): Promise<void>;
  untilQuiet(what: string, isQuiet: () => boolean): Promise<void>;
};

type Asked = { id: ErrandId; connection: string; box: string };

/** What is done in mailboxes besides listening: backfills, audits, and what opened threads answer. */
export class SimulatedErrands {
  readonly world: Around;
  /** Backfills, and the mails that must have a decision when they are over. */
  readonly backfills: (Asked & { since: number; mails: number[] })[] = [];
  /** Where a decision was taken away. */
  readonly holes: { sub: string; connection: string; box: string; n: number }[] = [];

  constructor(world: Around) {
    this.world = world;
  }

  /** Why a mail was judged besides by a listener. Everything that nobody asked for here is about a thread's head. */
  againOf(errandId: string): Sight['again'] {
    const since = this.backfills.find(({ id }) => id === errandId)?.since ?? null;
    return { since, answered: errandId.startsWith('err_') };
  }

  async backfill({ sub, user, contact, hours }: Step & { do: 'backfill' }): Promise<void> {
    const { world } = this;
    const connection = world.connectionOf(sub, user);
    if (connection === null) return;
    const [until, since] = [world.time.now(), world.time.now() - hours * 3_600_000];
    const emails = world.cast.contacts.find((each) => each.sub === sub && each.id === contact)?.emails ?? [];
    const people = emails.map(canonicalAddress);
    const { box } = connection;
    const isAsked = (copy: { internalDate: number; mail: { from: string; to: string[]; cc: string[] } }) =>
      copy.internalDate >= since &&
      copy.internalDate < until &&
      (contact === null ||
        [copy.mail.from, ...copy.mail.to, ...copy.mail.cc].some((address) =>
          people.includes(canonicalAddress(address)),
        ));
    const mails = copiesIn(world.boxOf(box)).filter(isAsked);
    const id = newId('bkf');
    const request = { since, until, contactId: contact, dryRun: false };
    await this.add({ id, kind: 'backfill', request }, { sub, connection: connection.id });
    const numbers = mails.map(({ mail }) => mail.n);
    this.backfills.push({ id, connection: connection.id, box, since, mails: numbers });
  }

  async audit({ sub, user, hole }: Step & { do: 'audit' }): Promise<void> {
    const connection = this.world.connectionOf(sub, user);
    if (connection === null) return;
    const [taken] = await rows<{ path: string; validity: string; uid: string }>(
      this.world.db,
      `delete from decisions d using folders f
        where f.id = d.folder_id and d.id = (
         select id from decisions where connection_id = :id and outcome = 'skipped' and reason <> 'before_connection'
            and replaced_by is null and errand_id is null order by id offset :hole limit 1)
       returning f.path, d.uid_validity as validity, d.uid`,
      { id: connection.id, hole },
    );
    const { path, validity, uid } = taken ?? {};
    const mail = this.world.boxOf(connection.box).ever.get(`${path} ${validity} ${uid}`)?.mail;
    if (mail !== undefined)
      this.holes.push({ sub, connection: connection.id, box: connection.box, n: mail.n });
    await this.addAudit(sub, connection.id);
  }

  async addAudit(sub: string, connection: string): Promise<ErrandId> {
    const id = newId('aud');
    const request = { since: 0, heal: true, scheduled: false };
    await this.add({ id, kind: 'audit', request }, { sub, connection });
    return id;
  }

  async add(
    errand: { id: ErrandId; kind: 'backfill' | 'audit'; request: object },
    { sub, connection }: { sub: string; connection: string },
  ): Promise<void> {
    const [row] = await rows<{ mailbox: MailboxId }>(
      this.world.db,
      'select mailbox_id as mailbox from connections where id = :connection',
      { connection },
    );
    if (row === undefined) throw new Error(`no connection ${connection}`);
    const of = { sub_account_id: sub, connection_id: connection, mailbox_id: row.mailbox };
    await addErrands(this.world.db, [{ ...errand, ...of } as Parameters<typeof addErrands>[1][number]]);
  }

  /** A node does what is due, until nothing is. */
  async carryOut({ node: n, fault }: { node: number; fault: Fault | null }): Promise<void> {
    const { world } = this;
    if (await this.areOver()) return;
    const { process } = world.nodeOf(n);
    if (fault?.what === 'crash') process.dieAfter(fault.at);
    const clock = loopClock(world.time);
    const doing = { calls: 0, fault, made: 0 };
    const boxOf = (address: string) => world.boxOf(address.split('@')[0] ?? '');
    const runner = createErrandRunner({
      filing: {
        db: process.db,
        blobs: process.blobs,
        secretBox,
        clock,
        log: silentLog,
        loggingDomain: null,
        limitsOf: usualLimits,
        wakePublisher: () => undefined,
      },
      clock,
      log: silentLog,
      providerOf: (mailbox) => resolveProvider(mailbox.provider),
      loginOf: (mailbox, refused) =>
        Promise.resolve({
          user: mailbox.address,
          accessToken: tokenOf(boxOf(mailbox.address), refused !== null),
        }),
      resolveHost: (host) => Promise.resolve({ address: host }),
      openSession: (options) =>
        connectTo(boxOf(options.login.user), options, () => world.onCall(process, doing)),
    });
    runner.start();
    await world.untilQuiet(
      `the errands of node ${n}`,
      () => doing.calls === 0 && process.busy() === 0 && clock.sleeping() > 0,
    );
    if (process.isDead()) return world.replaceIfDead(n);
    process.dieAfter(null);
    await runner.stop();
  }

  async areOver(): Promise<boolean> {
    const [left] = await rows(this.world.db, 'select from errands where ready limit 1');
    return left === undefined;
  }

  /** `connection mail` of every decision that there is. */
  async decided(): Promise<Set<string>> {
    const found = await rows<{ connection: string; address: string; place: string }>(
      this.world.db,
      `select d.connection_id as connection, m.address, concat_ws(' ', f.path, d.uid_validity, d.uid) as place
         from decisions d join folders f on f.id = d.folder_id join mailboxes m on m.id = f.mailbox_id`,
    );
    return new Set(
      found.map(({ connection, address, place }) => {
        const box = this.world.boxOf(address.split('@')[0] ?? '');
        return `${connection} ${box.ever.get(place)?.mail.n}`;
      }),
    );
  }

  /** What was to be judged and was not. An audit heals what holes are left. */
  async missed(): Promise<string[]> {
    const { world } = this;
    const wrong: string[] = [];
    const active = new Set(world.active().map(({ id }) => id));
    const holes = this.holes.filter(({ connection }) => active.has(connection));
    for (const sub of new Set(holes.map((hole) => hole.sub))) {
      for (const connection of new Set(
        holes.filter((hole) => hole.sub === sub).map((hole) => hole.connection),
      ))
        await this.addAudit(sub, connection);
    }
    await this.carryOut({ node: 0, fault: null });
    const decided = await this.decided();
    const there = (box: string) => new Set(copiesIn(world.boxOf(box)).map(({ mail }) => mail.n));
    for (const { connection, box, n } of holes) {
      if (there(box).has(n) && !decided.has(`${connection} ${n}`))
        wrong.push(`the hole of mail ${n} in ${box} was not healed for ${connection}`);
    }
    const told = await world.told();
    const judged = new Set(
      told.flatMap((each) =>
        each.what === 'judged' ? each.seen.map(({ connection, mail }) => `${connection} ${mail.n}`) : [],
      ),
    );
    for (const { id, connection, box, mails } of this.backfills) {
      if (!active.has(connection)) continue;
      for (const n of mails) {
        if (there(box).has(n) && !judged.has(`${connection} ${n}`))
          wrong.push(`mail ${n} of ${box} was not judged for ${connection} in ${id}`);
      }
    }
    return wrong;
  }
}

function copiesIn(box: Box) {
  return (box.allMail ? ['All Mail'] : watchedFolders).flatMap((path) => folderOf(box, path).copies);
}
