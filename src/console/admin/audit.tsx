import type { Hono } from 'hono';
import { listAdministrators } from '../../store/administrators.ts';
import { listAudit } from '../../store/audit.ts';
import type { Audited } from '../../store/audit.ts';
import { hrefOf, Pieces, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Empty, Pager, Table, Time } from '../parts.tsx';
import { findText, words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { withAdmin } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';
import { gatewayPage } from './gateway-nav.tsx';

const pageMax = 50;

/** What can be asked for by itself, in the order of the list. */
const nouns = {
  sign_in: 'audit.of_sign_in',
  password: 'audit.of_password',
  second_factor: 'audit.of_second_factor',
  recovery_codes: 'audit.of_recovery_codes',
  sessions: 'audit.of_sessions',
  administrator: 'audit.of_administrator',
  key: 'audit.of_key',
  settings: 'audit.of_settings',
  connection: 'audit.of_connection',
  held: 'audit.of_held',
  send: 'audit.of_send',
  webhook: 'audit.of_webhook',
  delivery: 'audit.of_delivery',
} as const satisfies Record<string, PlainKey>;

type Filter = { noun: string; administrator: string; before: string };

/** `/admin/audit`: what administrators did, and what keys did to keys, webhooks and traces. */
export function addAudit(app: Hono, pages: AdminPages): void {
  app.get('/admin/audit', (c) =>
    withAdmin(c, pages, (session) => {
      const asked = (name: keyof Filter) => c.req.query(name) ?? '';
      const before = /^\d{1,18}$/.test(asked('before')) ? asked('before') : '';
      const noun = asked('noun') in nouns ? asked('noun') : '';
      return auditPage(pages, session, { noun, administrator: asked('administrator'), before });
    }),
  );
}

async function auditPage(pages: AdminPages, session: AdminSession, filter: Filter): Promise<Page> {
  const found = await listAudit(pages.db, {
    before: filter.before === '' ? null : filter.before,
    noun: filter.noun === '' ? null : filter.noun,
    administratorId: filter.administrator === '' ? null : filter.administrator,
    limit: pageMax + 1,
  });
  const administrators = await listAdministrators(pages.db);
  const shown = found.slice(0, pageMax);
  const path = hrefOf(pages.site, '/admin/audit');
  const kept = new URLSearchParams({ noun: filter.noun, administrator: filter.administrator });
  return gatewayPage(pages, session, {
    tab: 'audit',
    body: (
      <>
        <form class="filters" action={path}>
          <label class="field" for="noun">
            <span>{words('audit.what')}</span>
            <select id="noun" name="noun">
              <option value="">{words('audit.everything')}</option>
              {Object.entries(nouns).map(([noun, label]) => (
                <option value={noun} selected={noun === filter.noun}>
                  {words(label)}
                </option>
              ))}
            </select>
          </label>
          <label class="field" for="administrator">
            <span>{words('audit.who')}</span>
            <select id="administrator" name="administrator">
              <option value="">{words('audit.everybody')}</option>
              {administrators.map(({ id, email }) => (
                <option value={id} selected={id === filter.administrator}>
                  {email}
                </option>
              ))}
            </select>
          </label>
          <button class="quiet">{words('page.search')}</button>
        </form>
        {shown.length === 0 ? (
          <Empty>
            <p>{words('audit.empty')}</p>
            <p>
              <a href={path}>{words('audit.all')}</a>
            </p>
          </Empty>
        ) : (
          <Entries shown={shown} />
        )}
        <Pager
          first={filter.before === '' ? null : `${path}?${kept.toString()}`}
          next={found.length > pageMax ? `${path}?${kept.toString()}&before=${shown.at(-1)?.id ?? ''}` : null}
        />
      </>
    ),
  });
}

function Entries({ shown }: { shown: Audited[] }) {
  return (
    <Table label={words('nav.audit')}>
      <thead>
        <tr>
          <th scope="col">{words('audit.when')}</th>
          <th scope="col">{words('audit.who')}</th>
          <th scope="col">{words('audit.what')}</th>
          <th scope="col">{words('audit.subject')}</th>
          <th scope="col">{words('audit.client')}</th>
        </tr>
      </thead>
      <tbody>
        {shown.map((entry) => (
          <tr>
            <td>
              <Time at={entry.at} />
            </td>
            <td>
              <Who entry={entry} />
            </td>
            <td>
              <Pieces of={findText(`audit.${entry.action}`) ?? [{ text: entry.action, isValue: true }]} />
              <Details of={entry.details} />
            </td>
            <td>{entry.subject === null ? '' : <Value of={entry.subject} />}</td>
            <td data-label={words('audit.client')}>{entry.client ?? words('audit.no_client')}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

function Who({ entry: { email, keyId } }: { entry: Audited }) {
  if (email !== null) return <Value of={email} />;
  if (keyId === null) return words('audit.nobody');
  return (
    <>
      {words('audit.by_key')} <Value of={keyId} />
    </>
  );
}

function Details({ of }: { of: Audited['details'] }) {
  const known = Object.entries(of).filter(([, value]) => value !== null && value !== '');
  if (known.length === 0) return null;
  return (
    <small>
      {known.map(([name, value], index) => (
        <>
          {index > 0 && ' · '}
          {detailName(name)}: <Value of={String(value)} />
        </>
      ))}
    </small>
  );
}

/** The names of settings are the API's own, and stand as they are in every language. */
function detailName(name: string): string {
  const said = findText(`audit_detail.${name}`)?.map(({ text }) => text);
  return said?.join('') ?? name.replaceAll('_', ' ');
}
