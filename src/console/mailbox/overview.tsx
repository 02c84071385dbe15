import type { Hono } from 'hono';
import { meterOf } from '../../outbound/quota.ts';
import type { Meter as DayMeter } from '../../outbound/quota.ts';
import { remedyNameOf } from '../../provider/connection-states.ts';
import { findConnection } from '../../store/connections.ts';
import type { PublicConnection } from '../../store/connections.ts';
import { listOwnMessages } from '../../store/own-mail.ts';
import type { OwnMessage } from '../../store/own-mail.ts';
import { readQuotas } from '../../store/quota.ts';
import { findSubAccount } from '../../store/sub-accounts.ts';
import { Pieces, Value, hrefOf, sendPart } from '../page.tsx';
import type { Site } from '../page.tsx';
import { Empty, Form, Meter, Permission, SayAt, StateBadge, Time } from '../parts.tsx';
import { formTokenOf } from '../session.ts';
import { counted, findText, number, words } from '../texts/texts.ts';
import { mailboxPage, withSession } from './page.tsx';
import type { MailboxPages, UserSession } from './page.tsx';
import { MessageList } from './mail-parts.tsx';

/** How many of the newest messages stand on the overview. */
const latelyMax = 5;

/** `/mailbox`: how the connection does, what to do about it, and what is left of the day. */
export function addOverview(app: Hono, pages: MailboxPages): void {
  const { db, site } = pages;
  app.get('/mailbox', (c) =>
    withSession(c, pages, async (session) => {
      const state = await stateOf(pages, session);
      const connectionId = state.connection?.id ?? null;
      const lately = await listOwnMessages(
        db,
        { ...session, connectionId },
        { after: null, limit: latelyMax },
      );
      return mailboxPage(pages, session, {
        part: 'overview',
        title: words('mailbox.title'),
        body: (
          <>
            <StateCard {...state} />
            <Day meter={await meterOfDay(pages, state.connection)} />
            {lately.length > 0 && <Lately messages={lately} site={site} />}
            <ChangeCard {...state} />
          </>
        ),
      });
    }),
  );
  app.get('/mailbox/state', (c) =>
    withSession(c, pages, async (session) => sendPart(c, <StateCard {...await stateOf(pages, session)} />)),
  );
}

type State = {
  site: Site;
  formToken: string;
  company: string;
  /** The one that they have, or had last. */
  connection: PublicConnection | null;
};

async function stateOf(pages: MailboxPages, session: UserSession): Promise<State> {
  const [connection, subAccount] = await Promise.all([
    findConnection(pages.db, session),
    findSubAccount(pages.db, session.subAccountId),
  ]);
  return {
    site: pages.site,
    formToken: formTokenOf(pages, session),
    company: subAccount?.name ?? session.subAccountId,
    connection,
  };
}

/** States that end by themselves in moments. */
const passing: readonly string[] = ['connecting', 'catching_up'];

/** States out of which connecting again leads. */
const endedByConnecting: readonly string[] = [
  'reauth_required',
  'permission_missing',
  'admin_consent_required',
  'superseded',
  'disconnected',
];

function StateCard({ site, formToken, company, connection }: State) {
  if (connection === null) {
    return (
      <Empty>
        <p>
          <strong>{words('mine.none')}</strong>
        </p>
        <p>{words('mine.none_next')}</p>
        <Form action={hrefOf(site, '/mailbox/reconnect')} formToken={formToken}>
          <button>{words('mine.connect')}</button>
        </Form>
      </Empty>
    );
  }
  const { state, reason } = connection;
  const isPassing = passing.includes(state);
  const remedy = findText(`mine.remedy.${remedyNameOf(state, reason)}`) ?? [];
  const look = { 'hx-get': hrefOf(site, '/mailbox/state'), 'hx-trigger': 'every 3s', 'hx-swap': 'outerHTML' };
  return (
    <section class="card state" {...(isPassing ? look : {})}>
      <div class="state-line" role="status">
        <StateBadge state={state} />
        <p>
          <Pieces of={remedy} />
        </p>
      </div>
      <Missing connection={connection} />
      {isPassing && (
        <noscript>
          <p>
            <a href={hrefOf(site, '/mailbox')}>{words('mine.reload')}</a>
          </p>
        </noscript>
      )}
      {endedByConnecting.includes(state) && (
        <Form action={hrefOf(site, '/mailbox/reconnect')} formToken={formToken}>
          <p class="actions">
            <button>{words('mine.connect_again')}</button>
          </p>
        </Form>
      )}
      <StateFacts connection={connection} company={company} />
    </section>
  );
}

/** Which permissions were not given. */
function Missing({ connection: { state, reason } }: { connection: PublicConnection }) {
  if (state !== 'permission_missing' || reason === null) return null;
  return (
    <>
      <h2>{words('mine.missing')}</h2>
      <ul>
        {reason.split(' ').map((scope) => (
          <li>
            <Permission scope={scope} />
          </li>
        ))}
      </ul>
    </>
  );
}

function StateFacts({ connection, company }: { connection: PublicConnection; company: string }) {
  const { email, provider, caught_up_to: caughtUpTo, backlog, next_try_at: nextTryAt } = connection;
  const isOver = connection.ended_at !== null;
  return (
    <dl class="facts">
      {email !== null && (
        <>
          <dt>{words('mine.address')}</dt>
          <dd>
            <Value of={email} />
          </dd>
        </>
      )}
      <dt>{words('mine.provider')}</dt>
      <dd>{words(`mine.provider_${provider}`)}</dd>
      <dt>{words('mine.company')}</dt>
      <dd>
        <Value of={company} />
      </dd>
      {!isOver && email !== null && (
        <>
          <dt>{words('mine.caught_up')}</dt>
          <dd>
            {caughtUpTo === null ? (
              words('mine.caught_up_not')
            ) : (
              <SayAt text="mine.caught_up_to" with={{ time: caughtUpTo }} short />
            )}
            {backlog > 0 && <small>{counted('mine.backlog', backlog)}</small>}
          </dd>
        </>
      )}
      {nextTryAt !== null && (
        <>
          <dt>{words('mine.next_try')}</dt>
          <dd>
            <Time at={nextTryAt} short />
          </dd>
        </>
      )}
      <dt>{words('mine.since')}</dt>
      <dd>
        <Time at={connection.state_since} />
      </dd>
    </dl>
  );
}

/** What is left of the day's individual messages (L3); null: nothing is sent through a mailbox of theirs. */
async function meterOfDay(
  { db, limitsOf }: MailboxPages,
  connection: PublicConnection | null,
): Promise<(DayMeter & { most: number | null }) | null> {
  if (connection === null || connection.ended_at !== null || connection.email === null) return null;
  const [standing] = await readQuotas(db, [connection.id]);
  if (standing === undefined) return null;
  const limits = limitsOf(connection.provider, standing.limitsSaid);
  return { ...meterOf(standing, limits), most: limits.individualMessagesPerDayMax };
}

function Day({ meter }: { meter: (DayMeter & { most: number | null }) | null }) {
  if (meter === null) return null;
  const { used, left, most, keepsSome, isClosed, worksAgainAt } = meter;
  const again = worksAgainAt === null ? null : new Date(worksAgainAt).toISOString();
  const values = { used: number(used), most: number(most ?? 0), left: number(left ?? 0) };
  return (
    <section class="card">
      <h2>{words('mine.today')}</h2>
      {most === null ? (
        <p>{counted('mine.today_unlimited', used)}</p>
      ) : (
        <Meter label={words('page.places_used', values)} value={Math.min(used, most)} most={most} />
      )}
      {again !== null && (
        <p class="outcome still">
          <SayAt text={isClosed ? 'mine.today_closed' : 'mine.today_none'} with={{ time: again }} short />
        </p>
      )}
      {keepsSome && <p>{words('page.places_kept')}</p>}
      <small>{words('mine.today_text')}</small>
    </section>
  );
}

function Lately({ messages, site }: { messages: readonly OwnMessage[]; site: Site }) {
  return (
    <section class="card">
      <h2>{words('mine.lately')}</h2>
      <MessageList messages={messages} site={site} />
      <p>
        <a href={hrefOf(site, '/mailbox/mail')}>{words('mine.lately_all')}</a>
      </p>
    </section>
  );
}

function ChangeCard({ site, formToken, connection }: State) {
  if (connection === null) return null;
  const { state, ended_at: endedAt, email } = connection;
  if (endedAt !== null && email === null) return null;
  return (
    <section class="card">
      {endedAt === null ? (
        <>
          <h2>{words('mine.change')}</h2>
          {email !== null && state !== 'paused' && (
            <Form action={hrefOf(site, '/mailbox/reconnect')} formToken={formToken} class="choice-line">
              <input type="hidden" name="replace" value="1" />
              <p>{words('mine.replace_text')}</p>
              <button class="quiet">{words('mine.replace')}</button>
            </Form>
          )}
          <div class="choice-line">
            <p>{words('mine.disconnect_text')}</p>
            <a class="button quiet" href={hrefOf(site, '/mailbox/disconnect')}>
              {words('mine.disconnect')}
            </a>
          </div>
        </>
      ) : (
        <div class="choice-line">
          <p>{words('mine.erase_text')}</p>
          <a class="button quiet" href={hrefOf(site, '/mailbox/erase')}>
            {words('mine.erase')}
          </a>
        </div>
      )}
    </section>
  );
}
