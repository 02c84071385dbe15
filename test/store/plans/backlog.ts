import { Client } from 'pg';

/*
 * Work of every kind that has piled up all at once in a database that was generated (data.ts): what claims it must not
 * go through the pile. Most of each pile is of the mailbox or the webhook that has most.
 */
export async function pileUp(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('set session_replication_role = replica');
  for (const statement of piles) await client.query(statement);
  // As PostgreSQL does by itself within a minute; not of sightings, of which only a hundredth has changed.
  await client.query(
    'analyze sends, deliveries, delivery_keys, errands, intake_spool, wanted_changes, sent_copies, events',
  );
  await client.end();
}

const mailbox = '(select min(id) from mailboxes)';

const piles = [
  // Letters in every lane, and a campaign through the provider of one sub-account.
  `update sends set state = 'queued', ready = true, due_at = now(), individual = seq % 8 = 0, copy_seen_at = null,
          mailbox_id = case when seq % 16 = 0 then ${mailbox} when seq % 8 = 0 then mailbox_id end, sub_account_id = case when seq % 8 = 0 then sub_account_id else 's1' end,
          order_keys = array['thr ' || seq / 4 % 1000]
    where seq % 4 = 0`,
  // Behind each key all wait but the first.
  `with piled as (
     update deliveries set state = 'pending', ready = true, attempts = 0 where seq % 4 = 0 and not ready
     returning id, webhook_id, seq, case when seq / 20 % 4 = 0 then 'pile' else 'cnv ' || seq / 20 % 200 end as key),
   keyed as (
     insert into delivery_keys (webhook_id, key, seq, delivery_id) select webhook_id, key, seq, id from piled)
   select from piled`,
  `update deliveries d set due_at = case when exists (
            select from delivery_keys own join delivery_keys p using (webhook_id, key)
             where own.delivery_id = d.id and p.seq < own.seq) then 'infinity' else now() end
    where ready`,
  `update errands set state = 'queued', ready = true, ended_at = null, due_at = now(),
          mailbox_id = case when seq % 4 = 0 then ${mailbox} else mailbox_id end
    where seq % 2 = 0`,
  `update errands set lease_owner = 'other', lease_until = now() + interval '1 hour'
    where id = (select min(id) from errands where ready and mailbox_id = ${mailbox})`,
  `update intake_spool set state = 'waiting', ready = true, due_at = now() where state = 'filed'`,
  `insert into wanted_changes (id, sub_account_id, message_id, mailbox_id, is_read)
   select 'wnt_' || message_id, sub_account_id, message_id, mailbox_id, true from sightings where mailbox_id = ${mailbox}
   on conflict do nothing`,
  `insert into sent_copies (id, sub_account_id, mailbox_id, due_at)
   select id, sub_account_id, mailbox_id, now() from sends where state = 'sent' and mailbox_id = ${mailbox}`,
  `update sightings set gone_at = now(), gone_due_at = now(), state = 'gone' where mailbox_id = ${mailbox} and uid % 2 = 0`,
  // As most have: a few for everything, and one for each sub-account.
  `update webhooks set enabled = false where sub_account_id = 's1'`,
  `update events set sequence = null where ord > (select max(ord) * 3 / 4 from events)`,
  `select setval('event_ords', (select max(ord) from events)), setval('event_numbers', (select max(sequence) from events))`,
];
