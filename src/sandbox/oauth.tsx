import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { parseAddresses } from './address.ts';
import { contactOf } from './contacts.ts';
import { BadRequest, json, redirect, type Request, type Response, type Routes } from './http-server.ts';
import { page } from './page.tsx';
import type { Mailbox, Store } from './store.ts';
import { accessTokenLifeSeconds, type Grant, type Tokens } from './tokens.ts';

/** What IMAP and SMTP want; Google's name for it. */
const mailScope = 'https://mail.google.com/';
const codeLifeMs = 10 * 60 * 1000;

type Options = {
  store: Store;
  tokens: Tokens;
  clock: Clock;
  /** The `iss` of identity tokens; asked when one is made, since it holds the port. */
  issuer: () => string;
};

/** A code that waits to be redeemed. Codes live in memory: after a restart the person presses Allow again. */
type WaitingCode = { grant: Grant; request: AuthorisationRequest; issuedAtMs: number };

type AuthorisationRequest = {
  redirectUri: string;
  scopes: string[];
  state: string;
  nonce: string | undefined;
  codeChallenge: string;
  /** Whether a refresh token was asked for. */
  offline: boolean;
};

/** The OAuth 2 endpoints in Google's dialect (authorisation code with PKCE), and the one mailbox a token opens. */
export function createOauth(options: Options) {
  const codes = new Map<string, WaitingCode>();
  const clientId = 'sandbox';
  const clientSecret = createHmac('sha256', options.store.secret).update('client secret').digest('base64url');
  const context = { ...options, codes, clientId, clientSecret };
  return {
    clientId,
    clientSecret,
    routes: {
      'GET /authorize': ({ fields }) => consentPage(context, fields),
      'POST /authorize': ({ fields }) => decide(context, fields),
      'POST /token': (request) => token(context, request),
      'POST /revoke': ({ fields }) => revoke(context, fields.get('token') ?? ''),
      'GET /certs': () => json(200, options.tokens.certificates),
    } satisfies Routes,
    /** The mailbox that an access token opens for a login name, as IMAP and SMTP ask it. */
    authorise: (login: string, accessToken: string): Mailbox | undefined => {
      const grant = options.tokens.verify('access', accessToken);
      const opens = grant?.scope.split(' ').includes(mailScope) && grant.email === login.toLowerCase();
      return grant && opens ? options.store.open(grant.email) : undefined;
    },
  };
}

type Context = Options & { codes: Map<string, WaitingCode>; clientId: string; clientSecret: string };

function parseRequest(context: Context, fields: Map<string, string>): AuthorisationRequest {
  const field = (name: string) => fields.get(name) ?? '';
  const problems = [
    field('client_id') === context.clientId ? '' : 'client_id is not the sandbox’s',
    field('response_type') === 'code' ? '' : 'response_type must be code',
    /^https?:\/\//.test(field('redirect_uri')) && URL.canParse(field('redirect_uri'))
      ? ''
      : 'redirect_uri is no URL',
    field('code_challenge') && field('code_challenge_method') === 'S256' ? '' : 'PKCE with S256 is wanted',
  ].filter(Boolean);
  if (problems.length > 0) throw new BadRequest(`Error 400: invalid_request. ${problems.join('; ')}.`);
  return {
    redirectUri: field('redirect_uri'),
    scopes: field('scope').split(' ').filter(Boolean),
    state: field('state'),
    nonce: fields.get('nonce'),
    codeChallenge: field('code_challenge'),
    offline: field('access_type') === 'offline',
  };
}

function consentPage(context: Context, fields: Map<string, string>, problem?: string): Promise<Response> {
  const request = parseRequest(context, fields);
  const known = context.store.mailboxes().map(({ address }) => address);
  const hint = fields.get('login_hint')?.toLowerCase();
  const people = [...new Set([...(hint ? [hint] : []), ...known])].slice(0, 12);
  const chosen = hint ?? people[0];
  const hidden = [...fields].filter(([name]) => !['person', 'other', 'mail', 'decision'].includes(name));
  return page(
    'Connect your mailbox',
    <form method="post" action="/authorize">
      {hidden.map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      {problem && <p role="alert">{problem}</p>}
      <p>
        <strong>{new URL(request.redirectUri).host}</strong> would like to use a mailbox of the sandbox.
      </p>
      <fieldset>
        <legend>Who are you?</legend>
        {people.map((address) => (
          <label class="choice">
            <input type="radio" name="person" value={address} checked={address === chosen} /> {address}
          </label>
        ))}
        <label>
          Or somebody else:
          <input type="email" name="other" placeholder="carla@sandbox.example" />
        </label>
      </fieldset>
      <fieldset>
        <legend>What may it do?</legend>
        <label class="choice">
          <input type="checkbox" checked disabled /> See your address
        </label>
        {request.scopes.includes(mailScope) && (
          <label class="choice">
            <input type="checkbox" name="mail" value="yes" checked /> Read, compose, send and permanently
            delete all your email
          </label>
        )}
      </fieldset>
      <div class="row">
        <button class="main" name="decision" value="allow">
          Allow
        </button>
        <button name="decision" value="refuse" formnovalidate>
          Refuse
        </button>
      </div>
    </form>,
    problem ? 400 : 200,
  );
}

function decide(context: Context, fields: Map<string, string>): Response | Promise<Response> {
  const request = parseRequest(context, fields);
  if (fields.get('decision') !== 'allow') return back(request, { error: 'access_denied' });
  const typed = (fields.get('other') || fields.get('person') || '').trim().toLowerCase();
  const [person, ...more] = parseAddresses(typed);
  if (!person || more.length > 0 || person.address !== typed) {
    return consentPage(context, fields, 'Please choose somebody, or type an address.');
  }
  if (contactOf(typed)) {
    return consentPage(
      context,
      fields,
      `${typed} is one of the sandbox’s customers. Please take another address.`,
    );
  }
  const { address } = context.store.open(typed);
  const scope = request.scopes.filter((one) => one !== mailScope || fields.get('mail') === 'yes').join(' ');
  const code = randomBytes(24).toString('base64url');
  const issuedAtMs = context.clock.now();
  for (const [old, waiting] of context.codes) if (isOver(waiting, issuedAtMs)) context.codes.delete(old);
  context.codes.set(code, { grant: { id: randomUUID(), email: address, scope }, request, issuedAtMs });
  return back(request, { code, scope });
}

function back(request: AuthorisationRequest, answer: Record<string, string>): Response {
  const target = new URL(request.redirectUri);
  const parameters = { ...answer, ...(request.state === '' ? {} : { state: request.state }) };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  return redirect(target.href);
}

function token(context: Context, { fields, headers }: Request): Response {
  const basic = /^Basic (.+)$/i.exec(headers.authorization ?? '')?.[1];
  const client = basic
    ? Buffer.from(basic, 'base64').toString()
    : `${fields.get('client_id')}:${fields.get('client_secret')}`;
  if (client !== `${context.clientId}:${context.clientSecret}`) {
    return json(401, { error: 'invalid_client', error_description: 'The OAuth client was not found.' });
  }
  if (fields.get('grant_type') === 'authorization_code') return redeemCode(context, fields);
  if (fields.get('grant_type') !== 'refresh_token') {
    return json(400, { error: 'unsupported_grant_type', error_description: 'Invalid grant_type' });
  }
  const grant = context.tokens.verify('refresh', fields.get('refresh_token') ?? '');
  return grant ? json(200, tokenSet(context, grant)) : invalidGrant('Token has been expired or revoked.');
}

function redeemCode(context: Context, fields: Map<string, string>): Response {
  const code = fields.get('code') ?? '';
  const waiting = context.codes.get(code);
  // Single use, whatever comes of it (RFC 6749 §4.1.2).
  context.codes.delete(code);
  const challenge = createHash('sha256')
    .update(fields.get('code_verifier') ?? '')
    .digest('base64url');
  if (
    !waiting ||
    isOver(waiting, context.clock.now()) ||
    waiting.request.codeChallenge !== challenge ||
    waiting.request.redirectUri !== fields.get('redirect_uri')
  ) {
    return invalidGrant('Malformed auth code, wrong verifier, or used before.');
  }
  const refresh = waiting.request.offline
    ? { refresh_token: context.tokens.issue('refresh', waiting.grant) }
    : {};
  return json(200, { ...tokenSet(context, waiting.grant, waiting.request.nonce), ...refresh });
}

function isOver(waiting: WaitingCode, nowMs: number): boolean {
  return nowMs - waiting.issuedAtMs > codeLifeMs;
}

function tokenSet(context: Context, grant: Grant, nonce?: string): Record<string, string | number> {
  const scopes = grant.scope.split(' ');
  const claims = { issuer: context.issuer(), audience: context.clientId, email: grant.email, nonce };
  return {
    access_token: context.tokens.issue('access', grant),
    // Google says one second less than it keeps the token.
    expires_in: accessTokenLifeSeconds - 1,
    scope: grant.scope,
    token_type: 'Bearer',
    ...(scopes.includes('openid') ? { id_token: context.tokens.identity(claims) } : {}),
  };
}

function invalidGrant(description: string): Response {
  return json(400, { error: 'invalid_grant', error_description: description });
}

function revoke(context: Context, token: string): Response {
  const grant = context.tokens.verify('refresh', token) ?? context.tokens.verify('access', token);
  if (!grant) return json(400, { error: 'invalid_token', error_description: 'Token expired or revoked' });
  context.store.revoke(grant.id);
  return json(200, {});
}
