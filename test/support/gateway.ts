import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openData } from '../../src/data.ts';
import { assertSound, createPostgresDatabase, dropPostgresDatabase } from './database.ts';
import { layEmbeddedDatabase } from './embedded.ts';
import { clientId, clientSecret, endpointsAt, followConsent } from './identity.ts';
import type { UsedServers } from './shared-servers.ts';
import { nodeArguments } from './start-command.ts';
import { waitFor } from './wait.ts';

/** What an API call came to. */
export type Answer = { status: number; body: Record<string, unknown> & { data: unknown } };

/** A gateway in a process of its own, as an administrator starts it, on the tests' servers. */
export type TestGateway = {
  url: string;
  key: string;
  /** Everything that it wrote, of all its starts. */
  output(): string;
  /** Of the process that runs now. */
  pid(): number;
  dataDir: string;
  /** Null: it is on the embedded one. */
  databaseUrl: string | null;
  call(method: string, path: string, json?: unknown): Promise<Answer>;
  /** The same, and the answer's body; fails on any status from 400 on. */
  must<Body = Record<string, unknown>>(method: string, path: string, json?: unknown): Promise<Body>;
  /** SIGKILL: no goodbye. */
  kill(): Promise<void>;
  /** SIGTERM, and its end. */
  stop(): Promise<void>;
  /** Starts it again on the same data, at the same address, with these settings as well from now on. */
  start(settings?: Record<string, string>): Promise<void>;
  /** Ends it and removes its data; fails when that is unsound. */
  remove(): Promise<void>;
};

/**
 * Starts one. `database` says on which kind; `environment` adds settings; `databasePort` leads to PostgreSQL by
 * another way than its own port; `beside` is a node whose database and blobs it shares, under a name of its own.
 */
export async function startTestGateway(
  servers: UsedServers,
  options: {
    database: 'postgres' | 'pglite';
    environment?: Record<string, string>;
    databasePort?: number;
    beside?: TestGateway;
  },
): Promise<TestGateway> {
  const { beside } = options;
  const dataDir = await mkdtemp(join(tmpdir(), 'twoway-gateway-'));
  if (beside !== undefined) await symlink(join(beside.dataDir, 'blobs'), join(dataDir, 'blobs'));
  const isNew = beside === undefined && options.database === 'postgres';
  const ownDatabase = isNew ? await createPostgresDatabase('migrated') : null;
  const databaseUrl = ownDatabase ?? beside?.databaseUrl ?? null;
  if (databaseUrl === null) await layEmbeddedDatabase(dataDir);
  const running: { child: ChildProcess | null; output: string; url: string; key: string } = {
    child: null,
    output: '',
    url: '',
    key: beside?.key ?? '',
  };
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TWOWAY_'));
  const environment: NodeJS.ProcessEnv = {
    ...Object.fromEntries(inherited),
    ...settingsFor(servers, dataDir, byPort(databaseUrl, options.databasePort)),
    ...options.environment,
  };
  const start = async (settings: Record<string, string> = {}) => {
    Object.assign(environment, settings);
    // The port that the first start found is kept, so that webhooks and links stay valid.
    const port = running.url === '' ? '0' : new URL(running.url).port;
    const child = spawn(process.execPath, nodeArguments('start'), {
      env: { ...environment, TWOWAY_HTTP_PORT: port },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.child = child;
    const before = running.output.length;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => {
        running.output += text.toString();
      });
    }
    const said = () => running.output.slice(before);
    await waitFor(
      'the gateway to start or to end',
      () => child.exitCode !== null || said().includes('Twoway is running'),
      { deadlineMs: 90_000 },
    );
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${said()}`);
    running.url = /API and pages\s+(\S+)/.exec(running.output.slice(before))?.[1] ?? running.url;
    running.key = /^\s+(tw_\S+)$/m.exec(running.output)?.[1] ?? running.key;
  };
  const end = async (signal: NodeJS.Signals) => {
    const { child } = running;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  await start();
  const call = (method: string, path: string, json?: unknown) => callApi(running, method, path, json);
  return {
    get url() {
      return running.url;
    },
    get key() {
      return running.key;
    },
    output: () => running.output,
    pid: () => running.child?.pid ?? 0,
    dataDir,
    get databaseUrl() {
      return environment['TWOWAY_DATABASE_URL'] ?? null;
    },
    call,
    must: async <Body>(method: string, path: string, json?: unknown) => {
      const { status, body } = await call(method, path, json);
      if (status >= 400) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
      return body as Body;
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    start,
    remove: async () => {
      await end('SIGTERM');
      if (beside !== undefined) return rm(dataDir, { recursive: true, force: true });
      try {
        await assertSoundAfter(dataDir, environment['TWOWAY_DATABASE_URL'] ?? null);
      } finally {
        if (ownDatabase !== null) await dropPostgresDatabase(ownDatabase);
        await rm(dataDir, { recursive: true, force: true });
      }
    },
  };
}

function byPort(databaseUrl: string | null, port: number | undefined): string | null {
  if (databaseUrl === null || port === undefined) return databaseUrl;
  return Object.assign(new URL(databaseUrl), { port: String(port) }).href;
}

/** What a gateway has left behind is sound, also where it was killed. */
async function assertSoundAfter(dataDir: string, databaseUrl: string | null): Promise<void> {
  const left = await openData({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl, DATABASE_CONNECTIONS: 2 });
  try {
    await assertSound(left.db);
  } finally {
    await left.close();
  }
}

/** Settings of a gateway that has the tests' servers as its Gmail and Outlook. */
function settingsFor(
  servers: UsedServers,
  dataDir: string,
  databaseUrl: string | null,
): Record<string, string> {
  const { gmail, outlook } = endpointsAt(servers.identityUrl);
  const { host } = servers.smtp;
  const smtp = { host, port: servers.smtp.submissionPort, security: 'starttls' };
  const imap = (endpoint: { host: string; tlsPort: number }) => ({
    host: endpoint.host,
    port: endpoint.tlsPort,
    security: 'tls',
  });
  return {
    NODE_EXTRA_CA_CERTS: servers.caPath,
    TWOWAY_DATA_DIR: dataDir,
    ...(databaseUrl === null
      ? {}
      : { TWOWAY_DATABASE_URL: databaseUrl, TWOWAY_SECRET_KEYS: Buffer.alloc(32, 5).toString('base64') }),
    TWOWAY_SMTP_PORT: '0',
    TWOWAY_SANDBOX: 'off',
    TWOWAY_LOG_LEVEL: 'debug',
    TWOWAY_ALLOW_PRIVATE: '127.0.0.0/8',
    TWOWAY_GOOGLE_CLIENT_ID: clientId,
    TWOWAY_GOOGLE_CLIENT_SECRET: clientSecret,
    TWOWAY_MICROSOFT_CLIENT_ID: clientId,
    TWOWAY_MICROSOFT_CLIENT_SECRET: clientSecret,
    TWOWAY_GMAIL_ENDPOINTS: JSON.stringify({ ...gmail, imap: imap(servers.dovecot.imap.gmail), smtp }),
    TWOWAY_OUTLOOK_ENDPOINTS: JSON.stringify({
      ...outlook,
      imap: imap(servers.dovecot.imap.outlook),
      smtp: { ...smtp, port: servers.smtp.rewritingPort },
    }),
  };
}

async function callApi(
  gateway: { url: string; key: string },
  method: string,
  path: string,
  json?: unknown,
): Promise<Answer> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${gateway.key}`,
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] };
}

/**
 * What a person does with a connect link: opens it, goes on, signs in at the provider as `login`,
 * comes back, and says yes to what is new. Answers the page at the end. `atProvider` is what they do there, on the tests' identity
 * provider unless given.
 */
export async function consentByLink(
  link: string,
  login: string,
  atProvider: (authoriseUrl: string, login: string) => Promise<URL> = followConsent,
): Promise<{ status: number; page: string }> {
  const jar = new Map<string, string>();
  const visit = async (url: string, init: RequestInit = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', ...init, headers: { cookie } });
    for (const set of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (set.split(';')[0] ?? '').split('=');
      jar.set(name, value);
    }
    return response;
  };
  const page = await (await visit(link)).text();
  const [, action = '', form = ''] = /<form[^>]*action="([^"]+)"[^>]*>(.*?)<\/form>/s.exec(page) ?? [];
  if (action === '') throw new Error(`no form on the connect page: ${page}`);
  const fields = new URLSearchParams();
  for (const [input] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    fields.set(/name="([^"]*)"/.exec(input)?.[1] ?? '', /value="([^"]*)"/.exec(input)?.[1] ?? '');
  }
  const button = /<button[^>]*name="([^"]+)"[^>]*value="([^"]+)"/.exec(form);
  if (button !== null) fields.set(button[1] ?? '', button[2] ?? '');
  const started = await visit(new URL(action, link).href, { method: 'POST', body: fields });
  const authorise = started.headers.get('location');
  if (authorise === null)
    throw new Error(`no redirect to the provider: ${started.status} ${await started.text()}`);
  const back = await visit((await atProvider(authorise, login)).href);
  const confirm = back.headers.get('location');
  if (confirm === null) return { status: back.status, page: await back.text() };
  const body = new URLSearchParams({ decision: 'connect' });
  const said = await visit(new URL(confirm, link).href, { method: 'POST', body });
  const end = await visit(new URL(said.headers.get('location') ?? '', link).href);
  return { status: end.status, page: await end.text() };
}
