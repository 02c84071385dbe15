import { placesSaid } from '../places.ts';
import type { Invariant } from './invariant.ts';

/** Of messages, their threads and conversations. */
export const messageInvariants: readonly Invariant[] = [
  {
    name: 'answer_is_in_thread',
    rules: ['D7'],
    holds: 'What a message answers is another message of its thread.',
    broken: `
      select a.id as message, m.id as answers from messages a join messages m on m.id = a.answers
       where m.thread_id <> a.thread_id or m.id = a.id`,
  },
  {
    name: 'message_has_source',
    rules: ['S12', 'T1'],
    holds: 'A message was seen in a mailbox, sent from the CRM, or logged, and its `via` says which.',
    broken: `
      select m.id as message
        from messages m
        left join sends on sends.message_id = m.id
        left join (select distinct message_id from sightings) seen on seen.message_id = m.id
        left join (select distinct message_id from decisions where intake_id is not null and outcome = 'stored') logged
          on logged.message_id = m.id
       where m.via = '{}'
          or array(select way from unnest(m.via) way order by way) <>
             array_remove(array[case when sends.id is not null then 'crm' end,
                                case when logged.message_id is not null then 'logging_address' end,
                                case when seen.message_id is not null then 'mailbox' end], null)`,
  },
  {
    name: 'message_is_where_its_places_say',
    rules: ['U2', 'U3'],
    holds: 'A message is read, and in the state, that the places say in which it was seen.',
    // A place in a folder that was numbered anew says nothing any more, from the next change of the message on.
    broken: `
      select m.id as message, m.is_read, m.mailbox_state, said.is_read as places_read, said.state as places_state
        from messages m cross join lateral (${placesSaid('m')}) said
       where (m.is_read, m.mailbox_state) is distinct from (said.is_read, said.state)
         and not exists (select from sightings s join folders f on f.id = s.folder_id
                          where s.message_id = m.id and s.uid_validity is distinct from f.uid_validity)`,
  },
  {
    name: 'wanted_change_can_be_done',
    rules: ['U2', 'U3'],
    holds:
      'What the CRM asked for in a mailbox waits only while somebody of the sub-account is connected to it.',
    broken: `
      select w.id as wanted_change, w.message_id as message from wanted_changes w
       where not w.ready
          or not exists (select from connections c where c.mailbox_id = w.mailbox_id
                            and c.sub_account_id = w.sub_account_id and c.ended_at is null)`,
  },
  {
    name: 'message_has_key',
    rules: ['S12'],
    holds: 'A message is known by a name at least, or it would be stored again when it is seen again.',
    broken: `
      select m.id as message from messages m
       where not exists (select from message_keys k where k.message_id = m.id)`,
  },
  {
    name: 'message_has_bytes',
    rules: ['T3', 'D3'],
    holds:
      'The raw bytes of a message are kept, unless something of it is left out, and those of a send are the ones that its message shows.',
    broken: `
      select m.id as message from messages m left join sends s on s.message_id = m.id
       where (m.raw_sha256 is null) <> (m.omitted is not null or exists (
               select from attachments a where a.message_id = m.id and a.omitted is not null))
          or (s.id is not null and (s.raw_sha256, s.raw_size) is distinct from (m.raw_sha256, m.raw_size))`,
  },
  {
    name: 'omitted_message_has_no_content',
    rules: ['L1'],
    holds: 'Of a message that was left out for its size nothing is stored but its header.',
    broken: `
      select m.id as message from messages m
       where m.omitted is not null
         and ((m.body_text, m.reply_text) <> ('', '') or m.body_html is not null
              or exists (select from attachments a where a.message_id = m.id))`,
  },
  {
    name: 'message_is_shown',
    rules: ['Words'],
    holds: 'The thread of a message shows in the conversation of a contact.',
    broken: `
      select m.id as message, m.thread_id as thread from messages m
       where not exists (select from conversation_threads c where c.thread_id = m.thread_id)`,
  },
  {
    name: 'attachment_has_content',
    rules: ['L1', 'L2'],
    holds: 'An attachment has content, or the reason why it has none.',
    broken: `
      select a.message_id as message, a.n from attachments a where num_nonnulls(a.sha256, a.omitted) <> 1`,
  },
  {
    name: 'attachments_are_numbered',
    rules: ['Words'],
    holds: 'The attachments of a message are numbered from 1, and none is missing.',
    broken: `
      select a.message_id as message from attachments a
       group by a.message_id having min(a.n) <> 1 or max(a.n) <> count(*)`,
  },
  {
    name: 'thread_knows_its_messages',
    rules: ['S3'],
    holds: 'A thread is found by each Message-ID of its messages, so that an answer to one of them joins it.',
    // Keys that are made here begin so; that a Message-ID may do so too is no harm.
    broken: `
      select k.message_id as message, m.thread_id as thread
        from message_keys k join messages m on m.id = k.message_id
       where k.key not like 'none:%' and k.key not like 'gm:%'
         and not exists (select from thread_keys t where t.sub_account_id = k.sub_account_id and t.key = k.key
                            and t.thread_id = m.thread_id and t.kind = 'message')`,
  },
  {
    name: 'thread_knows_its_people',
    rules: ['S3'],
    holds: 'Everybody on a message is a participant of its thread.',
    // Of plain addresses alone, whose canonical form is the address in lower case (message/addresses.ts).
    broken: String.raw`
      select distinct m.id as message, m.thread_id as thread
        from messages m
       cross join lateral jsonb_array_elements(m.sender || m.recipients_to || m.recipients_cc) person
       cross join lateral (select lower(person ->> 'address') as address) as written
       where written.address ~ '^[a-z0-9._+-]+@([a-z0-9-]+[.])*[a-z0-9-]+$'
         and written.address !~ '@(gmail|googlemail)[.]com$'
         and not exists (select from thread_participants p
                          where p.thread_id = m.thread_id and p.canonical = written.address)`,
  },
  {
    name: 'thread_has_links',
    rules: ['S3', 'C6'],
    holds:
      'A thread has a link to each mailbox in which its individual messages were seen or through which they were sent (D2).',
    broken: `
      select distinct m.thread_id as thread, place.mailbox_id as mailbox
        from (select message_id, mailbox_id from sightings
              union select message_id, mailbox_id from sends where mailbox_id is not null) place
        join messages m on m.id = place.message_id and m.kind = 'individual'
       where not exists (select from thread_links l where l.thread_id = m.thread_id and l.mailbox_id = place.mailbox_id)`,
  },
  {
    name: 'live_thread_has_connection',
    rules: ['C6', 'C7'],
    holds: 'A thread is live in a mailbox only while somebody of the sub-account is connected to it.',
    broken: `
      select l.thread_id as thread, l.mailbox_id as mailbox from thread_links l
       where l.state = 'live'
         and not exists (select from connections c where c.mailbox_id = l.mailbox_id
                            and c.sub_account_id = l.sub_account_id and c.ended_at is null)`,
  },
  {
    name: 'unlinked_thread_has_reason',
    rules: ['S4'],
    holds: 'A thread that is unlinked says why, and a live one has no reason to.',
    broken: `
      select l.thread_id as thread, l.mailbox_id as mailbox from thread_links l
       where (l.state = 'unlinked') <> (l.reason is not null)`,
  },
  {
    name: 'erased_is_gone',
    rules: ['C7'],
    holds: 'A message that was erased is not stored.',
    broken: `
      select t.message_id as message from tombstones t join messages m on m.id = t.message_id
       group by t.message_id`,
  },
  {
    name: 'conversation_has_thread',
    rules: ['Words'],
    holds: 'A conversation shows a thread at least.',
    broken: `
      select v.id as conversation from conversations v
       where not exists (select from conversation_threads t where t.conversation_id = v.id)`,
  },
  {
    name: 'conversation_is_dated',
    rules: ['W2'],
    holds: 'A conversation is as new as the newest message of any of its threads.',
    // A message of tomorrow counts as one of the day on which it was filed.
    broken: `
      select distinct v.id as conversation
        from conversations v
        join conversation_threads t on t.conversation_id = v.id
        join messages m on m.thread_id = t.thread_id
       where v.last_message_at is null or v.last_message_at < least(m.date, m.created_at)`,
  },
];
