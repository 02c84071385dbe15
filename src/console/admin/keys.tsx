import type { Hono } from 'hono';
import { writeAudit } from '../../store/audit.ts';
import { listKeys, makeKey, revokeKey } from '../../store/keys.ts';
import type { KeyRow } from '../../store/keys.ts';
import { subAccountExists } from '../../store/sub-accounts.ts';
import { hrefOf, Say, sayingPage, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Badge, Confirm, Copyable, Empty, Field, Form, Pager, Table, Time } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { withAdmin, withAdminForm } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';
import { gatewayPage } from './gateway-nav.tsx';

const pageMax = 50;
const labelMax = 200;

/** `/admin/keys`: with what the CRM calls the API (W3). */
export function addKeys(app: Hono, pages: AdminPages): void {
  const { db } = pages;
  app.get('/admin/keys', (c) =>
    withAdmin(c, pages, (session) => listPage(pages, session, { after: c.req.query('after') ?? '' })),
  );
  app.post('/admin/keys', (c) => withAdminForm(c, pages, (session, form) => make(pages, session, form)));
  app.post('/admin/keys/revoke', (c) =>
    withAdminForm(c, pages, async ({ administratorId }, form) => {
      const revoked = await db.transaction(async (tx) => {
        const key = await revokeKey(tx, form.get('id') ?? '', null);
        if (key === null) return false;
        const details = { label: key.label, scope: key.scope, sub_account_id: key.subAccountId };
        await writeAudit(tx, { administratorId, action: 'key.revoked', subject: key.id, details });
        return true;
      });
      return revoked ? c.redirect(hrefOf(pages.site, '/admin/keys'), 303) : sayingPage('not_found', 404);
    }),
  );
}

type Wanted = { label: string; subAccountId: string; scope: 'read' | 'write' };
type Wrong = { label?: PlainKey; sub_account_id?: PlainKey };

async function make(pages: AdminPages, session: AdminSession, form: URLSearchParams): Promise<Page> {
  const wanted: Wanted = {
    label: (form.get('label') ?? '').trim(),
    subAccountId: (form.get('sub_account_id') ?? '').trim(),
    scope: form.get('scope') === 'write' ? 'write' : 'read',
  };
  const subAccountId = wanted.subAccountId === '' ? null : wanted.subAccountId;
  const isKnown = subAccountId === null || (await subAccountExists(pages.db, subAccountId));
  const wrong: Wrong = {
    ...(wanted.label === '' ? { label: 'keys.label_needed' } : {}),
    ...(wanted.label.length > labelMax ? { label: 'keys.label_long' } : {}),
    ...(isKnown ? {} : { sub_account_id: 'keys.unknown_sub_account' }),
  };
  if (Object.keys(wrong).length > 0) return listPage(pages, session, { after: '', wanted, wrong });
  const { administratorId } = session;
  const { key } = await pages.db.transaction(async (tx) => {
    const made = await makeKey(tx, { ...wanted, subAccountId });
    const details = { label: wanted.label, scope: wanted.scope, sub_account_id: subAccountId };
    await writeAudit(tx, { administratorId, action: 'key.made', subject: made.row.id, details });
    return made;
  });
  return madePage(pages, session, key);
}

/** Shown once: what is stored is its hash. */
function madePage(pages: AdminPages, session: AdminSession, key: string): Promise<Page> {
  return gatewayPage(pages, session, {
    tab: 'keys',
    title: words('keys.made'),
    body: (
      <section class="card">
        <p>{words('keys.made_text')}</p>
        <p>
          <Copyable text={key} />
        </p>
        <p class="actions">
          <a class="button" href={hrefOf(pages.site, '/admin/keys')}>
            {words('codes.kept')}
          </a>
        </p>
      </section>
    ),
  });
}

async function listPage(
  pages: AdminPages,
  session: AdminSession,
  { after, wanted, wrong = {} }: { after: string; wanted?: Wanted; wrong?: Wrong },
): Promise<Page> {
  const found = await listKeys(pages.db, { subAccountId: null, after, limit: pageMax + 1 });
  const shown = found.slice(0, pageMax);
  const path = hrefOf(pages.site, '/admin/keys');
  const last = shown.at(-1)?.id ?? '';
  const formToken = formTokenOf(pages, session);
  return gatewayPage(pages, session, {
    tab: 'keys',
    status: Object.keys(wrong).length === 0 ? 200 : 422,
    body: (
      <>
        {shown.length === 0 ? (
          <Empty>
            <p>{words('keys.empty')}</p>
          </Empty>
        ) : (
          <KeyTable {...{ shown, path, formToken }} />
        )}
        <Pager
          first={after === '' ? null : path}
          next={found.length > pageMax ? `${path}?after=${last}` : null}
        />
        <NewKey
          {...{ path, formToken, wrong }}
          wanted={wanted ?? { label: '', subAccountId: '', scope: 'write' }}
        />
      </>
    ),
  });
}

function KeyTable({ shown, path, formToken }: { shown: KeyRow[]; path: string; formToken: string }) {
  return (
    <Table label={words('nav.keys')}>
      <thead>
        <tr>
          <th scope="col">{words('keys.label')}</th>
          <th scope="col">{words('keys.sees')}</th>
          <th scope="col">{words('keys.may')}</th>
          <th scope="col">{words('keys.since')}</th>
          <th scope="col">
            <span class="away">{words('administrators.do')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((key) => (
          <tr>
            <th scope="row">
              {key.label === '' ? words('keys.no_label') : <Value of={key.label} />}
              <small>
                <code>{key.id}</code>
              </small>
            </th>
            <td>{key.subAccountId === null ? words('keys.all') : <Value of={key.subAccountId} />}</td>
            <td>
              <Badge tone={key.scope === 'write' ? 'still' : 'plain'}>{words(`keys.${key.scope}`)}</Badge>
            </td>
            <td>
              <Time at={key.createdAt} />
            </td>
            <td class="does">
              <Confirm
                label={words('keys.revoke')}
                button={words('keys.revoke_button')}
                action={`${path}/revoke`}
                formToken={formToken}
                fields={{ id: key.id }}
              >
                {words('keys.revoke_text')}
              </Confirm>
            </td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function NewKey(props: { path: string; formToken: string; wanted: Wanted; wrong: Wrong }) {
  const { path, formToken, wanted, wrong } = props;
  return (
    <section class="card">
      <h2>{words('keys.new')}</h2>
      <p class="lead">
        <Say text="keys.new_text" />
      </p>
      <Form action={path} formToken={formToken} class="narrow">
        <Field
          name="label"
          label={words('keys.label')}
          hint={words('keys.label_hint')}
          value={wanted.label}
          wrong={wrong.label}
          autocomplete="off"
          required
        />
        <Field
          name="sub_account_id"
          label={words('keys.sub_account')}
          hint={words('keys.sub_account_hint')}
          value={wanted.subAccountId}
          wrong={wrong.sub_account_id}
          autocomplete="off"
        />
        <label class="field" for="scope">
          <span>{words('keys.may')}</span>
          <select id="scope" name="scope">
            <option value="write" selected={wanted.scope === 'write'}>
              {words('keys.write')}
            </option>
            <option value="read" selected={wanted.scope === 'read'}>
              {words('keys.read')}
            </option>
          </select>
        </label>
        <p class="actions">
          <button>{words('keys.make')}</button>
        </p>
      </Form>
    </section>
  );
}
