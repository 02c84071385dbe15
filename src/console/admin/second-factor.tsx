import { randomBytes } from 'node:crypto';
import type { Context, Hono } from 'hono';
import { renderSVG } from 'uqr';
import type { AdministratorId } from '../../lib/id.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import { replaceRecoveryCodes, setSecondFactor, totpContext } from '../../store/administrators.ts';
import { writeAudit } from '../../store/audit.ts';
import { endSessionsOf } from '../../store/console-sessions.ts';
import type { Db } from '../../store/database.ts';
import { hrefOf } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Copyable, Field, Form } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { words } from '../texts/texts.ts';
import type { PlainKey } from '../texts/texts.ts';
import { accountPage, currentFault, CurrentPassword, ownCredentials } from './account.tsx';
import { adminPage, withAdmin, withAdminForm } from './app.tsx';
import type { AdminSession } from './app.tsx';
import { newRecoveryCodes, recoveryHash } from './recovery-codes.ts';
import type { SignInPages } from './sign-in.tsx';
import { base32, stepOfCode, totpAddress } from './totp.ts';

/** RFC 4226 §4 R6 asks for 160 bits. */
const secretBytes = 20;

/** `/admin/account/second-factor` and `…/recovery-codes`: turned on by showing that the app has it, off by the password. */
export function addSecondFactor(app: Hono, pages: SignInPages): void {
  app.get('/admin/account/second-factor', (c) =>
    withAdmin(c, pages, async (session) => {
      const { passwordHash } = await ownCredentials(pages, session);
      // Who signs in elsewhere has it there.
      if (passwordHash === null) return c.redirect(hrefOf(pages.site, '/admin/account'), 303);
      return enrolPage(pages, session, { secret: randomBytes(secretBytes) });
    }),
  );
  app.post('/admin/account/second-factor', (c) =>
    withAdminForm(c, pages, (session, form) => turnOn(pages, session, form)),
  );
  app.post('/admin/account/second-factor/off', (c) =>
    withAdminForm(c, pages, (session, form) => turnOff(c, pages, session, form)),
  );
  app.post('/admin/account/recovery-codes', (c) =>
    withAdminForm(c, pages, (session, form) => renewCodes(c, pages, session, form)),
  );
}

type Wrong = { code?: PlainKey; current?: PlainKey };

async function enrolPage(
  pages: SignInPages,
  session: AdminSession,
  { secret, wrong = {} }: { secret: Buffer; wrong?: Wrong },
): Promise<Page> {
  const { email } = await ownCredentials(pages, session);
  const address = totpAddress(secret, { email, host: new URL(pages.site.url()).host });
  const picture = `data:image/svg+xml;base64,${Buffer.from(renderSVG(address, { border: 2 })).toString('base64')}`;
  return adminPage(pages, session, {
    part: 'account',
    title: words('enrol.title'),
    status: Object.keys(wrong).length === 0 ? 200 : 422,
    body: (
      <section class="card enrol">
        <p>{words('enrol.scan')}</p>
        <p>
          <img class="qr" src={picture} alt={words('enrol.picture')} width={220} height={220} />
        </p>
        <p>{words('enrol.by_hand')}</p>
        <p>
          <Copyable text={base32(secret).replaceAll(/(.{4})(?=.)/g, '$1 ')} />
        </p>
        <Form
          action={hrefOf(pages.site, '/admin/account/second-factor')}
          formToken={formTokenOf(pages, session)}
        >
          <input type="hidden" name="secret" value={sealPending(pages.secretBox, session, secret)} />
          <Field
            name="code"
            label={words('enrol.code')}
            hint={words('enrol.code_hint')}
            wrong={wrong.code}
            autocomplete="one-time-code"
            inputmode="numeric"
            required
          />
          <CurrentPassword wrong={wrong.current} />
          <p class="actions">
            <button>{words('account.turn_on')}</button>
            <a class="button quiet" href={hrefOf(pages.site, '/admin/account')}>
              {words('page.cancel_plain')}
            </a>
          </p>
        </Form>
      </section>
    ),
  });
}

/** A secret that is not in force yet waits on the page, for this session alone. */
function sealPending(secretBox: SecretBox, session: AdminSession, secret: Buffer): string {
  return secretBox.seal(secret.toString('base64'), `second factor to be ${session.id}`);
}

function openPending(secretBox: SecretBox, session: AdminSession, sealed: string): Buffer | null {
  try {
    return Buffer.from(secretBox.open(sealed, `second factor to be ${session.id}`), 'base64');
  } catch {
    // Changed, or of another session.
    return null;
  }
}

async function turnOn(pages: SignInPages, session: AdminSession, form: URLSearchParams): Promise<Page> {
  const { secretBox, clock } = pages;
  const own = await ownCredentials(pages, session);
  const pending = openPending(secretBox, session, form.get('secret') ?? '');
  const secret = pending ?? randomBytes(secretBytes);
  const code = (form.get('code') ?? '').replaceAll(/\s/g, '');
  const step = pending === null ? null : stepOfCode(secret, code, clock.now());
  if (step === null) return enrolPage(pages, session, { secret, wrong: { code: 'enrol.wrong' } });
  const current = await currentFault(pages, own, form.get('current') ?? '');
  if (current !== null) return enrolPage(pages, session, { secret, wrong: { current } });
  const { administratorId, id } = session;
  const secretSealed = secretBox.seal(secret.toString('base64'), totpContext(administratorId));
  const codes = await pages.db.transaction(async (tx) => {
    await setSecondFactor(tx, administratorId, { secretSealed, step });
    await endSessionsOf(tx, { administratorId, but: id });
    await writeAudit(tx, { administratorId, action: 'second_factor.turned_on', subject: null });
    return makeCodes(tx, secretBox, administratorId);
  });
  return codesPage(pages, session, codes);
}

async function makeCodes(tx: Db, secretBox: SecretBox, id: AdministratorId): Promise<string[]> {
  const codes = newRecoveryCodes();
  await replaceRecoveryCodes(
    tx,
    id,
    codes.map((code) => recoveryHash(secretBox, id, code)),
  );
  return codes;
}

/** Shown once: what is stored is a hash of each. */
function codesPage(pages: SignInPages, session: AdminSession, codes: readonly string[]): Promise<Page> {
  return adminPage(pages, session, {
    part: 'account',
    title: words('codes.title'),
    body: (
      <section class="card">
        <p>{words('codes.text')}</p>
        <ul class="codes">
          {codes.map((code) => (
            <li>
              <code>{code}</code>
            </li>
          ))}
        </ul>
        <p class="actions">
          <button type="button" class="quiet" data-copy={codes.join('\n')} data-copied={words('page.copied')}>
            {words('codes.copy')}
          </button>
          <a class="button" href={hrefOf(pages.site, '/admin/account')}>
            {words('codes.kept')}
          </a>
        </p>
      </section>
    ),
  });
}

async function turnOff(
  c: Context,
  pages: SignInPages,
  session: AdminSession,
  form: URLSearchParams,
): Promise<Page | Response> {
  const own = await ownCredentials(pages, session);
  const current = await currentFault(pages, own, form.get('current-off') ?? '');
  if (current !== null)
    return accountPage(c, pages, session, { form: 'second_factor', field: 'current', key: current });
  const { administratorId, id } = session;
  await pages.db.transaction(async (tx) => {
    await setSecondFactor(tx, administratorId, null);
    await endSessionsOf(tx, { administratorId, but: id });
    await writeAudit(tx, { administratorId, action: 'second_factor.turned_off', subject: null });
  });
  return c.redirect(hrefOf(pages.site, '/admin/account?done=off'), 303);
}

async function renewCodes(
  c: Context,
  pages: SignInPages,
  session: AdminSession,
  form: URLSearchParams,
): Promise<Page | Response> {
  const own = await ownCredentials(pages, session);
  if (own.totpSecretSealed === null) return c.redirect(hrefOf(pages.site, '/admin/account'), 303);
  const current = await currentFault(pages, own, form.get('current-codes') ?? '');
  if (current !== null)
    return accountPage(c, pages, session, { form: 'codes', field: 'current', key: current });
  const { administratorId } = session;
  const codes = await pages.db.transaction(async (tx) => {
    await writeAudit(tx, { administratorId, action: 'recovery_codes.renewed', subject: null });
    return makeCodes(tx, pages.secretBox, administratorId);
  });
  return codesPage(pages, session, codes);
}
