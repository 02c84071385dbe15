import type { Hono } from 'hono';
import { connectionStates } from '../../../provider/connection-states.ts';
import { readDecisionDays } from '../../../store/decision-counts.ts';
import {
  countConnections,
  countSends,
  listNodes,
  readAttention,
  readDeliveryPace,
} from '../../../store/overview.ts';
import type { Attention, DeliveryPace, NodeRow } from '../../../store/overview.ts';
import { adminPage, withAdmin } from '../app.tsx';
import type { AdminPages } from '../app.tsx';
import { hrefOf } from '../../page.tsx';
import type { Site } from '../../page.tsx';
import { Badge, StateBadge, Time } from '../../parts.tsx';
import { counted, findText, words } from '../../texts/texts.ts';
import { Days } from './days.tsx';
import { duration } from './duration.ts';
import { shownCount } from './shown-count.ts';
import { SendStateBadge } from './send-words.tsx';

/** `/admin`: what needs a person first, and then how all of it does. */
export function addOverview(app: Hono, pages: AdminPages): void {
  app.get('/admin', (c) =>
    withAdmin(c, pages, async (session) => {
      const overview = await readOverview(pages);
      return adminPage(pages, session, {
        part: 'overview',
        title: words('nav.overview'),
        body: <OverviewBody site={pages.site} overview={overview} />,
      });
    }),
  );
}

/** All that the page shows. */
export type OverviewData = Awaited<ReturnType<typeof readOverview>>;

export async function readOverview({ db, clock }: Pick<AdminPages, 'db' | 'clock'>) {
  const nowMs = clock.now();
  const [attention, connections, sends, decisions, pace, nodes] = await Promise.all([
    readAttention(db, nowMs),
    countConnections(db, shownStates),
    countSends(db, nowMs),
    readDecisionDays(db),
    readDeliveryPace(db),
    listNodes(db),
  ]);
  return { attention, connections, sends, decisions, pace, nodes };
}

/** Those that are not over; of what is over there is ever more. */
const shownStates = Object.keys(connectionStates).filter(
  (state) => state !== 'superseded' && state !== 'disconnected',
);

/** The parts that change by themselves: each has an id by which it is put in its place. */
export function OverviewBody(props: { site: Site; overview: OverviewData; live?: boolean }) {
  const { site, overview } = props;
  const oob = props.live === true ? { 'hx-swap-oob': 'outerMorph' } : {};
  const { attention, connections, sends, decisions, pace, nodes } = overview;
  return (
    <>
      <section id="needs" class="needs" aria-labelledby="needs-title" {...oob}>
        <h2 id="needs-title">{words('overview.needs')}</h2>
        <Needs site={site} attention={attention} />
      </section>
      <div id="how-it-does" class="cards narrow" {...oob}>
        <CountCard
          title={words('overview.connections')}
          empty={words('overview.no_connections')}
          rows={connections.map(({ state, count }) => ({
            label: <StateBadge state={state} />,
            count,
            href: hrefOf(site, `/admin/connections?state=${state}`),
          }))}
        />
        <CountCard
          title={words('overview.sends')}
          empty={words('overview.no_sends')}
          rows={sends.map(({ state, count }) => ({
            label: <SendStateBadge state={state} />,
            count,
            href: hrefOf(site, `/admin/sends?state=${state}`),
          }))}
        />
        <PaceCard pace={pace} />
        <NodesCard nodes={nodes} />
        <section class="card wide">
          <h2>{words('days.title')}</h2>
          <Days {...decisions} label={words('days.title')} today={decisions.days.at(-1)?.day ?? ''} />
          <small>{words('days.utc')}</small>
        </section>
      </div>
    </>
  );
}

/** What a person is asked to look at, where it is looked at, and how bad it is. */
const needs = [
  {
    name: 'unpublished',
    of: (a: Attention) => (a.unpublishedSince === null ? 0 : 1),
    path: null,
    tone: 'bad',
  },
  { name: 'unfiled', of: (a: Attention) => (a.unfiledSince === null ? 0 : 1), path: null, tone: 'bad' },
  {
    name: 'reconnect',
    of: (a: Attention) => a.reconnect,
    path: '/admin/connections?state=reauth_required',
    tone: 'bad',
  },
  {
    name: 'permission',
    of: (a: Attention) => a.permission,
    path: '/admin/connections?state=permission_missing',
    tone: 'bad',
  },
  {
    name: 'consent',
    of: (a: Attention) => a.consent,
    path: '/admin/connections?state=admin_consent_required',
    tone: 'bad',
  },
  { name: 'failed', of: (a: Attention) => a.failed, path: '/admin/sends?state=failed', tone: 'bad' },
  {
    name: 'uncertain',
    of: (a: Attention) => a.uncertain,
    path: '/admin/sends?state=uncertain',
    tone: 'still',
  },
  { name: 'waiting', of: (a: Attention) => a.waiting, path: '/admin/sends?state=held', tone: 'still' },
  { name: 'held', of: (a: Attention) => a.held, path: '/admin/held', tone: 'still' },
  { name: 'webhooks', of: (a: Attention) => a.webhooks, path: '/admin/webhooks', tone: 'bad' },
  { name: 'parked', of: (a: Attention) => a.parked, path: '/admin/webhooks', tone: 'bad' },
] as const;

function Needs({ site, attention }: { site: Site; attention: Attention }) {
  const found = needs.filter(({ of }) => of(attention) > 0);
  if (found.length === 0) return <p class="outcome good">{words('overview.needs_nothing')}</p>;
  return (
    <ul>
      {found.map(({ name, of, path, tone }) => (
        <li class={tone}>
          <span class="text">
            <strong>{counted(`needs.${name}`, of(attention))}</strong>
            <small>{findText(`needs.${name}.next`)?.map(({ text }) => text)}</small>
            {name === 'unpublished' && <Since at={attention.unpublishedSince} />}
            {name === 'unfiled' && <Since at={attention.unfiledSince} />}
          </span>
          {path !== null && (
            <a class="button quiet" href={hrefOf(site, path)} aria-label={lookAt(name, of(attention))}>
              {words('overview.look')}
            </a>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Links that are read out of their place are told apart. */
function lookAt(name: (typeof needs)[number]['name'], n: number): string {
  return `${words('overview.look')}: ${counted(`needs.${name}`, n)}`;
}

function Since({ at }: { at: Date | null }) {
  return (
    <small>
      {words('overview.since')} <Time at={at?.toISOString() ?? null} />
    </small>
  );
}

function CountCard(props: {
  title: string;
  empty: string;
  rows: readonly { label: unknown; count: number; href: string }[];
}) {
  return (
    <section class="card">
      <h2>{props.title}</h2>
      {props.rows.length === 0 ? (
        <p class="soft">{props.empty}</p>
      ) : (
        <ul class="counts">
          {props.rows.map(({ label, count, href }) => (
            <li>
              <a href={href}>
                {label}
                <span class="figure">{shownCount(count)}</span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function PaceCard({ pace }: { pace: DeliveryPace }) {
  return (
    <section class="card">
      <h2>{words('overview.deliveries')}</h2>
      <dl class="facts">
        <dt>{words('overview.pending')}</dt>
        <dd>{shownCount(pace.pending)}</dd>
        {pace.oldestPending !== null && (
          <>
            <dt>{words('overview.oldest')}</dt>
            <dd>
              <Time at={pace.oldestPending.toISOString()} short />
            </dd>
          </>
        )}
        {pace.medianMs !== null && (
          <>
            <dt>{words('overview.median')}</dt>
            <dd>{duration(pace.medianMs)}</dd>
          </>
        )}
        {pace.mostMs !== null && (
          <>
            <dt>{words('overview.most')}</dt>
            <dd>{duration(pace.mostMs)}</dd>
          </>
        )}
      </dl>
      {pace.medianMs === null && <p class="soft">{words('overview.not_yet')}</p>}
    </section>
  );
}

function NodesCard({ nodes }: { nodes: readonly NodeRow[] }) {
  return (
    <section class="card">
      <h2>{words('overview.nodes')}</h2>
      {nodes.length === 0 ? (
        <p class="soft">{words('overview.no_nodes')}</p>
      ) : (
        <ul class="counts">
          {nodes.map(({ id, isGone, seenUntil, mailboxes }) => (
            <li>
              <span class="row-of">
                <span>
                  <bdi>{id}</bdi>
                  <small>{counted('overview.mailboxes', mailboxes)}</small>
                </span>
                {isGone ? (
                  <Badge tone="bad">
                    {words('overview.gone')} <Time at={seenUntil.toISOString()} short />
                  </Badge>
                ) : (
                  <Badge tone="good">{words('overview.works')}</Badge>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
