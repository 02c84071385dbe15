import assert from 'node:assert/strict';
import { CodeChallengeMethod, OAuth2Client } from 'google-auth-library';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import type { Clock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';

export const scopes = ['openid', 'email', 'https://mail.google.com/'];
export const redirectUri = 'http://gateway.test/oauth/callback';

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields, message) => assert.fail(`${message} ${JSON.stringify(fields)}`),
  child: () => silentLog,
};

/** Real time, but pauses end at once: what a customer does is done when the submission has been answered. */
export const hastyClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: () => Promise.resolve(),
};

/** Runs `work` with a sandbox on free ports and stops it whatever happens. */
export async function withSandbox(
  work: (sandbox: Sandbox) => Promise<void>,
  more: { directory?: string; clock?: Clock } = {},
): Promise<void> {
  const sandbox = await startSandbox({
    imapPort: 0,
    smtpPort: 0,
    httpPort: 0,
    host: '127.0.0.1',
    log: silentLog,
    clock: hastyClock,
    ...more,
  });
  try {
    await work(sandbox);
  } finally {
    await sandbox.stop();
  }
}

export function oauthClient({ endpoints }: Sandbox): OAuth2Client {
  return new OAuth2Client({
    clientId: endpoints.clientId,
    clientSecret: endpoints.clientSecret,
    redirectUri,
    issuers: [endpoints.issuer],
    endpoints: {
      oauth2AuthBaseUrl: endpoints.authorise,
      oauth2TokenUrl: endpoints.token,
      oauth2RevokeUrl: endpoints.revoke,
      oauth2FederatedSignonPemCertsUrl: endpoints.certs,
    },
  });
}

/** Fills in the consent form as a browser would, and gives where it sends the person. */
export async function consent(authoriseUrl: string, answers: Record<string, string>): Promise<URL> {
  const form = new URLSearchParams(new URL(authoriseUrl).searchParams);
  for (const [name, value] of Object.entries(answers)) form.set(name, value);
  const target = authoriseUrl.split('?')[0] ?? '';
  const response = await fetch(target, { method: 'POST', body: form, redirect: 'manual' });
  assert.equal(response.status, 303, await response.text());
  return new URL(response.headers.get('location') ?? '');
}

/** The whole code flow: tokens for a person who allows everything. */
export async function connect(sandbox: Sandbox, person: string) {
  const client = oauthClient(sandbox);
  const { codeVerifier, codeChallenge = '' } = await client.generateCodeVerifierAsync();
  const url = client.generateAuthUrl({
    access_type: 'offline',
    scope: scopes,
    state: 's1',
    code_challenge: codeChallenge,
    code_challenge_method: CodeChallengeMethod.S256,
  });
  const back = await consent(url, { person, mail: 'yes', decision: 'allow' });
  const { tokens } = await client.getToken({ code: back.searchParams.get('code') ?? '', codeVerifier });
  return { client, tokens, accessToken: tokens.access_token ?? '', refreshToken: tokens.refresh_token ?? '' };
}

/** A connected imapflow client for `work`, logged out afterwards where it is still connected. */
export async function withImap(
  { imap }: Sandbox,
  login: { user: string; accessToken: string },
  work: (client: ImapFlow) => Promise<void>,
): Promise<void> {
  const client = new ImapFlow({ ...imap, secure: false, doSTARTTLS: false, auth: login, logger: false });
  client.on('error', (error) => assert.fail(error));
  await client.connect();
  try {
    await work(client);
  } finally {
    if (client.usable) await client.logout();
  }
}

/** A nodemailer transport that logs in by XOAUTH2. */
export function transport({ smtp }: Sandbox, login: { user: string; accessToken: string }) {
  return createTransport({ ...smtp, secure: false, ignoreTLS: true, auth: { type: 'OAuth2', ...login } });
}

export type MessageSummary = {
  uid: number;
  folder: string;
  flags: string[];
  message_id: string;
  in_reply_to: string;
  references: string;
  from: string;
  to: string;
  subject: string;
  text: string;
  unread: boolean;
};

/** What the web mail's JSON says is in a folder. */
export async function messagesIn(
  sandbox: Sandbox,
  mailbox: string,
  folder: string,
): Promise<MessageSummary[]> {
  const url = `${sandbox.http.url}/mail/messages?${new URLSearchParams({ mailbox, folder }).toString()}`;
  const { data } = (await (await fetch(url)).json()) as { data: MessageSummary[] };
  return data;
}

/** Whether IMAP lets somebody in. */
export async function canLogIn(
  { imap }: Sandbox,
  login: { user: string; accessToken: string },
): Promise<boolean> {
  const client = new ImapFlow({ ...imap, secure: false, doSTARTTLS: false, auth: login, logger: false });
  client.on('error', (error) => assert.fail(error));
  try {
    await client.connect();
  } catch (error) {
    const { authenticationFailed, oauthError } = error as {
      authenticationFailed?: boolean;
      oauthError?: unknown;
    };
    assert.equal(authenticationFailed, true);
    assert.deepEqual(oauthError, { status: '400', schemes: 'Bearer', scope: 'https://mail.google.com/' });
    return false;
  }
  await client.logout();
  return true;
}
