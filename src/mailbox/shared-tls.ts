import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ServerAddress } from '../provider/providers.ts';

/** What the connections of a process have of each other in TLS. */
export type SharedTls = {
  /** With what a connection to a server begins. */
  beginWith(server: ServerAddress): { secureContext: SecureContext; session?: Buffer };
  /** One has come about, on this socket. */
  begun(server: ServerAddress, socket: unknown): void;
  /** One has not: the next begins from nothing. */
  failed(server: ServerAddress): void;
};

/** Of so many servers a session is kept; then of the one whose is oldest no more. */
const serversMax = 1_000;

/**
 * One context for all, since one of its own costs each connection 31 KB; and from each server the session that began
 * last with its certificate, with which the next connections go on (RFC 8446 §2.2): nobody signs or verifies anything
 * again, which is half a millisecond of the processor here, and more there (Node 24, 2026-11). A session that went on
 * with another one is not kept, so that the certificate is seen again when the server's ticket is too old: after seven
 * days at most (§4.6.1).
 */
export function createSharedTls(): SharedTls {
  const secureContext = createSecureContext();
  const sessions = new Map<string, Buffer>();
  return {
    beginWith: (server) => {
      const session = sessions.get(nameOf(server));
      return { secureContext, ...(session === undefined ? {} : { session }) };
    },
    begun: (server, socket) => {
      if (!(socket instanceof TLSSocket) || socket.isSessionReused()) return;
      const session = socket.getSession();
      if (session === undefined) return;
      const name = nameOf(server);
      sessions.delete(name);
      sessions.set(name, session);
      const [oldest] = sessions.keys();
      if (sessions.size > serversMax && oldest !== undefined) sessions.delete(oldest);
    },
    failed: (server) => void sessions.delete(nameOf(server)),
  };
}

/** The certificate was the host's, whatever its address. */
function nameOf({ host, port }: ServerAddress): string {
  return `${host}:${port}`;
}
