import type { Context, Hono } from 'hono';
import type { AdministratorId } from '../../lib/id.ts';
import { validAddress } from '../../message/addresses.ts';
import {
  addAdministrator,
  canonicalOf,
  findAdministrator,
  listAdministrators,
  removeAdministrator,
} from '../../store/administrators.ts';
import type { ListedAdministrator } from '../../store/administrators.ts';
import { makeAdministratorLink } from '../../store/administrator-links.ts';
import { writeAudit } from '../../store/audit.ts';
import { hrefOf, Say, sayingPage, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Badge, Confirm, Copyable, Field, Form, Table, Time } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { withAdmin, withAdminForm } from './app.tsx';
import type { AdminPages, AdminSession } from './app.tsx';
import { gatewayPage } from './gateway-nav.tsx';

/** `/admin/administrators`: who may do all this. */
export function addAdministrators(app: Hono, pages: AdminPages): void {
  const { db } = pages;
  app.get('/admin/administrators', (c) =>
    withAdmin(c, pages, (session) => listPage(pages, session, { removed: c.req.query('removed') === '1' })),
  );
  app.post('/admin/administrators', (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const email = (form.get('email') ?? '').trim();
      if (!validAddress(email)) return listPage(pages, session, { email, wrong: 'email.wrong' });
      const made = await db.transaction(async (tx) => {
        const { administrator, created } = await addAdministrator(tx, email);
        if (!created) return null;
        await writeAudit(tx, { ...by(session), action: 'administrator.added', subject: administrator.email });
        return { administrator, path: await makeAdministratorLink(tx, administrator.id) };
      });
      if (made === null) return listPage(pages, session, { email, wrong: 'administrators.known' });
      return linkPage(pages, session, { email: made.administrator.email, path: made.path });
    }),
  );
  app.post('/admin/administrators/link', (c) =>
    withAdminForm(c, pages, async (session, form) => {
      const administrator = await findAdministrator(db, (form.get('id') ?? '') as AdministratorId);
      if (administrator === null) return sayingPage('not_found', 404);
      const { id, email } = administrator;
      const path = await db.transaction(async (tx) => {
        await writeAudit(tx, { ...by(session), action: 'administrator.link_made', subject: email });
        return makeAdministratorLink(tx, id);
      });
      return linkPage(pages, session, { email, path });
    }),
  );
  app.post('/admin/administrators/remove', (c) =>
    withAdminForm(c, pages, (session, form) => remove(c, pages, session, form.get('id') ?? '')),
  );
}

function by({ administratorId }: AdminSession) {
  return { administratorId };
}

async function remove(
  c: Context,
  pages: AdminPages,
  session: AdminSession,
  id: string,
): Promise<Page | Response> {
  const { db, site } = pages;
  const outcome = await db
    .transaction(async (tx) => {
      const administrator = await findAdministrator(tx, id as AdministratorId);
      if (administrator === null) return 'unknown';
      // Before it, so that it is known who that was who removes themselves.
      const { email: subject } = administrator;
      await writeAudit(tx, { ...by(session), action: 'administrator.removed', subject });
      const identities = pages.operator.identity?.administrators.map(canonicalOf) ?? [];
      const done = await removeAdministrator(tx, id, identities);
      if (done !== 'removed') throw new NotRemoved();
      return done;
    })
    .catch((error: unknown) => {
      if (error instanceof NotRemoved) return 'last' as const;
      throw error;
    });
  if (outcome === 'last') return listPage(pages, session, { notRemoved: true });
  if (outcome === 'unknown') return sayingPage('not_found', 404);
  const isOneself = id === session.administratorId;
  return c.redirect(hrefOf(site, isOneself ? '/admin/sign-in' : '/admin/administrators?removed=1'), 303);
}

/** Undoes what was written of it. */
class NotRemoved extends Error {}

type Shown = { email?: string; wrong?: PlainKey; notRemoved?: boolean; removed?: boolean };

async function listPage(pages: AdminPages, session: AdminSession, shown: Shown): Promise<Page> {
  const { email = '', wrong, notRemoved = false, removed = false } = shown;
  const found = await listAdministrators(pages.db);
  const formToken = formTokenOf(pages, session);
  return gatewayPage(pages, session, {
    tab: 'administrators',
    status: wrong !== undefined ? 422 : notRemoved ? 409 : 200,
    body: (
      <>
        {notRemoved && (
          <div class="outcome bad" role="alert">
            <p>{words('administrators.last')}</p>
          </div>
        )}
        {removed && (
          <div class="outcome good" role="status">
            <p>{words('administrators.removed')}</p>
          </div>
        )}
        <Table label={words('nav.administrators')}>
          <thead>
            <tr>
              <th scope="col">{words('sign_in.email')}</th>
              <th scope="col">{words('administrators.ways')}</th>
              <th scope="col">{words('administrators.signed_in')}</th>
              <th scope="col">{words('administrators.since')}</th>
              <th scope="col">
                <span class="away">{words('administrators.do')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {found.map((each) => (
              <Row {...{ pages, formToken, each }} isOneself={each.id === session.administratorId} />
            ))}
          </tbody>
        </Table>
        <section class="card">
          <h2>{words('administrators.invite')}</h2>
          <p class="lead">{words('administrators.invite_text')}</p>
          <Form action={hrefOf(pages.site, '/admin/administrators')} formToken={formToken} class="narrow">
            <Field
              name="email"
              type="email"
              label={words('sign_in.email')}
              value={email}
              wrong={wrong}
              autocomplete="off"
              required
            />
            <p class="actions">
              <button>{words('administrators.invite_button')}</button>
            </p>
          </Form>
        </section>
      </>
    ),
  });
}

function Row(props: { pages: AdminPages; formToken: string; each: ListedAdministrator; isOneself: boolean }) {
  const { pages, formToken, each, isOneself } = props;
  const path = (rest: string) => hrefOf(pages.site, `/admin/administrators/${rest}`);
  return (
    <tr>
      <th scope="row">
        <Value of={each.email} /> {isOneself && <Badge tone="plain">{words('administrators.oneself')}</Badge>}
      </th>
      <td>
        <Ways of={each} />
      </td>
      <td data-label={words('administrators.signed_in')}>
        <Time at={each.signedInAt} />
      </td>
      <td data-label={words('administrators.since')}>
        <Time at={each.createdAt} />
      </td>
      <td class="does">
        {!isOneself && (
          <Confirm
            label={words('administrators.new_link')}
            button={words('administrators.new_link_button')}
            action={path('link')}
            formToken={formToken}
            fields={{ id: each.id }}
          >
            <Say text="administrators.new_link_text" with={{ email: each.email }} />
          </Confirm>
        )}
        <Confirm
          label={words('administrators.remove')}
          button={words('administrators.remove_button')}
          action={path('remove')}
          formToken={formToken}
          fields={{ id: each.id }}
        >
          {isOneself ? (
            words('administrators.remove_oneself')
          ) : (
            <Say text="administrators.remove_text" with={{ email: each.email }} />
          )}
        </Confirm>
      </td>
    </tr>
  );
}

function Ways({ of }: { of: ListedAdministrator }) {
  const ways: PlainKey[] = [];
  if (of.hasPassword) ways.push('administrators.by_password');
  if (of.hasSecondFactor) ways.push('administrators.by_code');
  if (of.hasIdentity) ways.push('administrators.by_identity');
  if (ways.length === 0) return <Badge tone="still">{words('administrators.invited')}</Badge>;
  return <>{ways.map((way) => words(way)).join(', ')}</>;
}

/** Shown once: what is stored is its hash. */
function linkPage(
  pages: AdminPages,
  session: AdminSession,
  { email, path }: { email: string; path: string },
): Promise<Page> {
  return gatewayPage(pages, session, {
    tab: 'administrators',
    title: words('administrators.link'),
    body: (
      <section class="card">
        <p>
          <Say text="administrators.link_text" with={{ email }} />
        </p>
        <p>
          <Copyable text={`${pages.site.url()}${path}`} />
        </p>
        <p class="actions">
          <a class="button quiet" href={hrefOf(pages.site, '/admin/administrators')}>
            {words('administrators.back')}
          </a>
        </p>
      </section>
    ),
  });
}
