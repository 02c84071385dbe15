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
  const heard = new WeakMap<Watched, { received: number; at: number }>();
  let isAsking = false;

  const isSilent = (connection: Watched): boolean =>
    connection.isWaiting() && heard.get(connection)?.received === connection.received();
  const hear = (connection: Watched): void => {
    heard.set(connection, { received: connection.received(), at: performance.now() });
  };
  const look = async (): Promise<void> => {
    const late: Watched[] = [];
    for (const connection of connections()) {
      if (!isSilent(connection)) hear(connection);
      else if (performance.now() - (heard.get(connection)?.at ?? 0) >= silenceMs) late.push(connection);
    }
    if (late.length === 0 || isAsking) return;
    isAsking = true;
    const working = await askAfter(url, silenceMs);
    isAsking = false;
    for (const connection of late) {
      // Something may have come meanwhile, also while this process stood still.
      if (isSilent(connection) && isForgotten(connection, working)) connection.giveUp();
      else hear(connection);
    }
  };
  const looking = setInterval(() => void look(), silenceMs / 5).unref();
  return () => clearInterval(looking);
}

/** `working`: the server's processes that are at a statement; `silent` where it does not answer, null where it will not say. */
function isForgotten({ backend }: Watched, working: ReadonlySet<number> | 'silent' | null): boolean {
  if (working === 'silent') return true;
  return working !== null && backend !== null && !working.has(backend);
}

async function askAfter(url: string, withinMs: number): Promise<ReadonlySet<number> | 'silent' | null> {
  const client = new Client({
    connectionString: url,
    application_name: 'twoway',
    connectionTimeoutMillis: withinMs,
    query_timeout: withinMs,
  });
  // Of what breaks after it was given up nobody needs to hear.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and state = 'active'`,
    );
    return new Set(rows.map(({ pid }) => pid));
  } catch (error) {
    // What the server says itself, as that it has no connection left, shows that it is there.
    return error instanceof Error && 'severity' in error ? null : 'silent';
  } finally {
    void client.end().catch(() => {});
  }
}
