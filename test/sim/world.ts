import { Readable } from 'node:stream';
import { wish } from '../../src/filing/wishes.ts';
import { createKeyedGate } from '../../src/mailbox/gate.ts';
import { createPace } from '../../src/mailbox/pace.ts';
import { createTogether } from '../../src/mailbox/together.ts';
import { createConnecting } from '../../src/mailbox/connect.ts';
import type { Connecting } from '../../src/mailbox/connect.ts';
import { Failure } from '../../src/lib/failure.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { startListener, listenerLimits } from '../../src/mailbox/listener.ts';
import type { Listener, ListenerDeps } from '../../src/mailbox/listener.ts';
import type { Session, SessionOptions } from '../../src/mailbox/session.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import { createSender } from '../../src/outbound/sender.ts';
import { SmtpFailure } from '../../src/outbound/smtp.ts';
import type { Accepted, SmtpServer, Submission } from '../../src/outbound/smtp.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { putContacts } from '../../src/store/contacts.ts';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { putNeverLog } from '../../src/store/never-log.ts';
import { effectiveSettings, putSubAccount } from '../../src/store/sub-accounts.ts';
import { joinSubAccount, putUser } from '../../src/store/users.ts';
import { blankRequest, sessionsOf } from '../outbound/support.ts';
import { memoryBlobs, silentLog } from '../filing/world.ts';
import { grantOf } from '../mailbox/connecting.ts';
import { composeMail, composeReport, sentMail, modelMailOf } from './mail.ts';
import type { Happened, ModelMail, Sight } from './model.ts';
import { Crash, secretBox, startProcess } from './node.ts';
import type { DecidedRow, Process } from './node.ts';
import {
  announce,
  copyAt,
  flag,
  folderOf,
  hangUp,
  move,
  openBox,
  put,
  remove,
  renumber,
  tokenOf,
} from './provider.ts';
import type { Box, Mail } from './provider.ts';
import { connectTo } from './session.ts';
import type { Cast, ContactSpec, Fault, SmtpAnswer, Step } from './steps.ts';
import { SimulatedErrands } from './errands.ts';
import { loopClock, turns } from './time.ts';
import type { LoopClock, Time } from './time.ts';
import { usualLimits } from '../support/limits.ts';

/** A gateway of two nodes with its database, the providers, and everybody who writes mail. */
export type World = {
  cast: Cast;
  db: Db;
  time: Time;
  boxes: Map<string, Box>;
  /** By number. */
  mails: Map<number, Mail>;
  /** What happened, for the model. */
  told(): Promise<Happened[]>;
  /** How often the provider took each mail of the CRM, by number. */
  taken: Map<number, number>;
  /** Delivery reports, by their number: of which mail of the CRM. */
  reports: ReadonlyMap<number, number>;
  /** By the number of a mail: what must have become of it in the mailbox, by the CRM's wish. */
  wishes: ReadonlyMap<number, { sub: string; read: boolean }>;
  apply(step: Step): Promise<void>;
  /** Every fault is over, and everything is looked at until nothing is left. */
  calm(): Promise<void>;
  /** Looks at every box once, by the first node alone. */
  lookAtAll(how: 'net' | 'start'): Promise<void>;
  /** What is missing in the end of what was asked for besides listening. */
  missed(): Promise<string[]>;
  stop(): Promise<void>;
};

/** Ways to break what is simulated, for the test that a broken one is found. */
export type Sabotage = {
  /** Another statement in place of one. */
  sql?(sql: string): string;
  /** What a provider shows of itself. */
  session?(session: Session): Session;
};

/** A listener of a node. */
type Running = {
  listener: Listener;
  clock: LoopClock;
  isDone: boolean;
  /** Calls to the provider that are under way. */
  calls: number;
  /** Its connections. */
  lines: Set<SessionOptions>;
  fault: Fault | null;
  /** Calls since the step began. */
  made: number;
};

type GatewayNode = { process: Process; listeners: Map<string, Running> };

/** A Sent copy is there within that time, where there is going to be one. */
const copyMsMax = 240_000;

export async function createWorld(db: Db, time: Time, cast: Cast, sabotage: Sabotage = {}): Promise<World> {
  const world = new Simulated(db, time, cast, sabotage);
  await world.populate();
  return world;
}

class Simulated implements World {
  readonly db: Db;
  readonly time: Time;
  readonly cast: Cast;
  readonly sabotage: Sabotage;
  readonly boxes: Map<string, Box>;
  readonly mails = new Map<number, Mail>();
  readonly happened: Happened[] = [];
  readonly taken = new Map<number, number>();
  readonly blobs = memoryBlobs();
  readonly nodes: GatewayNode[] = [];
  readonly connecting: Connecting;
  /** Sent copies that are still to come. */
  lateCopies: { box: Box; mail: Mail; by: number }[] = [];
  /** Position of the last look-up of each mailbox among what happened. */
  readonly facts = new Map<string, number>();
  readonly reports = new Map<number, number>();
  /** By the number of a mail: what the CRM wanted of it last, and nobody has touched since. */
  readonly wishes = new Map<number, { sub: string; read: boolean }>();
  readonly contested = new Set<number>();
  readonly errands = new SimulatedErrands(this);
  /** The CRM's call that is being taken. */
  sending: (Happened & { what: 'crm_sent' }) | null = null;
  /** The rows of each `judged`. */
  readonly decided = new Map<Happened, readonly DecidedRow[]>();

  constructor(db: Db, time: Time, cast: Cast, sabotage: Sabotage) {
    Object.assign(this, { db, time, cast, sabotage });
    this.db = db;
    this.time = time;
    this.cast = cast;
    this.sabotage = sabotage;
    this.boxes = new Map(cast.boxes.map((box) => [box.name, openBox(box)]));
    this.connecting = createConnecting({
      db,
      secretBox,
      log: silentLog,
      offered: new Map(),
      netGuard: createNetGuard({ allow: [] }),
      proveSmtpLogin: () => Promise.reject(new Error('nobody connects by password here')),
      wakeMailbox: () => undefined,
      wakePublisher: () => undefined,
      wakeRevoker: () => undefined,
    });
    for (let node = 0; node < 2; node += 1) this.nodes.push(this.startNode());
  }

  async populate(): Promise<void> {
    const { db, cast } = this;
    await db.transaction(async (tx) => {
      for (const { id, settings, neverLog } of cast.subs) {
        await putSubAccount(tx, {
          id,
          name: id,
          settings: effectiveSettings(settings),
          provider: null,
          providerPasswordSealed: null,
        });
        const entries = neverLog.map((domain) => `@${domain}`);
        if (entries.length > 0) await putNeverLog(tx, { subAccountId: id }, entries);
      }
      for (const { id, email, subs } of cast.users) {
        await putUser(tx, { id, name: id, email, aliases: [] });
        for (const sub of subs) await joinSubAccount(tx, { subAccountId: sub, userId: id });
      }
      for (const { id } of cast.subs) {
        await putContacts(tx, id, cast.contacts.filter(({ sub }) => sub === id).map(contactInput));
      }
    });
  }

  async apply(step: Step): Promise<void> {
    this.time.pass(2_000);
    this.bringCopies(({ by }) => by <= this.time.now());
    switch (step.do) {
      case 'write':
        return this.write(step);
      case 'arrive':
        return this.arrive(step);
      case 'crm_send':
        return this.crmSend(step);
      case 'send':
        return this.send(step);
      case 'bounce':
        return this.bounce(step);
      case 'copies':
        return this.bringCopies(() => true);
      case 'look':
        return this.look(step);
      case 'stop':
        return this.stopListener(step.node, step.box);
      case 'crash':
        return this.crash(step.node);
      case 'move':
        if ((step.to === 'Trash' || step.to === 'Junk') && this.isCopyOfSend(step)) return;
        return void move(this.boxOf(step.box), this.time, step);
      case 'delete':
        if (this.isCopyOfSend(step)) return;
        return void remove(this.boxOf(step.box), step.folder, step.at);
      case 'flag':
        return this.flag(step);
      case 'mark':
        return this.mark(step);
      case 'renumber':
        return renumber(this.boxOf(step.box), step.folder);
      case 'hide':
      case 'show':
        // What is refused five times is given up.
        this.wishes.clear();
        return void (folderOf(this.boxOf(step.box), step.folder).hidden = step.do === 'hide');
      case 'token':
        this.boxOf(step.box).token[step.what] = true;
        return hangUp(this.boxOf(step.box));
      case 'connect':
        return this.connect(step);
      case 'disconnect':
        return this.disconnect(step);
      case 'assign':
        return this.assign(step);
      case 'contact':
        return this.addContact(step.contact);
      case 'backfill':
        return this.errands.backfill(step);
      case 'audit':
        return this.errands.audit(step);
      case 'errands':
        return this.errands.carryOut(step);
      case 'wait':
        return this.time.pass(step.seconds * 1_000);
    }
  }

  flag(step: Step & { do: 'flag' }): void {
    const mail = flag(this.boxOf(step.box), step);
    // The person's hand and the CRM's wish: which one comes last is open.
    if (mail !== null) this.wishes.delete(mail.n);
  }

  /** U2: what the CRM wants of a mail that it has. */
  async mark({ sub, n, read }: Step & { do: 'mark' }): Promise<void> {
    const messageId = await this.messageIdOf(sub, n);
    if (messageId === null) return;
    const filing = { db: this.db, wakePublisher: () => undefined };
    const result = await wish(filing, { subAccountId: sub, messageId }, { read, state: null });
    if (result === null || 'refused' in result) return;
    const before = this.wishes.get(n);
    // Two sub-accounts of one mailbox that want different things: which one comes last is open, too.
    if (before !== undefined && before.sub !== sub && before.read !== read) this.contested.add(n);
    this.wishes.set(n, { sub, read });
    if (this.contested.has(n)) this.wishes.delete(n);
  }

  /** Who throws away the copy by which alone we know that a mail was taken gets it sent again (D5). */
  isCopyOfSend({ box, folder, at }: { box: string; folder: string; at: number }): boolean {
    const copy = copyAt(this.boxOf(box), folder, at);
    return copy !== undefined && !copy.delivered && this.taken.has(copy.mail.n);
  }

  boxOf(name: string): Box {
    const box = this.boxes.get(name);
    if (box === undefined) throw new Error(`no box ${name}`);
    return box;
  }

  write({ mail: spec }: Step & { do: 'write' }): void {
    const mail = composeMail(spec, this.mails, this.time.now());
    this.mails.set(spec.n, mail);
    for (const box of this.boxes.values()) {
      if (box.address === mail.from) put(box, this.time, { mail, path: 'Sent', delivered: false });
    }
  }

  arrive({ n, box, folder }: Step & { do: 'arrive' }): void {
    const mail = this.mails.get(n);
    // What the CRM sends arrives nowhere before it was sent.
    if (mail === undefined || this.taken.get(n) === 0) return;
    put(this.boxOf(box), this.time, { mail, path: folder, delivered: true });
  }

  bounce({ n, of }: Step & { do: 'bounce' }): void {
    const about = this.mails.get(of);
    if (about === undefined || this.taken.get(of) !== 1) return;
    for (const box of this.boxes.values()) {
      if (box.address !== about.from) continue;
      const mail = composeReport(n, { to: box.address, about, now: this.time.now() });
      this.mails.set(n, mail);
      this.reports.set(n, of);
      put(box, this.time, { mail, path: 'INBOX', delivered: true });
    }
  }

  bringCopies(which: (late: { by: number }) => boolean): void {
    const [now, later] = [this.lateCopies.filter(which), this.lateCopies.filter((late) => !which(late))];
    this.lateCopies = later;
    for (const { box, mail } of now) put(box, this.time, { mail, path: 'Sent', delivered: false });
  }

  // The CRM

  async crmSend(step: Step & { do: 'crm_send' }): Promise<void> {
    const { n, sub, user, contact, cc, crashAt } = step;
    const replyToMessageId = step.replyTo === null ? null : await this.messageIdOf(sub, step.replyTo);
    if (step.replyTo !== null && replyToMessageId === null) return;
    const connection = this.connectionOf(sub, user);
    if (connection === null) return;
    const request = {
      ...blankRequest,
      subAccountId: sub,
      userId: user,
      contactId: contact,
      cc: cc.map((address) => ({ name: '', address })),
      replyToMessageId,
      subject: step.replyTo === null ? `Matter ${n}` : null,
      text: `Mail #${n}#`,
    };
    const { box } = connection;
    // Known when it is answered.
    const mail = { n } as ModelMail;
    this.sending = { what: 'crm_sent', sub, box, contact, mail, replyTo: step.replyTo };
    const process = this.startProcess();
    process.dieAfter(crashAt);
    const accept = ({ db, blobs }: Pick<Process, 'db' | 'blobs'>) =>
      createAccept({
        db,
        blobs,
        secretBox,
        clock: loopClock(this.time),
        loggingDomain: null,
        limitsOf: usualLimits,
        trackingUrl: null,
        wakePublisher: () => undefined,
        wakeSender: () => undefined,
      })(request, `call-${n}`);
    // The CRM asks again where it got no answer.
    const result = await accept(process).catch(async (error: unknown) => {
      if (!(error instanceof Crash)) throw error;
      return accept(this.startProcess());
    });
    this.sending = null;
    if ('refused' in result) return;
    const sent = await sentMail(n, result.answer, this.blobs);
    this.mails.set(n, sent);
    this.taken.set(n, 0);
  }

  async messageIdOf(sub: string, n: number): Promise<MessageId | null> {
    const [found] = await rows<{ id: MessageId }>(
      this.db,
      `select id from messages where sub_account_id = :sub and body_text like :text order by id limit 1`,
      { sub, text: `%#${n}#%` },
    );
    return found?.id ?? null;
  }

  /** As the model counts them: what is told, in order. */
  connectionOf(sub: string, user: string): (Happened & { what: 'connected' }) | null {
    const ended = new Set(this.happened.flatMap((each) => (each.what === 'ended' ? [each.id] : [])));
    const found = this.happened.findLast(
      (each) => each.what === 'connected' && each.sub === sub && each.user === user && !ended.has(each.id),
    );
    return found?.what === 'connected' ? found : null;
  }

  async connect({ sub, user, box: name }: Step & { do: 'connect' }): Promise<void> {
    // Whether mail of these seconds is older than the connection is nobody's business.
    this.time.pass(10_000);
    const box = this.boxOf(name);
    const { provider = 'gmail' } = this.cast.boxes.find((each) => each.name === name) ?? {};
    const before = this.connectionOf(sub, user);
    const result = await this.connecting.connectWithGrant({
      subAccountId: sub,
      userId: user,
      replace: before !== null,
      linkId: null,
      provider,
      grant: grantOf(box.address),
    });
    if (result.outcome !== 'connected') throw new Error(`${user} could not connect: ${result.outcome}`);
    box.token = { issued: box.token.issued + 1, expired: false, revoked: false };
    if (result.created) {
      if (before !== null) this.happened.push({ what: 'ended', id: before.id, reason: 'superseded' });
      if (before !== null) this.forgetWishes(sub);
      const { connectionId: id } = result;
      this.happened.push({ what: 'connected', id, sub, user, box: name, at: this.time.now() });
    }
    this.time.pass(10_000);
  }

  async disconnect({ sub, user }: Step & { do: 'disconnect' }): Promise<void> {
    const connection = this.connectionOf(sub, user);
    if (connection === null) return;
    await this.connecting.disconnect({ subAccountId: sub, userId: user });
    this.happened.push({ what: 'ended', id: connection.id, reason: 'disconnected' });
    this.forgetWishes(sub);
  }

  /** Whoever leaves a mailbox wants nothing there any more. */
  forgetWishes(sub: string): void {
    for (const [n, wanted] of this.wishes) if (wanted.sub === sub) this.wishes.delete(n);
  }

  async assign({ sub, contact: id, user }: Step & { do: 'assign' }): Promise<void> {
    const contact = this.cast.contacts.find((each) => each.sub === sub && each.id === id);
    if (contact === undefined) return;
    const input = contactInput({ ...contact, assigned: user });
    await this.db.transaction((tx) => putContacts(tx, sub, [input]));
    this.happened.push({ what: 'assigned', sub, contact: id, user });
  }

  async addContact(contact: ContactSpec): Promise<void> {
    await this.db.transaction((tx) => putContacts(tx, contact.sub, [contactInput(contact)]));
    this.happened.push({ what: 'contact', contact: { ...contact } });
  }

  // Nodes

  startNode(): GatewayNode {
    return { process: this.startProcess(), listeners: new Map() };
  }

  startProcess(): Process {
    return startProcess({ db: this.db, blobs: this.blobs }, this.watcher(), this.sabotage.sql);
  }

  nodeOf(n: number): GatewayNode {
    const node = this.nodes[n];
    if (node === undefined) throw new Error(`no node ${n}`);
    return node;
  }

  /** Another process of the same node takes the place of one that died. */
  replaceIfDead(n: number): void {
    const node = this.nodeOf(n);
    if (!node.process.isDead()) return;
    for (const running of node.listeners.values()) this.hangUpOf(running);
    this.nodes[n] = this.startNode();
  }

  hangUpOf(running: Running): void {
    for (const box of this.boxes.values()) {
      for (const line of box.lines) if (running.lines.has(line.options)) box.lines.delete(line);
    }
  }

  crash(n: number): void {
    this.nodeOf(n).process.die();
    this.replaceIfDead(n);
  }

  watcher() {
    return {
      onFacts: (mailboxId: string) => {
        this.facts.set(mailboxId, this.happened.length);
        this.happened.push({ what: 'facts' });
      },
      onDecided: (decided: readonly DecidedRow[]) => {
        if (decided.some(({ reason }) => reason === 'crm_send')) {
          if (this.sending !== null) this.happened.push(this.sending);
          return;
        }
        const mailbox = decided[0]?.mailbox_id ?? '';
        const facts = this.facts.get(mailbox) ?? this.happened.length;
        const judged: Happened = { what: 'judged', facts, seen: [] };
        this.decided.set(judged, decided);
        this.happened.push(judged);
      },
    };
  }

  /** Which mail each decision was about, by where it was seen. */
  async told(): Promise<Happened[]> {
    const known = await rows<{ id: string; address: string; path: string }>(
      this.db,
      'select f.id, m.address, f.path from folders f join mailboxes m on m.id = f.mailbox_id',
    );
    const folders = new Map(known.map((folder) => [folder.id, folder]));
    return this.happened.map((each) => {
      // Some were given another id after they were accepted.
      if (each.what === 'crm_sent') return { ...each, mail: this.modelMail(each.mail.n) };
      if (each.what !== 'judged') return each;
      return { ...each, seen: (this.decided.get(each) ?? []).map((row) => this.sightOf(row, folders)) };
    });
  }

  modelMail(n: number): ModelMail {
    const mail = this.mails.get(n);
    if (mail === undefined) throw new Error(`there is no mail ${n}`);
    return modelMailOf(mail);
  }

  sightOf(row: DecidedRow, folders: ReadonlyMap<string, { address: string; path: string }>): Sight {
    const folder = folders.get(row.folder_id ?? '');
    const box = [...this.boxes.values()].find(({ address }) => address === folder?.address);
    const place = `${folder?.path} ${row.uid_validity} ${row.uid}`;
    const copy = box?.ever.get(place);
    if (box === undefined || copy === undefined) throw new Error(`a decision about nothing: ${place}`);
    return {
      connection: row.connection_id,
      box: box.name,
      mail: modelMailOf(copy.mail),
      received: box.allMail ? !copy.marks.has('\\sent') : copy.delivered,
      internalDate: copy.internalDate,
      gmailThread: copy.gmail?.threadId ?? null,
      again: row.errand_id === null ? null : this.errands.againOf(row.errand_id),
      wasGone: box.missed.has(place),
      place: `${box.name} ${place}`,
      decided: `${row.outcome} ${row.reason}`,
    };
  }

  async startListener(n: number, name: string): Promise<Running | null> {
    const node = this.nodeOf(n);
    const [mailbox] = await rows<{ id: `mbx_${string}` }>(
      this.db,
      'select id from mailboxes where address = :address',
      { address: this.boxOf(name).address },
    );
    if (mailbox === undefined) return null;
    const running: Running = {
      listener: {
        done: Promise.resolve(),
        wake: () => undefined,
        wakeWanted: () => undefined,
        stop: () => Promise.resolve(),
      },
      clock: loopClock(this.time),
      isDone: false,
      calls: 0,
      lines: new Set(),
      fault: null,
      made: 0,
    };
    const deps = this.listenerDeps(node.process, running, name);
    running.listener = startListener(deps, mailbox.id);
    void running.listener.done.then(() => (running.isDone = true));
    node.listeners.set(name, running);
    return running;
  }

  listenerDeps(process: Process, running: Running, name: string): ListenerDeps {
    const box = this.boxOf(name);
    const filing = {
      db: process.db,
      blobs: process.blobs,
      secretBox,
      clock: running.clock,
      log: silentLog,
      loggingDomain: null,
      limitsOf: usualLimits,
      trackingUrl: null,
      wakePublisher: () => undefined,
    };
    return {
      filing,
      clock: running.clock,
      log: silentLog,
      providerOf: (mailbox) => resolveProvider(mailbox.provider === 'sandbox' ? 'gmail' : mailbox.provider),
      loginOf: (_mailbox, refused) =>
        Promise.resolve({ user: box.address, accessToken: tokenOf(box, refused !== null) }),
      resolveHost: (host) => Promise.resolve({ address: host }),
      limits: listenerLimits,
      gates: {
        logins: createKeyedGate(40),
        batches: createKeyedGate(8),
        spread: () => 0,
        looks: createPace(running.clock),
      },
      together: createTogether(process.db),
      openSession: async (options) => {
        running.lines.add(options);
        const session = await connectTo(box, options, () => this.onCall(process, running));
        return this.sabotage.session?.(session) ?? session;
      },
    };
  }

  async onCall(process: Process, running: Pick<Running, 'calls' | 'made' | 'fault'>): Promise<void> {
    running.calls += 1;
    try {
      this.time.pass(20);
      process.effect();
      running.made += 1;
      const { fault } = running;
      if (fault === null || fault.what === 'crash' || fault.at >= running.made) return;
      running.fault = null;
      if (fault.what === 'drop') {
        throw new Failure('temporary', 'connection_closed', 'the connection is gone');
      }
      for (const step of fault.steps) await this.apply(step);
      process.effect();
    } finally {
      running.calls -= 1;
    }
  }

  async look(step: Step & { do: 'look' }): Promise<void> {
    const { node: n, box: name, how, fault } = step;
    const node = this.nodeOf(n);
    const before = node.listeners.get(name);
    // In the midst of a look of its own.
    if (before !== undefined && (before.calls > 0 || before.made < 0)) return;
    if (how === 'start') await this.stopListener(n, name);
    const running = node.listeners.get(name) ?? (await this.startListener(n, name));
    if (running === null) return;
    Object.assign(running, { fault, made: 0 });
    if (fault?.what === 'crash') node.process.dieAfter(fault.at);
    if (how === 'net') this.time.pass(listenerLimits.lookEveryMs + 1_000);
    const box = this.boxOf(name);
    const hasLine = [...box.lines].some(({ options }) => running.lines.has(options));
    if (how === 'idle') announce(box, (options) => running.lines.has(options));
    running.clock.wakeDue();
    if (!hasLine) running.listener.wake();
    await this.untilQuiet(
      `the look of node ${n} at ${name}`,
      () =>
        running.isDone || (running.calls === 0 && running.clock.sleeping() > 0 && node.process.busy() === 0),
    );
    running.fault = null;
    if (!node.process.isDead()) node.process.dieAfter(null);
    if (running.isDone) node.listeners.delete(name);
    this.replaceIfDead(n);
  }

  /** Waits until nothing goes on any more but waiting. */
  async untilQuiet(what: string, isQuiet: () => boolean): Promise<void> {
    let quiet = 0;
    for (let turn = 0; quiet < 3; turn += 1) {
      if (turn > 100_000) throw new Error(`${what} does not end`);
      await turns(1);
      quiet = isQuiet() ? quiet + 1 : 0;
    }
  }

  async stopListener(n: number, name: string): Promise<void> {
    const node = this.nodeOf(n);
    const running = node.listeners.get(name);
    if (running === undefined || running.calls > 0) return;
    node.listeners.delete(name);
    await running.listener.stop();
  }

  async send({ node: n, answers, fault }: Step & { do: 'send' }): Promise<void> {
    const { process } = this.nodeOf(n);
    if (fault?.what === 'crash') process.dieAfter(fault.at);
    const clock = loopClock(this.time);
    let submits = 0;
    let made = 0;
    const left = [...answers];
    const sender = createSender({
      db: process.db,
      blobs: process.blobs,
      secretBox,
      tokens: {
        accessToken: (mailboxId, { refused } = {}) => this.smtpToken(mailboxId, refused ?? null),
      },
      clock,
      log: silentLog,
      provider: (name) => resolveProvider(name === 'sandbox' ? 'gmail' : name),
      resolveHost: (address) => Promise.resolve({ address }),
      wakeOthers() {},
      wakePublisher: () => undefined,
      open: sessionsOf(async (submission, to) => {
        submits += 1;
        try {
          return await this.submit(process, submission, to, left.shift() ?? 'accepted', async () => {
            made += 1;
            if (fault?.what !== 'meanwhile' || fault.at !== made) return;
            for (const step of fault.steps) await this.apply(step);
          });
        } finally {
          submits -= 1;
        }
      }),
    });
    sender.start();
    await this.untilQuiet(
      `the sender of node ${n}`,
      () => submits === 0 && process.busy() === 0 && clock.sleeping() > 1,
    );
    await this.noteRenamed();
    if (process.isDead()) return this.replaceIfDead(n);
    process.dieAfter(null);
    await sender.stop();
  }

  /** Mails of which the provider said what it calls them, where that was written down. */
  async noteRenamed(): Promise<void> {
    const found = await rows<{ text: string }>(
      this.db,
      `select m.body_text as text from sends s join messages m on m.id = s.message_id
        where s.server_message_id is not null order by s.seq`,
    );
    for (const { text } of found) {
      const n = Number(/#(\d+)#/.exec(text)?.[1]);
      if (this.happened.some((each) => each.what === 'renamed' && each.n === n)) continue;
      this.happened.push({ what: 'renamed', n, id: this.mails.get(n)?.messageId ?? '' });
    }
  }

  async smtpToken(mailboxId: string, refused: string | null) {
    const [row] = await rows<{ address: string }>(
      this.db,
      'select address from mailboxes where id = :mailboxId',
      { mailboxId },
    );
    const box = [...this.boxes.values()].find(({ address }) => address === row?.address);
    if (box === undefined) throw new Error(`no box for ${mailboxId}`);
    return { token: tokenOf(box, refused !== null), expiresAt: Infinity, login: box.address };
  }

  /** The provider's SMTP server. */
  async submit(
    process: Process,
    submission: Submission,
    to: SmtpServer,
    answer: SmtpAnswer,
    onTaken: () => Promise<void>,
  ): Promise<Accepted> {
    process.effect();
    const fail = (phase: 'envelope' | 'data' | 'handed_over', reply: string | null) =>
      new SmtpFailure({ phase, reply, cause: reply === null ? 'connection_lost' : 'unknown' }, [], null);
    const { login } = to;
    if (login !== null && 'token' in login) await login.token(null);
    if (answer === 'busy') throw fail('envelope', '451 4.3.0 try again');
    if (answer === 'refused') throw fail('envelope', '550 5.1.1 nobody of that name');
    const chunks: Buffer[] = [];
    for await (const chunk of Readable.from(submission.content())) chunks.push(chunk as Buffer);
    const n = Number(/#(\d+)#/.exec(Buffer.concat(chunks).toString())?.[1]);
    const mail = this.mails.get(n);
    if (mail === undefined) throw new Error(`a mail was sent that nobody wrote: ${n}`);
    if (!(await submission.beforeEnd([]))) throw fail('data', null);
    process.effect();
    if (answer === 'crash') process.die();
    process.effect();
    if (answer === 'lost') throw fail('handed_over', null);
    const renamed = answer === 'renamed' || answer === 'renamed_silently';
    if (renamed) rename(mail);
    this.taken.set(n, (this.taken.get(n) ?? 0) + 1);
    this.keepCopy(mail, submission.envelope.from, answer);
    await onTaken();
    if (answer === 'taken_then_crash') process.die();
    process.effect();
    if (answer === 'taken_then_lost') throw fail('handed_over', null);
    const serverMessageId = answer === 'renamed' ? mail.messageId : null;
    return { reply: '250 2.0.0 taken', serverMessageId, refused: [] };
  }

  keepCopy(mail: Mail, from: string, answer: SmtpAnswer): void {
    const box = [...this.boxes.values()].find(({ address }) => address === from);
    if (box === undefined || answer === 'no_copy') return;
    this.lateCopies.push({ box, mail, by: this.time.now() + copyMsMax });
    if (answer !== 'copy_late') this.bringCopies((late) => late === this.lateCopies.at(-1));
  }

  // The end

  async calm(): Promise<void> {
    for (const box of this.boxes.values()) {
      for (const folder of box.folders.values()) folder.hidden = false;
    }
    this.bringCopies(() => true);
    for (const { sub, user, box } of this.active()) {
      if (this.boxOf(box).token.revoked) await this.connect({ do: 'connect', sub, user, box });
    }
    for (let round = 0; round < 12; round += 1) {
      this.bringCopies(() => true);
      await this.lookAtAll(round === 0 ? 'start' : 'net');
      await this.apply({ do: 'errands', node: 0, fault: null });
      const [open] = await rows<{ count: string }>(
        this.db,
        'select (select count(*) from sends where ready) + (select count(*) from wanted_changes) as count',
      );
      const isOver = open?.count === '0' && this.lateCopies.length === 0;
      if (isOver && (await this.errands.areOver())) return this.noticeWhatIsGone();
      if (round > 0) this.time.pass(61 * 60_000);
      await this.apply({ do: 'send', node: 0, answers: [], fault: null });
    }
    throw new Error('a send, or what is to be done in a mailbox, is not over after half a day');
  }

  /** U3: that a mail is gone is told after a wait, and believed of many only after a longer one. */
  async noticeWhatIsGone(): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      this.time.pass(15 * 60_000);
      await this.lookAtAll('net');
      const [waiting] = await rows<{ count: string }>(
        this.db,
        'select count(*) from sightings where gone_due_at is not null',
      );
      if (round > 0 && waiting?.count === '0') return;
    }
    throw new Error('what is gone is not told');
  }

  active(): (Happened & { what: 'connected' })[] {
    return this.happened.flatMap((each) =>
      each.what === 'connected' && this.connectionOf(each.sub, each.user)?.id === each.id ? [each] : [],
    );
  }

  async lookAtAll(how: 'net' | 'start'): Promise<void> {
    for (const name of this.boxes.keys()) {
      await this.stopListener(1, name);
      await this.apply({ do: 'look', node: 0, box: name, how, fault: null });
    }
  }

  missed(): Promise<string[]> {
    return this.errands.missed();
  }

  async stop(): Promise<void> {
    for (const n of this.nodes.keys()) {
      for (const name of this.boxes.keys()) await this.stopListener(n, name);
    }
  }
}

function contactInput({ id, emails, assigned }: ContactSpec) {
  return { id, name: id, emails, assignedUserId: assigned };
}

function rename(mail: Mail): void {
  const given = mail.messageId ?? '';
  mail.writtenId = given;
  mail.messageId = `renamed-${mail.n}@provider.example`;
  mail.raw = Buffer.from(mail.raw.toString('latin1').replace(`<${given}>`, `<${mail.messageId}>`), 'latin1');
}
