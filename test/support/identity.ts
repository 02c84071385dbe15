import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { ProviderEndpoints } from '../../src/provider/providers.ts';
import {
  adminConsent,
  authorise,
  revoke,
  token,
  type Answer,
  type IdentitySetup,
} from './identity-endpoints.ts';
import {
  count,
  countsOf,
  createIdentityState,
  liveToken,
  mintAccessToken,
  mintRefreshToken,
  personOf,
  revokeGrants,
  type ConsentChoice,
  type Dialect,
  type Fault,
  type IdentityCounts,
  type IdentityState,
  type Person,
} from './identity-state.ts';

/**
 * What a test can arrange at the identity provider, in its process or over HTTP from another one.
 * Logins keep tests apart: give each test its own people.
 */
export type IdentityControl = {
  /** Changes what the identity token says of a login. */
  setPerson(login: string, changes: Partial<Omit<Person, 'login'>>): Promise<void>;
  /** Who signs in at the next authorise call that names nobody by `as`. */
  signIn(login: string): Promise<void>;
  /** What `login` does at its next `times` (default 1) consent pages. */
  setConsent(login: string, choice: ConsentChoice, times?: number): Promise<void>;
  /** A live access token of a person, without any consent; for logging in at IMAP or SMTP. */
  issueToken(login: string, options?: { dialect?: Dialect; lifetimeSeconds?: number }): Promise<string>;
  /** A refresh token and a live access token, as after a consent. */
  issueGrant(login: string, dialect: Dialect): Promise<{ refreshToken: string; accessToken: string }>;
  /** Ends all grants of a person: refresh tokens and access tokens alike. */
  revoke(login: string): Promise<void>;
  /** Ends the access tokens only: the next refresh works. */
  expireAccessTokens(login: string): Promise<void>;
  /** Lifetime of access tokens issued from now on, of one login or of all. Default 3600. */
  setAccessTokenLifetime(seconds: number, login?: string): Promise<void>;
  /** What the token endpoint does instead of answering, for the next calls. */
  fault(fault: Fault): Promise<void>;
  clearFaults(): Promise<void>;
  /** Calls made for one login, or in all. */
  counts(login?: string): Promise<IdentityCounts>;
};

/** Where it listens, in the words of the gateway's configuration. */
export type IdentityProvider = IdentityControl & {
  /** `http://127.0.0.1:<port>`; introspection is at `/introspect`. */
  url: string;
  clientId: string;
  clientSecret: string;
  stop(): Promise<void>;
};

/** What the gateway is registered as, at both providers. */
export const clientId = 'test-client.apps.example.com';
export const clientSecret = 'test-client-secret';
const bodyBytesMax = 64 * 1024;

/**
 * An identity provider on 127.0.0.1 that speaks Google's OAuth under `/google` (`authorise`, `token`,
 * `revoke`, `certs`), Microsoft's under `/microsoft/{tenant}` (`oauth2/v2.0/authorize`,
 * `oauth2/v2.0/token`, `v2.0/adminconsent`), and introspection (RFC 7662) for mail servers at
 * `/introspect`: exactly the live tokens are active, so a real Dovecot refuses the revoked ones.
 */
export async function startIdentityProvider(options: { port?: number } = {}): Promise<IdentityProvider> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const setup: IdentitySetup = {
    url: '',
    clientId,
    clientSecret,
    privateKey,
    keyId: randomBytes(6).toString('hex'),
    state: createIdentityState(),
  };
  const certificates = { [setup.keyId]: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
  const control = controlOf(setup.state);
  const stopping = new AbortController();
  const server = createServer((request, response) => {
    handle({ setup, control, certificates, signal: stopping.signal }, request, response).catch(
      (error: unknown) => {
        response.writeHead(500).end(String(error));
      },
    );
  });
  setup.url = await listen(server, options.port ?? 0);
  return {
    ...control,
    url: setup.url,
    clientId,
    clientSecret,
    async stop() {
      stopping.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
      });
    },
  };
}

/** The same control over HTTP, of a provider that another process started. */
export function identityClient(url: string): IdentityControl {
  const names = Object.keys(controlOf(createIdentityState()));
  const call = async (name: string, args: unknown[]): Promise<unknown> => {
    const response = await fetch(`${url}/control/${name}`, { method: 'POST', body: JSON.stringify(args) });
    const text = await response.text();
    if (!response.ok) throw new Error(`identity provider, ${name}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => call(name, args)]),
  ) as unknown as IdentityControl;
}

/** The gateway's configuration that points Gmail and Outlook at an identity provider of the tests. */
export function endpointsAt(url: string): { gmail: ProviderEndpoints; outlook: ProviderEndpoints } {
  return {
    gmail: {
      authoriseUrl: `${url}/google/authorise`,
      tokenUrl: `${url}/google/token`,
      revokeUrl: `${url}/google/revoke`,
      certsUrl: `${url}/google/certs`,
      issuers: [`${url}/google`],
    },
    outlook: { authority: `${url}/microsoft` },
  };
}

/** What a browser does: opens the authorisation (or admin consent) URL, `login` signs in, back comes the redirect. */
export async function followConsent(authorisationUrl: string, login: string): Promise<URL> {
  const url = new URL(authorisationUrl);
  url.searchParams.set('as', login);
  const response = await fetch(url, { redirect: 'manual' });
  const location = response.headers.get('location');
  if (location === null) throw new Error(`no redirect: ${response.status} ${await response.text()}`);
  await response.body?.cancel();
  return new URL(location);
}

function controlOf(state: IdentityState): IdentityControl {
  return {
    setPerson: async (login, changes) => {
      state.people.set(login, { ...state.people.get(login), ...changes });
    },
    signIn: async (login) => {
      state.signIns.push(login);
    },
    setConsent: async (login, choice, times = 1) => {
      state.choices.set(login, { choice, times });
    },
    issueToken: async (login, { dialect = 'google', lifetimeSeconds } = {}) =>
      mintAccessToken(state, { dialect, login, scope: mailScope(dialect) }, lifetimeSeconds).value,
    issueGrant: async (login, dialect) => {
      const scope = mailScope(dialect);
      return {
        refreshToken: mintRefreshToken(state, { dialect, login, scope }),
        accessToken: mintAccessToken(state, { dialect, login, scope }).value,
      };
    },
    revoke: async (login) => revokeGrants(state, login),
    expireAccessTokens: async (login) => {
      for (const [value, held] of state.accessTokens)
        if (held.login === login) state.accessTokens.delete(value);
    },
    setAccessTokenLifetime: async (seconds, login) => {
      state.lifetimes.set(login ?? null, seconds);
    },
    fault: async (fault) => {
      state.faults.push({ ...fault, times: fault.times ?? 1 });
    },
    clearFaults: async () => {
      state.faults.length = 0;
    },
    counts: async (login) => countsOf(state, login ?? null),
  };
}

function mailScope(dialect: Dialect): string {
  return dialect === 'google'
    ? 'openid https://www.googleapis.com/auth/userinfo.email https://mail.google.com/'
    : 'openid profile email https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send';
}

type Context = {
  setup: IdentitySetup;
  control: IdentityControl;
  certificates: Record<string, string>;
  signal: AbortSignal;
};

async function handle(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await route(context, request);
  if (answer.delayMs !== undefined) {
    await wait(answer.delayMs, undefined, { signal: context.signal, ref: false });
  }
  if (answer.reset === true) {
    request.socket.destroy();
    return;
  }
  const page = typeof answer.body === 'string';
  response.writeHead(answer.status, {
    'content-type': page ? 'text/html' : 'application/json',
    ...answer.headers,
  });
  response.end(page ? answer.body : JSON.stringify(answer.body));
}

async function route(context: Context, request: IncomingMessage): Promise<Answer> {
  const { setup, control } = context;
  const url = new URL(request.url ?? '/', setup.url);
  const path = url.pathname;
  const body = await readBody(request);
  const form = new URLSearchParams(body);
  const microsoft = /^\/microsoft\/[^/]+\/(.*)$/.exec(path)?.[1];
  if (path === '/google/authorise') return authorise(setup, 'google', url.searchParams);
  if (path === '/google/token') return token(setup, 'google', form, request.headers.authorization);
  if (path === '/google/revoke') return revoke(setup, form);
  if (path === '/google/certs') {
    count(setup.state, 'certs', null);
    return { status: 200, body: context.certificates };
  }
  if (microsoft === 'oauth2/v2.0/authorize') return authorise(setup, 'microsoft', url.searchParams);
  if (microsoft === 'oauth2/v2.0/token')
    return token(setup, 'microsoft', form, request.headers.authorization);
  if (microsoft === 'v2.0/adminconsent') return adminConsent(setup, url.searchParams);
  if (path.startsWith('/introspect')) return introspect(setup.state, request, url, form);
  if (path.startsWith('/control/')) return command(control, path.slice('/control/'.length), body);
  return { status: 404, body: { error: 'not_found', path } };
}

/** RFC 7662 §2.2, liberal in where the token is: Dovecot has three ways to ask. */
function introspect(state: IdentityState, request: IncomingMessage, url: URL, form: URLSearchParams): Answer {
  const value =
    form.get('token') ??
    url.searchParams.get('token') ??
    request.headers.authorization?.replace(/^Bearer /i, '') ??
    decodeURIComponent(url.pathname.slice('/introspect'.length).replace(/^\//, ''));
  const held = liveToken(state, value);
  count(state, 'introspect', held?.login ?? null);
  if (held === null) return { status: 200, body: { active: false } };
  const person = personOf(state, held.login);
  return {
    status: 200,
    body: {
      active: true,
      username: person.login,
      email: person.email ?? person.login,
      scope: held.scope,
      exp: Math.floor(held.expiresAt / 1000),
    },
  };
}

async function command(control: IdentityControl, name: string, body: string): Promise<Answer> {
  const methods: Record<string, (...args: never[]) => Promise<unknown>> = control;
  const method = methods[name];
  if (method === undefined) return { status: 404, body: { error: `no control ${name}` } };
  const result = await method(...(JSON.parse(body) as never[]));
  if (result === undefined) return { status: 204 };
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(result) };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax) throw new Error(`body over ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
