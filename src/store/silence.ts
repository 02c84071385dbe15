import { Socket } from 'node:net';
import { Client } from 'pg';

/** A connection to PostgreSQL, as far as its silence goes. */
export type Watched = {
  /** Whether it owes an answer. */
  isWaiting(): boolean;
  /** Bytes that have come on it so far. */
  received(): number;
  /** The server's process for it; null: not known, as behind a pooler, which makes numbers up. */
  backend: number | null;
  /** Ends it; whatever is asked of it fails. */
  giveUp(): void;
};

/**
 * Gives up connections on which no answer will come any more: a firewall that forgets a connection, or a machine that
 * vanishes, tells nobody, and what was asked would wait for as long as the slowest statement may take. One that has been
 * waiting for `silenceMs` without a byte is asked after, on a connection of its own: its statement may be a slow one.
 * Answers how to end that.
 */
export function watchSilence(options: {
  connections(): Iterable<Watched>;
  /** Milliseconds; also how long the server is waited for when it is asked. */
  silenceMs: number;
  url: string;
}): () => void {
  const { connections, silenceMs, url } = options;
  const everyMs = silenceMs / 5;
  const heard = new WeakMap<Watched, Heard>();
  let lookedAt = performance.now();
  let isAsking = false;

  const isSilent = (connection: Watched): boolean =>
    connection.isWaiting() && heard.get(connection)?.received === connection.received();
  const hear = (connection: Watched): void => {
    heard.set(connection, { received: connection.received(), at: performance.now() });
  };
  const look = async (): Promise<void> => {
    const late: [Watched, Heard][] = [];
    // Whoever stood still has read nothing meanwhile, and their own time-outs are up before they read what has come.
    const stoodStill = performance.now() - lookedAt > everyMs * 3;
    lookedAt = performance.now();
    for (const connection of connections()) {
      const last = heard.get(connection);
      if (stoodStill || last === undefined || !isSilent(connection)) hear(connection);
      else if (lookedAt - last.at >= silenceMs) late.push([connection, last]);
    }
    if (late.length === 0 || isAsking) return;
    isAsking = true;
    const working = await askAfter(url, silenceMs);
    isAsking = false;
    for (const [connection, last] of late) {
      // Something may have come meanwhile; and of one that was heard anew the question says nothing.
      if (heard.get(connection) !== last || !isSilent(connection)) continue;
      if (isForgotten(connection, working)) connection.giveUp();
      else hear(connection);
    }
  };
  const looking = setInterval(() => void look(), everyMs).unref();
  return () => clearInterval(looking);
}

/** How many bytes had come on a connection, and when it was last found at more, or owing nothing. */
type Heard = { received: number; at: number };

/**
 * `working`: the server's processes that may be at a statement; `silent` where it does not answer, null where it will not
 * say.
 */
function isForgotten({ backend }: Watched, working: ReadonlySet<number> | 'silent' | null): boolean {
  if (working === 'silent') return true;
  return working !== null && backend !== null && !working.has(backend);
}

async function askAfter(url: string, withinMs: number): Promise<ReadonlySet<number> | 'silent' | null> {
  const socket = new Socket();
  const client = new Client({
    connectionString: url,
    application_name: 'twoway',
    connectionTimeoutMillis: withinMs,
    query_timeout: withinMs,
    stream: () => socket,
  });
  // Of what breaks after it was given up nobody needs to hear.
  client.on('error', () => {});
  try {
    await client.connect();
    // All but those that wait for us: with track_activities off the server does not say what a process does.
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and coalesce(state, '') not like 'idle%'`,
    );
    return new Set(rows.map(({ pid }) => pid));
  } catch (error) {
    // Whoever has said a byte is there: it has no connection left, as a pooler whose connections are all at work, or is slow.
    return socket.bytesRead > 0 || isOfThisSide(error) ? null : 'silent';
  } finally {
    void client.end().catch(() => {});
  }
}

/** Whether it was not even tried to reach the server: there is no descriptor left, or nobody knows its address. */
function isOfThisSide(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE' || syscall === 'getaddrinfo';
}
