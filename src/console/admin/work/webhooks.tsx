import type { Context, Hono } from 'hono';
import { listDeliveries, retryDelivery, retryParked } from '../../../store/delivery-list.ts';
import { writeAudit } from '../../../store/audit.ts';
import { listWebhookStates } from '../../../store/webhook-list.ts';
import { deleteWebhook, findWebhook, lockWebhook, updateWebhook } from '../../../store/webhooks.ts';
import { probeWebhook } from '../../../webhook/probe.ts';
import { replaceSecret, secretVersion } from '../../../webhook/sign.ts';
import { adminPage, withAdmin, withAdminForm } from '../app.tsx';
import type { AdminPages, AdminSession } from '../app.tsx';
import { hrefOf, sayingPage } from '../../page.tsx';
import type { Page } from '../../page.tsx';
import { formTokenOf } from '../../session.ts';
import { words } from '../../texts/texts.ts';
import { deliveryStates } from './delivery-states.ts';
import { listHref, listPage, readListQuery } from './list.ts';
import { NewRows } from './new-rows.tsx';
import { Notice, doneQuery } from './notice.tsx';
import type { Done } from './notice.tsx';
import { leaveOnce, takeOnce } from './once.ts';
import { addWebhookForms } from './webhook-form.tsx';
import { DeliveryList, OnceBox, WebhookList, WebhookOne } from './webhook-pages.tsx';
import type { Once } from './webhook-pages.tsx';

const path = '/admin/webhooks';

/** `/admin/webhooks`: where events go, and what became of each delivery (W2). */
export function addWebhookPages(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.get(path, (c) =>
    withAdmin(c, pages, async (session) => {
      const query = readListQuery(c, ['sub_account']);
      const found = await listWebhookStates(
        db,
        { subAccountId: query.filter['sub_account'] ?? null },
        query.part,
      );
      const page = listPage(site, path, query, found, ({ id }) => id);
      return adminPage(pages, session, {
        part: 'webhooks',
        title: words('nav.webhooks'),
        body: (
          <>
            <Notice c={c} />
            <WebhookList site={site} page={page} filter={query.filter} />
          </>
        ),
      });
    }),
  );
  // Before the pages of one, whose id it could be taken for.
  addWebhookForms(app, pages);
  app.get(`${path}/:id`, (c) => withAdmin(c, pages, (session) => webhookPage(c, pages, session)));
  addActions(app, pages);
  addRetries(app, pages);
}

async function webhookPage(c: Context, pages: AdminPages, session: AdminSession): Promise<Page> {
  const { db, site } = pages;
  const webhook = await findWebhook(db, c.req.param('id') ?? '', null);
  if (webhook === undefined) return sayingPage('not_found', 404);
  const query = readListQuery(c, ['state']);
  const state = deliveryStates.find((known) => known === query.filter['state']) ?? null;
  const found = await listDeliveries(db, { webhookId: webhook.id, state }, query.part);
  const here = `${path}/${webhook.id}`;
  const page = listPage(site, here, query, found, ({ seq }) => seq);
  const formToken = formTokenOf(pages, session);
  const newest = page.first === null ? (page.rows[0]?.seq ?? '0') : null;
  return adminPage(pages, session, {
    part: 'webhooks',
    title: words('webhooks.single'),
    list: { href: hrefOf(pages.site, path), label: words('nav.webhooks') },
    body: (
      <>
        <Notice c={c} />
        <OnceBox once={takeOnce(c, pages, session) as Once | null} webhookId={webhook.id} />
        <WebhookOne site={site} formToken={formToken} webhook={webhook} version={secretVersion(webhook)} />
        <NewRows />
        <DeliveryList site={site} formToken={formToken} path={here} state={state} page={page} />
      </>
    ),
    ...(newest === null
      ? {}
      : { live: { newest, webhook: webhook.id, ...(state === null ? {} : { state }) } }),
  });
}

type Found = NonNullable<Awaited<ReturnType<typeof lockWebhook>>>;

/** What was done to a webhook: how it is called in the audit log, and what the next page says of it; null: nothing. */
type Acted = { audit: `webhook.${string}`; done: Done | null; once?: Once };

/**
 * A form that does something to one webhook, and leads back to it. Of two administrators who do the same at once one
 * does it, and it is in the audit log once; the other is shown what is so by then.
 */
function addAction(
  app: Hono,
  pages: AdminPages,
  name: string,
  work: (tx: AdminPages['db'], webhook: Found, form: URLSearchParams) => Promise<Acted | 'overtaken' | null>,
): void {
  app.post(`${path}/:id/${name}`, (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const id = c.req.param('id') ?? '';
      const acted = await pages.db.transaction(async (tx) => {
        const webhook = await lockWebhook(tx, id);
        if (webhook === undefined) return undefined;
        const done = await work(tx, webhook, form);
        if (done !== null && done !== 'overtaken') {
          const { administratorId } = session;
          await writeAudit(tx, { administratorId, action: done.audit, subject: webhook.id });
        }
        return done;
      });
      if (acted === undefined) return sayingPage('not_found', 404);
      const done = acted === 'overtaken' ? 'webhook_overtaken' : (acted?.done ?? null);
      if (acted !== null && acted !== 'overtaken' && acted.once !== undefined)
        leaveOnce(c, pages, session, acted.once);
      const back = done === 'webhook_deleted' ? path : `${path}/${id}`;
      return c.redirect(listHref(pages.site, back, done === null ? {} : doneQuery(done)), 303);
    }),
  );
}

function addActions(app: Hono, pages: AdminPages): void {
  const { clock, secretBox } = pages;
  for (const [name, enabled, audit, done] of [
    ['pause', false, 'webhook.paused', 'webhook_paused'],
    ['resume', true, 'webhook.resumed', 'webhook_resumed'],
  ] as const) {
    addAction(app, pages, name, async (tx, webhook) => {
      if (webhook.enabled === enabled) return null;
      await updateWebhook(tx, webhook.id, { enabled });
      return { audit, done };
    });
  }
  addAction(app, pages, 'rotate', async (tx, webhook, form) => {
    // Replaced twice in a row, the receiver's secret would be in force no longer, and nobody would know it.
    if (form.get('shown') !== secretVersion(webhook)) return 'overtaken';
    const { secret, sealed } = replaceSecret(secretBox, webhook, clock.now());
    await updateWebhook(tx, webhook.id, { secretSealed: sealed });
    return {
      audit: 'webhook.secret_replaced',
      done: null,
      once: { kind: 'secret', webhookId: webhook.id, secret },
    };
  });
  addAction(app, pages, 'delete', async (tx, webhook) => {
    await deleteWebhook(tx, webhook.id);
    return { audit: 'webhook.deleted', done: 'webhook_deleted' };
  });
  app.post(`${path}/:id/test`, (c) =>
    withAdminForm(c, pages, async (session) => {
      const webhook = await findWebhook(pages.db, c.req.param('id'), null);
      if (webhook === undefined) return sayingPage('not_found', 404);
      const probe = await probeWebhook(pages, webhook);
      const { administratorId } = session;
      const details = { delivered: probe.delivered, status: probe.status };
      await writeAudit(pages.db, { administratorId, action: 'webhook.tested', subject: webhook.id, details });
      leaveOnce(c, pages, session, { kind: 'probe', webhookId: webhook.id, ...probe } satisfies Once);
      return c.redirect(hrefOf(pages.site, `${path}/${webhook.id}`), 303);
    }),
  );
}

/** So many parked deliveries are put back by one form; the rest by the next. */
const retriedRoundsMax = 10;

function addRetries(app: Hono, pages: AdminPages): void {
  const { db, site } = pages;
  app.post(`${path}/:id/deliveries/:did/retry`, (c) =>
    withAdminForm(c, pages, async (session) => {
      const webhook = await findWebhook(db, c.req.param('id'), null);
      if (webhook === undefined) return sayingPage('not_found', 404);
      const id = c.req.param('did');
      const delivery = await db.transaction(async (tx) => {
        const retried = await retryDelivery(tx, { webhookId: webhook.id, id });
        if (retried !== undefined)
          await writeAudit(tx, {
            administratorId: session.administratorId,
            action: 'delivery.retried',
            subject: id,
          });
        return retried;
      });
      if (delivery === undefined) return sayingPage('not_found', 404);
      return c.redirect(listHref(site, `${path}/${webhook.id}`, doneQuery('delivery_retried')), 303);
    }),
  );
  app.post(`${path}/:id/retry-parked`, (c) =>
    withAdminForm(c, pages, async (session) => {
      const webhook = await findWebhook(db, c.req.param('id'), null);
      if (webhook === undefined) return sayingPage('not_found', 404);
      let retried = 0;
      for (let round = 0; round < retriedRoundsMax; round += 1) {
        const count = await retryParked(db, webhook.id);
        if (count === 0) break;
        retried += count;
      }
      await writeAudit(db, {
        administratorId: session.administratorId,
        action: 'delivery.retried',
        subject: webhook.id,
        details: { count: retried },
      });
      return c.redirect(listHref(site, `${path}/${webhook.id}`, doneQuery('delivery_retried', retried)), 303);
    }),
  );
}
