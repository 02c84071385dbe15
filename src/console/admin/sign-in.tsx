import { createHash } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { Failure } from '../../lib/failure.ts';
import type { AdministratorId } from '../../lib/id.ts';
import {
  canonicalOf,
  findCredentials,
  lockCredentials,
  noteSignIn,
  renewPasswordHash,
  takeTotpStep,
  totpContext,
  useRecoveryCode,
} from '../../store/administrators.ts';
import type { Credentials } from '../../store/administrators.ts';
import { writeAudit } from '../../store/audit.ts';
import { endConsoleSession } from '../../store/console-sessions.ts';
import { hrefOf, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Field, Time } from '../parts.tsx';
import { findSession, startSession } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import type { AdminPages } from './app.tsx';
import type { Passwords } from './passwords.ts';
import { forgetStep, keepStep, keptStep, readSignInForm, signInToken } from './pre-session.ts';
import { recoveryHash } from './recovery-codes.ts';
import { stepOfCode } from './totp.ts';
import { mayTry, succeeded } from './tries.ts';

export type SignInPages = AdminPages & { passwords: Passwords };

/** `/admin/sign-in`: by password, and where it is turned on by a code. */
export function addSignIn(app: Hono, pages: SignInPages): void {
  app.get('/admin/sign-in', (c) => {
    const to = ownPath(c.req.query('to'));
    return sendPage(c, pages.site, signInPage(c, pages, { to }));
  });
  app.post('/admin/sign-in', async (c) => {
    const answer = await signIn(c, pages);
    return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
  });
  app.get('/admin/sign-in/code', (c) => {
    if (keptStep(c, pages, 'code') === null) return c.redirect(hrefOf(pages.site, '/admin/sign-in'), 303);
    return sendPage(c, pages.site, codePage(c, pages, {}));
  });
  app.post('/admin/sign-in/code', async (c) => {
    const answer = await takeCode(c, pages);
    return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
  });
}

/** What is kept in a cookie between two steps must be, sealed, within the 4096 bytes that browsers take (RFC 6265 §6.1). */
const pathCharsMax = 2_000;

/** Where somebody wanted to go who had to sign in first: a path of these pages, and nothing else. */
export function ownPath(to: string | null | undefined): string {
  // A browser reads backslashes, blanks and the like in its own way; none of ours has any.
  if (to === null || to === undefined || !to.startsWith('/') || /[\\\s]|\/\//.test(to)) return '/admin';
  const url = URL.parse(to, 'http://own.invalid');
  if (url === null || !/^\/admin(?:\/|$)/.test(url.pathname) || url.pathname.startsWith('/admin/sign-'))
    return '/admin';
  const path = `${url.pathname}${url.search}`;
  return path.length > pathCharsMax ? '/admin' : path;
}

type Wrong = { key: PlainKey } | { until: string };

function signInPage(
  c: Context,
  pages: AdminPages,
  {
    to,
    email = '',
    wrong,
    status = 200,
  }: { to: string; email?: string; wrong?: Wrong; status?: Page['status'] },
): Page {
  const { site, operator } = pages;
  return {
    title: words('sign_in.title'),
    status,
    body: (
      <>
        {wrong !== undefined && <Refusal wrong={wrong} />}
        <form method="post" action={hrefOf(site, '/admin/sign-in')}>
          <input type="hidden" name="form_token" value={signInToken(c, pages)} />
          <input type="hidden" name="to" value={to} />
          <Field
            name="email"
            type="email"
            label={words('sign_in.email')}
            value={email}
            autocomplete="username"
            required
          />
          <Field
            name="password"
            type="password"
            label={words('sign_in.password')}
            autocomplete="current-password"
            required
          />
          <p class="actions">
            <button>{words('sign_in.submit')}</button>
          </p>
        </form>
        {operator.identity !== null && (
          <div class="aside">
            <p>
              <a
                class="button quiet"
                href={hrefOf(site, `/admin/sign-in/identity?to=${encodeURIComponent(to)}`)}
              >
                {words('sign_in.by_identity', { host: new URL(operator.identity.issuer).host })}
              </a>
            </p>
          </div>
        )}
        <p class="aside">{words('sign_in.lost')}</p>
      </>
    ),
  };
}

function Refusal({ wrong }: { wrong: Wrong }) {
  return (
    <div class="outcome bad" role="alert">
      <p>
        {'key' in wrong ? (
          words(wrong.key)
        ) : (
          <>
            {words('sign_in.paused')} <Time at={wrong.until} />
          </>
        )}
      </p>
    </div>
  );
}

async function signIn(c: Context, pages: SignInPages): Promise<Page | Response> {
  const form = await readSignInForm(c, pages);
  if (form === null)
    return signInPage(c, pages, { to: '/admin', wrong: { key: 'sign_in.again' }, status: 403 });
  const [email, password] = [form.get('email') ?? '', form.get('password') ?? ''];
  const to = ownPath(form.get('to'));
  const again = (wrong: Wrong, status: Page['status']) => signInPage(c, pages, { to, email, wrong, status });
  const tried = [{ kind: 'client' }, { kind: 'account', of: canonicalOf(email) }] as const;
  const attempt = await mayTry(pages, tried);
  if (attempt.until !== null) return again({ until: attempt.until }, 429);
  const found = await findCredentials(pages.db, { email });
  const isRight = await verify(pages, password, found);
  if (isRight === null) return again({ key: 'sign_in.busy' }, 503);
  if (!isRight || found === null) {
    if (found !== null) await auditFailure(pages, found, { how: 'password', tries: attempt.tries });
    return again({ key: 'sign_in.wrong' }, 401);
  }
  const shown = digestOf(await renewed(pages, found, password));
  if (found.totpSecretSealed === null) {
    await succeeded(pages, tried);
    return enter(c, pages, { id: found.id, how: 'password', to, shown });
  }
  // The client's tries go on until the code is right, too.
  await succeeded(pages, tried.slice(1));
  keepStep(c, pages, 'code', { id: found.id, to, shown });
  return c.redirect(hrefOf(pages.site, '/admin/sign-in/code'), 303);
}

/** Null: too many ask at once. An address that is nobody's takes as long as any other. */
export async function verify(
  { passwords }: SignInPages,
  password: string,
  found: Credentials | null,
): Promise<boolean | null> {
  try {
    return await passwords.verify(password, found?.passwordHash ?? null);
  } catch (error) {
    if (error instanceof Failure && error.code === 'busy') return null;
    throw error;
  }
}

/** What was stored with parameters of earlier days is stored with those of today, where it is still the password. */
async function renewed(
  { db, passwords }: SignInPages,
  found: Credentials,
  password: string,
): Promise<Credentials> {
  const { id, passwordHash: from } = found;
  if (from === null || !passwords.isOutdated(from)) return found;
  const to = await passwords.hash(password);
  await renewPasswordHash(db, id, { from, to });
  return { ...found, passwordHash: to };
}

async function auditFailure(
  { db }: SignInPages,
  { email }: { email: string },
  details: { how: string; tries: number },
): Promise<void> {
  await writeAudit(db, { administratorId: null, action: 'sign_in.failed', subject: email, details });
}

/** What tells that the password, and the second factor, are still the same. */
function digestOf({ passwordHash, totpSecretSealed }: Credentials): string {
  return createHash('sha256')
    .update(JSON.stringify([passwordHash, totpSecretSealed]))
    .digest('base64url');
}

function codePage(
  c: Context,
  pages: SignInPages,
  { wrong, status = 200 }: { wrong?: Wrong; status?: Page['status'] },
): Page {
  return {
    title: words('code.title'),
    status,
    body: (
      <>
        {wrong !== undefined && <Refusal wrong={wrong} />}
        <p class="lead">{words('code.text')}</p>
        <form method="post" action={hrefOf(pages.site, '/admin/sign-in/code')}>
          <input type="hidden" name="form_token" value={signInToken(c, pages)} />
          <Field
            name="code"
            label={words('code.code')}
            hint={words('code.hint')}
            autocomplete="one-time-code"
            required
          />
          <p class="actions">
            <button>{words('sign_in.submit')}</button>
            <a class="button quiet" href={hrefOf(pages.site, '/admin/sign-in')}>
              {words('page.cancel_plain')}
            </a>
          </p>
        </form>
      </>
    ),
  };
}

async function takeCode(c: Context, pages: SignInPages): Promise<Page | Response> {
  const form = await readSignInForm(c, pages);
  if (form === null) return codePage(c, pages, { wrong: { key: 'sign_in.again' }, status: 403 });
  const half = keptStep(c, pages, 'code');
  const found = half === null ? null : await findCredentials(pages.db, { id: half.id });
  if (half === null || found === null || digestOf(found) !== half.shown) {
    forgetStep(c, pages, 'code');
    return signInPage(c, pages, { to: '/admin', wrong: { key: 'sign_in.again' }, status: 401 });
  }
  const tried = [{ kind: 'client' }, { kind: 'code', of: found.id }] as const;
  const attempt = await mayTry(pages, tried);
  if (attempt.until !== null) return codePage(c, pages, { wrong: { until: attempt.until }, status: 429 });
  const how = await codeIsRight(pages, found, form.get('code') ?? '');
  if (how === null) {
    await auditFailure(pages, found, { how: 'code', tries: attempt.tries });
    return codePage(c, pages, { wrong: { key: 'code.wrong' }, status: 401 });
  }
  await succeeded(pages, tried);
  forgetStep(c, pages, 'code');
  return enter(c, pages, { id: found.id, how, to: half.to, shown: half.shown });
}

/** By which code of somebody's this is one, which is used up; null: it is none. */
async function codeIsRight(
  { db, secretBox, clock }: AdminPages,
  { id, totpSecretSealed }: Credentials,
  typed: string,
): Promise<'code' | 'recovery_code' | null> {
  if (totpSecretSealed === null) return null;
  const code = typed.replaceAll(/\s/g, '');
  const secret = Buffer.from(secretBox.open(totpSecretSealed, totpContext(id)), 'base64');
  const step = stepOfCode(secret, code, clock.now());
  if (step !== null) return (await takeTotpStep(db, id, step)) ? 'code' : null;
  return (await useRecoveryCode(db, id, recoveryHash(secretBox, id, code))) ? 'recovery_code' : null;
}

/**
 * Lets somebody in who has shown who they are: in a new session, whatever this browser had before. `shown`: digest of
 * what they have shown. Whoever changes a password to shut somebody out must not be overtaken by a sign-in that began
 * with the old one: what was changed meanwhile is asked for again, as it is of an account that is gone.
 */
export async function enter(
  c: Context,
  pages: AdminPages,
  { id, how, to, shown }: { id: AdministratorId; how: string; to: string; shown?: string },
): Promise<Page | Response> {
  const before = await findSession(c, pages, 'administrator');
  const isIn = await pages.db.transaction(async (tx) => {
    const now = await lockCredentials(tx, id);
    if (now === null || (shown !== undefined && digestOf(now) !== shown)) return false;
    if (before !== null) await endConsoleSession(tx, before.id);
    await noteSignIn(tx, id);
    await writeAudit(tx, {
      administratorId: id,
      action: 'sign_in.succeeded',
      subject: null,
      details: { how },
    });
    await startSession(c, { ...pages, db: tx }, { kind: 'administrator', administratorId: id });
    return true;
  });
  if (!isIn) return signInPage(c, pages, { to, wrong: { key: 'sign_in.again' }, status: 401 });
  return c.redirect(hrefOf(pages.site, to), 303);
}
