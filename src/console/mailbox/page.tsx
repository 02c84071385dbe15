import type { Context } from 'hono';
import type { ConsoleSession } from '../../store/console-sessions.ts';
import { findUser } from '../../store/users.ts';
import type { ConsoleDeps } from '../app.tsx';
import { barParts, hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page, Parts, Site } from '../page.tsx';
import { findSession, formTokenOf, readOwnForm } from '../session.ts';
import { words } from '../texts/texts.ts';

/** What the pages of one person share. */
export type MailboxPages = ConsoleDeps & { site: Site };
export type UserSession = Extract<ConsoleSession, { kind: 'user' }>;

/** The parts of the pages, in the order of the bar. */
const parts = {
  overview: { path: '/mailbox', label: 'mine.overview' },
  mail: { path: '/mailbox/mail', label: 'mine.mail' },
  logging: { path: '/mailbox/logging-address', label: 'mine.logging' },
  never_log: { path: '/mailbox/never-log', label: 'mine.never_log' },
  older: { path: '/mailbox/older', label: 'mine.older' },
} as const satisfies Parts;

export type MailboxPart = keyof typeof parts;

/** A page or any other answer, for who is signed in; everybody else learns that the session is over. */
export async function withSession(
  c: Context,
  pages: MailboxPages,
  work: (session: UserSession) => Promise<Page | Response>,
): Promise<Response> {
  const session = await findSession(c, pages, 'user');
  // A part that looks again by itself: the whole page says so, not the place of the part.
  if (session === null && c.req.header('hx-request') !== undefined)
    return c.body(null, 401, { 'HX-Refresh': 'true' });
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
  page: {
    part: MailboxPart;
    title: string;
    body: Page['body'];
    list?: NonNullable<Page['list']>;
    status?: Page['status'];
  },
): Promise<Page> {
  const { part, body, ...rest } = page;
  const user = await findUser(pages.db, session.userId, session.subAccountId);
  return {
    status: 200,
    ...rest,
    body: <div class="own">{body}</div>,
    framed: true,
    // Signing out leads back to the CRM.
    formTargets: session.returnUrl === null ? [] : [new URL(session.returnUrl).origin],
    bar: {
      name: words('mailbox.title'),
      style: 'mailbox.css',
      who: user?.email ?? session.userId,
      account: null,
      parts: barParts(pages.site, parts, part),
      signOut: { action: hrefOf(pages.site, '/mailbox/sign-out'), formToken: formTokenOf(pages, session) },
    },
  };
}

/** What is not there, or is not theirs. */
export function notTheirs(): Page {
  return sayingPage('not_found', 404, { framed: true });
}
