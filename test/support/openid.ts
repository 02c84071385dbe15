import { createHash, createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Claims of an identity token, of which a test may change any. */
type Claims = Record<string, unknown>;

/** What a sign-in there answers. */
export type OpenIdPerson = { sub: string; email?: string; email_verified?: boolean };

/** A small OpenID Connect provider on 127.0.0.1: discovery, code flow with PKCE, RS256. */
export type OpenIdProvider = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** What the next sign-in is, and what is wrong with its answer. */
  next: { person: OpenIdPerson | null; claims: Claims; tokenStatus: number; isForged: boolean };
  stop(): Promise<void>;
};

const clientId = 'gateway';
const clientSecret = 'openid-secret';

export async function startOpenId(): Promise<OpenIdProvider> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const forger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const codes = new Map<string, { person: OpenIdPerson; query: URLSearchParams }>();
  const provider: OpenIdProvider = {
    issuer: '',
    clientId,
    clientSecret,
    next: { person: null, claims: {}, tokenStatus: 200, isForged: false },
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };

  const authorise = (query: URLSearchParams, response: ServerResponse): void => {
    const back = new URL(query.get('redirect_uri') ?? '');
    back.searchParams.set('state', query.get('state') ?? '');
    const { person } = provider.next;
    if (person === null) back.searchParams.set('error', 'access_denied');
    else {
      const code = randomUUID();
      codes.set(code, { person, query });
      back.searchParams.set('code', code);
    }
    response.writeHead(302, { location: back.href }).end();
  };

  const token = (form: URLSearchParams): { status: number; body: object } => {
    if (provider.next.tokenStatus !== 200) return { status: provider.next.tokenStatus, body: {} };
    const kept = codes.get(form.get('code') ?? '');
    // A code works once.
    codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const isRight =
      kept !== undefined &&
      kept.query.get('code_challenge') === challenge &&
      kept.query.get('redirect_uri') === form.get('redirect_uri');
    if (!isRight) return { status: 400, body: { error: 'invalid_grant' } };
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: provider.issuer,
      aud: clientId,
      iat: now,
      exp: now + 300,
      nonce: kept.query.get('nonce'),
      ...kept.person,
      ...provider.next.claims,
    };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'RS256', kid: 'k1' })}.${part(claims)}`;
    const key = provider.next.isForged ? forger : privateKey;
    const signature = createSign('sha256').update(signed).sign(key, 'base64url');
    const body = {
      access_token: 'x',
      token_type: 'Bearer',
      expires_in: 300,
      id_token: `${signed}.${signature}`,
    };
    return { status: 200, body };
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', provider.issuer);
    const json = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (url.pathname === '/.well-known/openid-configuration')
      json(200, {
        issuer: provider.issuer,
        authorization_endpoint: `${provider.issuer}/authorise`,
        token_endpoint: `${provider.issuer}/token`,
        jwks_uri: `${provider.issuer}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      });
    else if (url.pathname === '/keys')
      json(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] });
    else if (url.pathname === '/authorise') authorise(url.searchParams, response);
    else if (url.pathname === '/token') {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      const { status, body } = token(new URLSearchParams(text));
      json(status, body);
    } else json(404, {});
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  provider.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return provider;
}
