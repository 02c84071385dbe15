import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { createApi } from '../../src/api/app.ts';
import { createFirstKey } from '../../src/store/keys.ts';
import type { Api, ApiDeps } from '../../src/api/route.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import { roleNames } from '../../src/lib/roles.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import type { Db } from '../../src/store/database.ts';
import { createEventSignal } from '../../src/webhook/follow.ts';
import { testDatabase } from '../support/database.ts';
import type { databaseKinds } from '../support/database.ts';
import { usualLimits } from '../support/limits.ts';

/** With which every API under test hashes and seals. */
export const secretBox = createSecretBox([Buffer.alloc(32, 7)]);

/** An API on a database of its own, with the administrator's key. */
export type ApiUnderTest = {
  api: Api;
  db: Db;
  blobs: BlobStore;
  adminKey: string;
  /** Lines of the log, as objects with the message under `msg`. */
  logged: Record<string, unknown>[];
  /** What `disconnectBefore` was asked for. */
  disconnected: { subAccountId?: string; userId?: string }[];
  /** Calls with the administrator's key, or with `key` (null: none at all). */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Makes a key through the API. */
  makeKey(subAccountId: string | null, scope: 'read' | 'write'): Promise<string>;
  close(): Promise<void>;
};

type CallOptions = {
  key?: string | null;
  json?: unknown;
  body?: string | Uint8Array | ReadableStream;
  headers?: Record<string, string>;
};

/** `body` is the parsed JSON, null when there is none. */
export type Answer = { status: number; headers: Headers; body: Record<string, unknown> };

/** `kind` is the database below it, a PostgreSQL unless said; `breaks` are invariants that do not hold in it. */
export async function startApi(
  options: Partial<ApiDeps> & { kind?: (typeof databaseKinds)[number]; breaks?: readonly string[] } = {},
): Promise<ApiUnderTest> {
  const { kind = 'postgres', breaks = [], ...more } = options;
  // One that is there already is not closed with the rest.
  const database =
    options.db === undefined
      ? await testDatabase(kind, { breaks })
      : { db: options.db, drop: () => Promise.resolve() };
  const directory = await mkdtemp(join(tmpdir(), 'twoway-api-'));
  const blobs = createDiskBlobs(directory);
  const logged: Record<string, unknown>[] = [];
  const disconnected: { subAccountId?: string; userId?: string }[] = [];
  const api = createApi({
    db: database.db,
    databaseKind: kind,
    blobs,
    secretBox,
    clock: systemClock,
    httpProxies: [],
    log: collectingLog(logged),
    disconnect: () => Promise.resolve(0),
    disconnectBefore: (which, remove) => {
      disconnected.push(which);
      return database.db.transaction(remove);
    },
    connectWithPassword: ({ address }) =>
      Promise.resolve({ outcome: 'connected', connectionId: 'con_1', address, created: false }),
    offered: new Map([['imap', { provider: resolveProvider('imap'), oauth: null }]]),
    loggingDomain: 'log.crm.example',
    limitsOf: usualLimits,
    trackingUrl: null,
    publicUrl: () => 'https://twoway.example',
    wakePublisher: () => {},
    wakeSender: () => {},
    wakeErrands: () => {},
    wakeMailbox: () => {},
    wakeWanted: () => {},
    wakeHousekeeping: () => {},
    wakeFiler: () => {},
    proveRelay: () => Promise.resolve(),
    readyChecks: [],
    metrics: () => Promise.resolve('twoway_database_up 1\n'),
    netGuard: createNetGuard({ allow: ['127.0.0.1'] }),
    dispatcher: new Agent(),
    eventSignal: createEventSignal(),
    roles: roleNames,
    ...more,
  });
  const adminKey = (await createFirstKey(database.db)) ?? '';
  const call: ApiUnderTest['call'] = async (method, path, options = {}) => {
    const { key = adminKey, json, body, headers } = options;
    const response = await api.request(path, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    });
    if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) {
      // It has no end to wait for.
      await response.body?.cancel();
      return { status: response.status, headers: response.headers, body: {} };
    }
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    const parsed = isJson && text !== '' ? (JSON.parse(text) as unknown) : null;
    return { status: response.status, headers: response.headers, body: parsed as Answer['body'] };
  };
  return {
    api,
    db: database.db,
    blobs,
    adminKey,
    logged,
    disconnected,
    call,
    makeKey: async (subAccountId, scope) => {
      const made = await call('POST', '/v1/keys', { json: { sub_account_id: subAccountId, scope } });
      return String(made.body['key']);
    },
    close: async () => {
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
}

function collectingLog(lines: Record<string, unknown>[], base: Record<string, unknown> = {}): Log {
  const add = (level: string) => (fields: Record<string, unknown>, msg: string) => {
    lines.push({ level, ...base, ...fields, msg });
  };
  return {
    debug: add('debug'),
    info: add('info'),
    warn: add('warn'),
    error: add('error'),
    child: (fields) => collectingLog(lines, { ...base, ...fields }),
  };
}
