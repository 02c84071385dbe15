import { Client } from 'pg';
import { hashOfAddress } from '../../../src/filing/hashes.ts';
import { makePartitions } from '../../../src/store/partitions.ts';
import type { Db } from '../../../src/store/database.ts';
import { secretBox } from '../../api/support.ts';

/*
 * As much in PostgreSQL as one database of a large installation holds, made by PostgreSQL itself. Half of it is of one
 * sub-account, and a fiftieth of one contact and one mailbox: what goes through all that a sub-account, a user or a
 * contact has is then seen to do so.
 */

/** How much there is. `contacts` divides by `users`, and half the users by the sub-accounts but one. */
export type Counts = { subAccounts: number; users: number; contacts: number; messages: number };

/** What a suite can make in some seconds. */
export const smallCounts: Counts = { subAccounts: 51, users: 200, contacts: 20_000, messages: 200_000 };

/** All mail is of so many days up to now. */
const days = 170;

export type Generation = {
  counts: Counts;
  /** ms since the epoch. */
  now: number;
};

/** Fills a migrated, empty database. */
export async function generate(db: Db, url: string, of: Generation): Promise<void> {
  for (let back = 0; back <= days + 31; back += 28) await makePartitions(db, of.now - back * 86_400_000);
  const client = await connect(url);
  try {
    // An index is made in one go when all is there: row by row it takes many times as long.
    await client.query(
      'update pg_index set indisready = false where indrelid = any(array(select oid from large))',
    );
    const groups = [...people(of), ...mail(of), ...work(of)];
    const second = await connect(url);
    try {
      await Promise.all([inTurn(client, groups), inTurn(second, groups)]);
      const tables = await client.query<{ name: string }>(
        'select oid::regclass::text as name from large order by size desc',
      );
      const each = tables.rows.map(({ name }) => `reindex table ${name}`);
      await Promise.all([inTurn(client, each), inTurn(second, each)]);
    } finally {
      await second.end();
    }
    await client.query('vacuum (analyze)');
  } finally {
    await client.end();
  }
}

/** Each takes the next statement when it has done the one before. */
async function inTurn(client: Client, statements: string[]): Promise<void> {
  for (let next = statements.shift(); next !== undefined; next = statements.shift()) await client.query(next);
}

/** A session of a superuser, without triggers: what refers to what is true by construction. */
async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`
    set session_replication_role = replica; set synchronous_commit = off; set maintenance_work_mem = '1GB';
    create temp view large as
      select c.oid, pg_relation_size(c.oid) as size from pg_class c
       where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname not like 'knex%' and c.relname <> 'installation';
    create function pg_temp.id(prefix text, ms bigint, n bigint) returns text language sql immutable as
      $$select prefix || '_' || lpad(to_hex(ms >> 16), 8, '0') || '-' || lpad(to_hex(ms & 65535), 4, '0')
               || '-7000-8000-' || lpad(to_hex(n), 12, '0')$$;
    create function pg_temp.hash(text) returns bytea language sql immutable as $$select decode(md5($1), 'hex')$$`);
  return client;
}

/** SQL for what follows from the number of a row. */
function parts({ counts, now }: Generation) {
  const { subAccounts, contacts, messages } = counts;
  const begun = now - days * 86_400_000;
  const ms = (n: string, of: number) => `(${begun} + (${n})::bigint * ${days * 86_400_000} / ${of})`;
  return {
    ms,
    time: (n: string, of: number) => `to_timestamp(${ms(n, of)} / 1000.0)`,
    /** Of a thing that is as old as all mail. */
    old: (prefix: string, n: string) => `pg_temp.id('${prefix}', ${begun}, ${n})`,
    made: (prefix: string, n: string, of: number) => `pg_temp.id('${prefix}', ${ms(n, of)}, ${n})`,
    sub: (n: string) =>
      `(case when (${n}) % 2 = 0 then 's1' else 's' || (2 + (${n}) / 2 % ${subAccounts - 1}) end)`,
    address: (contact: string) => `('contact-' || ${contact} || '@customer.example')`,
    messageContact: `(case when n / 7 % 50 = 0 then 0 else n % ${contacts} end)`,
    messageThread: `(case when n / 7 % 50 = 0 then ${2 * contacts} + n / 3500 else n / ${contacts} % 2 * ${contacts} + n % ${contacts} end)`,
    threadContact: `(case when n >= ${2 * contacts} then 0 else n % ${contacts} end)`,
    threads: 2 * contacts + Math.floor(messages / 3500),
  };
}

const to = (count: number) => `generate_series(0, ${count} - 1) n`;

function people(generation: Generation): string[] {
  const { subAccounts, users, contacts } = generation.counts;
  const { old, sub, time, address } = parts(generation);
  const state = `(case n % 50 when 1 then 'reauth_required' when 2 then 'degraded' when 3 then 'catching_up' when 4 then 'paused' else 'live' end)`;
  return [
    `insert into sub_accounts (id, name) select 's' || 1 + n, 'Sub-account ' || 1 + n from ${to(subAccounts)}`,
    `insert into users (id, name, email) select 'u' || n, 'User ' || n, 'user-' || n || '@crm.example' from ${to(users)}`,
    `insert into memberships (sub_account_id, user_id) select ${sub('n')}, 'u' || n from ${to(users)}`,
    `insert into user_addresses (user_id, kind, canonical)
     select 'u' || n, kind, 'user-' || n || '@crm.example' from ${to(users)}, unnest(array['login', 'mailbox']) kind`,
    `insert into logging_addresses (id, sub_account_id, user_id, local_part)
     select ${old('lad', 'n')}, ${sub('n')}, 'u' || n, 'log-' || n from ${to(users)}`,
    `insert into nodes (id, instance, seen_until) select 'node-' || n, 'i', now() + interval '1 hour' from ${to(3)}`,
    `insert into mailboxes (id, provider, address, canonical, login, identity_key, credential_kind, credential_sealed, state, node_id, caught_up_to)
     select ${old('mbx', 'n')}, 'gmail', a, a, a, a, 'oauth', 'x', 'live', 'node-' || n % 3, now()
       from ${to(users)}, lateral (select 'user-' || n || '@crm.example' as a) one`,
    `insert into folders (id, mailbox_id, path, role, uid_validity, cursor_uid)
     select ${old('fld', '5 * n + k - 1')}, ${old('mbx', 'n')}, initcap(role), role, 1, 1000000000
       from ${to(users)}, unnest(array['inbox', 'sent', 'archive', 'other', 'trash']) with ordinality r (role, k)`,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state, started_at, created_at)
     select ${old('con', 'n')}, ${sub('n')}, 'u' || n, ${old('mbx', 'n')}, 'gmail', ${state}, ${time('0', 1)}, ${time('0', 1)} from ${to(users)}`,
    `insert into connection_log (connection_id, kind, state) select ${old('con', 'n')}, 'state', 'live' from ${to(users)}, generate_series(1, 5)`,
    `insert into connection_log (mailbox_id, kind) select ${old('mbx', 'n')}, 'session' from ${to(users)}, generate_series(1, 20)`,
    `insert into contacts (sub_account_id, id, name, assigned_user_id)
     select ${sub('n')}, 'c' || n, 'Contact ' || n, 'u' || n % ${users} from ${to(contacts)}`,
    `insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
     select ${sub('n')}, 'c' || n, 0, ${address('n')}, ${address('n')} from ${to(contacts)}`,
    `insert into never_log (sub_account_id, pattern, as_written)
     select ${sub('n')}, p, p from ${to(contacts / 10)}, lateral (select '@private-' || n || '.example' as p) one`,
    `insert into api_keys (id, hash, sub_account_id, scope, label)
     select ${old('key', 'n')}, pg_temp.hash('key ' || n), ${sub('n')}, 'write', 'CRM' from ${to(users)}`,
    `insert into claims (sub_account_id, contact_canonical, mailbox_id)
     select ${sub('n')}, ${address('n')}, ${old('mbx', `n % ${users}`)} from ${to(contacts / 10)}`,
  ];
}

function mail(generation: Generation): string[] {
  const { users, contacts, messages } = generation.counts;
  const { old, made, sub, time, address, messageContact, messageThread, threadContact, threads } =
    parts(generation);
  const key = `'m' || n || '@mail.example'`;
  const from = `from generate_series(0, ${messages} - 1) n, lateral (select ${messageContact} as c) of`;
  return [
    `insert into messages (id, sub_account_id, thread_id, direction, via, user_id, sender, recipients_to, recipients_cc, recipients_bcc,
                           subject, date, received_at, internet_message_id, body_text, reply_text)
     select ${made('msg', 'n', messages)}, ${sub('c')}, ${old('thr', messageThread)}, case n / 7 % 2 when 0 then 'outbound' else 'inbound' end,
            array[case n / 7 % 10 when 0 then 'crm' else 'mailbox' end], 'u' || c % ${users}, jsonb_build_object('name', '', 'address', ${address('c')}),
            '[]', '[]', '[]', 'About ' || n, at, at, ${key}, 'Text', 'Text'
       ${from}, lateral (select ${time('n', messages)} as at) time`,
    `insert into thread_keys (sub_account_id, key, thread_id, kind) select ${sub('c')}, ${key}, ${old('thr', messageThread)}, 'message' ${from}`,
    `insert into message_keys (sub_account_id, key, fingerprint, message_id)
     select ${sub('c')}, ${key}, 'f' || n, ${made('msg', 'n', messages)} ${from}`,
    `insert into sightings (sub_account_id, folder_id, uid_validity, uid, message_id, mailbox_id, is_read, state)
     select ${sub('c')}, ${old('fld', `5 * (c % ${users}) + n / 7 % 4`)}, 1, n, ${made('msg', 'n', messages)}, ${old('mbx', `c % ${users}`)}, true, 'present' ${from}`,
    ...decisions(generation),
    `insert into conversations (id, sub_account_id, contact_id, last_message_at, updated_at)
     select ${old('cnv', 'n')}, ${sub('n')}, 'c' || n, at, at from ${to(contacts)}, lateral (select ${time(`n * 7919::bigint % ${contacts}`, contacts)} as at) one`,
    `insert into threads (id, sub_account_id, subject, opened_by)
     select ${old('thr', 'n')}, ${sub(threadContact)}, 'About ' || n, 'from_contact' from ${to(threads + 1)}`,
    `insert into conversation_threads (conversation_id, thread_id) select ${old('cnv', threadContact)}, ${old('thr', 'n')} from ${to(threads + 1)}`,
    `insert into thread_links (thread_id, mailbox_id, sub_account_id, state)
     select ${old('thr', 'n')}, ${old('mbx', `${threadContact} % ${users}`)}, ${sub(threadContact)}, 'live' from ${to(threads + 1)}`,
    `insert into thread_participants (thread_id, canonical)
     select ${old('thr', 'n')}, unnest(array[${address(threadContact)}, 'user-' || ${threadContact} % ${users} || '@crm.example']) from ${to(threads + 1)}`,
    `insert into attachments (sub_account_id, message_id, n, name, type, size, sha256)
     select ${sub('c')}, ${made('msg', 'n', messages)}, 1, 'offer.pdf', 'application/pdf', 1, encode(sha256(n::text::bytea), 'hex') ${from} where n / 7 % 20 = 1`,
    `insert into tombstones (sub_account_id, hash, message_id)
     select ${sub('n')}, pg_temp.hash('gone ' || n), 'msg_gone_' || n from ${to(contacts / 10)}`,
  ];
}

/** Half of the messages, and as much that was left out; every hundredth of that failed. */
function decisions(generation: Generation): string[] {
  const { users, messages } = generation.counts;
  const { old, made, sub, time, messageContact } = parts(generation);
  const columns = `insert into decisions (id, sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason,
    reasons, id_hash, address_hashes, decided_at, lasting, message_id)`;
  const place = `${sub('c')}, ${old('con', `c % ${users}`)}, ${old('mbx', `c % ${users}`)}, ${old('fld', `5 * (c % ${users}) + n / 7 % 4`)}, 1`;
  const hashes = `pg_temp.hash('id ' || n), array[case c when 0 then '\\x${hashOfAddress(secretBox, 'contact-0@customer.example')}' else pg_temp.hash('address ' || c) end]`;
  const from = `from generate_series(0, ${messages} - 1) n, lateral (select ${messageContact} as c) of`;
  return [
    `${columns} select ${made('dec', 'n', messages)}, ${place}, n, 'stored', 'from_contact', '[]', ${hashes}, ${time('n', messages)}, true,
            ${made('msg', 'n', messages)} ${from} where n / 7 % 4 < 2`,
    `${columns} select ${made('dec', 'n', messages)}, ${place}, ${messages} + n, case n / 7 % 400 when 2 then 'failed' else 'skipped' end,
            'no_match', '[]', ${hashes}, ${time('n', messages)}, n / 7 % 400 = 2, null ${from} where n / 7 % 4 >= 2`,
  ];
}

function work(generation: Generation): string[] {
  const { users, contacts, messages, subAccounts } = generation.counts;
  const { old, made, sub, time, messageContact } = parts(generation);
  const held = contacts / 20;
  const from = `from generate_series(0, ${messages} - 1) n, lateral (select ${messageContact} as c) of`;
  const sendState = `(case n / 7 % 1000 when 10 then 'failed' when 20 then 'uncertain' when 30 then 'bounced' when 40 then 'queued' when 60 then 'held' else 'sent' end)`;
  return [
    `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, route, state, envelope, internet_message_id, raw_sha256, raw_size,
                        order_keys, ready, due_at, copy_seen_at, fingerprint)
     select ${made('snd', 'n', messages)}, ${sub('c')}, ${made('msg', 'n', messages)}, 'u' || c % ${users}, ${old('mbx', `c % ${users}`)},
            '{"through":"mailbox","from":"user@crm.example","row":"individual_gmail","because":"individual"}', state,
            '{"from":"user@crm.example","to":["kim@customer.example"]}', 'm' || n || '@mail.example', encode(sha256(n::text::bytea), 'hex'), 1,
            array['thr ' || c], state in ('queued', 'held'), 'infinity', case when state = 'sent' then ${time('n', messages)} end, 'f' || n
       ${from}, lateral (select ${sendState} as state) s where n / 7 % 10 = 0`,
    `insert into send_attempts (send_id, n, mailbox_id, started_at, ended_at, outcome, reply)
     select ${made('snd', 'n', messages)}, 1, ${old('mbx', `c % ${users}`)}, at, at, 'accepted', '250 2.0.0 OK'
       ${from}, lateral (select ${time('n', messages)} as at) time where n / 7 % 10 = 0`,
    `insert into daily_places (send_id, mailbox_id, at)
     select ${made('snd', 'n', messages)}, ${old('mbx', `c % ${users}`)}, ${time('n', messages)} ${from} where n / 7 % 10 = 0 and n > ${messages - messages / 50}`,
    `insert into tracked (send_id, n, sub_account_id, count) select ${made('snd', 'n', messages)}, 0, ${sub('c')}, 0 ${from} where n / 7 % 100 = 0`,
    `insert into send_reports (send_id, sub_account_id, address, action, reported_at)
     select ${made('snd', 'n', messages)}, ${sub('c')}, 'kim@customer.example', 'delivered', now() ${from} where n / 7 % 100 = 0`,
    `insert into events (ord, sequence, id, type, sub_account_id, order_keys, data, created_at)
     select n, n, ${made('evt', 'n', messages / 10)}, case n % 1000 when 7 then 'contact.claimed' else 'message.created' end, ${sub('n')},
            array[${old('cnv', `n % ${contacts}`)}], jsonb_build_object('id', ${made('msg', '10 * n::bigint', messages)}), ${time('n', messages / 10)}
       from ${to(messages / 10)}`,
    `insert into webhooks (id, sub_account_id, url, types, secret_sealed, enabled)
     select ${old('whk', 'n')}, case when n < 5 then null else ${sub('n')} end, 'https://crm.example/' || n, '{}', 'x', true from ${to(2 * subAccounts)}`,
    `insert into deliveries (id, webhook_id, event_id, state, ready, attempts, last_status, delivered_at)
     select ${old('dlv', 'n')}, ${old('whk', `case n % 4 when 0 then n / 4 % 5 else n / 4 % ${2 * subAccounts} end`)}, ${made('evt', 'n', messages / 10)}, state, state = 'pending', 1, 200, case when state = 'delivered' then now() end
       from ${to(messages / 10)}, lateral (select case n / 7 % 500 when 0 then 'pending' when 1 then 'parked' when 2 then 'parked' else 'delivered' end as state) one`,
    `insert into delivery_keys (webhook_id, key, seq, delivery_id)
     select d.webhook_id, 'cnv ' || d.seq, d.seq, d.id from deliveries d where d.ready`,
    `insert into decisions (id, sub_account_id, outcome, reason, reasons, intake_id, decided_at, lasting)
     select ${made('dec', `${messages} + n`, 2 * messages)}, ${sub('n')}, 'held', 'unproven', '[]', ${made('spl', 'n', held)}, ${time('n', held)}, true from ${to(held)} where n / 7 % 10 = 0`,
    `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof, received_at,
                               raw_sha256, raw_size, state, decision_id, read, ready)
     select ${made('spl', 'n', held)}, 'spl_' || n, ${old('lad', `n % ${users}`)}, ${sub('n')}, 'u' || n % ${users}, '{}',
            '{"from":"","to":[],"helo":"mx.crm.example","clientAddress":"192.0.2.1","tls":true}',
            '{"verdict":"unproven","domain":"crm.example","by":null,"spf":"none","dkim":"none","dmarcPolicy":null,"arc":null}',
            now(), encode(sha256(n::text::bytea), 'hex'), 1, case n / 7 % 10 when 0 then 'held' else 'filed' end,
            ${made('dec', `${messages} + n`, 2 * messages)},
            '{"from":{"name":"","address":"a@crm.example"},"to":[],"cc":[],"subject":"An offer","date":null,"forwarded":null}', false
       from ${to(held)}`,
    `insert into idempotency_keys (sub_account_id, key, request_hash, status, body)
     select ${sub('n')}, 'call ' || n, pg_temp.hash('call ' || n), 202, '{}' from ${to(contacts / 10)}`,
    `insert into audit (action, administrator_id) select 'key.made', 'adm_1' from ${to(contacts / 10)}`,
    `insert into errands (id, kind, sub_account_id, connection_id, mailbox_id, request, state, ended_at, ready)
     select ${old('bkf', 'n')}, case n % 2 when 0 then 'audit' else 'backfill' end, ${sub(`n % ${users}`)}, ${old('con', `n % ${users}`)}, ${old('mbx', `n % ${users}`)},
            '{"since":0,"until":1,"contactId":null,"dryRun":false,"heal":true}', 'finished', now(), false from ${to(contacts / 10)}`,
  ];
}
