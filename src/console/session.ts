import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { SecretBox } from '../lib/secret-box.ts';
import {
  endConsoleSession,
  findConsoleSession,
  insertConsoleSession,
  isConsoleSessionOpen,
} from '../store/console-sessions.ts';
import type { ConsoleSession, SessionLife, SignedIn } from '../store/console-sessions.ts';
import type { Db } from '../store/database.ts';
import type { Site } from './page.tsx';

/*
 * Who is signed in. A session is a cookie with 256 random bits, of which the database holds the hash; each sign-in
 * makes a new one, so that nobody can lay a cookie of their own under another person's sign-in. Forms carry a token
 * bound to the session, and browsers say besides where a form came from.
 */

export const lives: Readonly<Record<SignedIn['kind'], SessionLife>> = {
  user: { idleMs: 30 * 60_000, lifeMs: 2 * 60 * 60_000 },
  administrator: { idleMs: 60 * 60_000, lifeMs: 12 * 60 * 60_000 },
};

const cookieNames: Readonly<Record<SignedIn['kind'], string>> = {
  user: 'twoway-mailbox',
  administrator: 'twoway-admin',
};

export type SessionDeps = { db: Db; secretBox: SecretBox; site: Site };

/** Signs somebody in, in this browser. */
export async function startSession(c: Context, deps: SessionDeps, of: SignedIn): Promise<void> {
  const token = randomBytes(32).toString('base64url');
  const { lifeMs } = lives[of.kind];
  await insertConsoleSession(deps.db, { tokenHash: hashOf(token), of, lifeMs });
  // A frame of another site gets a cookie only when it is kept apart for that site (CHIPS), and only over TLS.
  const framed = of.kind === 'user' && isSecure(deps.site) && deps.site.crmOrigins.length > 0;
  setCookie(c, cookieName(deps.site, of.kind), token, {
    path: '/',
    httpOnly: true,
    secure: isSecure(deps.site),
    ...(framed ? { sameSite: 'None', partitioned: true } : { sameSite: 'Lax' }),
    maxAge: lifeMs / 1000,
  });
}

/**
 * Who is signed in in this browser; null: nobody, or not any more. What a page asks for by itself (htmx, a stream) is no
 * sign of anybody, and does not keep a session alive.
 */
export async function findSession<Kind extends SignedIn['kind']>(
  c: Context,
  deps: SessionDeps,
  kind: Kind,
): Promise<Extract<ConsoleSession, { kind: Kind }> | null> {
  const token = getCookie(c, cookieName(deps.site, kind));
  if (token === undefined || !/^[\w-]{43}$/.test(token)) return null;
  const { idleMs } = lives[kind];
  return findConsoleSession(deps.db, { tokenHash: hashOf(token), kind, idleMs, keepsAlive: !isByItself(c) });
}

/** Nothing that a person does on our pages is a GET of htmx's: links load whole pages, and buttons send forms. */
function isByItself(c: Context): boolean {
  return (
    c.req.method === 'GET' &&
    (c.req.header('hx-request') !== undefined || /text\/event-stream/.test(c.req.header('accept') ?? ''))
  );
}

export async function endSession(c: Context, deps: SessionDeps, session: ConsoleSession): Promise<void> {
  await endConsoleSession(deps.db, session.id);
  deleteCookie(c, cookieName(deps.site, session.kind), { path: '/', secure: isSecure(deps.site) });
}

/** Whether a session still lasts; asking does not keep it alive. */
export function isSessionOpen({ db }: SessionDeps, { id, kind }: ConsoleSession): Promise<boolean> {
  return isConsoleSessionOpen(db, { id, idleMs: lives[kind].idleMs });
}

/** What each form of a session carries. */
export function formTokenOf(deps: SessionDeps, session: ConsoleSession): string {
  return deps.secretBox.mac('console form', session.id).toString('base64url');
}

/** The fields of a form of our own page, in this session; null: it came from elsewhere. */
export async function readOwnForm(
  c: Context,
  deps: SessionDeps,
  session: ConsoleSession,
): Promise<URLSearchParams | null> {
  const from = c.req.header('sec-fetch-site');
  if (from !== undefined && from !== 'same-origin') return null;
  const form = new URLSearchParams(await c.req.text());
  const given = Buffer.from(form.get('form_token') ?? '');
  const right = Buffer.from(formTokenOf(deps, session));
  return given.length === right.length && timingSafeEqual(given, right) ? form : null;
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Whether browsers reach the pages by TLS. */
export function isSecure(site: Site): boolean {
  return site.url().startsWith('https:');
}

function cookieName(site: Site, kind: SignedIn['kind']): string {
  return pinnedName(site, cookieNames[kind]);
}

/** The name of a cookie, which pins it to this host where there is TLS. */
export function pinnedName(site: Site, name: string): string {
  return `${isSecure(site) ? '__Host-' : ''}${name}`;
}
