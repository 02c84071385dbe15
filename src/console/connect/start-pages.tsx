import type { ConnectDeps, OfferedProvider } from '../../mailbox/connect.ts';
import type { Found } from '../../mailbox/discovery.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import type { Leaving } from '../../store/leaving.ts';
import { Leaves } from './leaves.tsx';
import { shownUser, WayBack } from './outcome-pages.tsx';
import { Say, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { words } from '../texts/texts.ts';

/** What the start page and its relatives need. */
export type StartProps = {
  link: ConnectLink;
  offered: ConnectDeps['offered'];
  /** The address of the start page itself, which its form goes to. */
  url: string;
  /** See browser.ts. */
  formToken: string;
  /** What ends when another mailbox takes the place of the connected one. */
  leaving: Leaving | null;
  /** Providers show their consent in no frame: it opens in a window of its own, and the frame waits for it. */
  isFramed: boolean;
};

/** Whose mailbox is to be connected, and where it is. */
export function startPage({ link, offered, url, formToken, leaving, isFramed }: StartProps): Page {
  const choices = choicesOf(link, offered);
  const [only] = choices.length === 1 ? choices : [];
  return {
    title: words(titleOf(link)),
    status: 200,
    live: isFramed,
    formTargets: consentTargets(offered, link.returnUrl),
    body: (
      <>
        <p class="lead">
          <Lead link={link} only={only} />
        </p>
        <Whom link={link} />
        <Leaves leaving={leaving} />
        <form method="post" action={url} {...(isFramed ? { target: '_blank', rel: 'opener' } : {})}>
          <input type="hidden" name="form_token" value={formToken} />
          {only === undefined ? (
            <fieldset class="choices">
              <legend>{words('start.choices')}</legend>
              {choices.map((one) => (
                <Choice one={one} url={url} />
              ))}
            </fieldset>
          ) : (
            <p class="actions">
              <button name="provider" value={only.provider.name}>
                <Say text="start.continue" with={{ provider: only.provider.label }} />
              </button>
            </p>
          )}
        </form>
        {isFramed && <Waiting url={url} />}
        <section class="aside">
          <h2>{words('start.promise')}</h2>
          <ul>
            <li>
              <Say text="start.promise_contacts" with={{ company: link.subAccountName }} />
            </li>
            <li>{words('start.promise_private')}</li>
            <li>{words('start.promise_end')}</li>
          </ul>
        </section>
        <p class="actions">
          <WayBack link={link} state="cancelled" />
        </p>
      </>
    ),
  };
}

/** In a frame: what comes opens beside it. */
function Waiting({ url }: { url: string }) {
  return (
    <div hx-get={`${url}/waiting`} hx-trigger="every 2s" hx-swap="none">
      <p>
        <small>{words('start.framed')}</small>
      </p>
      <noscript>
        <p>
          <small>{words('start.framed_reload')}</small>
        </p>
      </noscript>
    </div>
  );
}

/** Asks whether to go on in a browser that did not begin this. */
export function confirmPage(props: {
  link: ConnectLink;
  provider: string;
  url: string;
  fields: Record<string, string>;
}): Page {
  const { link, provider, url, fields } = props;
  return {
    title: words('confirm.title'),
    status: 200,
    formTargets: wayBackTargets(link.returnUrl),
    body: (
      <>
        <p class="lead">
          <Say text="confirm.lead" with={{ provider }} />
        </p>
        <Whom link={link} />
        <p class="outcome bad">{words('confirm.warning')}</p>
        <form method="post" action={url}>
          {Object.entries(fields).map(([name, value]) => (
            <input type="hidden" name={name} value={value} />
          ))}
          <p class="actions">
            <button>{words('confirm.yes')}</button>
          </p>
        </form>
      </>
    ),
  };
}

/** For an address whose host is connected by a consent. */
export function leadsPage(props: {
  link: ConnectLink;
  url: string;
  formToken: string;
  typed: { address: string };
  offered: OfferedProvider;
  found: Pick<Found, 'servers'>;
  offers: ConnectDeps['offered'];
}): Page {
  const { link, url, formToken, offered, found } = props;
  const { name, label: host } = offered.provider;
  return {
    title: words('leads.title', { host }),
    status: 200,
    formTargets: consentTargets(props.offers, link.returnUrl),
    body: (
      <>
        <p class="lead">
          <Say text="leads.lead" with={{ address: props.typed.address, host }} />
        </p>
        <Whom link={link} />
        <form method="post" action={url}>
          <input type="hidden" name="form_token" value={formToken} />
          <p class="actions">
            <button name="provider" value={name}>
              <Say text="leads.go" with={{ host }} />
            </button>
            {found.servers !== null && (
              <a class="button quiet" href={`${url}/imap?by=hand`}>
                {words('leads.stay')}
              </a>
            )}
          </p>
        </form>
        <p class="actions">
          <WayBack link={link} state="cancelled" />
        </p>
      </>
    ),
  };
}

/** For whom, and in which company. */
export function Whom({ link }: { link: ConnectLink }) {
  return (
    <dl class="whom">
      <div>
        <dt>{words('page.for')}</dt>
        <dd>
          <Value of={shownUser(link)} />
          {link.userName !== '' && (
            <small>
              <Value of={link.userEmail} />
            </small>
          )}
        </dd>
      </div>
      <div>
        <dt>{words('page.in')}</dt>
        <dd>
          <Value of={link.subAccountName} />
        </dd>
      </div>
    </dl>
  );
}

/** The heading, by what the link is for. */
function titleOf(link: ConnectLink) {
  if (link.current === null) return 'start.title';
  return link.replace ? 'start.replace_title' : 'start.reconnect_title';
}

function Lead({ link, only }: { link: ConnectLink; only: OfferedProvider | undefined }) {
  if (link.current !== null) {
    const { address } = link.current;
    return <Say text={link.replace ? 'start.replace_lead' : 'start.reconnect_lead'} with={{ address }} />;
  }
  if (only === undefined) return <Say text="start.lead" />;
  return <Say text="start.lead_one" with={{ provider: only.provider.label }} />;
}

/** A provider to choose: consent is a form, a password has a page of its own. */
function Choice({ one, url }: { one: OfferedProvider; url: string }) {
  const { name } = one.provider;
  const inside = (
    <>
      <strong>{words(`start.${name}`)}</strong>
      <small>{words(`start.${name}_hint`)}</small>
    </>
  );
  if (one.oauth === null) {
    return (
      <a class="choice" href={`${url}/imap`}>
        {inside}
      </a>
    );
  }
  return (
    <button class="choice" name="provider" value={name}>
      {inside}
    </button>
  );
}

/** Those that the link allows, the one that is connected now first. */
function choicesOf(link: ConnectLink, offered: ConnectDeps['offered']): OfferedProvider[] {
  const all = [...offered.values()].filter(
    ({ provider }) => link.provider === null || link.provider === provider.name,
  );
  const isFirst = ({ provider }: OfferedProvider) =>
    !link.replace && provider.name === link.current?.provider;
  return [...all.filter(isFirst), ...all.filter((one) => !isFirst(one))];
}

/**
 * A consent can lead from host to host (an organisation's own sign-in) and, for who has consented
 * before, straight back here and on to the CRM, all of it in the redirects of this one form.
 */
function consentTargets(offered: ConnectDeps['offered'], returnUrl: string | null): string[] {
  const consents = [...offered.values()].flatMap(({ provider }) =>
    provider.oauth === null ? [] : [new URL(provider.oauth.authoriseUrl).origin],
  );
  const plain = consents.filter((origin) => origin.startsWith('http:'));
  return [...new Set([...wayBackTargets(returnUrl), ...plain])];
}

function wayBackTargets(returnUrl: string | null): string[] {
  const origin = returnUrl === null ? [] : [new URL(returnUrl).origin];
  return ['https:', ...origin.filter((one) => one.startsWith('http:'))];
}
