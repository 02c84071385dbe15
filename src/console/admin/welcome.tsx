import type { Context, Hono } from 'hono';
import type { AdministratorId } from '../../lib/id.ts';
import { validAddress } from '../../message/addresses.ts';
import {
  addAdministrator,
  findAdministrator,
  hasAdministrator,
  lockAdministrators,
  setPassword,
  setSecondFactor,
} from '../../store/administrators.ts';
import { findAdministratorLink, useAdministratorLink } from '../../store/administrator-links.ts';
import type { AdministratorLinkState } from '../../store/administrator-links.ts';
import { writeAudit } from '../../store/audit.ts';
import { endSessionsOf } from '../../store/console-sessions.ts';
import type { Db } from '../../store/database.ts';
import { hrefOf, sayingPage, Say, sendPage } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Field } from '../parts.tsx';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { passwordFault } from './password-rules.ts';
import { enter } from './sign-in.tsx';
import type { SignInPages } from './sign-in.tsx';

/** `/admin/welcome/{token}`: a one-use link sets a password, of the first administrator, a new one, or one who lost theirs. */
export function addWelcome(app: Hono, pages: SignInPages): void {
  app.get('/admin/welcome/:token', async (c) => {
    const { state, email } = await findAdministratorLink(pages.db, c.req.param('token'));
    return sendPage(
      c,
      pages.site,
      state === 'open' ? welcomePage(c, pages, { owner: email }) : closedPage(state),
    );
  });
  app.post('/admin/welcome/:token', async (c) => {
    const answer = await welcome(c, pages, c.req.param('token'));
    return answer instanceof Response ? answer : sendPage(c, pages.site, answer);
  });
}

function closedPage(state: Exclude<AdministratorLinkState, 'open'>): Page {
  return state === 'unknown' ? sayingPage('not_found', 404) : sayingPage(`welcome_${state}`, 410);
}

type Wrong = { email?: PlainKey; password?: PlainKey };

/** `owner`: whose link it is; null: the first administrator says. */
function welcomePage(
  c: Context,
  pages: SignInPages,
  { owner, email = '', wrong = {} }: { owner: string | null; email?: string; wrong?: Wrong },
): Page {
  return {
    title: words(owner === null ? 'welcome.first' : 'welcome.title'),
    status: Object.keys(wrong).length === 0 ? 200 : 422,
    body: (
      <>
        <p class="lead">
          {owner === null ? (
            <Say text="welcome.first_text" />
          ) : (
            <Say text="welcome.text" with={{ email: owner }} />
          )}
        </p>
        <form method="post" action={hrefOf(pages.site, c.req.path)}>
          {owner === null ? (
            <Field
              name="email"
              type="email"
              label={words('sign_in.email')}
              value={email}
              wrong={wrong.email}
              autocomplete="username"
              required
            />
          ) : (
            // For the browser's list of passwords.
            <input
              class="away"
              name="username"
              value={owner}
              autocomplete="username"
              tabindex={-1}
              readonly
              aria-hidden="true"
            />
          )}
          <NewPassword wrong={wrong.password} />
          <p class="actions">
            <button>{words('welcome.submit')}</button>
          </p>
        </form>
      </>
    ),
  };
}

/** The field of a password that shall be stored. */
export function NewPassword({ wrong }: { wrong?: PlainKey | undefined }) {
  return (
    <Field
      name="password"
      type="password"
      label={words('password.new')}
      hint={words('password.hint')}
      wrong={wrong}
      autocomplete="new-password"
      required
    />
  );
}

async function welcome(c: Context, pages: SignInPages, token: string): Promise<Page | Response> {
  const { db, passwords } = pages;
  // Who is lured here with another person's link would work in that person's account.
  const from = c.req.header('sec-fetch-site');
  if (from !== undefined && from !== 'same-origin') return sayingPage('not_same_origin', 403);
  const { state, email: owner } = await findAdministratorLink(db, token);
  if (state !== 'open') return closedPage(state);
  const form = new URLSearchParams(await c.req.text());
  const [email, password] = [owner ?? (form.get('email') ?? '').trim(), form.get('password') ?? ''];
  const fault = passwordFault(password, email);
  const wrong = {
    ...(validAddress(email) ? {} : { email: 'email.wrong' as const }),
    ...(fault === null ? {} : { password: fault }),
  };
  if (Object.keys(wrong).length > 0) return welcomePage(c, pages, { owner, email, wrong });
  const hash = await passwords.hash(password);
  const id = await db.transaction((tx) => setUp(tx, { token, email, hash }));
  if (id === null) return closedPage('used');
  return enter(c, pages, { id, how: 'link', to: '/admin/account' });
}

/** Null: the link was used in this moment, or it was for a first administrator and there is one. */
async function setUp(
  tx: Db,
  { token, email, hash }: { token: string; email: string; hash: string },
): Promise<AdministratorId | null> {
  const link = await useAdministratorLink(tx, token);
  if (link === null) return null;
  const id = link.administratorId ?? (await addFirst(tx, email));
  if (id === null) return null;
  await setPassword(tx, id, hash);
  await setSecondFactor(tx, id, null);
  await endSessionsOf(tx, { administratorId: id, but: null });
  const administrator = await findAdministrator(tx, id);
  await writeAudit(tx, {
    administratorId: id,
    action: 'administrator.set_up',
    subject: administrator?.email ?? email,
  });
  return id;
}

async function addFirst(tx: Db, email: string): Promise<AdministratorId | null> {
  await lockAdministrators(tx);
  if (await hasAdministrator(tx)) return null;
  const { administrator } = await addAdministrator(tx, email);
  return administrator.id;
}
