import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { AdministratorId } from '../../lib/id.ts';
import { isSecure, pinnedName } from '../session.ts';
import type { SessionDeps } from '../session.ts';
import type { Asked } from './identity-provider.ts';

/*
 * Before anybody is signed in. Forms carry a token bound to a cookie of the browser: else another site could sign
 * somebody in to an account of its own, and read what they do there. What must outlast a step on the way (whose
 * password was right; what an identity provider was asked) is in a sealed cookie, so that nobody who is not signed in
 * writes a row.
 */

const browserCookie = 'twoway-sign-in';
/** As long as somebody may take over it. */
const browserSeconds = 60 * 60;

/** The token of the forms of this browser, whose cookie is made where it has none. */
export function signInToken(c: Context, deps: SessionDeps): string {
  let browser = knownBrowser(c, deps);
  if (browser === null) {
    browser = randomBytes(32).toString('base64url');
    setCookie(c, pinnedName(deps.site, browserCookie), browser, cookieOptions(deps, browserSeconds));
  }
  return tokenOf(deps, browser);
}

/** The fields of a form of our own page, in this browser; null: it came from elsewhere, or too late. */
export async function readSignInForm(c: Context, deps: SessionDeps): Promise<URLSearchParams | null> {
  const from = c.req.header('sec-fetch-site');
  if (from !== undefined && from !== 'same-origin') return null;
  const form = new URLSearchParams(await c.req.text());
  const browser = knownBrowser(c, deps);
  if (browser === null) return null;
  const given = Buffer.from(form.get('form_token') ?? '');
  const right = Buffer.from(tokenOf(deps, browser));
  return given.length === right.length && timingSafeEqual(given, right) ? form : null;
}

function knownBrowser(c: Context, deps: SessionDeps): string | null {
  const value = getCookie(c, pinnedName(deps.site, browserCookie)) ?? '';
  return /^[\w-]{43}$/.test(value) ? value : null;
}

function tokenOf(deps: SessionDeps, browser: string): string {
  return deps.secretBox.mac('admin sign-in form', browser).toString('base64url');
}

/** The steps on the way in that something is kept for. */
type Steps = {
  /** Whose password was right, and who must show a code. */
  code: {
    id: AdministratorId;
    to: string;
    /** A digest of the stored password and second factor, so that one that was changed meanwhile ends it. */
    shown: string;
  };
  /** What an identity provider was asked. */
  identity: Asked & { to: string };
};
type Step = keyof Steps;

const stepSeconds = 10 * 60;

/** Keeps in this browser what the next step must know; nobody can read or change it there. */
export function keepStep<S extends Step>(c: Context, deps: SessionDeps, step: S, value: Steps[S]): void {
  const kept = JSON.stringify({ value, until: Date.now() + stepSeconds * 1000 });
  const sealed = deps.secretBox.seal(kept, contextOf(step));
  setCookie(c, stepCookie(deps, step), sealed, cookieOptions(deps, stepSeconds));
}

/** What was kept; null: nothing, or too long ago. */
export function keptStep<S extends Step>(c: Context, deps: SessionDeps, step: S): Steps[S] | null {
  const sealed = getCookie(c, stepCookie(deps, step));
  if (sealed === undefined) return null;
  try {
    const kept = JSON.parse(deps.secretBox.open(sealed, contextOf(step))) as {
      value: Steps[S];
      until: number;
    };
    return kept.until > Date.now() ? kept.value : null;
  } catch {
    // Not ours, or of a key that is not used any more: as good as none.
    return null;
  }
}

export function forgetStep(c: Context, deps: SessionDeps, step: Step): void {
  deleteCookie(c, stepCookie(deps, step), { path: '/', secure: isSecure(deps.site) });
}

function contextOf(step: Step): string {
  return `admin sign-in ${step}`;
}

function stepCookie(deps: SessionDeps, step: Step): string {
  return pinnedName(deps.site, `${browserCookie}-${step}`);
}

function cookieOptions(deps: SessionDeps, maxAge: number) {
  // Not Strict: the way back from an identity provider comes from another site.
  return { path: '/', httpOnly: true, secure: isSecure(deps.site), sameSite: 'Lax', maxAge } as const;
}
