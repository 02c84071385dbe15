import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { openAdministration, operatorOf } from './administration.ts';
import { createApi, createProbes } from './api/app.ts';
import type { ApiDeps } from './api/route.ts';
import { startHttpServer } from './api/server.ts';
import { createTracking } from './api/tracking.ts';
import type { Config } from './config.ts';
import type { ConsoleDeps } from './console/app.tsx';
import { makeSecretKey, openBlobs, openData, readSecretKeys, spoolDirectory } from './data.ts';
import type { FilingDeps } from './filing/file.ts';
import { createHousekeeping, keptDaysOf } from './housekeeping.ts';
import { createProver } from './intake/authenticate.ts';
import type { Prover } from './intake/authenticate.ts';
import type { ResolveDns } from './intake/dns.ts';
import { createFiler } from './intake/filer.ts';
import { startIntake } from './intake/server.ts';
import type { IntakeServer } from './intake/server.ts';
import { openSpool } from './intake/spool.ts';
import type { Spool } from './intake/spool.ts';
import { createTake } from './intake/take.ts';
import { systemClock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import { createLog } from './lib/log.ts';
import type { Log } from './lib/log.ts';
import { watchLoopDelay } from './lib/loop-delay.ts';
import { createNetGuard } from './lib/net-guard.ts';
import type { NetGuard } from './lib/net-guard.ts';
import { createConnecting } from './mailbox/connect.ts';
import { createDiscover, createFetchText } from './mailbox/discovery.ts';
import { createLookAhead } from './mailbox/dry-run.ts';
import { listenerLimits } from './mailbox/listener.ts';
import { createErrandRunner } from './mailbox/errands.ts';
import { createRevoker } from './mailbox/revocation.ts';
import { createSupervisor, supervisorLimits } from './mailbox/supervisor.ts';
import type { Login } from './mailbox/session.ts';
import { stopParsing } from './message/parse.ts';
import { createMetrics } from './metrics.ts';
import { startWorkersOf } from './roles.ts';
import { createWakes } from './wakes.ts';
import type { Wakes } from './wakes.ts';
import { listening } from './listening.ts';
import { logIn } from './log-in.ts';
import { limitsBy } from './provider/figures.ts';
import { createProviders, dnsFor, loggingDomainOf, startSandboxIfWanted } from './offers.ts';
import type { Providers } from './offers.ts';
import { proveRelay, proveSmtpLogin } from './outbound/prove.ts';
import { readyChecks } from './readiness.ts';
import { createHits } from './outbound/hits.ts';
import type { Hits } from './outbound/hits.ts';
import { createSender } from './outbound/sender.ts';
import type { ProviderName } from './provider/providers.ts';
import { createTokenService } from './provider/tokens.ts';
import { claimBlobs } from './store/blob-owner.ts';
import type { BlobStore, SweptBlobStore } from './store/blobs.ts';
import { keepRecent } from './store/recent-blobs.ts';
import type { Database, Db } from './store/database.ts';
import { makeSecretBox } from './store/hash-key.ts';
import { createFirstKey } from './store/keys.ts';
import { findLoggingOwners } from './store/logging-addresses.ts';
import type { Mailbox } from './store/mailboxes.ts';
import { createTokenStore } from './store/tokens.ts';
import { createTelling } from './webhook/telling.ts';

/** A running gateway. */
export type Gateway = {
  /** Where the API and the pages answer. */
  url: string;
  /** Null where this node takes no mail. */
  smtpPort: number | null;
  /** The first administrator's key, on the start that made it; null afterwards. */
  firstKey: string | null;
  /** Where the first administrator of the pages sets a password; null where there is one, or an identity provider. */
  firstLink: string | null;
  /** The sandbox's own pages; null where it does not run. */
  sandboxUrl: string | null;
  stop(): Promise<void>;
};

/**
 * Starts everything in order: the database before what writes to it, the workers before the doors.
 * A failure on the way stops what was started. `stop` goes the other way round.
 */
export async function startGateway(config: Config): Promise<Gateway> {
  const started: End[] = [];
  const stopping = new AbortController();
  const log = createLog(config.LOG_LEVEL);
  const stop = () => {
    // What balances the load may ask before the doors are closed.
    stopping.abort();
    return endAll(started.splice(0), log);
  };
  try {
    const gateway = await start(config, { log, stopping: stopping.signal }, (end) => started.push(end));
    // From now on: opening the embedded database takes a second or two of it, once.
    started.push(watchLoopDelay(log, loopBlockedMs));
    return { ...gateway, stop };
  } catch (error) {
    // What kept it from starting is what a person must know; a failed stop is in the log.
    await stop().catch(() => undefined);
    throw error;
  }
}

/** Undoes one step of the start. */
type End = () => Promise<void> | void;

/** Ends all that was started, the last first; what fails is logged, keeps nothing else from its end, and is thrown then. */
export async function endAll(started: readonly End[], log: Log): Promise<void> {
  const failures: unknown[] = [];
  for (const end of started.toReversed()) {
    try {
      await end();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'a part of the gateway did not stop in good order');
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** What was accepted for sending and is still in memory when it is sent, bytes. */
const outgoingBytesMax = 32 * 1024 * 1024;

/** Longer than this nothing may keep everything else waiting. */
const loopBlockedMs = 200;

type Defer = (end: End) => void;

/** What there is before anything is started; `stopping` is aborted before anything is ended. */
type Frame = { log: Log; stopping: AbortSignal };

async function start(config: Config, frame: Frame, defer: Defer): Promise<Omit<Gateway, 'stop'>> {
  const { log, stopping } = frame;
  const clock = systemClock;
  const database = await openData(config);
  defer(() => database.close());
  defer(() => stopParsing());
  const { db } = database;
  makeSecretKey(config);
  const secretBox = await makeSecretBox(db, readSecretKeys(config));
  const netGuard = createNetGuard({ allow: config.ALLOW_PRIVATE });
  const wakes = createWakes({ db, url: config.DATABASE_URL, clock, log });
  const tellStreams = () => wakes.elsewhere('streams');
  const telling = createTelling({ db, clock, log, secretBox, netGuard, tellStreams });
  const { dispatcher, eventSignal } = telling;
  defer(() => dispatcher.close());
  const { blobs, outgoing } = await openStores(config, db);
  const sandbox = await listening({ port: 'TWOWAY_SANDBOX_PORT' }, () => startSandboxIfWanted(config, log));
  if (sandbox !== null) defer(() => sandbox.stop());
  const loggingDomain = loggingDomainOf(config);
  const providers = createProviders(config, sandbox);
  const filing: FilingDeps = {
    db,
    blobs,
    secretBox,
    clock,
    log,
    loggingDomain,
    limitsOf: limitsBy(providers.of),
    wakePublisher: () => wakes.calls.wakePublisher(),
  };
  const dns = dnsFor(config, sandbox);
  const { connecting, atDoors } = startWorkers(config, defer, {
    database,
    blobs,
    outgoing,
    filing,
    telling,
    providers,
    netGuard,
    dns,
    wakes,
  });
  const doors = await openDoors(config, defer, {
    databaseKind: database.kind,
    ...filing,
    blobs: outgoing,
    ...connecting,
    ...wakes.calls,
    ...atDoors,
    roles: config.ROLES,
    stopping,
    trackingUrl: config.TRACKING_URL,
    crmOrigins: config.CRM_ORIGINS,
    operator: operatorOf(config),
    httpProxies: config.HTTP_PROXIES,
    proveRelay: (trial) => proveRelay(netGuard, trial),
    netGuard,
    dispatcher,
    eventSignal,
    connecting,
    ...aheadOf(defer, { filing, providers, netGuard, dns }),
    offered: providers.offered,
  });
  const { smtpPort } = doors;
  if (loggingDomain !== null && smtpPort !== null)
    sandbox?.routeTo({ domain: loggingDomain, port: smtpPort });
  // Last: it is shown once, and a start that fails before shows nothing.
  const first = config.ROLES.includes('api') ? await makeFirst(config, db, doors.publicUrl) : nothingFirst;
  return { ...doors, ...first, sandboxUrl: sandbox?.http.url ?? null };
}

/** Where bytes are kept; `outgoing`: the same store, for what is accepted here and sent soon. */
async function openStores(config: Config, db: Db): Promise<{ blobs: SweptBlobStore; outgoing: BlobStore }> {
  const stored = await openBlobs(config);
  await claimBlobs(db, stored);
  return { blobs: stored.blobs, outgoing: keepRecent(stored.blobs, outgoingBytesMax) };
}

/** Of the nodes that are asked for nothing by people. */
const nothingFirst = { firstKey: null, firstLink: null };

async function makeFirst(
  config: Config,
  db: Db,
  publicUrl: string,
): Promise<Pick<Gateway, 'firstKey' | 'firstLink'>> {
  const firstKey = await createFirstKey(db, config.FIRST_KEY);
  const firstLink = await openAdministration(config, db);
  return { firstKey, firstLink: firstLink && `${publicUrl}${firstLink}` };
}

/** What works by itself, whoever calls. */
function startWorkers(
  config: Config,
  defer: Defer,
  parts: {
    database: Database;
    blobs: SweptBlobStore;
    outgoing: BlobStore;
    filing: FilingDeps;
    telling: ReturnType<typeof createTelling>;
    providers: Providers;
    netGuard: NetGuard;
    dns: ResolveDns;
    wakes: Wakes;
  },
) {
  const { database, blobs, outgoing, filing, providers, netGuard, wakes } = parts;
  const { wakeMailbox, wakeRevoker, wakeErrands } = wakes.calls;
  const { publisher, deliverer, eventSignal } = parts.telling;
  const { db, secretBox, clock, log } = filing;
  const tokens = createTokenService({
    store: createTokenStore(db, secretBox),
    clock,
    oauthFor: (name) => providers.oauthOf(name),
    log,
  });
  const resolveHost = (host: string) => netGuard.resolve(host);
  const reading = {
    filing,
    clock,
    log,
    providerOf: (mailbox: Mailbox) => providers.of(mailbox.provider),
    loginOf: (mailbox: Mailbox, refused: Login | null) => logIn({ db, secretBox, tokens }, mailbox, refused),
    resolveHost,
  };
  const errands = createErrandRunner(reading);
  const supervisor = createSupervisor(
    { ...reading, limits: listenerLimits, wakeOthers: () => wakes.elsewhere('mailbox') },
    supervisorLimits,
    `${hostname()}:${resolve(config.DATA_DIR)}`,
  );
  const wakeOthers = () => wakes.elsewhere('sender');
  const sending = { ...filing, blobs: outgoing, tokens, provider: providers.of, resolveHost, wakeOthers };
  const sender = createSender(sending);
  const oauthOf = (name: ProviderName) => providers.offered.get(name)?.oauth ?? null;
  const revoker = createRevoker({ db, secretBox, clock, log, oauthOf });
  const connecting = createConnecting({
    ...filing,
    offered: providers.offered,
    netGuard,
    proveSmtpLogin,
    wakeMailbox,
    wakeRevoker,
  });
  const housekeeping = createHousekeeping({
    database,
    blobs,
    secretBox,
    clock,
    log,
    keptDays: keptDaysOf(config),
  });
  const prover = createProver({ resolve: parts.dns, clock, log, hostName: hostname() });
  const filer = createFiler({ ...filing, proveMessage: prover.proveMessage, wakeErrands });
  const hits = createHits(filing);
  const workers = { publisher, deliverer, hits, eventSignal, sender, supervisor, errands, revoker, filer };
  startWorkersOf(config.ROLES, wakes, { ...workers, housekeeping }, defer);
  const isThere = () => !config.ROLES.includes('mailbox') || supervisor.isThere();
  const listeners = () => supervisor.size();
  return { connecting, atDoors: { prover, hits, isThere, listeners } };
}

/** What the connect page looks for before a mailbox is connected. */
function aheadOf(
  defer: Defer,
  parts: { filing: FilingDeps; providers: Providers; netGuard: NetGuard; dns: ResolveDns },
): Pick<ConsoleDeps, 'lookAhead' | 'discover'> {
  const { filing, providers, netGuard } = parts;
  const fetchText = createFetchText(netGuard, filing.log);
  defer(() => fetchText.close());
  return {
    discover: createDiscover({ resolve: parts.dns, fetchText }),
    lookAhead: createLookAhead({
      filing,
      providerOf: (name) => providers.of(name),
      resolveHost: (host) => netGuard.resolve(host),
    }),
  };
}

/** Where the outside comes in: SMTP, and HTTP for the API and the pages. */
async function openDoors(
  config: Config,
  defer: Defer,
  deps: Omit<ApiDeps & ConsoleDeps, 'publicUrl' | 'metrics' | 'readyChecks'> & {
    prover: Prover;
    hits: Hits;
    listeners(): number;
    isThere(): boolean;
    stopping: AbortSignal;
  },
): Promise<{ url: string; publicUrl: string; smtpPort: number | null }> {
  const intake = config.ROLES.includes('intake') ? await openIntake(config, defer, deps) : null;
  const nothingSpooled = { messages: 0, bytes: 0 };
  const metrics = createMetrics({ ...deps, spooled: () => intake?.spool.waiting() ?? nothingSpooled });
  const ready = readyChecks(config, deps);
  // Known when the server listens: the configured port may be 0.
  let publicUrl = config.PUBLIC_URL.replace(/\/+$/, '');
  const parts = { ...deps, metrics, readyChecks: ready, publicUrl: () => publicUrl };
  const app = config.ROLES.includes('api') ? await createSite(parts) : createProbes(parts);
  const http = await listening({ port: 'TWOWAY_HTTP_PORT', host: 'TWOWAY_HTTP_HOST' }, () =>
    startHttpServer({ app, host: config.HTTP_HOST, port: config.HTTP_PORT }),
  );
  defer(() => http.stop());
  if (publicUrl === '') publicUrl = http.url;
  return { url: http.url, publicUrl, smtpPort: intake?.port ?? null };
}

type App = Parameters<typeof startHttpServer>[0]['app'];

/** The API, the pages, and what tracked mail leads to. */
async function createSite(parts: ApiDeps & ConsoleDeps & Parameters<typeof createTracking>[0]): Promise<App> {
  // A quarter of all that is loaded: nodes that show nobody anything do without.
  const { createConsole } = await import('./console/app.tsx');
  const api = createApi(parts);
  const pages = createConsole(parts);
  const tracking = createTracking(parts);
  return {
    fetch: (request, bindings) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith('/t/')) return tracking.fetch(request, bindings);
      return (/^\/(?:$|(?:connect|mailbox|admin|assets)(?:\/|$))/.test(pathname) ? pages : api).fetch(
        request,
        bindings,
      );
    },
  };
}

/** The door of the logging addresses. */
async function openIntake(
  config: Config,
  defer: Defer,
  deps: Pick<ApiDeps, 'db' | 'blobs' | 'clock' | 'log' | 'loggingDomain' | 'wakeFiler'> & { prover: Prover },
): Promise<IntakeServer & { spool: Spool }> {
  const { db, clock, log } = deps;
  const take = createTake(deps);
  const spool = await openSpool({ directory: spoolDirectory(config), take, clock, log });
  defer(() => spool.stop());
  const { SMTP_TLS_CERT: certPath, SMTP_TLS_KEY: keyPath } = config;
  const intake = await listening({ port: 'TWOWAY_SMTP_PORT', host: 'TWOWAY_SMTP_HOST' }, () =>
    startIntake({
      host: config.SMTP_HOST,
      port: config.SMTP_PORT,
      domain: deps.loggingDomain,
      certificate: certPath === null || keyPath === null ? null : { certPath, keyPath },
      proxies: config.SMTP_PROXIES,
      lookUp: (localParts) => findLoggingOwners(db, localParts),
      prover: deps.prover,
      spool,
      clock,
      log,
    }),
  );
  defer(() => intake.stop());
  return { ...intake, spool };
}
