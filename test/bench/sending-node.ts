// The process that accepts and sends in the bench: the API over HTTP, and the sender.
import { createApi } from '../../src/api/app.ts';
import { startHttpServer } from '../../src/api/server.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import { createSender } from '../../src/outbound/sender.ts';
import type { Sender } from '../../src/outbound/sender.ts';
import { openSession } from '../../src/outbound/smtp.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { keepRecent } from '../../src/store/recent-blobs.ts';
import { openDatabase, rows, run } from '../../src/store/database.ts';
import { createFirstKey } from '../../src/store/keys.ts';
import { credentialContext } from '../../src/store/mailboxes.ts';
import { providerPasswordContext } from '../../src/store/sub-accounts.ts';
import { createEventSignal } from '../../src/webhook/follow.ts';
import { createPublisher } from '../../src/webhook/publisher.ts';
import { createWebhookAgent } from '../../src/webhook/request.ts';
import { blankRequest } from '../outbound/support.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { serveParent } from './child.ts';
import { secretBox } from './gateway.ts';
import { recipientsOf, writtenTo } from './accepting.ts';
import type { Door } from './accepting.ts';
import { startBareDoor } from './bare-door.ts';
import { addMailbox, userOf } from './tenant.ts';
import { usualLimits } from '../support/limits.ts';

export type SendingOptions = {
  databaseUrl: string;
  blobsDirectory: string;
  smtp: ServerAddress;
  /** Addresses, each with a mailbox of its own. */
  people: string[];
  relayUser: string;
};

export type SendingQuestion =
  | { ask: 'start' }
  /** The raw peer of what `start` starts. */
  | { ask: 'start_bare' }
  /** What was accepted so far is not sent any more. */
  | { ask: 'forget' }
  /** Sends until nothing is left; answers ms. */
  | { ask: 'drain' }
  /** Sends so many individual messages, one after the other; answers the ms of each from the call to the server's answer. */
  | { ask: 'one_by_one'; count: number; untilDrained: boolean };

const options = JSON.parse(process.argv[2] ?? '') as SendingOptions;
const { db } = await openDatabase({ kind: 'postgres', url: options.databaseUrl, connectionsMax: 20 });
const parts = {
  db,
  blobs: keepRecent(createDiskBlobs(options.blobsDirectory), 32 * 1024 * 1024),
  secretBox,
  clock: systemClock,
  log: createLog('error'),
};
const publisher = createPublisher({ ...parts, published: () => undefined });
publisher.start();
const netGuard = createNetGuard({ allow: ['127.0.0.0/8'] });
const wakePublisher = () => publisher.wake();
let sender: Sender | undefined;
const taken = new Map<string, (at: number) => void>();
const accepting = {
  ...parts,
  loggingDomain: null,
  limitsOf: usualLimits,
  trackingUrl: null,
  wakePublisher,
  wakeSender: () => sender?.wake(),
};
await addPeople();

serveParent(async (question) => {
  const asked = question as SendingQuestion;
  switch (asked.ask) {
    case 'start':
      return start();
    case 'start_bare':
      return startBareDoor(db, options.blobsDirectory);
    case 'forget':
      return run(db, `update sends set state = 'failed', ready = false where ready`);
    case 'drain':
      return drained();
    case 'one_by_one':
      return oneByOne(asked.count, asked.untilDrained);
  }
});

async function addPeople(): Promise<void> {
  await run(
    db,
    `insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
     select 'bench', 'c' || n, 1, a, a
       from generate_series(0, :last::int) n, lateral (select 'contact-' || n || '@swallows.test' as a) one`,
    { last: writtenTo - 1 },
  );
  for (const address of options.people) {
    const id = await addMailbox(db, address, userOf(address));
    await run(
      db,
      `update mailboxes set state = 'live', servers = :servers::jsonb, credential_sealed = :sealed where id = :id`,
      {
        id,
        servers: JSON.stringify({ imap: options.smtp, smtp: options.smtp }),
        sealed: secretBox.seal(passwordOf(address), credentialContext(id)),
      },
    );
    await run(db, `update connections set state = 'live' where mailbox_id = :id`, { id });
  }
  const { relayUser, smtp } = options;
  const provider = { kind: 'smtp', ...smtp, username: relayUser, from: relayUser };
  await run(
    db,
    `update sub_accounts set provider = :provider::jsonb, provider_password_sealed = :sealed where id = 'bench'`,
    {
      provider: JSON.stringify(provider),
      sealed: secretBox.seal(passwordOf(relayUser), providerPasswordContext('bench')),
    },
  );
}

async function start(): Promise<Door> {
  const nothing = () => undefined;
  const api = createApi({
    httpProxies: [],
    ...accepting,
    databaseKind: 'postgres',
    disconnect: () => Promise.resolve(0),
    disconnectBefore: (_which, remove) => db.transaction(remove),
    connectWithPassword: () => Promise.reject(new Error('nobody connects')),
    offered: new Map(),
    publicUrl: () => 'http://127.0.0.1',
    wakeErrands: nothing,
    wakeMailbox: nothing,
    wakeWanted: nothing,
    wakeHousekeeping: nothing,
    wakeFiler: nothing,
    proveRelay: () => Promise.resolve(),
    readyChecks: [],
    metrics: () => Promise.resolve(''),
    netGuard,
    dispatcher: createWebhookAgent(netGuard),
    eventSignal: createEventSignal(),
    roles: ['api', 'outbound'],
  });
  const { url } = await startHttpServer({
    app: { fetch: (request, bindings) => api.fetch(request, bindings) },
    host: '127.0.0.1',
    port: 0,
  });
  return { url, key: (await createFirstKey(db)) ?? '' };
}

async function drained(): Promise<number> {
  const startedAt = performance.now();
  const running = startSender();
  await waitFor('everything to be sent', isDrained, { deadlineMs: 300_000, everyMs: 100 });
  const ms = performance.now() - startedAt;
  await running.stop();
  sender = undefined;
  const wrong = await rows(
    db,
    `select state, state_reason, count(*) from sends where state not in ('sent', 'failed') group by 1, 2`,
  );
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
  return ms;
}

async function isDrained(): Promise<boolean> {
  return (await rows(db, 'select 1 from sends where ready limit 1')).length === 0;
}

function startSender(): Sender {
  const made = createSender({
    ...parts,
    tokens: { accessToken: () => Promise.reject(new Error('all have passwords')) },
    provider: (name) => resolveProvider(name),
    resolveHost: (host) => netGuard.resolve(host),
    wakeOthers() {},
    wakePublisher,
    open: async (to, signal, refused) => {
      const session = await openSession(to, signal, refused);
      return {
        ...session,
        submit: async (submission) => {
          const accepted = await session.submit(submission);
          taken.get(submission.envelope.to[0] ?? '')?.(performance.now());
          return accepted;
        },
      };
    },
  });
  made.start();
  sender = made;
  return made;
}

async function oneByOne(count: number, untilDrained: boolean): Promise<number[]> {
  const running = startSender();
  const latencies: number[] = [];
  for (let n = 0; n < count; n += 1) {
    if (untilDrained && (await isDrained())) throw new Error('the campaign was over before');
    const to = `one-${n}-${performance.now()}@swallows.test`;
    const arrived = new Promise<number>((resolve) => taken.set(to, resolve));
    const startedAt = performance.now();
    const result = await createAccept(accepting)(
      {
        ...blankRequest,
        subAccountId: 'bench',
        userId: userOf(options.people[n % options.people.length] ?? ''),
        contactId: `c${n}`,
        to: [
          { name: '', address: to },
          { name: '', address: recipientsOf(n)[1] },
        ],
        subject: 'One',
        text: 'Dear Carla',
      },
      null,
    );
    if ('refused' in result) throw new Error(JSON.stringify(result.refused));
    latencies.push((await arrived) - startedAt);
  }
  await running.stop();
  sender = undefined;
  return latencies;
}
