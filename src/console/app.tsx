import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { AskAgainDeps } from '../filing/ask-again.ts';
import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { ConnectDeps, Connecting } from '../mailbox/connect.ts';
import type { ErasingDeps } from '../outbound/erasing.ts';
import type { Discover } from '../mailbox/discovery.ts';
import type { LookAhead } from '../mailbox/dry-run.ts';
import type { LimitsOf } from '../provider/figures.ts';
import type { BlobStore } from '../store/blobs.ts';
import { isOfAbsence } from '../store/away.ts';
import type { Db } from '../store/database.ts';
import type { EventSignal } from '../webhook/follow.ts';
import type { Operator } from './admin/operator.ts';
import { addAdmin } from './admin/routes.tsx';
import { addAssets } from './assets.ts';
import { knowingClient } from './client.ts';
import { addCallback } from './connect/callback.tsx';
import { addConfirm } from './connect/confirm.tsx';
import { addImap } from './connect/imap.tsx';
import { addStart } from './connect/start.tsx';
import { withoutNul } from './input.ts';
import { inReadersLanguage } from './language.ts';
import { addMailbox } from './mailbox/app.tsx';
import { commonHeaders, sayingPage, sendPage } from './page.tsx';
import type { Site } from './page.tsx';
import { notTooOften } from './rate.ts';

export type ConsoleDeps = {
  db: Db;
  secretBox: SecretBox;
  clock: Clock;
  log: Log;
  offered: ConnectDeps['offered'];
  connecting: Pick<
    Connecting,
    'connectWithGrant' | 'connectWithPassword' | 'waitForAdministrator' | 'confirm' | 'decline' | 'disconnect'
  >;
  /** The dry run before a mailbox is connected. */
  lookAhead: LookAhead;
  limitsOf: LimitsOf;
  blobs: BlobStore;
  /** What a webhook's URL may be. */
  netGuard: Pick<NetGuard, 'assertUrl'>;
  /** The guarded agent of webhooks, for test events. */
  dispatcher: Dispatcher;
  /** Tells that events were published here. */
  eventSignal: EventSignal;
  /** Called after a commit that left events behind. */
  wakePublisher(): void;
  wakeMailbox(mailboxId: MailboxId): void;
  wakeErrands(): void;
  /** Called after a commit that left something to send behind. */
  wakeSender(): void;
  /** Called after a commit that left mail to a logging address to be filed. */
  wakeFiler(): void;
  /** Called after a commit that left content that nothing refers to. */
  wakeHousekeeping(): void;
  /** Finds the mail servers of an address. */
  discover: Discover;
  /** Where browsers reach the gateway, without a slash at the end. */
  publicUrl(): string;
  /** See Site. */
  crmOrigins: readonly string[];
  /** What is behind the @ of logging addresses, in lower case; null: none are offered. */
  loggingDomain: string | null;
  operator: Operator;
} & AskAgainDeps &
  ErasingDeps;

/** No form of the pages is larger. */
const formBytesMax = 64 * 1024;

/** The pages that people see, under `/connect/`, `/mailbox`, `/admin` and `/assets/`, as a Hono app beside the API. */
export function createConsole(deps: ConsoleDeps): Hono {
  const site: Site = { url: deps.publicUrl, crmOrigins: deps.crmOrigins };
  const app = new Hono();
  app.use(commonHeaders);
  app.use(inReadersLanguage);
  app.use(knowingClient(deps.operator.httpProxies));
  app.use(notTooOften(site, deps.clock));
  app.use(
    bodyLimit({
      maxSize: formBytesMax,
      onError: (c) => sendPage(c, site, sayingPage('too_large', 413, { framed: true })),
    }),
  );
  app.use(withoutNul(site));
  app.onError((error, c) => {
    // Only the kind of it: a database's message can quote the values of a row.
    const told = { error: error.name, at: firstFrame(error) };
    if (isOfAbsence(error)) {
      deps.log.warn(told, 'a page found no database');
      c.header('Retry-After', '5');
      return sendPage(c, site, sayingPage('away', 503, { framed: true }));
    }
    deps.log.error(told, 'a page failed');
    return sendPage(c, site, sayingPage('internal', 500, { framed: true }));
  });
  app.notFound((c) => sendPage(c, site, sayingPage('not_found', 404, { framed: true })));
  addAssets(app);
  // Before the start page, whose token it could be taken for.
  addCallback(app, { ...deps, site });
  addStart(app, { ...deps, site });
  addImap(app, { ...deps, site });
  addConfirm(app, { ...deps, site });
  addMailbox(app, { ...deps, site });
  addAdmin(app, { ...deps, site });
  return app;
}

function firstFrame(error: Error): string {
  return (
    error.stack
      ?.split('\n')
      .find((line) => line.startsWith('    at '))
      ?.trim() ?? ''
  );
}
