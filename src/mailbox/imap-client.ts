import { isIP } from 'node:net';
import { ImapFlow } from 'imapflow';
import type { ImapFlowOptions } from 'imapflow';
import { imapTrace } from '../lib/trace.ts';
import type { SessionLimits } from './answer-limits.ts';
import { inTurns, readInTurns } from './answer-limits.ts';
import type { SessionOptions } from './session.ts';

type ClientOptions = Pick<SessionOptions, 'server' | 'address' | 'tls' | 'login' | 'trace'>;

/** Whom the library's log tells of what nobody else does. */
type Told = { onThrottle(hintMs: number): void; onUnparsed(): void };

/** A throttle hint up to this is waited out inside the call; imapflow does that by itself, without a word. */
const patienceMs = 5_000;

/**
 * imapflow's client, not connected yet, with every option that is not its own default for a reason. `onThrottle` is told
 * of a pause, in milliseconds, that the server asked for and that is too long to be waited out inside a call;
 * `onUnparsed` of a line that made no sense and was left out.
 */
export function createClient(options: ClientOptions, limits: SessionLimits, on: Told): ImapFlow {
  const client: ImapFlow = new ImapFlow({
    ...clientOptions(options, limits),
    expungeHandler: inTurns(
      (event) => void client.emit('expunge', event),
      () => client.isClosed,
    ),
    ...loggingOf(options, on),
  });
  readInTurns(client);
  return client;
}

/** What imapflow (2.10.2) keeps and nobody reads again; of all else it holds there is little as dear. */
type Kept = { rawCapabilities: unknown; folders: Map<string, object> };

/** In place of what a folder was listed with. */
const known = Object.freeze({});

/**
 * Lets go of what a client was told at its login and by its last listing, which is 3 KB and half of one for each folder,
 * for as long as the connection lasts. That a folder was listed it must know: else it lists it before it opens it.
 */
export function letGo(client: ImapFlow): void {
  const kept = client as unknown as Kept;
  kept.rawCapabilities = null;
  for (const path of kept.folders.keys()) kept.folders.set(path, known);
}

function clientOptions(options: ClientOptions, limits: SessionLimits): ImapFlowOptions {
  const { server, login, address, tls } = options;
  return {
    host: address ?? server.host,
    ...(address === undefined || isIP(server.host) > 0 ? {} : { servername: server.host }),
    port: server.port,
    secure: server.security === 'tls',
    ...(tls === undefined ? {} : { tls: tls.beginWith(server) }),
    doSTARTTLS: server.security === 'starttls' ? true : server.security === 'none' ? false : undefined,
    auth:
      'accessToken' in login
        ? { user: login.user, accessToken: login.accessToken }
        : { user: login.user, pass: login.password },
    // Google asks clients to name themselves (providers.md A.5). The empty ones would be the library's own.
    clientInfo: { name: 'Twoway', version: '', vendor: '', 'support-url': '' },
    // The loop says when to listen; the library's own delay of 15 s would be a deaf window.
    disableAutoIdle: true,
    // Where it is offered: tells by UID what is gone, also what went while nobody listened (RFC 7162).
    qresync: true,
    // zlib holds some 300 KB for each connection, idle ones too, which is twice all the rest.
    disableCompression: true,
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.silenceMs,
    maxLiteralSize: limits.literalBytesMax,
    maxResponseSize: limits.responseBytesMax,
    maxLineLength: limits.lineBytesMax,
  };
}

/** What imapflow writes its log to: whoever waits for what it alone tells, and whoever writes a trace. */
function loggingOf({ trace }: ClientOptions, on: Told): Pick<ImapFlowOptions, 'logger' | 'logRaw'> {
  const logger = logListener(on);
  if (trace === undefined) return { logger };
  const tracing = imapTrace('plain', trace);
  const { warn, error } = logger;
  const all = { ...logger, ...tracing.logger, warn, error, isLevelEnabled: () => true };
  return { logRaw: tracing.logRaw, logger: all };
}

/**
 * imapflow (2.10.2) waits out what Exchange suggests as a pause, up to five minutes and several times
 * over, inside the call that was throttled, and leaves out what it cannot read; its log alone tells of either.
 */
function logListener(on: Told): Exclude<ImapFlowOptions['logger'], false | undefined> {
  const ignore = () => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ({ throttleDelay }: { throttleDelay?: unknown }) => {
      if (typeof throttleDelay === 'number' && throttleDelay > patienceMs) on.onThrottle(throttleDelay);
    },
    error: ({ src, payloadBytes }: { src?: unknown; payloadBytes?: unknown }) => {
      if (src === 's' && payloadBytes !== undefined) on.onUnparsed();
    },
    fatal: ignore,
    // Entries that nobody reads are not even made.
    isLevelEnabled: (level: string) => level === 'warn' || level === 'error',
  };
  return logger;
}
