import type { Context, Hono } from 'hono';
import { LoginProblem } from '../../mailbox/prove.ts';
import type { PasswordLogin } from '../../mailbox/prove.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { hrefOf } from '../page.tsx';
import type { Page } from '../page.tsx';
import { whereOf } from './done-page.tsx';
import {
  addressPage,
  emptyForm,
  filledBy,
  imapPage,
  parseForm,
  typedIn,
  wrongInFirst,
} from './imap-form.tsx';
import type { FormProps, Typed } from './imap-form.tsx';
import { outcomePage, resultPage } from './outcome-pages.tsx';
import { leadsPage } from './start-pages.tsx';
import { allows, aroundOf, confirmPath, formOf, newConfirmation, withOpenLink, withOwnForm } from './link.ts';
import type { Answer, ConnectPage } from './link.ts';

/** The pages for every host that is asked for a password (C3): the settings are found, shown, and tried. */
export function addImap(app: Hono, page: ConnectPage): void {
  app.get('/connect/:token/imap', (c) =>
    withOpenLink(c, page, (link) =>
      allows(link, page, 'imap') === null
        ? outcomePage('not_found', { link, retryUrl: null })
        : firstImapPage(c, { link, ...formOf(c, page, link) }),
    ),
  );
  app.post('/connect/:token/imap', (c) =>
    withOwnForm(c, page, async (link, form) => {
      if (allows(link, page, 'imap') === null) return outcomePage('not_found', { link, retryUrl: null });
      // The first step has no fields of servers.
      return form.has('imap_host') ? tryLogin(c, page, link, form) : findSettings(c, page, link, form);
    }),
  );
}

/** Where it begins: with the address; with every field for who knows the servers, or has connected them before. */
export function firstImapPage(c: Context, props: Pick<FormProps, 'link' | 'url' | 'formToken'>): Page {
  const typed = emptyForm(props.link);
  const isByHand = c.req.query('by') === 'hand' || typed.imap_host !== '';
  return isByHand ? imapPage({ ...props, typed }) : addressPage({ ...props, typed });
}

async function findSettings(
  c: Context,
  page: ConnectPage,
  link: ConnectLink,
  form: URLSearchParams,
): Promise<Answer> {
  const typed = { ...emptyForm(link), ...namedOnly(typedIn(form)) };
  const props = { link, ...formOf(c, page, link), typed };
  const wrong = wrongInFirst(typed);
  if (Object.keys(wrong).length > 0) return addressPage({ ...props, wrong });
  const found = await page.discover(typed.address);
  page.log.info({ link: link.id, foundBy: found.by }, 'settings were looked for');
  const { provider } = found;
  const offered = provider === null ? null : allows(link, page, provider);
  if (offered !== null) return leadsPage({ ...props, offered, found, offers: page.offered });
  const kept = found.servers === null ? null : keep(page, link, typed.password);
  return imapPage({ ...props, typed: filledBy(typed, found), found, kept });
}

function namedOnly({ address, password }: Typed): Pick<Typed, 'address' | 'password'> {
  return { address, password };
}

/** A password that goes to the next page and comes back with it, which shows it to nobody. */
function keep(page: ConnectPage, link: ConnectLink, password: string): string {
  return page.secretBox.seal(password, keptFor(link));
}

function keptFor({ id }: ConnectLink): string {
  return `connect password ${id}`;
}

/** The password that was typed, or the one that the page before has kept; empty where that is none of ours. */
function passwordIn(page: ConnectPage, link: ConnectLink, form: URLSearchParams, typed: Typed): string {
  const kept = form.get('kept');
  if (typed.password !== '' || kept === null) return typed.password;
  try {
    return page.secretBox.open(kept, keptFor(link));
  } catch {
    // Of another link, or changed: the person types it again.
    return '';
  }
}

/** A login is proven before anything is stored. */
async function tryLogin(
  c: Context,
  page: ConnectPage,
  link: ConnectLink,
  form: URLSearchParams,
): Promise<Answer> {
  const given = typedIn(form);
  const typed = { ...given, password: passwordIn(page, link, form, given) };
  const props = { link, ...formOf(c, page, link), typed };
  const kept = typed.password === '' ? null : keep(page, link, typed.password);
  const parsed = parseForm(typed);
  if (!parsed.ok) return imapPage({ ...props, wrong: parsed.wrong, kept });
  try {
    return await connectByPassword(c, page, link, parsed);
  } catch (error) {
    if (!(error instanceof LoginProblem)) throw error;
    const { code, step, failedAt } = error;
    page.log.info({ link: link.id, provider: 'imap', outcome: code, step, failedAt }, 'connect page');
    // One that was refused is typed again.
    return imapPage({ ...props, problem: error, kept: failedAt === 'login' ? null : kept });
  }
}

/** Rejects with LoginProblem. */
async function connectByPassword(
  c: Context,
  page: ConnectPage,
  link: ConnectLink,
  { address, login }: { address: string; login: PasswordLogin },
): Promise<Answer> {
  const { subAccountId, userId, replace, id: linkId } = link;
  const confirm = newConfirmation();
  const result = await page.connecting.connectWithPassword({
    subAccountId,
    userId,
    replace,
    linkId,
    address,
    login,
    confirmBy: confirm.tokenHash,
  });
  page.log.info({ link: linkId, provider: 'imap', outcome: result.outcome }, 'connect page');
  if (result.outcome === 'to_confirm')
    return c.redirect(hrefOf(page.site, confirmPath(c.req.param('token') ?? '', confirm.token)), 303);
  // Not a redirect: browsers would check it against where this form may lead, which is nowhere else.
  return resultPage(whereOf(c, page.site), result, aroundOf(c, page, link));
}
