import type { ProviderName } from '../provider/providers.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/*
 * What `twoway doctor` asks the database about itself, and about what is stored of the providers. Read by hand, now and
 * then: it may go through all mailboxes.
 */

/** The database server as it is. */
export type ServerFacts = {
  /** `15.8`. */
  version: string;
  encoding: string;
  /** The version of the collation with which the database was made is another than the system's now: indexes on text may be wrong. */
  collationChanged: boolean;
  connectionsMax: number;
  /** Of all programs, this one included. */
  connectionsUsed: number;
  /** ms since the epoch. */
  now: number;
};

export async function readServerFacts(db: Db): Promise<ServerFacts> {
  const [found] = await rows<ServerFacts>(
    db,
    `select split_part(current_setting('server_version'), ' ', 1) as version, current_setting('server_encoding') as encoding,
            coalesce((select datcollversion is distinct from pg_database_collation_actual_version(oid)
                        from pg_database where datname = current_database() and datcollversion is not null), false) as "collationChanged",
            current_setting('max_connections')::int as "connectionsMax",
            (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as "connectionsUsed",
            (extract(epoch from clock_timestamp()) * 1000)::float8 as now`,
  );
  if (found === undefined) throw new Error('the database says nothing of itself');
  return found;
}

/** What is stored of the ways of providers. */
export type ProviderFacts = {
  /** What mailboxes with consent were granted, and how many of each. */
  granted: { provider: ProviderName; scopes: string[]; mailboxes: number }[];
  /** Gmail mailboxes of which a consent died when it was seven days old. */
  diedAfterSevenDays: number;
  /** Outlook mailboxes at which SMTP AUTH is switched off (535 5.7.139), of the tries of the last seven days. */
  smtpAuthOff: number;
};

export async function readProviderFacts(db: Db): Promise<ProviderFacts> {
  const [found] = await rows<ProviderFacts>(db, providerFactsSql);
  if (found === undefined) throw new Error('nothing is said of the providers');
  return found;
}

/** A consent counts from the first line of the life of its connection, or from the one after it had died before. */
const providerFactsSql = `
with died as (
  select c.mailbox_id, l.at - (
           select min(k.at) from connection_log k
            where k.connection_id = l.connection_id and k.n < l.n and k.n > coalesce((
              select max(p.n) from connection_log p
               where p.connection_id = l.connection_id and p.n < l.n and p.state = 'reauth_required'), 0)) as age
    from connections c
    join connection_log l on l.connection_id = c.id and l.state = 'reauth_required' and l.reason = 'token_revoked'
   where c.provider = 'gmail' and c.mailbox_id is not null)
select (select coalesce(json_agg(t), '[]') from (
          select provider, scopes, count(*)::int as mailboxes from mailboxes
           where credential_kind = 'oauth' and credential_sealed is not null
           group by provider, scopes order by provider, scopes) t) as granted,
       (select count(distinct mailbox_id)::int from died
         where age between interval '6 days 20 hours' and interval '7 days 4 hours') as "diedAfterSevenDays",
       (select count(*)::int from mailboxes m where m.provider = 'outlook' and exists (
          select from send_attempts a where a.mailbox_id = m.id and a.started_at > now() - interval '7 days'
             and a.outcome = 'denied' and a.reply like '%5.7.139%')) as "smtpAuthOff"`;
