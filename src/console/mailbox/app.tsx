import { createHash } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { findUser } from '../../store/users.ts';
import type { ConsoleSession } from '../../store/console-sessions.ts';
import { mailboxLinkState, useMailboxLink } from '../../store/mailbox-links.ts';
import type { ConsoleDeps } from '../app.tsx';
import { hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { endSession, findSession, formTokenOf, readOwnForm, startSession } from '../session.ts';
import { words } from '../texts/texts.ts';

/** What the pages of one person share. */
export type MailboxPages = ConsoleDeps & { site: Site };
export type UserSession = Extract<ConsoleSession, { kind: 'user' }>;

/** `/mailbox`: a person's own pages, opened by a one-use link of the CRM. */
export function addMailbox(app: Hono, pages: MailboxPages): void {
  app.post('/mailbox/sign-out', (c) =>
    withSessionForm(c, pages, async (session) => {
      await endSession(c, pages, session);
      return session.returnUrl === null
        ? sayingPage('session_over', 200)
        : c.redirect(session.returnUrl, 303);
    }),
  );
  app.get('/mailbox', (c) =>
    withSession(c, pages, (session) =>
      mailboxPage(pages, session, { title: words('mailbox.title'), body: null }),
    ),
  );
  addOpening(app, pages);
}

/** A page or any other answer, for who is signed in; everybody else learns that the session is over. */
export async function withSession(
  c: Context,
  pages: MailboxPages,
  work: (session: UserSession) => Promise<Page | Response>,
): Promise<Response> {
  const session = await findSession(c, pages, 'user');
  const answer = session === null ? sayingPage('session_over', 401, { framed: true }) : await work(session);
  return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
}

/** The same for a form of our own page. */
export function withSessionForm(
  c: Context,
  pages: MailboxPages,
  work: (session: UserSession, form: URLSearchParams) => Promise<Page | Response>,
): Promise<Response> {
  return withSession(c, pages, async (session) => {
    const form = await readOwnForm(c, pages, session);
    return form === null ? sayingPage('not_same_origin', 403, { framed: true }) : work(session, form);
  });
}

/** A page of who is signed in, below the bar. */
export async function mailboxPage(
  pages: MailboxPages,
  session: UserSession,
  page: { title: string; body: Page['body']; status?: Page['status'] },
): Promise<Page> {
  const user = await findUser(pages.db, session.userId, session.subAccountId);
  return {
    status: 200,
    ...page,
    framed: true,
    // Signing out leads back to the CRM.
    formTargets: session.returnUrl === null ? [] : [new URL(session.returnUrl).origin],
    bar: {
      name: words('mailbox.title'),
      who: user?.email ?? session.userId,
      parts: [],
      signOut: { action: hrefOf(pages.site, '/mailbox/sign-out'), formToken: formTokenOf(pages, session) },
    },
  };
}

/**
 * The link of the CRM. Looking at it changes nothing, so that whatever looks at links may: the page sends its one form
 * by itself, or by a click where there are no scripts.
 */
function addOpening(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.get('/mailbox/:token', async (c) => {
    const token = c.req.param('token');
    const state = await mailboxLinkState(db, hashOf(token));
    if (state !== 'open') return sendPage(c, site, closedPage(state));
    return sendPage(c, site, {
      title: words('mailbox.title'),
      status: 200,
      framed: true,
      body: (
        <form method="post" action={hrefOf(site, `/mailbox/${token}`)} data-submit>
          <p class="actions">
            <button>{words('mailbox.open')}</button>
          </p>
        </form>
      ),
    });
  });
  app.post('/mailbox/:token', async (c) => {
    const tokenHash = hashOf(c.req.param('token'));
    // Who is lured here with another person's link would look at that person's mailbox, and type into it.
    const from = c.req.header('sec-fetch-site');
    if (from !== undefined && from !== 'same-origin')
      return sendPage(c, site, sayingPage('not_same_origin', 403));
    const link = await useMailboxLink(db, tokenHash);
    if (link === null) return sendPage(c, site, closedPage(await mailboxLinkState(db, tokenHash)));
    await startSession(c, pages, { kind: 'user', ...link });
    return c.redirect(hrefOf(site, '/mailbox'), 303);
  });
}

function closedPage(state: 'used' | 'expired' | 'unknown' | 'open'): Page {
  if (state === 'used') return sayingPage('mailbox_link_used', 410, { framed: true });
  if (state === 'expired') return sayingPage('mailbox_link_expired', 410, { framed: true });
  return sayingPage('not_found', 404, { framed: true });
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
