import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import type { ConnectionId, MailboxId, SendId } from '../../src/lib/id.ts';
import type { Log } from '../../src/lib/log.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { canonicalAddress, canonicalOwnAddress } from '../../src/message/addresses.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { AcceptDeps } from '../../src/outbound/accept.ts';
import type { SendAnswer } from '../../src/outbound/take-over.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { createSender } from '../../src/outbound/sender.ts';
import type { Sender, SenderDeps } from '../../src/outbound/sender.ts';
import type { Accepted, openSession, SmtpServer, Submission } from '../../src/outbound/smtp.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Provider, ProviderName, ServerAddress } from '../../src/provider/providers.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Database, Db } from '../../src/store/database.ts';
import { credentialContext } from '../../src/store/mailboxes.ts';
import { providerPasswordContext } from '../../src/store/sub-accounts.ts';
import { readSends } from '../../src/store/public-send.ts';
import type { PublicSend, SendState } from '../../src/store/public-send.ts';
import { testDatabase } from '../support/database.ts';
import { usualLimits } from '../support/limits.ts';
import { waitFor } from '../support/wait.ts';

export const secretBox = createSecretBox([Buffer.alloc(32, 9)]);

const trackingUrl = 'https://go.crm.example';

/** What became wrong in the sender's own view; a test that expects none asserts that it stays empty. */
export type Logged = { level: string; fields: Record<string, unknown>; message: string };

/** A database and blobs with one sub-account `acme`, and what a sender needs. */
export type Office = {
  db: Db;
  blobs: BlobStore;
  logged: Logged[];
  /** A user of `acme` with a connected mailbox. */
  connect(person: {
    userId: string;
    address: string;
    provider: ProviderName;
    smtp: ServerAddress;
    login?: string;
    password?: string;
    state?: string;
  }): Promise<{ mailboxId: MailboxId; connectionId: ConnectionId }>;
  addContact(id: string, address: string): Promise<void>;
  /** The own provider of `acme`; without a login it takes mail from everybody. */
  setProvider(server: ServerAddress, login?: { username: string; password: string }): Promise<void>;
  accept(request: Partial<SendRequest> & { userId: string }, key?: string): Promise<SendAnswer>;
  /** A sender that is started; `stop` it, or it ends with the office. */
  sender(more?: Partial<SenderDeps>): Sender;
  /** One that nobody stops: its process is dead. */
  abandonedSender(more: Partial<SenderDeps>): void;
  send(id: SendId): Promise<PublicSend>;
  /** Waits for a state after so many tries have ended (default: any). */
  waitForState(id: SendId, state: SendState, tries?: number): Promise<PublicSend>;
  /** What waits is due now. */
  hurry(id: SendId): Promise<void>;
  /** Types of the events so far, with the state that a message or a send shows in them. */
  events(): Promise<string[]>;
  /** Access tokens by mailbox, the newest last; `refresh` is what a renewal gives. */
  tokens: { asked: (string | null)[]; give: (refused: string | null) => string | Promise<string> };
  close(): Promise<void>;
};

/** `breaks`: invariants that a test breaks on purpose, besides that connections come into their states untold. */
export async function openOffice(
  kind: Database['kind'] = 'postgres',
  { breaks = [] }: { breaks?: readonly string[] } = {},
): Promise<Office> {
  const database = await testDatabase(kind, { breaks: ['connection_state_is_told', ...breaks] });
  const { db } = database;
  const directory = await mkdtemp(join(tmpdir(), 'twoway-outbound-'));
  const blobs = createDiskBlobs(directory);
  const logged: Logged[] = [];
  const senders: Sender[] = [];
  const servers = new Map<ProviderName, ServerAddress>();
  const tokens: Office['tokens'] = { asked: [], give: () => 'a-token' };
  await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
  const start = (more: Partial<SenderDeps>): Sender => {
    const sender = createSender({
      db,
      blobs,
      secretBox,
      tokens: {
        accessToken: async (_mailboxId, { refused } = {}) => {
          tokens.asked.push(refused ?? null);
          return { token: await tokens.give(refused ?? null), expiresAt: Infinity, login: '' };
        },
      },
      clock: systemClock,
      log: collectingLog(logged),
      provider: (name) => providerAt(name, servers.get(name)),
      resolveHost: (address) => Promise.resolve({ address }),
      wakePublisher() {},
      wakeOthers() {},
      ...more,
      limits: { pollMs: 50, idleMs: 0, ...more.limits },
    });
    sender.start();
    return sender;
  };
  const office: Office = {
    db,
    blobs,
    logged,
    tokens,
    connect: async (person) => {
      if (person.provider !== 'imap') servers.set(person.provider, person.smtp);
      return connectMailbox(db, person);
    },
    addContact: (id, address) => addContact(db, id, address),
    setProvider: async (server, login) => {
      const provider = {
        kind: 'smtp',
        ...server,
        username: login?.username ?? null,
        from: 'news@acme.example',
      };
      const sealed = login && secretBox.seal(login.password, providerPasswordContext('acme'));
      await run(
        db,
        `update sub_accounts set provider = :provider::jsonb, provider_password_sealed = :sealed, updated_at = now()
          where id = 'acme'`,
        { provider: JSON.stringify(provider), sealed: sealed ?? null },
      );
    },
    accept: async (request, key) => {
      const loggingDomain = 'log.crm.example';
      const parts = {
        db,
        blobs,
        secretBox,
        clock: systemClock,
        loggingDomain,
        limitsOf: usualLimits,
        trackingUrl,
      };
      const deps = { ...parts, wakePublisher() {}, wakeSender() {} };
      const result = await createAccept(deps)({ ...blankRequest, ...request }, key ?? null);
      for (const sender of senders) sender.wake();
      if ('refused' in result) throw new Error(`${result.refused.code}: ${result.refused.detail}`);
      return result.answer;
    },
    sender: (more = {}) => {
      const sender = start(more);
      senders.push(sender);
      return sender;
    },
    abandonedSender: (more) => void start(more),
    send: async (id) => {
      const [send] = await readSends(db, 'acme', [id]);
      if (send === undefined) throw new Error(`${id} is not there`);
      return send;
    },
    waitForState: (id, state, tries = 0) =>
      waitFor(`${id} is ${state}`, async () => {
        const send = await office.send(id);
        const ended = send.attempts.filter((attempt) => attempt.ended_at !== null).length;
        return send.state === state && ended >= tries
          ? send
          : Promise.reject(new Error(JSON.stringify(send)));
      }),
    hurry: async (id) => {
      await run(
        db,
        `update sends set due_at = now(), send_at = least(send_at, now()) where id = :id and due_at < 'infinity'`,
        { id },
      );
      for (const sender of senders) sender.wake();
    },
    events: async () => {
      const found = await rows<{ type: string; shown: string }>(
        db,
        `select type, coalesce(data->>'state', data->'send'->>'state', '') as shown from events order by ord`,
      );
      return found.map(({ type, shown }) => (type.startsWith('conversation') ? type : `${type} ${shown}`));
    },
    close: async () => {
      await Promise.all(senders.map((sender) => sender.stop()));
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
  return office;
}

export const blankRequest: SendRequest = {
  requestId: null,
  subAccountId: 'acme',
  kind: 'individual',
  userId: '',
  contactId: null,
  to: [],
  cc: [],
  bcc: [],
  from: null,
  subject: null,
  text: null,
  html: null,
  replyToMessageId: null,
  files: [],
  headers: {},
  track: { opens: false, clicks: false },
  sendAt: null,
  onLimit: 'refuse',
};

/** Sessions that hand each message to `submit`, in place of those of smtp.ts. */
export function sessionsOf(
  submit: (submission: Submission, to: SmtpServer) => Promise<Accepted>,
): typeof openSession {
  return (to) => {
    let submitted = 0;
    return Promise.resolve({
      token: null,
      isOpen: () => true,
      submitted: () => submitted,
      end: () => undefined,
      submit: (submission) => {
        submitted += 1;
        return submit(submission, to);
      },
    });
  };
}

function providerAt(name: ProviderName, smtp: ServerAddress | undefined): Provider {
  const base = resolveProvider(name === 'sandbox' ? 'gmail' : name);
  // The sandbox's grace of 5 s, so that a test can see its end.
  return { ...base, name, smtp: smtp ?? base.smtp };
}

export async function connectMailbox(
  db: Db,
  person: Parameters<Office['connect']>[0],
): Promise<{ mailboxId: MailboxId; connectionId: ConnectionId }> {
  const { userId, address, provider, password } = person;
  const [mailboxId, connectionId] = [newId('mbx'), newId('con')];
  const values = {
    userId,
    address,
    provider,
    mailboxId,
    connectionId,
    name: `User ${userId}`,
    canonical: canonicalOwnAddress(address),
    login: person.login ?? address,
    servers: provider === 'imap' ? JSON.stringify({ imap: person.smtp, smtp: person.smtp }) : null,
    kind: password === undefined ? 'oauth' : 'password',
    sealed: secretBox.seal(password ?? 'refresh', credentialContext(mailboxId)),
    state: person.state ?? 'live',
  };
  await run(
    db,
    `with u as (insert into users (id, name, email) values (:userId, :name, :address) on conflict do nothing),
      m as (insert into memberships (sub_account_id, user_id) values ('acme', :userId) on conflict do nothing),
      a as (insert into user_addresses (user_id, kind, canonical)
            values (:userId, 'login', :canonical), (:userId, 'mailbox', :canonical) on conflict do nothing),
      b as (insert into mailboxes (id, provider, address, canonical, login, servers, credential_kind, credential_sealed, state)
            values (:mailboxId, :provider, :address, :canonical, :login, :servers::jsonb, :kind, :sealed, :state))
     insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
     values (:connectionId, 'acme', :userId, :mailboxId, :provider, :state)`,
    values,
  );
  return { mailboxId, connectionId };
}

async function addContact(db: Db, id: string, address: string): Promise<void> {
  await run(
    db,
    `with c as (insert into contacts (sub_account_id, id, name) values ('acme', :id, :id) on conflict do nothing)
     insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
     select 'acme', :id, (select count(*) from contact_addresses where contact_id = :id), :address, :canonical`,
    { id, address, canonical: canonicalAddress(address) },
  );
}

function collectingLog(lines: Logged[]): Log {
  const add = (level: string) => (fields: Record<string, unknown>, message: string) => {
    lines.push({ level, fields, message });
  };
  return {
    debug: add('debug'),
    info: add('info'),
    warn: add('warn'),
    error: add('error'),
    child: () => collectingLog(lines),
  };
}

/** What accepting a message needs, where nothing is logged by address, tracked or woken. */
export function acceptDepsOf({ db, blobs }: Pick<Office, 'db' | 'blobs'>): AcceptDeps {
  return {
    db,
    blobs,
    secretBox,
    clock: systemClock,
    loggingDomain: null,
    limitsOf: usualLimits,
    trackingUrl: null,
    wakePublisher() {},
    wakeSender() {},
  };
}
