import type { Context, Hono } from 'hono';
import type { ConnectionId } from '../../../lib/id.ts';
import { askForAudit, pauseOrResume } from '../../../mailbox/asked.ts';
import { meterOf } from '../../../outbound/quota.ts';
import type { Meter as DailyMeter } from '../../../outbound/quota.ts';
import { remedyNameOf } from '../../../provider/connection-states.ts';
import { countDecisionsByDay, readFoldersOf } from '../../../store/connection-list.ts';
import { writeAudit } from '../../../store/audit.ts';
import { readLifeLine } from '../../../store/connection-log.ts';
import { findMailboxOf, readConnections } from '../../../store/connections.ts';
import type { PublicConnection } from '../../../store/connections.ts';
import type { Db } from '../../../store/database.ts';
import { findLastAudit } from '../../../store/errands.ts';
import type { PublicAudit } from '../../../store/errands.ts';
import { readQuotas } from '../../../store/quota.ts';
import { hrefOf, Pieces, sayingPage, Value } from '../../page.tsx';
import type { Page } from '../../page.tsx';
import { Form, Meter, StateBadge, Time } from '../../parts.tsx';
import { formTokenOf } from '../../session.ts';
import { findText, number, words } from '../../texts/texts.ts';
import { adminPage, withAdmin, withAdminForm } from '../app.tsx';
import type { AdminPages, AdminSession } from '../app.tsx';
import { cutPage, Fact, hrefWith, pageRows } from './list.tsx';
import { DecisionDays, Folders, LifeLines } from './life-line.tsx';

const path = '/admin/connections';

/** How far back decisions are counted, and an audit that is asked for here looks. */
const days = 14;
const dayMs = 86_400_000;
/** Folders that are shown; nobody reads more. */
const foldersMax = 200;

const verbs = ['pause', 'resume', 'audit', 'disconnect'] as const;
type Verb = (typeof verbs)[number];

/** As the audit log has them. */
const actions: Readonly<Record<Verb, string>> = {
  pause: 'paused',
  resume: 'resumed',
  audit: 'audited',
  disconnect: 'disconnected',
};

/** `/admin/connections/{id}`: one connection, its life, and what can be done about it. */
export function addConnection(app: Hono, pages: AdminPages): void {
  app.get(`${path}/:id`, (c) =>
    withAdmin(c, pages, async (session) => {
      const connection = await find(pages.db, c);
      return connection === null ? sayingPage('not_found', 404) : page(c, pages, session, connection);
    }),
  );
  for (const verb of verbs) {
    app.post(`${path}/:id/${verb}`, (c) =>
      withAdminForm(c, pages, async (session) => {
        const connection = await find(pages.db, c);
        if (connection === null) return sayingPage('not_found', 404);
        const done = await act(pages, session, connection, verb);
        return c.redirect(
          hrefWith(pages.site, `${path}/${connection.id}`, { done: done ? verb : 'not_connected' }),
          303,
        );
      }),
    );
  }
}

async function find(db: Db, c: Context): Promise<PublicConnection | null> {
  const [connection] = await readConnections(db, [c.req.param('id') as ConnectionId]);
  return connection ?? null;
}

/** Written down with what it says; false: the connection has ended, or has no mailbox yet. */
async function act(
  pages: AdminPages,
  { administratorId }: AdminSession,
  connection: PublicConnection,
  verb: Verb,
): Promise<boolean> {
  const { id, sub_account_id: subAccountId, user_id: userId } = connection;
  const noted = (tx: Db) =>
    writeAudit(tx, {
      administratorId,
      action: `connection.${actions[verb]}`,
      subject: id,
      details: { sub_account: subAccountId, user: userId },
    });
  if (verb === 'pause' || verb === 'resume') return pauseOrResume(pages, id, verb, noted);
  if (connection.ended_at !== null) return false;
  if (verb === 'disconnect') {
    return (await pages.connecting.disconnect({ subAccountId, userId }, noted)) > 0;
  }
  const of = await findMailboxOf(pages.db, id);
  if (of?.mailboxId == null) return false;
  const asked = { since: pages.clock.now() - days * dayMs, heal: true };
  await askForAudit(pages, { ...of, mailboxId: of.mailboxId }, asked, noted);
  return true;
}

async function page(
  c: Context,
  pages: AdminPages,
  session: AdminSession,
  connection: PublicConnection,
): Promise<Page> {
  const { db, site } = pages;
  const { id } = connection;
  const before = /^\d{1,18}$/.exec(c.req.query('before') ?? '')?.[0] ?? null;
  const [meter, audit, counted, folders, lines] = await Promise.all([
    readMeter(pages, connection),
    findLastAudit(db, id),
    countDecisionsByDay(db, { connectionId: id, since: pages.clock.now() - days * dayMs }),
    readFoldersOf(db, id, foldersMax + 1),
    readLifeLine(db, id, { before, limit: pageRows + 1 }),
  ]);
  const { shown, last } = cutPage(lines);
  const at = `${path}/${id}`;
  return adminPage(pages, session, {
    part: 'connections',
    title: connection.email ?? words('conn.no_mailbox'),
    list: { href: hrefOf(site, path), label: words('nav.connections') },
    body: (
      <>
        <Done verb={c.req.query('done')} />
        <div class="cards">
          <State connection={connection} />
          <div>
            <Limits meter={meter} />
            <Audit audit={audit} />
            <Actions
              connection={connection}
              action={(verb) => hrefOf(site, `${at}/${verb}`)}
              formToken={formTokenOf(pages, session)}
            />
          </div>
        </div>
        <DecisionDays
          counted={counted}
          days={days}
          today={new Date(pages.clock.now()).toISOString().slice(0, 10)}
        />
        <Folders folders={folders.slice(0, foldersMax)} isCut={folders.length > foldersMax} />
        <LifeLines
          lines={shown}
          first={before === null ? null : hrefOf(site, at)}
          next={last === null ? null : hrefWith(site, at, { before: last.n })}
        />
      </>
    ),
  });
}

/** What was done a moment ago. */
function Done({ verb }: { verb: string | undefined }) {
  const said = findText(`conn.done.${verb}`);
  if (said === null) return null;
  return (
    <div class={`outcome ${verb === 'not_connected' ? 'still' : 'good'}`} role="status">
      <p>
        <Pieces of={said} />
      </p>
    </div>
  );
}

function State({ connection }: { connection: PublicConnection }) {
  const { state, reason, caught_up_to: caughtUp } = connection;
  const remedy = findText(`conn.remedy.${remedyNameOf(state, reason)}`) ?? [];
  return (
    <section class="card" aria-labelledby="state">
      <h2 id="state">{words('conn.state')}</h2>
      <p class="state-now">
        <StateBadge state={state} />{' '}
        <span class="soft">
          {words('conn.since')} <Time at={connection.state_since} short />
        </span>
      </p>
      <p>
        <Pieces of={remedy} />
      </p>
      <dl class="facts">
        {reason !== null && (
          <Fact name={words('conn.reason')}>
            <code>{reason}</code>
          </Fact>
        )}
        {connection.next_try_at !== null && (
          <Fact name={words('conn.next_try')}>
            <Time at={connection.next_try_at} short />
          </Fact>
        )}
        <Fact name={words('conn.caught_up_to')}>
          {caughtUp === null ? words('conn.not_looked') : <Time at={caughtUp} short />}
          {caughtUp !== null && <small>{words('conn.caught_up_hint')}</small>}
        </Fact>
        {connection.backlog > 0 && <Fact name={words('conn.backlog')}>{number(connection.backlog)}</Fact>}
        <Fact name={words('conn.user')}>
          <Value of={connection.user_id} />
        </Fact>
        <Fact name={words('conn.sub_account')}>
          <Value of={connection.sub_account_id} />
        </Fact>
        <Fact name={words('conn.provider')}>{words(`conn.provider.${connection.provider}`)}</Fact>
        <Fact name={words('conn.started')}>
          <Time at={connection.started_at} />
        </Fact>
        {connection.ended_at !== null && (
          <Fact name={words('conn.ended')}>
            <Time at={connection.ended_at} />
          </Fact>
        )}
        <Fact name={words('conn.id')}>
          <code>{connection.id}</code>
        </Fact>
      </dl>
    </section>
  );
}

type DayMeter = DailyMeter & { most: number | null };

async function readMeter(
  { db, limitsOf }: AdminPages,
  { id, provider }: PublicConnection,
): Promise<DayMeter | null> {
  const [standing] = await readQuotas(db, [id]);
  if (standing === undefined) return null;
  const limits = limitsOf(provider, standing.limitsSaid);
  return { ...meterOf(standing, limits), most: limits.individualMessagesPerDayMax };
}

/** L3: how much of the day's individual messages went. */
function Limits({ meter }: { meter: DayMeter | null }) {
  if (meter === null) return null;
  const { used, left, most, keepsSome, worksAgainAt } = meter;
  const values = { used: number(used), most: number(most ?? 0), left: number(left ?? 0) };
  return (
    <section class="card" aria-labelledby="limits">
      <h2 id="limits">{words('conn.limits')}</h2>
      {most === null ? (
        <p>{words('conn.no_limit', { used: number(used) })}</p>
      ) : (
        <Meter label={words('page.places_used', values)} value={Math.min(used, most)} most={most} />
      )}
      {keepsSome && <p>{words('page.places_kept')}</p>}
      {worksAgainAt !== null && (
        <p>
          {words('conn.works_again')} <Time at={new Date(worksAgainAt).toISOString()} short />
        </p>
      )}
    </section>
  );
}

/** T2: what the last comparison of mailbox and decisions came to. */
function Audit({ audit }: { audit: PublicAudit | null }) {
  if (audit === null) return null;
  const state = findText(`conn.audit.${audit.state}`) ?? [];
  return (
    <section class="card" aria-labelledby="audit">
      <h2 id="audit">{words('conn.audit')}</h2>
      <p>
        <Pieces of={state} />{' '}
        <span class="soft">
          <Time at={audit.ended_at ?? audit.created_at} short />
        </span>
      </p>
      <p>
        {words('conn.audit.found', {
          messages: number(audit.messages),
          missing: number(audit.missing),
          healed: number(audit.healed),
        })}
      </p>
    </section>
  );
}

function Actions(props: { connection: PublicConnection; action(verb: Verb): string; formToken: string }) {
  const { connection, action, formToken } = props;
  if (connection.ended_at !== null) return null;
  const isPaused = connection.state === 'paused';
  const button = (verb: 'pause' | 'resume' | 'audit') => (
    <Form action={action(verb)} formToken={formToken}>
      <p>
        <button class="quiet small">{words(`conn.do.${verb}`)}</button>
        <small>{words(`conn.means.${verb}`)}</small>
      </p>
    </Form>
  );
  return (
    <section class="card" aria-labelledby="actions">
      <h2 id="actions">{words('conn.actions')}</h2>
      {connection.email !== null && (
        <>
          {button(isPaused ? 'resume' : 'pause')}
          {!isPaused && button('audit')}
        </>
      )}
      <details class="confirm">
        <summary>{words('conn.do.disconnect')}</summary>
        <p>{words('conn.means.disconnect')}</p>
        <Form action={action('disconnect')} formToken={formToken}>
          <button class="danger small">{words('conn.confirm.disconnect')}</button>
        </Form>
      </details>
    </section>
  );
}
