import type { DryRun, DryRunProgress, WouldBe } from '../../mailbox/dry-run.ts';
import type { ConnectLink } from '../../store/connect-links.ts';
import type { Leaving } from '../../store/leaving.ts';
import type { ProvenLogin } from '../../store/proven-logins.ts';
import { Say, Value } from '../page.tsx';
import type { Page } from '../page.tsx';
import { Time } from '../parts.tsx';
import { counted, words } from '../texts/texts.ts';
import { Leaves } from './leaves.tsx';
import { Whom } from './start-pages.tsx';

/** What a look has come to, as far as there is anything to show. */
export type Looked = { state: 'done'; dryRun: DryRun } | { state: 'failed' };

type ConfirmProps = {
  link: ConnectLink;
  login: ProvenLogin;
  leaving: Leaving | null;
  /** The page's own address. */
  url: string;
  /** Null: it is looked while the page is open. */
  looked: Looked | null;
};

/** The last word: what would be in the CRM, and whether to connect. Nobody who is in a hurry has to wait for the look. */
export function readyPage({ link, login, leaving, url, looked }: ConfirmProps): Page {
  const { address } = login.mailbox;
  return {
    title: words('ready.title'),
    status: 200,
    live: true,
    body: (
      <>
        <p class="lead">
          <Say text="ready.lead" with={{ address }} />
        </p>
        <Whom link={link} />
        <Leaves leaving={leaving} />
        <form method="post" action={url}>
          <p class="actions">
            <button name="decision" value="connect">
              {words('ready.connect')}
            </button>
            <button class="quiet" name="decision" value="decline">
              {words('ready.decline')}
            </button>
          </p>
        </form>
        <section class="aside look">
          <h2>
            <Say text="look.title" with={{ company: link.subAccountName }} />
          </h2>
          {looked === null ? (
            <>
              <div hx-get={`${url}/look`} hx-trigger="load" hx-swap="innerHTML" aria-live="polite">
                <LookingPart progress={{ seen: 0, stored: 0, share: 0 }} />
              </div>
              <noscript>
                <p>
                  <a class="button quiet" href={`${url}/look`}>
                    {words('look.show')}
                  </a>
                </p>
                <p>{words('look.takes')}</p>
              </noscript>
            </>
          ) : (
            <LookedPart link={link} looked={looked} />
          )}
        </section>
      </>
    ),
  };
}

/** While it is looked. */
export function LookingPart({ progress }: { progress: DryRunProgress }) {
  const { seen, share } = progress;
  return (
    <p class="looking">
      <progress max={100} value={Math.round(share * 100)} aria-label={words('look.progress')} />
      <span>{seen === 0 ? words('look.begins') : counted('look.looking', seen)}</span>
    </p>
  );
}

export function LookedPart({ link, looked }: { link: ConnectLink; looked: Looked }) {
  if (looked.state === 'failed') return <p>{words('look.failed')}</p>;
  const { dryRun } = looked;
  const { listed, stored, contacts, left, seen, whole } = dryRun;
  const company = link.subAccountName;
  return (
    <>
      <p class="sum">
        {stored === 0 ? (
          <Say text="look.none" with={{ company }} />
        ) : (
          <>
            {counted('look.stored', stored)} {counted('look.contacts', contacts)}
          </>
        )}{' '}
        {counted('look.left', left)}
      </p>
      {!whole && <p>{counted('look.part', seen)}</p>}
      {listed.length > 0 && (
        <ol class="would-be" tabindex={0} aria-label={words('look.list')}>
          {listed.map((one) => (
            <WouldBeLine one={one} />
          ))}
        </ol>
      )}
      {listed.length < stored && <p>{counted('look.more', stored - listed.length)}</p>}
      <p>{words('look.only')}</p>
    </>
  );
}

/** Contact, direction, subject, time: all that a header says, and hostile. */
function WouldBeLine({ one }: { one: WouldBe }) {
  const { contacts, direction, subject, date } = one;
  const names = contacts.length === 0 ? words('look.somebody') : contacts.slice(0, 3).join(', ');
  const more = contacts.length > 3 ? ` +${contacts.length - 3}` : '';
  return (
    <li>
      <span class="who">
        <span class={`way ${direction}`}>{words(direction === 'inbound' ? 'look.from' : 'look.to')}</span>{' '}
        <Value of={`${names}${more}`} />
      </span>
      <Time at={date} short />
      <span class="subject">{subject === '' ? words('look.no_subject') : <bdi>{subject}</bdi>}</span>
    </li>
  );
}
