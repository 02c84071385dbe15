import { countDecisions } from '../../src/store/decision-counts.ts';
import { run, vacuum } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';

/** How much there is of what: as issue 6 asks. */
export const counts = {
  users: 10_000,
  threads: 20_000,
  messages: 100_000,
  decisions: 300_000,
  sends: 50_000,
  held: 5_000,
  deliveries: 100_000,
} as const;

/**
 * What an id is that has the number `n` (SQL) and was made so many seconds (SQL) before now; left out: at one moment
 * for all, so that what refers to it finds it. See lib/id.ts.
 */
function idOf(prefix: string, n: string, ago?: string): string {
  const seconds = ago === undefined ? '1795000000.0' : `(extract(epoch from now()) - ${ago})`;
  return `('${prefix}_' || (select left(h, 8) || '-' || right(h, 4) from (
      select lpad(to_hex(floor(${seconds} * 1000)::bigint), 12, '0') as h) t)
    || '-7000-8000-' || lpad(to_hex(${n}), 12, '0'))`;
}

const weekSeconds = 7 * 86_400;
/** The place of `n` of so many, spread over the last week, the highest the newest. */
const spread = (n: string, count: number) => `((${count} - ${n}) * ${weekSeconds}.0 / ${count})`;

/** Ten thousand connections, and a week of their mail, of the bench's own tenant; by SQL alone, and only as whole as pages need it. */
export async function fillForPages(db: Db): Promise<void> {
  for (const statement of [...people(), ...mail(), ...work()]) await run(db, statement);
  await countDecisions(db);
  await vacuum(db);
}

function people(): string[] {
  const users = `generate_series(1, ${counts.users}) n`;
  const state = `case n % 50 when 0 then 'reauth_required' when 1 then 'degraded' when 2 then 'catching_up'
                   when 3 then 'admin_consent_required' when 4 then 'paused' else 'live' end`;
  return [
    `insert into users (id, name, email) select 'u' || n, 'User ' || n, 'user-' || n || '@bench.test' from ${users}`,
    `insert into memberships (sub_account_id, user_id) select 'bench', 'u' || n from ${users}`,
    `insert into user_addresses (user_id, kind, canonical)
     select 'u' || n, kind, 'user-' || n || '@bench.test' from ${users}, unnest(array['login', 'mailbox']) kind`,
    `insert into logging_addresses (id, sub_account_id, user_id, local_part)
     select ${idOf('lad', 'n')}, 'bench', 'u' || n, 'log-' || n from ${users}`,
    `insert into nodes (id, instance, seen_until) select 'node-' || n, 'i', now() + interval '1 hour' from generate_series(1, 3) n`,
    `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state, node_id, caught_up_to)
     select ${idOf('mbx', 'n')}, 'gmail', a, a, a, 'oauth', 'x', 'live', 'node-' || (1 + n % 3), now()
       from ${users}, lateral (select 'user-' || n || '@bench.test' as a) one`,
    `insert into folders (id, mailbox_id, path, role, uid_validity)
     select ${idOf('fld', 'n')}, ${idOf('mbx', 'n')}, 'INBOX', 'inbox', 1 from ${users}`,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
     select ${idOf('con', 'n')}, 'bench', 'u' || n, ${idOf('mbx', 'n')}, 'gmail', ${state} from ${users}`,
  ];
}

function mail(): string[] {
  const { threads, messages, decisions } = counts;
  return [
    `insert into conversations (id, sub_account_id, contact_id, last_message_at)
     select ${idOf('cnv', 'n')}, 'bench', 'c' || n, now() from generate_series(1, 9999) n`,
    `insert into threads (id, sub_account_id, subject, opened_by)
     select ${idOf('thr', 'n')}, 'bench', 'About ' || n, 'from_contact' from generate_series(1, ${threads}) n`,
    `insert into thread_links (thread_id, mailbox_id, sub_account_id, state)
     select ${idOf('thr', 'n')}, ${idOf('mbx', `1 + n % ${counts.users}`)}, 'bench', 'live' from generate_series(1, ${threads}) n`,
    `insert into conversation_threads (conversation_id, thread_id)
     select ${idOf('cnv', '1 + n % 9999')}, ${idOf('thr', 'n')} from generate_series(1, ${threads}) n`,
    `insert into messages (id, sub_account_id, thread_id, direction, via, user_id, sender, recipients_to, recipients_cc,
                           recipients_bcc, subject, date, received_at, internet_message_id, body_text, reply_text)
     select ${idOf('msg', 'n')}, 'bench', ${idOf('thr', `1 + n % ${threads}`)},
            case when n % 2 = 0 then 'outbound' else 'inbound' end, array[case when n % 2 = 0 then 'crm' else 'mailbox' end],
            'u' || (1 + n % ${counts.users}), json_build_object('name', '', 'address', 'contact-' || n % 9999 || '@customer.example'),
            '[{"name":"Kim","address":"kim@customer.example"}]', '[]', '[]', 'About ' || n, at, at, 'm' || n || '@bench.test',
            repeat('What it means for you. ', 40), repeat('What it means for you. ', 40)
       from generate_series(1, ${messages}) n, lateral (select now() - ${spread('n', messages)} * interval '1 second' as at) one`,
    `insert into decisions (id, sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason, reasons, decided_at)
       select ${idOf('dec', 'n', spread('n', decisions))}, 'bench', 'con_x', 'mbx_x', ${idOf('fld', `1 + n % ${counts.users}`)},
              1, n, case when n % 3 = 0 then 'stored' else 'skipped' end, case when n % 3 = 0 then 'from_contact' else 'no_match' end,
              '[]', now() - ${spread('n', decisions)} * interval '1 second'
         from generate_series(1, ${decisions}) n`,
  ];
}

function work(): string[] {
  const { sends, held, deliveries } = counts;
  const state = `case n % 100 when 0 then 'failed' when 1 then 'uncertain' when 2 then 'bounced' when 3 then 'cancelled'
                   when 4 then 'queued' when 5 then 'held' else 'sent' end`;
  return [
    `insert into sends (id, sub_account_id, message_id, user_id, mailbox_id, route, state, envelope, internet_message_id,
                        raw_sha256, raw_size, order_keys, ready, due_at)
     select ${idOf('snd', 'n', spread('n', sends))}, 'bench', ${idOf('msg', '2 * n')}, 'u' || (1 + 2 * n % ${counts.users}),
            ${idOf('mbx', `1 + 2 * n % ${counts.users}`)},
            '{"through":"mailbox","from":"user@bench.test","row":"individual_gmail","because":"individual"}', state,
            '{"from":"user@bench.test","to":["kim@customer.example"]}', 'm' || 2 * n || '@bench.test', repeat('0', 64), 1, '{}',
            state in ('queued', 'held'), 'infinity'
       from generate_series(1, ${sends}) n, lateral (select ${state} as state) one`,
    `insert into send_attempts (send_id, n, started_at, ended_at, outcome, reply)
     select id, 1, now(), now(), 'accepted', '250 2.0.0 OK' from sends where state = 'sent'`,
    `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof, received_at,
                               raw_sha256, raw_size, state, decision_id, read, ready)
     select ${idOf('spl', 'n', spread('n', held))}, 'spl_' || n, 'lad_' || n, 'bench', 'u' || (1 + n % ${counts.users}), '{}',
            '{"from":"","to":[],"helo":"mx.bench.test","clientAddress":"192.0.2.1","tls":true}',
            '{"verdict":"unproven","domain":"bench.test","by":null,"spf":"none","dkim":"none","dmarcPolicy":null,"arc":null}',
            now(), repeat('0', 64), 1, 'held', d.id,
            '{"from":{"name":"","address":"a@bench.test"},"to":[],"cc":[],"subject":"An offer","date":null,"forwarded":null}', false
       from generate_series(1, ${held}) n
       join lateral (select id from decisions where folder_id = ${idOf('fld', `1 + n % ${counts.users}`)} limit 1) d on true`,
    `insert into webhooks (id, url, types, secret_sealed) select 'whk_' || n, 'https://crm.example/' || n, '{}', 'x' from generate_series(1, 5) n`,
    `insert into events (sequence, id, type, sub_account_id, order_keys, data)
     select nextval('event_numbers'), 'evt_' || n, 'message.created', 'bench', '{}', '{}' from generate_series(1, ${deliveries}) n`,
    `insert into deliveries (id, webhook_id, event_id, state, ready, attempts, last_status, delivered_at)
     select 'dlv_' || ord, 'whk_' || (1 + ord % 5), id, state, state = 'pending', 1, 200, case when state = 'delivered' then now() end
       from events, lateral (select case ord % 5 when 0 then case ord % 2 when 0 then 'parked' else 'pending' end else 'delivered' end as state) one`,
  ];
}
