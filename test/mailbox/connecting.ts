import { systemClock, type Clock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import type { Log } from '../../src/lib/log.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { createConnecting } from '../../src/mailbox/connect.ts';
import type { ConnectDeps, Connecting, OfferedProvider } from '../../src/mailbox/connect.ts';
import type { Worker } from '../../src/lib/waker.ts';
import { createRevoker } from '../../src/mailbox/revocation.ts';
import { proveSmtpLogin } from '../../src/outbound/prove.ts';
import { createOAuthClient } from '../../src/provider/oauth-client.ts';
import type { Grant } from '../../src/provider/oauth.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Database, Db } from '../../src/store/database.ts';
import { joinSubAccount, putUser } from '../../src/store/users.ts';
import { testDatabase } from '../support/database.ts';
import { endpointsAt } from '../support/identity.ts';

/** Connecting on a database of its own, with what it left behind for a test to look at. */
export type ConnectingUnderTest = ConnectDeps & {
  db: Db;
  connecting: Connecting;
  /** Ends grants that nobody uses. */
  revoker: Worker;
  /** Lines of the log, as JSON. */
  logged: string[];
  /** Mailboxes whose listeners were woken. */
  woken: MailboxId[];
  /** Makes a user a member, both made where they are not there. */
  member(subAccountId: string, userId: string, email?: string): Promise<void>;
  /** Events since the last call: type and what they tell. */
  events(): Promise<{ type: string; data: Record<string, unknown> }[]>;
  /** Rows of a statement. */
  sql<Row extends object = Record<string, unknown>>(statement: string): Promise<Row[]>;
  close(): Promise<void>;
};

export type Client = { clientId: string; clientSecret: string };

/** `identity` is the URL of the tests' identity provider; without it Gmail and Outlook lead nowhere. */
export async function startConnecting(
  options: {
    kind?: Database['kind'];
    /** One that is there already; it is not closed with the rest. */
    db?: Db;
    identity?: { url: string } & Client;
    more?: readonly OfferedProvider[];
    clock?: Clock;
    allowPrivate?: readonly string[];
  } = {},
): Promise<ConnectingUnderTest> {
  const made = options.db === undefined ? await testDatabase(options.kind ?? 'pglite') : null;
  const db = options.db ?? made!.db;
  const logged: string[] = [];
  const woken: MailboxId[] = [];
  const deps: ConnectDeps = {
    db,
    secretBox: createSecretBox([Buffer.alloc(32, 9)]),
    log: logInto(logged),
    offered: offeredAt(options.identity, options.more ?? []),
    netGuard: createNetGuard({ allow: options.allowPrivate ?? ['127.0.0.1'] }),
    proveSmtpLogin,
    wakeMailbox: (id) => void woken.push(id),
    wakePublisher: () => undefined,
    wakeRevoker: () => revoker.wake(),
  };
  const clock = options.clock ?? systemClock;
  const oauthOf = (name: ProviderName) => deps.offered.get(name)?.oauth ?? null;
  const revoker = createRevoker({ ...deps, clock, oauthOf });
  revoker.start();
  const connecting = createConnecting(deps);
  let seen = '0';
  return {
    ...deps,
    db,
    connecting,
    revoker,
    logged,
    woken,
    async member(subAccountId, userId, email = `${userId}@crm.example`) {
      await run(db, `insert into sub_accounts (id, name) values (:id, :name) on conflict do nothing`, {
        id: subAccountId,
        name: `Company ${subAccountId}`,
      });
      await putUser(db, { id: userId, name: `User ${userId}`, email, aliases: [] });
      await joinSubAccount(db, { subAccountId, userId });
    },
    async events() {
      const found = await rows<{ ord: string; type: string; data: Record<string, unknown> }>(
        db,
        'select ord, type, data from events where ord > :seen order by ord',
        { seen },
      );
      seen = found.at(-1)?.ord ?? seen;
      return found.map(({ type, data }) => ({ type, data }));
    },
    sql: (statement) => rows(db, statement),
    async close() {
      await revoker.stop();
      await made?.drop();
    },
  };
}

/** What a consent gives, made up: of the address's own identity unless another is named. */
export function grantOf(email: string, more: Partial<Grant> = {}): Grant {
  return {
    email,
    login: email,
    identityKey: `identity of ${email.toLowerCase()}`,
    scopes: ['https://mail.google.com/'],
    missingScopes: [],
    refreshToken: `rt-secret-of-${email}`,
    accessToken: `at-secret-of-${email}`,
    accessTokenExpiresAt: Date.UTC(2030, 0, 1),
    ...more,
  };
}

/** A provider whose revocation answers what the test says, one after the other; then it succeeds. */
export function revoking(): OfferedProvider & { revoked: string[]; answers: (Error | null)[] } {
  const revoked: string[] = [];
  const answers: (Error | null)[] = [];
  const unused = () => Promise.reject(new Error('not in this test'));
  return {
    revoked,
    answers,
    provider: resolveProvider('gmail'),
    oauth: {
      authorisationUrl: unused,
      exchange: unused,
      refresh: unused,
      revoke: (token) => {
        revoked.push(token);
        const answer = answers.shift() ?? null;
        return answer === null ? Promise.resolve('revoked') : Promise.reject(answer);
      },
    },
  };
}

function offeredAt(
  identity: ({ url: string } & Client) | undefined,
  more: readonly OfferedProvider[],
): ConnectDeps['offered'] {
  const at = endpointsAt(identity?.url ?? 'http://127.0.0.1:9');
  const client = identity ?? { clientId: 'nobody', clientSecret: 'nothing' };
  const oauth = (['gmail', 'outlook'] as const).map((name): OfferedProvider => {
    const provider = resolveProvider(name, at[name]);
    return { provider, oauth: createOAuthClient(provider, client) };
  });
  const all = [...oauth, { provider: resolveProvider('imap'), oauth: null }, ...more];
  return new Map<ProviderName, OfferedProvider>(all.map((one) => [one.provider.name, one]));
}

function logInto(lines: string[]): Log {
  const add = (level: string) => (fields: object, message: string) => {
    lines.push(JSON.stringify({ level, ...fields, message }));
  };
  const log: Log = {
    debug: add('debug'),
    info: add('info'),
    warn: add('warn'),
    error: add('error'),
    child: () => log,
  };
  return log;
}
