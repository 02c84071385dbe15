import type { FilingDeps } from '../../src/filing/file.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { createLog } from '../../src/lib/log.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { createErrandRunner } from '../../src/mailbox/errands.ts';
import { listenerLimits } from '../../src/mailbox/listener.ts';
import type { Login } from '../../src/mailbox/session.ts';
import { createSupervisor, supervisorLimits } from '../../src/mailbox/supervisor.ts';
import { stopParsing } from '../../src/message/parse.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { createDeliverer } from '../../src/webhook/deliverer.ts';
import { createPublisher } from '../../src/webhook/publisher.ts';
import { createWebhookAgent } from '../../src/webhook/request.ts';
import type { Wakes } from '../../src/wakes.ts';
import { usualLimits } from '../support/limits.ts';

export const secretBox = createSecretBox([Buffer.alloc(32, 7)]);

/** The parts of a running gateway that listen, file and tell the CRM, put together as in src/gateway.ts. */
export type BenchGateway = {
  /** Does what was left to be done in mailboxes, without waiting for its next look. */
  wakeErrands(): void;
  /** Listens to a mailbox that was just added, without waiting for the supervisor's next look. */
  listen(mailboxId: MailboxId): void;
  stop(): Promise<void>;
};

export function startBenchGateway(options: {
  db: Db;
  blobsDirectory: string;
  imap: ServerAddress;
  loginOf: (login: string) => Login;
  /** Called right after each commit that left events behind. */
  committed?: () => void;
  /** Connections of each mailbox. */
  connections?: number;
  /** Where it is one of several. */
  node?: { id: string; wakes: Wakes };
}): BenchGateway {
  const { db, blobsDirectory, imap, loginOf, committed, connections = 2, node } = options;
  const parts = { db, clock: systemClock, log: createLog('error'), secretBox };
  const netGuard = createNetGuard({ allow: ['127.0.0.0/8'] });
  const dispatcher = createWebhookAgent(netGuard);
  const deliverer = createDeliverer({ ...parts, dispatcher });
  const publisher = createPublisher({ ...parts, published: (webhooks) => deliverer.wake(webhooks) });
  const filing: FilingDeps = {
    ...parts,
    blobs: createDiskBlobs(blobsDirectory),
    loggingDomain: null,
    limitsOf: usualLimits,
    wakePublisher: () => {
      committed?.();
      publisher.wake();
    },
  };
  const provider = { ...resolveProvider('imap'), imap, imapConnectionsMax: connections };
  const reading = {
    ...parts,
    filing,
    providerOf: () => provider,
    loginOf: ({ login }: { login: string }) => Promise.resolve(loginOf(login)),
    resolveHost: (host: string) => netGuard.resolve(host),
  };
  const supervisor = createSupervisor(
    { ...reading, limits: listenerLimits, wakeOthers: () => node?.wakes.elsewhere('mailbox') },
    supervisorLimits,
    node?.id ?? 'bench',
  );
  node?.wakes.here('mailbox', supervisor.wake);
  const errands = createErrandRunner(reading);
  publisher.start();
  deliverer.start();
  supervisor.start();
  errands.start();
  return {
    wakeErrands: () => errands.wake(),
    listen: (mailboxId) => supervisor.wake(mailboxId),
    stop: async () => {
      await errands.stop();
      await supervisor.stop();
      await publisher.stop();
      await deliverer.stop();
      await dispatcher.close();
      await stopParsing();
    },
  };
}

/** How many mailboxes have caught up and listen. */
export async function liveMailboxes(db: Db): Promise<number> {
  const [row] = await rows<{ live: number }>(
    db,
    `select count(*)::int as live from mailboxes where state = 'live'`,
  );
  return row?.live ?? 0;
}
