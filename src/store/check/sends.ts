import { sentCopyWaitsMs } from '../../provider/providers.ts';
import { keptFrom } from './invariant.ts';
import type { Invariant } from './invariant.ts';

/** Recipients of send s are still to be tried. */
const waits = `s.refused @> '[{"state": "deferred"}]'`;

/** Of what the CRM sends. */
export const sendInvariants: readonly Invariant[] = [
  {
    name: 'send_is_ready_or_over',
    rules: ['D5', 'D6'],
    holds:
      'A send that is not over waits for its next step, also one that was taken and waits for recipients who were put off; one that is over never gets one, and no node has it.',
    // Where nobody can tell what became of an uncertain one, it is left to people.
    broken: `
      select s.id as send, s.state from sends s
       where (s.state not in ('uncertain', 'sent', 'bounced') and s.ready <> (s.state in ('queued', 'held', 'sending')))
          or (s.state in ('sent', 'bounced') and s.ready and s.lease_owner is null and not ${waits})
          or (not s.ready and (s.lease_owner is not null or ${waits}))`,
  },
  {
    name: 'send_comes_due',
    rules: ['D5'],
    holds: 'Only a held send may wait for a person; any other has a time at which it goes on.',
    broken: `
      select s.id as send, s.state from sends s
       where s.ready and s.state <> 'held' and s.due_at = 'infinity'`,
  },
  {
    name: 'sending_is_leased',
    rules: ['D5'],
    holds: 'What is being sent is in the hands of a node, or was in those of one that is gone.',
    broken: `select s.id as send from sends s where s.state = 'sending' and s.lease_owner is null`,
  },
  {
    name: 'send_was_tried',
    rules: ['D5'],
    holds: 'A send that is on its way, or may have been, has a try.',
    broken: `
      select s.id as send, s.state from sends s
       where s.state in ('sending', 'uncertain') and s.created_at >= ${keptFrom('send_attempts')}
         and not exists (select from send_attempts a where a.send_id = s.id)`,
  },
  {
    name: 'tries_are_numbered',
    rules: ['D5'],
    holds: 'The tries of a send are numbered from 1, and none is missing.',
    broken: `
      select a.send_id as send from send_attempts a
       group by a.send_id having min(a.n) <> 1 or max(a.n) <> count(*)`,
  },
  {
    name: 'try_has_outcome',
    rules: ['D5'],
    holds: 'A try that has ended says how.',
    broken: `
      select a.send_id as send, a.n from send_attempts a
       where (a.ended_at is not null and a.outcome is null)
          or a.outcome not in ('accepted', 'temporary', 'permanent', 'denied', 'uncertain')`,
  },
  {
    name: 'uncertain_has_time',
    rules: ['D5'],
    holds: 'A send that is uncertain says since when, or the Sent folder could never tell; no other does.',
    broken: `
      select s.id as send, s.state from sends s
       where (s.state = 'uncertain') <> (s.uncertain_at is not null)`,
  },
  {
    name: 'confirmed_is_sent',
    rules: ['U1', 'D5'],
    holds: 'A send whose copy was seen in its mailbox was sent, and its message was sighted there.',
    broken: `
      select s.id as send, s.message_id as message from sends s
       where s.copy_seen_at is not null
         and (s.state not in ('sent', 'bounced')
              or not exists (select from sightings i where i.message_id = s.message_id and i.mailbox_id = s.mailbox_id))`,
  },
  {
    name: 'bounced_has_report',
    rules: ['D6'],
    holds: 'A send is bounced when a report says that a recipient was not reached, and only then.',
    broken: `
      select s.id as send, s.state from sends s
       where (s.state = 'bounced') <> exists (
         select from send_reports r where r.send_id = s.id and r.action = 'failed')`,
  },
  {
    name: 'appended_copy_is_due',
    rules: ['U1'],
    holds:
      'The gateway puts a copy into Sent only of what the provider took, and only where the provider saves none; nobody has it when that is over.',
    broken: `
      select c.id as send, s.state, b.provider
        from sent_copies c join sends s on s.id = c.id join mailboxes b on b.id = c.mailbox_id
       where s.state not in ('sent', 'bounced') or s.mailbox_id <> c.mailbox_id
          or b.provider <> all('{${[...sentCopyWaitsMs.keys()].join(',')}}')
          or (c.outcome = 'appended' and c.begun_at is null)
          or (not c.ready and c.lease_owner is not null)`,
  },
  {
    name: 'send_is_known',
    rules: ['S12', 'D4'],
    holds:
      'A send is known by the Message-IDs that it went out under, so that its copy is no second message.',
    // A Message-ID that is long or not ASCII is kept as a hash of it (message/message-id.ts).
    broken: `
      select s.id as send, s.message_id as message
        from sends s cross join lateral unnest(array[s.internet_message_id, s.server_message_id]) as given (id)
       where given.id is not null
         and not exists (select from message_keys k where k.message_id = s.message_id
                            and (k.key = given.id or k.key like 'sha256:%'))`,
  },
  {
    name: 'envelope_has_recipients',
    rules: ['D0', 'D3'],
    holds: 'A send goes to those whom its message names, to all of them and to nobody else.',
    // Addresses that are not plain may be written in two ways.
    broken: `
      with named as (
        select s.id, lower(person ->> 'address') as address
          from sends s join messages m on m.id = s.message_id
         cross join lateral jsonb_array_elements(m.recipients_to || m.recipients_cc || m.recipients_bcc) person),
      enveloped as (
        select s.id, lower(address) as address
          from sends s cross join lateral jsonb_array_elements_text(s.envelope -> 'to') address)
      select distinct id as send
        from (select * from named full join enveloped using (id, address)
               where named.id is null or enveloped.id is null) one_sided
       where address ~ '^[a-z0-9._+-]+@[a-z0-9.-]+$'`,
  },
  {
    name: 'refused_were_written_to',
    rules: ['D5'],
    holds: 'Recipients are refused, each once, of what was taken for others, or may have been.',
    broken: `
      select s.id as send, r.address from sends s
       cross join lateral (
         select r ->> 'address' as address, count(*) as times from jsonb_array_elements(s.refused) r group by 1) r
       where s.state not in ('sending', 'uncertain', 'sent', 'bounced') or r.times > 1
          or r.address not in (select jsonb_array_elements_text(s.envelope -> 'to'))`,
  },
  {
    name: 'send_is_told',
    rules: ['D6', 'W2'],
    holds: 'The state of a send was told by an event, where it has one.',
    broken: `
      select s.id as send, s.state from sends s
       where s.state not in ('sending', 'uncertain') and s.state_since >= ${keptFrom('events')}
         and not exists (select from events e where e.object_id = s.id and e.type = 'send.' || s.state)`,
  },
  {
    name: 'place_is_given_back',
    rules: ['L3'],
    holds: 'What failed or was cancelled has no place among the individual messages of the day.',
    broken: `
      select s.id as send from daily_places p join sends s on s.id = p.send_id where s.state in ('failed', 'cancelled')`,
  },
  {
    name: 'tracking_is_told',
    rules: ['D7', 'W2'],
    holds: 'The first opening of a message, and the first click on each of its links, was told by an event.',
    broken: `
      select t.send_id as send, t.n from tracked t
       where t.count > 0 and t.first_at >= ${keptFrom('events')} and (
         select count(*) from events e
          where e.object_id = t.send_id and e.type = case when t.n = 0 then 'send.opened' else 'send.clicked' end
            and e.data->>'url' is not distinct from t.url) <> 1`,
  },
];
