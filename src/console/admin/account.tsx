import type { Context, Hono } from 'hono';
import { canonicalOf, countRecoveryCodes, findCredentials, setPassword } from '../../store/administrators.ts';
import type { Credentials } from '../../store/administrators.ts';
import { writeAudit } from '../../store/audit.ts';
import { endSessionsOf, listSessionsOf } from '../../store/console-sessions.ts';
import type { ListedSession } from '../../store/console-sessions.ts';
import { hrefOf } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Badge, Field, Form, Table, Time } from '../parts.tsx';
import { formTokenOf, lives } from '../session.ts';
import { counted, words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { adminPage, withAdmin, withAdminForm } from './app.tsx';
import type { AdminSession } from './app.tsx';
import { passwordFault } from './password-rules.ts';
import { verify } from './sign-in.tsx';
import type { SignInPages } from './sign-in.tsx';
import { mayTry, succeeded } from './tries.ts';
import { NewPassword } from './welcome.tsx';

/** What was wrong in a form of the page, at its field. */
export type AccountFault = {
  form: 'password' | 'second_factor' | 'codes';
  field: 'current' | 'password';
  key: PlainKey;
};

/** `/admin/account`: what an administrator signs in with, and where they are signed in. */
export function addAccount(app: Hono, pages: SignInPages): void {
  app.get('/admin/account', (c) => withAdmin(c, pages, (session) => accountPage(c, pages, session)));
  app.post('/admin/account/password', (c) =>
    withAdminForm(c, pages, (session, form) => changePassword(c, pages, session, form)),
  );
  app.post('/admin/account/sessions/end', (c) =>
    withAdminForm(c, pages, async ({ administratorId, id }) => {
      await pages.db.transaction(async (tx) => {
        const ended = await endSessionsOf(tx, { administratorId, but: id });
        await writeAudit(tx, {
          administratorId,
          action: 'sessions.ended',
          subject: null,
          details: { ended },
        });
      });
      return c.redirect(hrefOf(pages.site, '/admin/account?done=sessions'), 303);
    }),
  );
}

/** The account of who is signed in; null: removed in this moment. */
export async function ownCredentials(pages: SignInPages, session: AdminSession): Promise<Credentials> {
  const found = await findCredentials(pages.db, { id: session.administratorId });
  // Its sessions went with it.
  if (found === null) throw new Error('an administrator is gone');
  return found;
}

/**
 * Whether who is signed in knows the password of the account, too: a browser that was left open must not be enough to
 * take the account over. Null: yes.
 */
export async function currentFault(
  pages: SignInPages,
  own: Credentials,
  typed: string,
): Promise<PlainKey | null> {
  const tried = [{ kind: 'client' }, { kind: 'account', of: canonicalOf(own.email) }] as const;
  const attempt = await mayTry(pages, tried);
  if (attempt.until !== null) return 'account.too_often';
  const isRight = await verify(pages, typed, own);
  if (isRight === null) return 'sign_in.busy';
  if (!isRight) return 'account.wrong_password';
  await succeeded(pages, tried);
  return null;
}

async function changePassword(
  c: Context,
  pages: SignInPages,
  session: AdminSession,
  form: URLSearchParams,
): Promise<Page | Response> {
  const own = await ownCredentials(pages, session);
  const password = form.get('password') ?? '';
  const fault = passwordFault(password, own.email);
  if (fault !== null)
    return accountPage(c, pages, session, { form: 'password', field: 'password', key: fault });
  const current = await currentFault(pages, own, form.get('current') ?? '');
  if (current !== null)
    return accountPage(c, pages, session, { form: 'password', field: 'current', key: current });
  const hash = await pages.passwords.hash(password);
  const { administratorId, id } = session;
  await pages.db.transaction(async (tx) => {
    await setPassword(tx, administratorId, hash);
    await endSessionsOf(tx, { administratorId, but: id });
    await writeAudit(tx, { administratorId, action: 'password.changed', subject: null });
  });
  return c.redirect(hrefOf(pages.site, '/admin/account?done=password'), 303);
}

const done: Readonly<Record<string, PlainKey>> = {
  password: 'account.done_password',
  sessions: 'account.done_sessions',
  off: 'account.done_off',
};

/** The whole page, with what was wrong in one of its forms. */
export async function accountPage(
  c: Context,
  pages: SignInPages,
  session: AdminSession,
  fault?: AccountFault,
): Promise<Page> {
  const own = await ownCredentials(pages, session);
  const { administratorId } = session;
  const sessions = await listSessionsOf(pages.db, { administratorId, idleMs: lives.administrator.idleMs });
  const left = await countRecoveryCodes(pages.db, administratorId);
  const said = fault === undefined ? done[c.req.query('done') ?? ''] : undefined;
  const shared = { pages, formToken: formTokenOf(pages, session), fault };
  return adminPage(pages, session, {
    part: 'account',
    title: words('nav.account'),
    status: fault === undefined ? 200 : 422,
    body: (
      <>
        {said !== undefined && (
          <div class="outcome good" role="status">
            <p>{words(said)}</p>
          </div>
        )}
        <div class="cards">
          {own.passwordHash === null ? (
            <section class="card">
              <h2>{words('account.identity')}</h2>
              <p>{words('account.identity_text')}</p>
            </section>
          ) : (
            <>
              <PasswordCard {...shared} email={own.email} />
              <SecondFactorCard {...shared} isOn={own.totpSecretSealed !== null} left={left} />
            </>
          )}
        </div>
        <Sessions {...shared} sessions={sessions} own={session.id} />
      </>
    ),
  });
}

type Shared = { pages: SignInPages; formToken: string; fault: AccountFault | undefined };

function wrongIn({ fault }: Shared, form: AccountFault['form'], field: AccountFault['field']) {
  return fault?.form === form && fault.field === field ? fault.key : undefined;
}

/** The field in which somebody shows that it is their account. */
export function CurrentPassword({ wrong, name = 'current' }: { wrong: PlainKey | undefined; name?: string }) {
  return (
    <Field
      name={name}
      type="password"
      label={words('account.current')}
      wrong={wrong}
      autocomplete="current-password"
      required
    />
  );
}

function PasswordCard({ email, ...shared }: Shared & { email: string }) {
  const { pages, formToken } = shared;
  return (
    <section class="card">
      <h2>{words('account.password')}</h2>
      <p class="lead">{words('account.password_text')}</p>
      <Form action={hrefOf(pages.site, '/admin/account/password')} formToken={formToken}>
        <input
          class="away"
          name="username"
          value={email}
          autocomplete="username"
          tabindex={-1}
          readonly
          aria-hidden="true"
        />
        <CurrentPassword wrong={wrongIn(shared, 'password', 'current')} />
        <NewPassword wrong={wrongIn(shared, 'password', 'password')} />
        <p class="actions">
          <button>{words('account.change_password')}</button>
        </p>
      </Form>
    </section>
  );
}

function SecondFactorCard({ isOn, left, ...shared }: Shared & { isOn: boolean; left: number }) {
  const { pages, formToken } = shared;
  const path = (rest: string) => hrefOf(pages.site, `/admin/account/${rest}`);
  return (
    <section class="card">
      <h2>{words('account.second_factor')}</h2>
      <p>
        <Badge tone={isOn ? 'good' : 'still'}>{words(isOn ? 'account.is_on' : 'account.is_off')}</Badge>
      </p>
      <p class="lead">{words('account.second_factor_text')}</p>
      {!isOn && (
        <p class="actions">
          <a class="button" href={path('second-factor')}>
            {words('account.turn_on')}
          </a>
        </p>
      )}
      {isOn && (
        <>
          <p>{left === 0 ? words('account.no_codes') : counted('account.codes', left)}</p>
          <details class="confirm" open={shared.fault?.form === 'codes'}>
            <summary>{words('account.new_codes')}</summary>
            <Form action={path('recovery-codes')} formToken={formToken}>
              <p>{words('account.new_codes_text')}</p>
              <CurrentPassword name="current-codes" wrong={wrongIn(shared, 'codes', 'current')} />
              <button class="small">{words('account.new_codes')}</button>
            </Form>
          </details>
          <details class="confirm" open={shared.fault?.form === 'second_factor'}>
            <summary>{words('account.turn_off')}</summary>
            <Form action={path('second-factor/off')} formToken={formToken}>
              <p>{words('account.turn_off_text')}</p>
              <CurrentPassword name="current-off" wrong={wrongIn(shared, 'second_factor', 'current')} />
              <button class="danger small">{words('account.turn_off')}</button>
            </Form>
          </details>
        </>
      )}
    </section>
  );
}

function Sessions({ sessions, own, ...shared }: Shared & { sessions: ListedSession[]; own: string }) {
  return (
    <section>
      <h2>{words('account.sessions')}</h2>
      <p class="lead">{words('account.sessions_text')}</p>
      <Table label={words('account.sessions')}>
        <thead>
          <tr>
            <th scope="col">{words('account.since')}</th>
            <th scope="col">{words('account.seen')}</th>
            <th scope="col">{words('audit.client')}</th>
            <th scope="col">
              <span class="away">{words('account.which')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sessions.map(({ id, createdAt, seenAt, client }) => (
            <tr>
              <td data-label={words('account.since')}>
                <Time at={createdAt} />
              </td>
              <td data-label={words('account.seen')}>
                <Time at={seenAt} />
              </td>
              <td data-label={words('audit.client')}>{client ?? words('audit.no_client')}</td>
              <td>{id === own && <Badge tone="good">{words('account.this_browser')}</Badge>}</td>
            </tr>
          ))}
        </tbody>
      </Table>
      {sessions.length > 1 && (
        <Form action={hrefOf(shared.pages.site, '/admin/account/sessions/end')} formToken={shared.formToken}>
          <button class="quiet">{words('account.end_others')}</button>
        </Form>
      )}
    </section>
  );
}
