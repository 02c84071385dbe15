import type { ProviderName } from '../provider/providers.ts';
import type { ConnectionState, MailboxState } from '../provider/connection-states.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { wanted } from './mailboxes.ts';
import { counted } from './overview.ts';
import type { SendState } from './public-send.ts';
import { claimable } from './work.ts';

/** How the installation stands, for /metrics. Ages and lags are in seconds, 0 where there is nothing to be old. */
export type Gauges = {
  mailboxes: { provider: ProviderName; state: MailboxState; count: number }[];
  lag: number;
  behind60: number;
  behind300: number;
  behind3600: number;
  backlog: number;
  tokensOver: number;
  connections: { state: ConnectionState; count: number }[];
  sends: { state: SendState; count: number }[];
  sendsOverdue: number;
  unpublished: number;
  intakeWaiting: number;
  intakeAge: number;
  held: number;
  deliveriesPending: number;
  deliveriesParked: number;
  deliveryAge: number;
  webhooksWorking: number;
  webhooksFailing: number;
  webhooksDisabled: number;
  nodesThere: number;
  nodesGone: number;
};

const ageOf = (time: string) => `coalesce(extract(epoch from now() - (${time})), 0)::float8`;

/** So many sends that are due are asked whether one before them in their thread is what they wait for. */
const overdueSeen = 100;

const overdue = (individual: boolean) => `
  (select due_at, seq, order_keys, lane from sends
    where ready and individual = ${individual} and due_at <= now() and (lease_until is null or lease_until < now())
    order by due_at, seq limit ${overdueSeen})`;

/**
 * One statement: a pass over the mailboxes, as every beat of a node makes one, and looks into indexes for all else. States
 * of which there are none are in the answer where `connectionStates` has them, so that a figure goes back to 0.
 */
export async function readGauges(db: Db, connectionStates: readonly ConnectionState[]): Promise<Gauges> {
  const [found] = await rows<Gauges>(db, gaugesSql, { connectionStates });
  if (found === undefined) throw new Error('the gauges have no answer');
  return found;
}

const gaugesSql = `
with each as materialized (
  select m.provider, m.state, m.backlog, ${wanted} as listened,
         extract(epoch from now() - coalesce(m.caught_up_to, m.created_at)) as lag,
         coalesce(m.access_token_expires_at < now(), false) as over
    from mailboxes m where m.credential_sealed is not null
), progress as (
  select coalesce(max(lag), 0)::float8 as lag, count(*) filter (where lag > 60)::int as behind60,
         count(*) filter (where lag > 300)::int as behind300, count(*) filter (where lag > 3600)::int as behind3600,
         coalesce(sum(backlog), 0)::int as backlog, count(*) filter (where over)::int as "tokensOver"
    from each where listened
), webhook as (
  select count(*) filter (where enabled and failures = 0)::int as working,
         count(*) filter (where enabled and failures > 0)::int as failing, count(*) filter (where not enabled)::int as disabled
    from webhooks
), node as (
  select count(*) filter (where seen_until > now())::int as there, count(*) filter (where seen_until <= now())::int as gone
    from nodes
)
select p.*,
       (select coalesce(json_agg(t), '[]') from (
          select provider, state, count(*) as count from each group by provider, state order by provider, state) t) as mailboxes,
       (select json_agg(json_build_object('state', s.state, 'count', ${counted('from connections where state = s.state')}))
          from unnest(:connectionStates::text[]) as s (state)) as connections,
       (select json_agg(json_build_object('state', s.state,
                 'count', ${counted("from sends where state = s.state and state <> 'sent'")}))
          from unnest(array['queued', 'held', 'sending', 'uncertain']) as s (state)) as sends,
       ${ageOf(`select min(w.due_at) from (${overdue(true)} union all ${overdue(false)}) w where ${claimable.sends}`)} as "sendsOverdue",
       ${ageOf('select created_at from events where sequence is null order by ord limit 1')} as unpublished,
       ${counted('from intake_spool where ready')} as "intakeWaiting",
       ${ageOf('select created_at from intake_spool where ready order by due_at, seq limit 1')} as "intakeAge",
       ${counted("from intake_spool where state = 'held'")} as held,
       ${counted("from deliveries where state = 'pending'")} as "deliveriesPending",
       ${counted("from deliveries where state = 'parked'")} as "deliveriesParked",
       ${ageOf(`select min(o.created_at) from webhooks w cross join lateral (
         select created_at from deliveries d where d.state = 'pending' and d.webhook_id = w.id order by d.seq limit 1) o`)} as "deliveryAge",
       w.working as "webhooksWorking", w.failing as "webhooksFailing", w.disabled as "webhooksDisabled",
       n.there as "nodesThere", n.gone as "nodesGone"
  from progress p, webhook w, node n`;
