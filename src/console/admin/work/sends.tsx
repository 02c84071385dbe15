import type { Hono } from 'hono';
import { cancelSend } from '../../../outbound/cancel.ts';
import type { SendId } from '../../../lib/id.ts';
import { writeAudit } from '../../../store/audit.ts';
import { readMessages } from '../../../store/public-message.ts';
import { readSends } from '../../../store/public-send.ts';
import type { SendState } from '../../../store/public-send.ts';
import { findSubAccountOfSend, listSends } from '../../../store/send-list.ts';
import type { SendFilter } from '../../../store/send-list.ts';
import { adminPage, withAdmin, withAdminForm } from '../app.tsx';
import type { AdminPages } from '../app.tsx';
import { hrefOf, sayingPage } from '../../page.tsx';
import { formTokenOf } from '../../session.ts';
import { words } from '../../texts/texts.ts';
import { listHref, listPage, readListQuery } from './list.ts';
import { NewRows } from './new-rows.tsx';
import { Notice, doneQuery } from './notice.tsx';
import { SendList, SendOne } from './send-pages.tsx';
import { sendStates } from './send-words.tsx';

const path = '/admin/sends';

/** `/admin/sends`: what the CRM sends, and what becomes of it (D5, D6, D7). */
export function addSendPages(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const query = readListQuery(c, ['state', 'sub_account', 'user']);
      const found = await listSends(db, sendFilterOf(query.filter), query.part);
      const page = listPage(site, path, query, found, ({ id }) => id);
      const newest = page.first === null ? (page.rows[0]?.id ?? 'snd_') : null;
      return adminPage(pages, session, {
        part: 'sends',
        title: words('nav.sends'),
        body: (
          <>
            <Notice c={c} />
            <NewRows />
            <SendList site={site} page={page} filter={query.filter} />
          </>
        ),
        // Further back in the list nothing new turns up.
        ...(newest === null ? {} : { live: { ...query.filter, newest } }),
      });
    }),
  );
  app.get(`${path}/:id`, (c) =>
    withAdmin(c, pages, async (session) => {
      const id = c.req.param('id') as SendId;
      const subAccountId = await findSubAccountOfSend(db, id);
      if (subAccountId === undefined) return sayingPage('not_found', 404);
      const [send] = await readSends(db, subAccountId, [id]);
      if (send === undefined) return sayingPage('not_found', 404);
      const [message] = await readMessages(db, subAccountId, [send.message_id]);
      if (message === undefined) return sayingPage('not_found', 404);
      return adminPage(pages, session, {
        part: 'sends',
        title: message.subject === '' ? words('sends.no_subject') : message.subject,
        list: { href: hrefOf(pages.site, path), label: words('nav.sends') },
        body: (
          <>
            <Notice c={c} />
            <SendOne site={site} formToken={formTokenOf(pages, session)} send={send} message={message} />
          </>
        ),
      });
    }),
  );
  app.post(`${path}/:id/cancel`, (c) =>
    withAdminForm(c, pages, async (session) => {
      const id = c.req.param('id') as SendId;
      const subAccountId = await findSubAccountOfSend(db, id);
      if (subAccountId === undefined) return sayingPage('not_found', 404);
      const outcome = await db.transaction(async (tx) => {
        const done = await cancelSend(tx, subAccountId, id);
        if (done === 'cancelled')
          await writeAudit(tx, {
            administratorId: session.administratorId,
            action: 'send.cancelled',
            subject: id,
          });
        return done;
      });
      pages.wakePublisher();
      // What waited behind it in its thread can go.
      pages.wakeSender();
      const done = outcome === 'cancelled' ? 'send_cancelled' : 'send_too_late';
      return c.redirect(listHref(site, `${path}/${id}`, doneQuery(done)), 303);
    }),
  );
}

/** What the list is narrowed to, from its address. A user is one of a sub-account, and is not looked for without. */
export function sendFilterOf(filter: Readonly<Record<string, string>>): SendFilter {
  const { state, sub_account: subAccountId = null, user = null } = filter;
  return {
    state: sendStates.find((known): known is SendState => known === state) ?? null,
    subAccountId,
    userId: subAccountId === null ? null : user,
  };
}
