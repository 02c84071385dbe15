import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { tlsProblem } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';

/** What the connections of a process have of each other in TLS. */
export type SharedTls = {
  /** With what a connection to a server begins. */
  beginWith(server: ServerAddress): { secureContext: SecureContext; session?: Buffer };
  /** One has come about, on this socket. */
  begun(server: ServerAddress, socket: unknown): void;
  /** One has not: the next begins from nothing, and where TLS failed, or nobody answered, so do all for some time. */
  failed(server: ServerAddress, error: unknown): void;
};

/** Of so many servers a session is kept; then of the one whose is oldest no more. */
const serversMax = 1_000;

/**
 * For so long no session is kept of a server at which one did not lead to TLS, in ms: else each second connection would
 * fail at one that cannot go on with any, and so no mailbox that has two would ever be listened to.
 */
const declinedMs = 3_600_000;

/**
 * For so long the session of a server is not replaced, in ms. Where processes that know nothing of each other's tickets
 * take the connections, as Dovecot's do, hardly any goes on, and each would keep a session of its own: 3 KB.
 */
const keptMs = 60_000;

type Kept = { session: Buffer; at: number };

/**
 * One context for all, since one of its own costs each connection 31 KB; and from each server a session that began
 * of late with its certificate, with which the next connections go on (RFC 8446 §2.2): nobody signs or verifies anything
 * again, which is half a millisecond of the processor here, and more there (Node 24, 2026-11). A session that went on
 * with another one is not kept, so that the certificate is seen again when the server's ticket is too old: after seven
 * days at most (§4.6.1).
 */
export function createSharedTls(clock: Pick<Clock, 'monotonic'>): SharedTls {
  const secureContext = createSecureContext();
  const sessions = new Map<string, Kept>();
  /** When a session of a server may be kept again, by the monotonic clock. */
  const declined = new Map<string, number>();
  return {
    beginWith: (server) => {
      const kept = sessions.get(nameOf(server));
      return { secureContext, ...(kept === undefined ? {} : { session: kept.session }) };
    },
    begun: (server, socket) => {
      if (!(socket instanceof TLSSocket) || socket.isSessionReused()) return;
      const [name, at] = [nameOf(server), clock.monotonic()];
      if (at < (declined.get(name) ?? -Infinity) || at < (sessions.get(name)?.at ?? -Infinity) + keptMs)
        return;
      const session = socket.getSession();
      if (session !== undefined) put(sessions, name, { session, at });
    },
    failed: (server, error) => {
      const name = nameOf(server);
      const hadOne = sessions.delete(name);
      if (hadOne && (tlsProblem(error) !== null || isSilence(error)))
        put(declined, name, clock.monotonic() + declinedMs);
    },
  };
}

/**
 * Whether TLS may be what did not come about: whoever cannot go on with a session may also say nothing at all. imapflow
 * (2.10.2) has the same word for a host that is away, and at that one nothing is lost but an hour of shorter handshakes.
 */
function isSilence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'CONNECT_TIMEOUT';
}

/** Puts it at the end; of too many the first one goes. */
function put<Value>(byName: Map<string, Value>, name: string, value: Value): void {
  byName.delete(name);
  byName.set(name, value);
  const [oldest] = byName.keys();
  if (byName.size > serversMax && oldest !== undefined) byName.delete(oldest);
}

/** The certificate was the host's, whatever its address. */
function nameOf({ host, port }: ServerAddress): string {
  return `${host}:${port}`;
}
