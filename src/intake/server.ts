import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';
import { isIn } from '../lib/networks.ts';
import { assertRoom } from './accept.ts';
import type { Prover } from './authenticate.ts';
import { watchCertificate } from './certificate.ts';
import type { CertificatePaths, WatchedCertificate } from './certificate.ts';
import { Door } from './door.ts';
import { intakeLimits } from './limits.ts';
import type { IntakeLimits } from './limits.ts';
import { assertKnownParameters } from './parameters.ts';
import type { LookUp } from './recipients.ts';
import type { Spool } from './spool.ts';
import type { Answer } from './verify.ts';
import { answer, createVisits, restarting } from './visits.ts';

/** The SMTP server for mail to logging addresses, listening. */
export type IntakeServer = {
  port: number;
  /** Looks for a renewed certificate now, instead of within a minute. */
  reload(): Promise<void>;
  /** What is in DATA is finished, within some seconds; all else is sent away for a minute. */
  stop(): Promise<void>;
};

export type IntakeOptions = {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Of the logging addresses, in lower case and ASCII; null: every recipient is refused. */
  domain: string | null;
  /** Null: STARTTLS is not offered. */
  certificate: CertificatePaths | null;
  /** Addresses and networks whose PROXY header is believed. */
  proxies: readonly string[];
  lookUp: LookUp;
  spool: Spool;
  prover: Prover;
  clock: Clock;
  log: Log;
  limits?: IntakeLimits;
};

const tooLong: Answer = { code: 421, text: '4.4.2 This has taken too long, connect again' };

const tendMs = 5_000;
const certificateMs = 60_000;

/** Starts to listen. Rejects where the port is taken, or the certificate cannot be used. */
export async function startIntake(options: IntakeOptions): Promise<IntakeServer> {
  const { clock, log, limits = intakeLimits } = options;
  const certificate = options.certificate === null ? null : await watchCertificate(options.certificate, log);
  const visits = createVisits(options, limits);
  const door: Door = new Door(
    {
      name: options.domain ?? 'twoway',
      banner: 'Twoway logging addresses',
      heloResponse: '%s',
      // The words of an MX that are of use; the others are jokes, or for clients with a login.
      disabledCommands: [
        'AUTH',
        'XCLIENT',
        'XFORWARD',
        'WIZ',
        'SHELL',
        'KILL',
        ...(certificate === null ? ['STARTTLS'] : []),
      ],
      ...certificate?.first,
      hideENHANCEDSTATUSCODES: false,
      disableReverseLookup: true,
      maxClients: limits.sessionsMax,
      maxRecipients: limits.recipientsMax,
      maxCommandLength: limits.commandBytesMax,
      size: limits.messageBytesMax,
      socketTimeout: limits.silenceMs,
      closeTimeout: limits.stopMs,
      onConnect: (session, callback) => answer(() => visits.enter(door.visitOf(session)), callback),
      onClose: (session) => visits.leave(door.visitOf(session)),
      onMailFrom: (address, _session, callback) =>
        answer(() => {
          assertKnownParameters('MAIL', address);
          return assertRoom(options.spool);
        }, callback),
      onRcptTo: (address, session, callback) =>
        answer(() => {
          assertKnownParameters('RCPT', address);
          return visits.recipient(door.visitOf(session), address);
        }, callback),
      onData: (stream, session, callback) => visits.message(door.visitOf(session), stream, session, callback),
    },
    {
      commandsMax: limits.commandsMax,
      isProxy: (address) => isIn(options.proxies, address),
      withoutHeader: (address) =>
        log.warn(
          { address },
          'a load balancer of TWOWAY_SMTP_PROXIES sent no PROXY header: mail by it is put off',
        ),
    },
  );
  const port = await listen(door, options);
  const stopping = new AbortController();
  const reload = () => useRenewed(door, certificate, log);
  const tending = tend({ door, clock, limits, reload }, stopping.signal);
  return {
    port,
    reload,
    async stop() {
      stopping.abort();
      visits.stop();
      const closed = new Promise<void>((done) => door.close(() => done()));
      for (const visit of door.visitors()) if (visit.isIdle()) visit.say(restarting);
      await closed;
      await visits.ended();
      await tending;
    },
  };
}

function listen(door: Door, options: IntakeOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    let isListening = false;
    // Stays: the server passes the errors of its sessions on, and a client that is cut off in the middle, or that
    // trusts no certificate of ours, would end the process.
    door.on('error', (error: Error) => {
      if (isListening) options.log.debug({ error: messageOf(error) }, 'an SMTP session failed');
      else reject(error);
    });
    door.listen(options.port, options.host, () => {
      isListening = true;
      const address = door.server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : options.port);
    });
  });
}

async function useRenewed(door: Door, certificate: WatchedCertificate | null, log: Log): Promise<void> {
  const renewed = await certificate?.renewed();
  if (renewed === undefined || renewed === null) return;
  door.updateSecureContext(renewed);
  log.info({}, 'SMTP uses the renewed certificate');
}

/** Ends what takes too long, and looks for a renewed certificate each minute. */
async function tend(
  parts: { door: Door; clock: Clock; limits: IntakeLimits; reload(): Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const { door, clock, limits } = parts;
  let looked = clock.monotonic();
  for (;;) {
    await clock.sleep(tendMs, signal);
    if (signal.aborted) return;
    const now = clock.monotonic();
    for (const visit of door.visitors()) {
      const { client, startedAt, dataSince } = visit;
      const isOld = client !== null && visit.isIdle() && now - startedAt > limits.sessionMs;
      if (isOld || (dataSince !== null && now - dataSince > limits.dataMs)) visit.say(tooLong);
    }
    if (now - looked < certificateMs) continue;
    looked = now;
    await parts.reload();
  }
}
