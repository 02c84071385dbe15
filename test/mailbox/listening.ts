import { createKeyedGate } from '../../src/mailbox/gate.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createPace } from '../../src/mailbox/pace.ts';
import { listenerLimits, startListener } from '../../src/mailbox/listener.ts';
import type { Listener, ListenerDeps, ListenerLimits } from '../../src/mailbox/listener.ts';
import type { Login } from '../../src/mailbox/session.ts';
import { createTogether } from '../../src/mailbox/together.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Provider, ProviderName, ServerAddress } from '../../src/provider/providers.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import type { ConnectionId, MailboxId } from '../../src/lib/id.ts';
import type { Log, LogFields } from '../../src/lib/log.ts';
import { canonicalOwnAddress } from '../../src/message/addresses.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { endConnection, openConnection } from '../../src/store/lifecycle.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { createManualClock } from '../support/manual-clock.ts';
import type { ManualClock } from '../support/manual-clock.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';

/** Somebody's mailbox that is connected in one sub-account, with one contact: Ann Bell. */
export type Person = {
  sub: string;
  user: string;
  mailboxId: MailboxId;
  address: string;
};

/** What a test of listeners needs: a database and people in it. */
export type Scene = {
  db: Db;
  world: World;
  /**
   * A user of a sub-account of their own, connected a minute ago and never looked into. `address` is the
   * mailbox's; the user's own is user@company.example, as in the transcripts.
   */
  person(options?: { address?: string; provider?: ProviderName; contacts?: string[] }): Promise<Person>;
};

let people = 0;

export async function createScene(db: Db): Promise<Scene> {
  const world = await createWorld(db);
  return {
    db,
    world,
    async person(options = {}) {
      people += 1;
      const { address = `user-${people}@company.example`, provider = 'imap' } = options;
      const { contacts = ['ann@customer.example'] } = options;
      const [sub, user] = [`sub-${people}`, `user-${people}`];
      await world.addSubAccount(sub);
      await world.addUser(user, 'user@company.example', [sub]);
      for (const [n, contact] of contacts.entries()) await world.addContact(sub, `contact-${n}`, [contact]);
      const mailboxId = newId('mbx');
      await run(
        db,
        `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state)
         values (:mailboxId, :provider, :address, :canonical, :address, :kind, 'sealed', 'connecting')`,
        {
          mailboxId,
          provider,
          address,
          canonical: canonicalOwnAddress(address),
          kind: provider === 'imap' ? 'password' : 'oauth',
        },
      );
      await connect(db, { sub, user, mailboxId, provider });
      return { sub, user, mailboxId, address };
    },
  };
}

/** One more connection to a mailbox; it began a minute ago. */
export async function connect(
  db: Db,
  of: { sub: string; user: string; mailboxId: MailboxId; provider: ProviderName },
): Promise<void> {
  const { sub: subAccountId, user: userId, mailboxId, provider } = of;
  const id = await openConnection(db, { subAccountId, userId, mailboxId, provider, waiting: null });
  await run(db, `update connections set started_at = now() - interval '1 minute' where id = :id`, { id });
}

/** Ends the connections of a mailbox; of all where none is named. */
export async function disconnect(db: Db, mailboxId: MailboxId | null): Promise<void> {
  const active = await rows<{ id: ConnectionId }>(
    db,
    'select id from connections where ended_at is null and (:mailboxId::text is null or mailbox_id = :mailboxId)',
    { mailboxId },
  );
  for (const { id } of active) await endConnection(db, id, 'disconnected');
}

/** A listener and its server. */
type Setting = {
  world: World;
  clock: Clock;
  imap: ServerAddress;
  provider?: ProviderName;
  /** Changes to the provider's entry. */
  traits?: Partial<Provider>;
  loginOf?: ListenerDeps['loginOf'];
  limits?: Partial<ListenerLimits>;
  log?: Log;
};

/** What a listener needs, with the given server. */
export function depsFor(setting: Setting): ListenerDeps {
  const { world, clock, imap, provider: name = 'imap', limits = {}, log = world.filing.log } = setting;
  const base = name === 'sandbox' ? resolveProvider('gmail') : resolveProvider(name);
  const provider: Provider = { ...base, imap, ...setting.traits };
  return {
    filing: { ...world.filing, clock, log },
    clock,
    log,
    providerOf: () => provider,
    loginOf: setting.loginOf ?? ((mailbox) => Promise.resolve({ user: mailbox.login, accessToken: 'token' })),
    resolveHost: (host) => Promise.resolve({ address: host }),
    limits: { ...listenerLimits, ...limits },
    gates: {
      logins: createKeyedGate(40),
      batches: createKeyedGate(8),
      spread: () => 0,
      // Not by the clock of the test, on which only what the listener itself waits for is to be seen.
      looks: createPace(systemClock),
    },
    together: createTogether(world.filing.db),
  };
}

/** What a supervisor needs, which makes the rest for its listeners itself. */
export function supervisorDepsFor(setting: Setting): Omit<ListenerDeps, 'gates' | 'together'> {
  const { gates: _, together: __, ...deps } = depsFor(setting);
  return deps;
}

/** A listener that plays a script on a clock of its own. `end` it. */
export type Stage = Person & {
  db: Db;
  peer: ScriptPeer;
  clock: ManualClock;
  deps: ListenerDeps;
  listener: Listener;
  log: KeptLog;
  /** Waits until the CRM was told exactly this of the mailbox, in this order. */
  told(...expected: string[]): Promise<void>;
  /** Waits until these decisions are made, among others perhaps. */
  decided(...expected: string[]): Promise<void>;
  /** Waits until nothing goes on but waiting, and then moves the clock. */
  pass(ms: number): Promise<void>;
  /** Lets so much time pass again and again, until it is true; not for ever. */
  passUntil(what: string, isTrue: () => boolean | Promise<boolean>, ms: number): Promise<void>;
  end(): Promise<void>;
};

export type StageOptions = {
  provider?: ProviderName;
  /** Changes to the provider's entry. */
  traits?: Partial<Provider>;
  limits?: Partial<ListenerLimits>;
  /** Tokens that the listener has, one after the other, and those that the server takes. */
  tokens?: { has: string[]; takes: string[] };
  loginOf?: ListenerDeps['loginOf'];
  person?: Person;
  filing?: Partial<ListenerDeps['filing']>;
};

/** Starts a scripted server (a transcript's name or text) and the listener of a new person's mailbox. */
export async function openStage(scene: Scene, source: string, options: StageOptions = {}): Promise<Stage> {
  const { db } = scene;
  const clock = createManualClock(Date.now());
  const { tokens, provider = 'imap', limits = {} } = options;
  const peer = await startScriptPeer(source, {
    onAdvance: (ms) => clock.advance(ms),
    ...(tokens === undefined ? {} : { tokens: tokens.takes }),
  });
  const person = options.person ?? (await scene.person({ provider }));
  const { mailboxId } = person;
  const log = keptLog();
  const imap: ServerAddress = { host: peer.host, port: peer.port, security: 'none' };
  const loginOf = options.loginOf ?? (tokens === undefined ? undefined : tokenRow(...tokens.has).loginOf);
  const deps = depsFor({
    world: scene.world,
    clock,
    imap,
    provider,
    limits,
    log,
    traits: options.traits ?? {},
    ...(loginOf === undefined ? {} : { loginOf }),
  });
  Object.assign(deps.filing, options.filing);
  const listener = startListener(deps, mailboxId);
  const pass = async (ms: number) => {
    await waitFor('the listener to wait', () => clock.sleeping() > 0);
    await clock.advance(ms);
  };
  return {
    ...person,
    db,
    peer,
    clock,
    deps,
    listener,
    log,
    told: (...expected) => waitForTold(db, mailboxId, expected),
    decided: (...expected) => waitForDecisions(db, mailboxId, expected),
    pass,
    passUntil: async (what, isTrue, ms) => {
      for (let times = 0; times < 500; times += 1) {
        if (await isTrue()) return;
        await pass(ms);
      }
      throw new Error(`after 500 times ${ms} ms there is still not: ${what}`);
    },
    end: async () => {
      await listener.stop();
      await peer.stop();
    },
  };
}

/** What the CRM was told of a mailbox's connections, in order: `state`, `state reason`, or `recovered n`. */
export async function toldOf(db: Db, mailboxId: MailboxId): Promise<string[]> {
  const found = await rows<{
    type: string;
    data: { state: string; reason: string | null; recovered_messages?: number };
  }>(
    db,
    `select e.type, e.data from events e join connections c on c.id = e.object_id
      where c.mailbox_id = :mailboxId and e.type in ('connection.state_changed', 'connection.recovered') order by e.ord`,
    { mailboxId },
  );
  return found.map(({ type, data }) =>
    type === 'connection.recovered'
      ? `recovered ${data.recovered_messages}`
      : [data.state, ...(data.reason === null ? [] : [data.reason])].join(' '),
  );
}

/** Waits until the CRM was told this and nothing else. */
export async function waitForTold(db: Db, mailboxId: MailboxId, expected: string[]): Promise<void> {
  await waitFor(`told: ${expected.join(', ')}`, async () => {
    const told = await toldOf(db, mailboxId);
    return told.join('|') === expected.join('|') ? true : Promise.reject(new Error(told.join('|')));
  });
}

/** Decisions of a mailbox in the order of folder and UID: `role uid outcome reason`. */
export async function decisionsOf(db: Db, mailboxId: MailboxId): Promise<string[]> {
  const found = await rows<{ line: string }>(
    db,
    `select concat_ws(' ', f.role, d.uid, d.outcome, d.reason) as line
       from decisions d join folders f on f.id = d.folder_id
      where d.mailbox_id = :mailboxId order by f.role, d.uid_validity, d.uid, d.id`,
    { mailboxId },
  );
  return found.map((row) => row.line);
}

/** Waits until the last decisions of a mailbox are these; older ones may stand before. */
async function waitForDecisions(db: Db, mailboxId: MailboxId, expected: string[]): Promise<void> {
  await waitFor(`decisions: ${expected.join(', ')}`, async () => {
    const made = await decisionsOf(db, mailboxId);
    return expected.every((line) => made.includes(line)) ? true : Promise.reject(new Error(made.join(', ')));
  });
}

/** How many messages a sub-account has, and how many events say that one is new. */
export async function countsOf(db: Db, sub: string): Promise<{ messages: number; created: number }> {
  const [counts] = await rows<{ messages: number; created: number }>(
    db,
    `select (select count(*) from messages where sub_account_id = :sub)::int as messages,
            (select count(*) from events where sub_account_id = :sub and type = 'message.created')::int as created`,
    { sub },
  );
  return counts ?? { messages: 0, created: 0 };
}

type KeptLog = Log & { lines: { level: string; message: string; fields: LogFields }[] };

/** A log that keeps its lines. */
export function keptLog(): KeptLog {
  const lines: KeptLog['lines'] = [];
  const write = (level: string) => (fields: LogFields, message: string) =>
    void lines.push({ level, message, fields });
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return Object.assign(log, { lines });
}

/** Logins by a row of tokens: each time that one was refused, the next one. */
function tokenRow(...tokens: string[]): {
  loginOf: ListenerDeps['loginOf'];
  /** The tokens that were given back as refused, in order. */
  refused: string[];
} {
  const refused: string[] = [];
  let at = 0;
  return {
    refused,
    loginOf: (mailbox, last: Login | null) => {
      if (last !== null && 'accessToken' in last) {
        refused.push(last.accessToken);
        at += 1;
      }
      return Promise.resolve({
        user: mailbox.login,
        accessToken: tokens[Math.min(at, tokens.length - 1)] ?? '',
      });
    },
  };
}
