import type { Hono } from 'hono';
import { hashOfLinkToken } from '../../store/link-token.ts';
import { mailboxLinkState, useMailboxLink } from '../../store/mailbox-links.ts';
import { hrefOf, sayingPage, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { endSession, startSession } from '../session.ts';
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
      return session.returnUrl === null
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
    const state = await mailboxLinkState(db, hashOfLinkToken(token));
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
    const tokenHash = hashOfLinkToken(c.req.param('token'));
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
  return notTheirs();
}
