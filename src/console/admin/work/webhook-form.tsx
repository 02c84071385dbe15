import type { Hono } from 'hono';
import { Failure } from '../../../lib/failure.ts';
import { newId } from '../../../lib/id.ts';
import { writeAudit } from '../../../store/audit.ts';
import { eventTypes } from '../../../store/events.ts';
import { subAccountExists } from '../../../store/sub-accounts.ts';
import { findWebhook, insertWebhook, updateWebhook } from '../../../store/webhooks.ts';
import { newSecret } from '../../../webhook/sign.ts';
import { adminPage, withAdmin, withAdminForm } from '../app.tsx';
import type { AdminPages, AdminSession } from '../app.tsx';
import { hrefOf, sayingPage } from '../../page.tsx';
import type { Page, Site } from '../../page.tsx';
import { Field, Form } from '../../parts.tsx';
import { formTokenOf } from '../../session.ts';
import { words } from '../../texts/texts.ts';
import type { PlainKey } from '../../texts/texts.ts';
import { listHref } from './list.ts';
import { doneQuery } from './notice.tsx';
import { leaveOnce } from './once.ts';
import type { Once } from './webhook-pages.tsx';

const path = '/admin/webhooks';

/** What was typed, and what is wrong with it. */
type Typed = {
  url: string;
  types: readonly string[];
  subAccountId: string;
  wrong: { url?: PlainKey; sub_account?: PlainKey };
};

const blank: Typed = { url: '', types: [], subAccountId: '', wrong: {} };

/** Making a webhook, and changing one. */
export function addWebhookForms(app: Hono, pages: AdminPages): void {
  const { db, secretBox, site } = pages;
  app.get(`${path}/new`, (c) =>
    withAdmin(c, pages, (session) => formPage(pages, session, { webhookId: null, typed: blank })),
  );
  app.post(`${path}/new`, (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const typed = await readTyped(pages, form);
      if (Object.keys(typed.wrong).length > 0) return formPage(pages, session, { webhookId: null, typed });
      const id = newId('whk');
      const { secret, sealed } = newSecret(secretBox, id);
      const { url, types } = typed;
      const subAccountId = typed.subAccountId === '' ? null : typed.subAccountId;
      await db.transaction(async (tx) => {
        await insertWebhook(tx, { id, subAccountId, url, types: [...types], secretSealed: sealed });
        const { administratorId } = session;
        await writeAudit(tx, {
          administratorId,
          action: 'webhook.made',
          subject: id,
          details: { url: hostOf(url) },
        });
      });
      leaveOnce(c, pages, session, { kind: 'secret', webhookId: id, secret } satisfies Once);
      return c.redirect(hrefOf(site, `${path}/${id}`), 303);
    }),
  );
  app.get(`${path}/:id/edit`, (c) =>
    withAdmin(c, pages, async (session) => {
      const webhook = await findWebhook(db, c.req.param('id'), null);
      if (webhook === undefined) return sayingPage('not_found', 404);
      const { id: webhookId, url, types } = webhook;
      return formPage(pages, session, { webhookId, typed: { ...blank, url, types } });
    }),
  );
  app.post(`${path}/:id/edit`, (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const webhook = await findWebhook(db, c.req.param('id'), null);
      if (webhook === undefined) return sayingPage('not_found', 404);
      const typed = await readTyped(pages, form);
      if (Object.keys(typed.wrong).length > 0)
        return formPage(pages, session, { webhookId: webhook.id, typed });
      await db.transaction(async (tx) => {
        const { url, types } = typed;
        await updateWebhook(tx, webhook.id, { ...(url === webhook.url ? {} : { url }), types: [...types] });
        await writeAudit(tx, {
          administratorId: session.administratorId,
          action: 'webhook.changed',
          subject: webhook.id,
          details: { url: hostOf(url) },
        });
      });
      return c.redirect(listHref(site, `${path}/${webhook.id}`, doneQuery('webhook_saved')), 303);
    }),
  );
}

const urlCharsMax = 2_048;

async function readTyped({ db, netGuard }: AdminPages, form: URLSearchParams): Promise<Typed> {
  const url = (form.get('url') ?? '').trim();
  const subAccountId = (form.get('sub_account') ?? '').trim();
  const known: readonly string[] = eventTypes;
  const isThere =
    subAccountId === '' || (isPlain(subAccountId) && (await subAccountExists(db, subAccountId)));
  const urlWrong = urlProblem(netGuard, url);
  return {
    url,
    subAccountId,
    types: form.getAll('type').filter((type) => known.includes(type)),
    wrong: {
      ...(urlWrong === null ? {} : { url: urlWrong }),
      ...(isThere ? {} : { sub_account: 'webhooks.no_sub_account' }),
    },
  };
}

/** What the guard of private networks says of it, in our words. */
function urlProblem(netGuard: AdminPages['netGuard'], url: string): PlainKey | null {
  if (url === '' || url.length > urlCharsMax || !isPlain(url)) return 'webhooks.invalid_url';
  try {
    netGuard.assertUrl(url);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code === 'private_address' ? 'webhooks.private_address' : 'webhooks.invalid_url';
  }
}

function isPlain(text: string): boolean {
  return !/\p{Cc}/u.test(text) && text.isWellFormed();
}

/** A path of it may hold a key of the CRM's. */
function hostOf(url: string): string {
  return URL.parse(url)?.host ?? '';
}

function formPage(
  pages: AdminPages,
  session: AdminSession,
  form: { webhookId: string | null; typed: Typed },
): Promise<Page> {
  const isWrong = Object.keys(form.typed.wrong).length > 0;
  return adminPage(pages, session, {
    part: 'webhooks',
    title: words(form.webhookId === null ? 'webhooks.new' : 'webhooks.change'),
    list: { href: hrefOf(pages.site, path), label: words('nav.webhooks') },
    status: isWrong ? 422 : 200,
    body: <WebhookForm site={pages.site} formToken={formTokenOf(pages, session)} {...form} />,
  });
}

function WebhookForm(props: { site: Site; formToken: string; webhookId: string | null; typed: Typed }) {
  const { site, formToken, webhookId, typed } = props;
  const back = webhookId === null ? path : `${path}/${webhookId}`;
  return (
    <>
      <section class="card">
        {Object.keys(typed.wrong).length > 0 && (
          <p class="outcome bad" role="alert">
            {words('page.check')}
          </p>
        )}
        <Form action={hrefOf(site, `${back}/${webhookId === null ? 'new' : 'edit'}`)} formToken={formToken}>
          <Field
            name="url"
            label={words('webhooks.url')}
            hint={words('webhooks.url_hint')}
            value={typed.url}
            wrong={typed.wrong.url}
            required
          />
          {webhookId === null && (
            <Field
              name="sub_account"
              label={words('webhooks.only_of')}
              hint={words('webhooks.only_of_hint')}
              value={typed.subAccountId}
              wrong={typed.wrong.sub_account}
            />
          )}
          <TypeChoice chosen={typed.types} />
          <p class="actions">
            <button>{words(webhookId === null ? 'webhooks.make' : 'page.save')}</button>
            <a class="button quiet" href={hrefOf(site, back)}>
              {words('page.cancel_plain')}
            </a>
          </p>
        </Form>
      </section>
    </>
  );
}

function TypeChoice({ chosen }: { chosen: readonly string[] }) {
  return (
    <fieldset class="types">
      <legend>{words('webhooks.types')}</legend>
      <small>{words('webhooks.types_hint')}</small>
      <div>
        {eventTypes.map((type) => (
          <label class="check">
            <input type="checkbox" name="type" value={type} checked={chosen.includes(type)} />
            <code>{type}</code>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
