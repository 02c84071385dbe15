import type { Child } from 'hono/jsx';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ConnectResult } from '../../mailbox/settle.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import { Pieces, Say } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Permission } from '../parts.tsx';
import { findText, words } from '../texts/texts.ts';
import { connectedPage, withState } from './done-page.tsx';
import type { Where } from './done-page.tsx';

/** How the page can end, and what is shown of it. The texts are `<name>.title`, `.text` and `.next`. */
const outcomes = {
  refused: { status: 200, tone: 'still', retry: true },
  permission_missing: { status: 200, tone: 'still', retry: true },
  admin_consent_required: { status: 200, tone: 'still', retry: true },
  admin_allowed: { status: 200, tone: 'good' },
  admin_refused: { status: 200, tone: 'still' },
  blocked_by_administrator: { status: 403, tone: 'bad', retry: true },
  wrong_account_type: { status: 403, tone: 'bad', retry: true },
  address_unverified: { status: 403, tone: 'bad', retry: true },
  wrong_identity: { status: 409, tone: 'still', retry: true },
  same_address: { status: 409, tone: 'still', retry: true },
  unavailable: { status: 503, tone: 'bad', retry: true },
  failed: { status: 502, tone: 'bad', retry: true },
  operator: { status: 500, tone: 'bad' },
  link_unknown: { status: 404, tone: 'bad' },
  link_expired: { status: 410, tone: 'still' },
  link_used: { status: 410, tone: 'still' },
  state_unknown: { status: 400, tone: 'bad' },
  state_used: { status: 410, tone: 'still' },
  state_expired: { status: 410, tone: 'still' },
  not_same_origin: { status: 403, tone: 'bad' },
  too_many_tries: { status: 429, tone: 'bad' },
  too_large: { status: 413, tone: 'bad' },
  not_a_member: { status: 403, tone: 'bad' },
  internal: { status: 500, tone: 'bad' },
  not_found: { status: 404, tone: 'bad' },
  declined: { status: 200, tone: 'still', retry: true },
  login_gone: { status: 410, tone: 'still', retry: true },
} as const satisfies Record<
  string,
  { status: ContentfulStatusCode; tone: 'good' | 'still' | 'bad'; retry?: true }
>;

export type OutcomeName = keyof typeof outcomes;

/** What surrounds an outcome, as far as it is known. */
export type Around = {
  link: ConnectLink | null;
  /** What people call the provider. */
  provider?: string;
  /** Where the start page is; null where the link is not known, or opens it no more. */
  retryUrl: string | null;
  /** Microsoft's page for administrators. */
  adminUrl?: string | null;
};

/** What happened, and what to do next. `values` are the names in its texts beyond those of the link. */
export function outcomePage(
  name: OutcomeName,
  around: Around,
  values: Readonly<Record<string, string>> = {},
  more: Child = null,
): Page {
  const { link, adminUrl = null } = around;
  const known = {
    user: link === null ? '' : shownUser(link),
    company: link?.subAccountName ?? '',
    provider: around.provider ?? '',
    ...values,
  };
  const outcome: (typeof outcomes)[OutcomeName] & { retry?: true } = outcomes[name];
  const isSure = name === 'admin_consent_required' && adminUrl !== null;
  const title = (findText(`${textsOf(name)}.title`, known) ?? []).map((piece) => piece.text).join('');
  return {
    title,
    status: outcome.status,
    body: (
      <>
        <div class={`outcome ${outcome.tone}`} role={outcome.tone === 'bad' ? 'alert' : 'status'}>
          <p>
            <Pieces of={findText(`${name}.text`, known) ?? []} />
          </p>
          {more}
        </div>
        <p>
          <Pieces of={findText(`${name}.next`, known) ?? []} />
        </p>
        {isSure && <AskAdministrator url={adminUrl} />}
        <p class="actions">
          {outcome.retry === true && around.retryUrl !== null && (
            <a class="button" href={around.retryUrl}>
              {words('page.retry')}
            </a>
          )}
          <WayBack link={link} state={name} />
        </p>
        {!isSure && adminUrl !== null && <AskAdministrator url={adminUrl} isGuess />}
      </>
    ),
  };
}

/** What a connect came to. */
export function resultPage(
  where: Where,
  result: Exclude<ConnectResult, { outcome: 'to_confirm' }>,
  around: Around,
): Page {
  switch (result.outcome) {
    case 'connected':
      return connectedPage(where, result, around.link);
    case 'wrong_identity': {
      const { expected, given } = result;
      const isSame = expected.toLowerCase() === given.toLowerCase();
      return outcomePage(isSame ? 'same_address' : 'wrong_identity', around, { expected, given });
    }
    case 'permission_missing':
      return outcomePage('permission_missing', around, {}, <Permissions scopes={result.scopes} />);
    case 'not_a_member':
    case 'link_used':
      return outcomePage(result.outcome, { ...around, retryUrl: null });
    default:
      return result satisfies never;
  }
}

/** For the browser that was first, when its page is loaded again; null where nothing is connected any more. */
export function connectedAgainPage(where: Where, link: ConnectLink): Page | null {
  return link.status === 'used' && link.current !== null ? connectedPage(where, link.current, link) : null;
}

/** The scopes that are missing. */
function Permissions({ scopes }: { scopes: readonly string[] }) {
  return (
    <ul>
      {scopes.map((scope) => (
        <li>
          <Permission scope={scope} />
        </li>
      ))}
    </ul>
  );
}

/** The link that the administrator is to be sent. */
function AskAdministrator({ url, isGuess = false }: { url: string; isGuess?: boolean }) {
  const body = words('admin.mail_body', { url });
  const mail = `mailto:?subject=${encodeURIComponent(words('admin.mail_subject'))}&body=${encodeURIComponent(body)}`;
  return (
    <section class="aside">
      {isGuess && (
        <>
          <h2>{words('admin.section')}</h2>
          <p>{words('admin.section_text')}</p>
        </>
      )}
      <label class="field" for="admin-url">
        <span>{words('admin.label')}</span>
        <textarea id="admin-url" readonly rows={6} aria-describedby="admin-hint">
          {url}
        </textarea>
        <small id="admin-hint">{words('admin.hint')}</small>
      </label>
      <p class="actions">
        <a class="button quiet" href={mail}>
          {words('admin.mail')}
        </a>
        <a class="button quiet" href={url} target="_blank" rel="noreferrer">
          {words('admin.open')}
        </a>
      </p>
    </section>
  );
}

/** Back to the CRM, which is told how it ended; its host is shown. */
export function WayBack({ link, state }: { link: ConnectLink | null; state: OutcomeName | 'cancelled' }) {
  const url = link?.returnUrl ?? null;
  if (url === null) return null;
  const host = new URL(url).host;
  return (
    <a class="button quiet" href={withState(url, { state })} target="_top">
      <Say text={state === 'cancelled' ? 'page.cancel' : 'page.back'} with={{ host }} />
    </a>
  );
}

/** A user, as the page names them. */
export function shownUser(link: Pick<ConnectLink, 'userName' | 'userEmail'>): string {
  return link.userName === '' ? link.userEmail : link.userName;
}

function textsOf(name: OutcomeName): string {
  return name === 'same_address' ? 'wrong_identity' : name;
}
