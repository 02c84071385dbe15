import type { Socket } from 'node:net';
import type { PGlite } from '@electric-sql/pglite';
import knexFactory from 'knex';
import type { Knex } from 'knex';
import type { Client } from 'pg';
import { watchSilence } from './silence.ts';
import type { Watched } from './silence.ts';

/** The database of a running gateway. */
export type Database = {
  db: Knex;
  kind: 'postgres' | 'pglite';
  close(): Promise<void>;
};

/** How long one waits for PostgreSQL. A firewall that drops a connection tells neither side. */
export type PostgresLimits = {
  connectMs: number;
  /** For one statement; the server ends it and says so. `runLong` has limits of its own. */
  statementMs: number;
  /**
   * Without a byte of an answer the server is asked whether it is at work on it, and for so long; one past the time of the
   * statement is given up unasked.
   */
  silenceMs: number;
};

export const postgresLimits: PostgresLimits = { connectMs: 5_000, statementMs: 60_000, silenceMs: 5_000 };

/**
 * Plans are made once for a connection, and by an index whatever size a table has then: one that was made
 * while it was nearly empty would read all of it, again and again, once it has grown. All that this program
 * asks goes by an index. Without sequential scans a plan may look dear enough to be compiled: 100 ms.
 */
const planning = 'set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off';

/** What is asked of a connection while an answer is under way is sent at once (pg 8.23): see `inOneGo`. */
const pipelining = { pipeline: true };

/** PostgreSQL's read_only_sql_transaction: where we ask for a transaction that only reads (check/check.ts), nothing is written. */
const mayOnlyRead = '25006';

/** A pool of connections, opened as they are needed. */
export function openPostgres(options: {
  url: string;
  connectionsMax: number;
  limits: PostgresLimits;
}): Database {
  const { connectMs, statementMs, silenceMs } = options.limits;
  const open = new Map<string, Watched>();
  const usable = new Set<string>();
  const db = knexFactory({
    client: 'pg',
    connection: {
      connectionString: options.url,
      application_name: 'twoway',
      connectionTimeoutMillis: connectMs,
      statement_timeout: statementMs,
      query_timeout: statementMs + silenceMs,
      // What a node that fell silent has locked is free again after this.
      idle_in_transaction_session_timeout: statementMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      ...pipelining,
    },
    pool: {
      min: 0,
      max: options.connectionsMax,
      afterCreate: (connection: OpenConnection, done: (error: Error | null) => void) => {
        const { __knexUid: id } = connection;
        const watched = watchedOf(connection, () => usable.clear());
        open.set(id, watched);
        usable.add(id);
        connection.once('end', () => {
          open.delete(id);
          usable.delete(id);
        });
        begin(connection, watched, done);
      },
      validate: (connection: OpenConnection) => usable.has(connection.__knexUid),
    },
    acquireConnectionTimeout: 30_000,
    log: silent,
  });
  // pg (8.23.1) keeps a connection whose answer did not come in time, and what is asked of it next
  // waits behind that answer. Knex would hand it out again.
  db.on('query-error', (error: Error & { code?: unknown }, { __knexUid: id }: { __knexUid: string }) => {
    if (error.message.endsWith('Query read timeout')) open.get(id)?.giveUp();
    // A primary that has become a standby without ending its sessions, as Aurora's writer may: whoever writes now is at
    // the same name, and found by connecting anew.
    if (error.code === mayOnlyRead) usable.clear();
  });
  const endWatch = watchSilence({ connections: () => open.values(), silenceMs, url: options.url });
  return {
    db,
    kind: 'postgres',
    close: async () => {
      endWatch();
      await db.destroy();
    },
  };
}

/** What a new connection is told first; the server says which of its processes it is. */
function begin(connection: OpenConnection, watched: Watched, done: (error: Error | null) => void): void {
  connection.query<{ pid: number }>(`${planning}; select pg_backend_pid() as pid`, (error, results) => {
    // One for each statement, which pg's types do not tell.
    const pid = [results].flat().at(-1)?.rows[0]?.pid;
    if (pid === connection.processID) watched.backend = connection.processID;
    done(error);
  });
}

function watchedOf(connection: OpenConnection, doubtTheRest: () => void): Watched {
  const { stream } = connection.connection;
  let isGivenUp = false;
  return {
    // Of a statement that is not sent yet the server knows nothing: a long one on a slow line.
    isWaiting: () => !connection.readyForQuery && stream.writableLength === 0,
    received: () => stream.bytesRead,
    backend: null,
    giveUp: () => {
      // Two may find it silent; what was opened since the first did is above doubt.
      if (isGivenUp) return;
      isGivenUp = true;
      void connection.end();
      // Nor is it waited for what was sent and not answered.
      stream.destroy();
      // Those that nobody uses have fallen silent with it, most likely, and each would cost somebody the same wait.
      doubtTheRest();
    },
  };
}

/** Knex would print, beside the lines of our log, what whoever asked is thrown anyway. */
const silent: Knex.Logger = { warn: () => {}, error: () => {} };

/** A client of pg (8.23.1), as knex names it, with what its types leave out. */
type OpenConnection = Client & {
  __knexUid: string;
  readyForQuery: boolean;
  processID: number;
  connection: { stream: Socket };
};

/**
 * The embedded database: one session, in this process. The pool has one connection, so code that
 * asks for a second one inside a transaction waits for ever; 10 s turn that into an error.
 */
export async function openPglite(options: { directory: string | null; pglite?: PGlite }): Promise<Database> {
  const { PGlite } = await import('@electric-sql/pglite');
  const { createPgConfig } = await import('@electric-sql/pglite/node-postgres');
  const pglite = options.pglite ?? (await PGlite.create(options.directory ?? 'memory://'));
  // The one session lives as long as the process. A plan that it made for a foreign key while the table
  // was empty reads the whole table for each row, for ever (PGlite 0.5.16, 2026-11).
  await pglite.exec('set plan_cache_mode = force_custom_plan');
  const db = knexFactory({
    client: 'pg',
    // The shim is typed for pg's own Pool; knex passes it on to pg untouched.
    connection: Object.assign(createPgConfig(pglite), pipelining) as Knex.PgConnectionConfig,
    pool: { min: 1, max: 1 },
    acquireConnectionTimeout: 10_000,
    log: silent,
  });
  return {
    db,
    kind: 'pglite',
    close: async () => {
      await db.destroy();
      await pglite.close();
    },
  };
}
