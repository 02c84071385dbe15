import type { Invariant } from './invariant.ts';

/** Of sub-accounts, their people, and what they are connected to. */
export const connectionInvariants: readonly Invariant[] = [
  {
    name: 'nothing_crosses',
    rules: ['Words', 'W3'],
    holds: 'What belongs together belongs to one sub-account.',
    broken: `
      select 'message' as what, m.id from messages m join threads t on t.id = m.thread_id
       where t.sub_account_id <> m.sub_account_id
      union all
      select 'message key', k.message_id from message_keys k join messages m on m.id = k.message_id
       where m.sub_account_id <> k.sub_account_id
      union all
      select 'sighting', s.message_id from sightings s join messages m on m.id = s.message_id
       where m.sub_account_id <> s.sub_account_id
      union all
      select 'wanted change', w.id from wanted_changes w join messages m on m.id = w.message_id
       where m.sub_account_id <> w.sub_account_id
      union all
      select 'attachment', a.message_id from attachments a join messages m on m.id = a.message_id
       where m.sub_account_id <> a.sub_account_id
      union all
      select 'send', s.id from sends s join messages m on m.id = s.message_id
       where m.sub_account_id <> s.sub_account_id
      union all
      select 'send report', s.id from send_reports r join sends s on s.id = r.send_id
       where r.sub_account_id <> s.sub_account_id
      union all
      select 'sent copy', c.id from sent_copies c join sends s on s.id = c.id
       where s.sub_account_id <> c.sub_account_id
      union all
      select 'tracked', t.send_id from tracked t join sends s on s.id = t.send_id
       where s.sub_account_id <> t.sub_account_id
      union all
      select 'decision', d.id from decisions d join messages m on m.id = d.message_id
       where m.sub_account_id <> d.sub_account_id
      union all
      select 'decision', d.id from decisions d join connections c on c.id = d.connection_id
       where c.sub_account_id <> d.sub_account_id
      union all
      select 'logged mail', i.id from intake_spool i join decisions d on d.intake_id = i.id
       where d.sub_account_id <> i.sub_account_id
      union all
      select 'thread key', k.thread_id from thread_keys k join threads t on t.id = k.thread_id
       where t.sub_account_id <> k.sub_account_id
      union all
      select 'thread link', l.thread_id from thread_links l join threads t on t.id = l.thread_id
       where t.sub_account_id <> l.sub_account_id
      union all
      select 'conversation', v.id from conversations v
        join conversation_threads s on s.conversation_id = v.id join threads t on t.id = s.thread_id
       where t.sub_account_id <> v.sub_account_id
      union all
      select 'event', e.id from events e join messages m on m.id = e.object_id
       where m.sub_account_id is distinct from e.sub_account_id
      union all
      select 'delivery', d.id from deliveries d
        join webhooks w on w.id = d.webhook_id join events e on e.id = d.event_id
       where w.sub_account_id is not null and w.sub_account_id is distinct from e.sub_account_id`,
  },
  {
    name: 'connection_has_ended_or_not',
    rules: ['C5', 'C7'],
    holds: 'A connection that has ended says how, and one that has not is in no state of the end.',
    broken: `
      select c.id as connection, c.state from connections c
       where (c.ended_at is not null) <> (c.state in ('superseded', 'disconnected'))`,
  },
  {
    name: 'connection_has_mailbox',
    rules: ['C1'],
    holds: 'A connection has a mailbox, unless it waits for an administrator or a permission.',
    broken: `
      select c.id as connection, c.state from connections c
       where c.mailbox_id is null and c.ended_at is null
         and c.state not in ('admin_consent_required', 'permission_missing')`,
  },
  {
    name: 'connection_is_of_member',
    rules: ['C7'],
    holds: 'Who is connected in a sub-account is a member of it.',
    broken: `
      select c.id as connection from connections c
       where c.ended_at is null
         and not exists (select from memberships m where m.sub_account_id = c.sub_account_id and m.user_id = c.user_id)`,
  },
  {
    name: 'credential_is_in_use',
    rules: ['C7'],
    holds: 'A credential is kept only while somebody is connected to its mailbox.',
    broken: `
      select b.id as mailbox from mailboxes b
       where (b.credential_sealed is not null or b.access_token_sealed is not null)
         and not exists (select from connections c where c.mailbox_id = b.id and c.ended_at is null)`,
  },
  {
    name: 'mailbox_address_is_users',
    rules: ['S7'],
    holds: 'The address of a mailbox counts as an address of whoever is connected to it.',
    broken: `
      select c.id as connection, b.id as mailbox from connections c join mailboxes b on b.id = c.mailbox_id
       where c.ended_at is null
         and not exists (select from user_addresses a where a.user_id = c.user_id and a.canonical = b.canonical)`,
  },
  {
    name: 'errand_ends_once',
    rules: ['C8', 'T2'],
    holds: 'An errand is over, and says so in every way, or it is still to be done.',
    broken: `
      select e.id as errand, e.state from errands e
       where e.ready <> (e.state in ('queued', 'running', 'waiting')) or e.ready <> (e.ended_at is null)
          or (not e.ready and e.lease_owner is not null)`,
  },
  {
    name: 'errand_is_of_its_connection',
    rules: ['C4', 'W3'],
    holds: 'An errand is done in the mailbox, and for the sub-account, of its connection.',
    broken: `
      select e.id as errand from errands e join connections c on c.id = e.connection_id
       where c.mailbox_id is distinct from e.mailbox_id or c.sub_account_id <> e.sub_account_id`,
  },
  {
    name: 'user_has_login_address',
    rules: ['S7'],
    holds: 'The login address of a user counts as theirs.',
    broken: `
      select u.id as "user" from users u
       where not exists (select from user_addresses a where a.user_id = u.id and a.kind = 'login')`,
  },
  {
    name: 'contact_addresses_are_ordered',
    rules: ['Words'],
    holds: 'The addresses of a contact are numbered from 0, the main one, and none is missing.',
    broken: `
      select a.sub_account_id as sub_account, a.contact_id as contact from contact_addresses a
       group by a.sub_account_id, a.contact_id
      having min(a.position) <> 0 or max(a.position) <> count(*) - 1 or count(distinct a.position) <> count(*)`,
  },
  {
    name: 'contact_is_assigned_to_member',
    rules: ['S8'],
    holds: 'The user to whom a contact is assigned is a member of the sub-account.',
    broken: `
      select c.sub_account_id as sub_account, c.id as contact from contacts c
       where c.assigned_user_id is not null
         and not exists (select from memberships m
                          where m.sub_account_id = c.sub_account_id and m.user_id = c.assigned_user_id)`,
  },
  {
    name: 'lease_is_whole',
    rules: ['D5', 'W2'],
    holds: 'What a node has taken up says which node has it, and until when.',
    broken: `
      select 'send' as what, id from sends where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'delivery', id from deliveries where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'revocation', id from revocations where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'errand', id from errands where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'wanted change', id from wanted_changes where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'sent copy', id from sent_copies where num_nonnulls(lease_owner, lease_until) = 1
      union all
      select 'logged mail', id from intake_spool where num_nonnulls(lease_owner, lease_until) = 1`,
  },
];
