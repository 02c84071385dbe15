import type { Context, Hono } from 'hono';
import { hashOfLinkToken } from '../../store/link-token.ts';
import { findMailboxLink, useMailboxLink } from '../../store/mailbox-links.ts';
import type { SeenMailboxLink } from '../../store/mailbox-links.ts';
import { findUser } from '../../store/users.ts';
import { hrefOf, isFramed, Say, sayingPage, sendPage } from '../page.tsx';
import type { Page, Site } from '../page.tsx';
import { endSession, findSession, startSession } from '../session.ts';
import { words } from '../texts/texts.ts';
import { addEnding } from './ending.tsx';
import { addLoggingAddress } from './logging.tsx';
import { addMail } from './mail.tsx';
import { addNeverLog } from './never-log.tsx';
import { addOlderMail } from './older.tsx';
import { addOverview } from './overview.tsx';
import { notTheirs, withSessionForm } from './page.tsx';
import type { MailboxPages } from './page.tsx';
import { addReconnecting } from './reconnecting.tsx';
import { addWhy } from './why.tsx';

/** `/mailbox`: a person's own pages, opened by a one-use link of the CRM. */
export function addMailbox(app: Hono, pages: MailboxPages): void {
  app.post('/mailbox/sign-out', (c) =>
    withSessionForm(c, pages, async (session) => {
      await endSession(c, pages, session);
      // In a frame that would be the CRM inside the CRM.
      return session.returnUrl === null || isFramed(c)
        ? sayingPage('signed_out', 200, { framed: true })
        : c.redirect(session.returnUrl, 303);
    }),
  );
  addOverview(app, pages);
  addReconnecting(app, pages);
  addMail(app, pages);
  addWhy(app, pages);
  addLoggingAddress(app, pages);
  addNeverLog(app, pages);
  addOlderMail(app, pages);
  addEnding(app, pages);
  // Last: its token could be taken for each of them.
  addOpening(app, pages);
}

/**
 * The link of the CRM. Looking at it changes nothing, so that whatever looks at links may: the page sends its one form
 * by itself, or by a click where there are no scripts.
 */
function addOpening(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.get('/mailbox/:token', async (c) => {
    const token = c.req.param('token');
    const link = await findMailboxLink(db, hashOfLinkToken(token));
    if (link?.state !== 'open') return sendPage(c, site, closedPage(link));
    const present = await findSession(c, pages, 'user');
    const action = hrefOf(site, `/mailbox/${token}`);
    if (present === null || present.userId === link.userId || isFromCrm(c, site))
      return sendPage(c, site, openingPage(action));
    return sendPage(c, site, await changingPage(pages, action, { from: present, to: link }));
  });
  app.post('/mailbox/:token', async (c) => {
    const tokenHash = hashOfLinkToken(c.req.param('token'));
    // Who is lured here with another person's link would look at that person's mailbox, and type into it.
    const from = c.req.header('sec-fetch-site');
    if (from !== undefined && from !== 'same-origin')
      return sendPage(c, site, sayingPage('not_same_origin', 403));
    const link = await useMailboxLink(db, tokenHash);
    if (link === null) return sendPage(c, site, closedPage(await findMailboxLink(db, tokenHash)));
    await startSession(c, pages, { kind: 'user', ...link });
    return c.redirect(hrefOf(site, '/mailbox'), 303);
  });
}

/** Whether a page of the CRM has led here, as far as it lets browsers say so. */
function isFromCrm(c: Context, site: Site): boolean {
  const from = URL.parse(c.req.header('referer') ?? '');
  return from !== null && site.crmOrigins.includes(from.origin);
}

function openingPage(action: string): Page {
  return {
    title: words('mailbox.title'),
    status: 200,
    framed: true,
    body: (
      <form method="post" action={action} data-submit>
        <p class="actions">
          <button>{words('mailbox.open')}</button>
        </p>
      </form>
    ),
  };
}

/**
 * Who is signed in and follows a link for somebody else is asked: a stranger's link would have them read, and type
 * into, the stranger's mailbox without noticing.
 */
async function changingPage(
  { db, site }: MailboxPages,
  action: string,
  { from, to }: Record<'from' | 'to', { userId: string; subAccountId: string }>,
): Promise<Page> {
  const [present, other] = await Promise.all(
    [from, to].map(async ({ userId, subAccountId }) => {
      const user = await findUser(db, userId, subAccountId);
      return user?.email ?? userId;
    }),
  );
  const names = { present: present ?? '', other: other ?? '' };
  return {
    title: words('mailbox.change_title'),
    status: 200,
    framed: true,
    body: (
      <>
        <p class="outcome still" role="status">
          <Say text="mailbox.change" with={names} />
        </p>
        <p>{words('mailbox.change_next')}</p>
        <form method="post" action={action}>
          <p class="actions">
            <a class="button" href={hrefOf(site, '/mailbox')}>
              {words('mailbox.change_stay')}
            </a>
            <button class="quiet">{words('mailbox.change_go')}</button>
          </p>
        </form>
      </>
    ),
  };
}

function closedPage(link: SeenMailboxLink | null): Page {
  if (link?.state === 'used') return sayingPage('mailbox_link_used', 410, { framed: true });
  if (link?.state === 'expired') return sayingPage('mailbox_link_expired', 410, { framed: true });
  return notTheirs();
}
