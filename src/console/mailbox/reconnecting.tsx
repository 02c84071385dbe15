import type { Hono } from 'hono';
import { connectLinkLifeMs, insertConnectLink } from '../../store/connect-links.ts';
import { findConnection } from '../../store/connections.ts';
import type { PublicConnection } from '../../store/connections.ts';
import { newLinkToken } from '../../store/link-token.ts';
import { hrefOf, isFramed } from '../page.tsx';
import { words } from '../texts/texts.ts';
import { mailboxPage, notTheirs, withSessionForm } from './page.tsx';
import type { MailboxPages } from './page.tsx';

/** `POST /mailbox/reconnect`: makes a connect link for the person, and leads there. `replace`: another mailbox (C6). */
export function addReconnecting(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.post('/mailbox/reconnect', (c) =>
    withSessionForm(c, pages, async (session, form) => {
      const connection = await findConnection(db, session);
      const replace = form.get('replace') === '1';
      // Providers refuse to be shown in a frame, and a new tab has not the cookie that the frame has: a link leads there.
      const framed = isFramed(c);
      const { token, hash } = newLinkToken();
      const made = await insertConnectLink(db, {
        subAccountId: session.subAccountId,
        userId: session.userId,
        provider: replace ? null : providerOf(pages, connection),
        // A tab of its own says that it can be closed.
        returnUrl: framed ? null : `${site.url()}/mailbox`,
        replace,
        tokenHash: hash,
        lifeMs: connectLinkLifeMs,
      });
      if (made === null) return notTheirs();
      const url = hrefOf(site, `/connect/${token}`);
      if (!framed) return c.redirect(url, 303);
      return mailboxPage(pages, session, {
        part: 'overview',
        title: words('mine.new_tab'),
        body: (
          <section class="card">
            <p>{words('mine.new_tab_text')}</p>
            <p class="actions">
              <a class="button" href={url} target="_blank" rel="noopener">
                {words('mine.new_tab_go')}
              </a>
              <a class="button quiet" href={hrefOf(site, '/mailbox')}>
                {words('mine.new_tab_done')}
              </a>
            </p>
          </section>
        ),
      });
    }),
  );
}

/** The same provider while a connection waits for its person; whoever begins anew chooses. */
function providerOf({ offered }: MailboxPages, connection: PublicConnection | null) {
  if (connection === null || connection.ended_at !== null) return null;
  return offered.has(connection.provider) ? connection.provider : null;
}
