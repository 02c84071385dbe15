import type { Context, Hono } from 'hono';
import type { AdministratorId } from '../../lib/id.ts';
import { administratorOfIdentity, canonicalOf } from '../../store/administrators.ts';
import { writeAudit } from '../../store/audit.ts';
import type { Db } from '../../store/database.ts';
import { hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { words } from '../texts/texts.ts';
import type { AdminPages } from './app.tsx';
import { createIdentityProvider } from './identity-provider.ts';
import type { IdentityProvider } from './identity-provider.ts';
import type { IdentitySettings } from './operator.ts';
import { forgetStep, keepStep, keptStep } from './pre-session.ts';
import { enter, ownPath } from './sign-in.tsx';
import { mayTry, succeeded } from './tries.ts';

/** `/admin/sign-in/identity` and `/admin/sign-in/callback`: by an OpenID Connect provider, where there is one. */
export function addIdentity(app: Hono, pages: AdminPages): void {
  const { identity } = pages.operator;
  if (identity === null) return;
  const provider = createIdentityProvider(identity, () => pages.clock.monotonic());
  app.get('/admin/sign-in/identity', async (c) => {
    const asked = await provider.ask(callbackOf(pages));
    if ('problem' in asked) {
      pages.log.warn({ problem: asked.problem, detail: asked.detail }, 'an identity provider failed');
      return sendPage(c, pages.site, refusal(pages, 'unreachable'));
    }
    const { url, ...rest } = asked;
    keepStep(c, pages, 'identity', { ...rest, to: ownPath(c.req.query('to')) });
    return c.redirect(url, 303);
  });
  app.get('/admin/sign-in/callback', async (c) => {
    const answer = await comeBack(c, pages, { identity, provider });
    return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
  });
}

/** Where the provider sends browsers back to. */
export function callbackOf({ site }: Pick<AdminPages, 'site'>): string {
  return `${site.url()}/admin/sign-in/callback`;
}

type Refused =
  | 'denied'
  | 'invalid'
  | 'unreachable'
  | 'other_browser'
  | 'unverified'
  | 'not_allowed'
  | 'other_identity'
  | 'paused';

const statuses: Readonly<Record<Refused, Page['status']>> = {
  denied: 403,
  invalid: 400,
  unreachable: 502,
  other_browser: 400,
  unverified: 403,
  not_allowed: 403,
  other_identity: 403,
  paused: 429,
};

function refusal({ site }: AdminPages, why: Refused): Page {
  const said = sayingPage(`identity_${why}`, statuses[why]);
  return {
    ...said,
    body: (
      <>
        {said.body}
        <p class="actions">
          <a class="button" href={hrefOf(site, '/admin/sign-in')}>
            {words('page.retry')}
          </a>
        </p>
      </>
    ),
  };
}

async function comeBack(
  c: Context,
  pages: AdminPages,
  { identity, provider }: { identity: IdentitySettings; provider: IdentityProvider },
): Promise<Page | Response> {
  const kept = keptStep(c, pages, 'identity');
  // Whatever comes of it, this answer is used up.
  forgetStep(c, pages, 'identity');
  if (kept === null || c.req.query('state') !== kept.state) return refusal(pages, 'other_browser');
  const attempt = await mayTry(pages, [{ kind: 'client' }]);
  if (attempt.until !== null) return refusal(pages, 'paused');
  const url = new URL(callbackOf(pages));
  url.search = new URL(c.req.url).search;
  const answered = await provider.answer(url, kept);
  if ('problem' in answered) {
    pages.log.warn({ problem: answered.problem, detail: answered.detail }, 'an identity provider failed');
    return refusal(pages, answered.problem);
  }
  const { subject, email, verified } = answered;
  const refuse = async (why: Refused): Promise<Page> => {
    await writeAudit(pages.db, {
      administratorId: null,
      action: 'sign_in.refused',
      subject: email?.slice(0, 254) ?? null,
      details: { why },
    });
    return refusal(pages, why);
  };
  if (email === null || !verified) return refuse('unverified');
  if (!identity.administrators.some((allowed) => canonicalOf(allowed) === canonicalOf(email)))
    return refuse('not_allowed');
  const id = await pages.db.transaction((tx) => administratorBy(tx, { subject, email }));
  if (id === null) return refuse('other_identity');
  await succeeded(pages, [{ kind: 'client' }]);
  return enter(c, pages, { id, how: 'identity', to: kept.to });
}

/** Whose identity it is. That an account has another way in from now on, or is there at all, is in the audit log. */
async function administratorBy(
  tx: Db,
  identity: { subject: string; email: string },
): Promise<AdministratorId | null> {
  const found = await administratorOfIdentity(tx, identity);
  if (found === null) return null;
  const { id: administratorId, email: subject } = found.administrator;
  if (found.isNew) await writeAudit(tx, { administratorId, action: 'administrator.identity_added', subject });
  return administratorId;
}
