import { keptFrom } from './invariant.ts';
import type { Invariant } from './invariant.ts';

/** Of events and their way to the CRM. */
export const eventInvariants: readonly Invariant[] = [
  {
    name: 'message_is_told_once',
    rules: ['W2'],
    holds: 'A message has one event that tells of its creation.',
    broken: `
      select m.id as message
        from messages m left join events e on e.object_id = m.id and e.type = 'message.created'
       where m.created_at >= ${keptFrom('events')}
       group by m.id having count(e.ord) <> 1`,
  },
  {
    name: 'erased_is_told',
    rules: ['C7', 'W2'],
    holds: 'The last event of a message that was erased says so.',
    broken: `
      select t.message_id as message from (
          select message_id, max(erased_at) as erased_at from tombstones group by message_id) t
        left join lateral (select e.type, e.data from events e where e.object_id = t.message_id
                            order by e.ord desc limit 1) last on true
       where t.erased_at >= ${keptFrom('events')}
         and (last.type is distinct from 'message.updated' or not last.data \\? 'erased_at')`,
  },
  {
    name: 'erased_left_no_content',
    rules: ['C7', 'T1'],
    holds:
      'Of a message that was erased, no event, no decision and no answer that is kept shows more than that it was there.',
    broken: `
      select t.message_id as message from (select distinct message_id from tombstones) t
       where exists (select from decisions d where d.message_id = t.message_id and d.facts is not null)
          or exists (
            select from (select e.data as shown from events e where e.object_id = t.message_id
                         union all
                         select i.body -> 'message' from idempotency_keys i where i.message_id = t.message_id) told
             where (shown ->> 'subject', shown ->> 'text', shown ->> 'reply_text', shown ->> 'html')
                     is distinct from ('', '', '', null)
                or shown #>> '{from,address}' <> '' or shown ->> 'internet_message_id' is not null
                or shown -> 'to' <> '[]' or shown -> 'cc' <> '[]' or shown -> 'attachments' <> '[]')`,
  },
  {
    name: 'conversation_is_told_once',
    rules: ['W2'],
    holds: 'A conversation has one event that tells of its creation.',
    broken: `
      select v.id as conversation
        from conversations v left join events e on e.object_id = v.id and e.type = 'conversation.created'
       where v.created_at >= ${keptFrom('events')}
       group by v.id having count(e.ord) <> 1`,
  },
  {
    name: 'connection_state_is_told',
    rules: ['C5', 'W2'],
    holds: 'The state of a connection is the one that the CRM heard of last.',
    broken: `
      select c.id as connection, c.state
        from connections c
        left join (select distinct on (e.object_id) e.object_id, e.data ->> 'state' as state from events e
                    where e.type like 'connection.%' order by e.object_id, e.ord desc) told on told.object_id = c.id
       where c.ended_at is null and c.state_since >= ${keptFrom('events')} and c.state is distinct from told.state`,
  },
  {
    name: 'connection_state_is_news',
    rules: ['C5'],
    holds: 'The same state of a connection is never announced twice in a row.',
    broken: `
      select connection, event from (
        select c.id as connection, e.id as event, e.data ->> 'state' as state,
               lag(e.data ->> 'state') over (partition by c.id order by e.ord) as before
          from connections c join events e on e.object_id = c.id
         where c.ended_at is null and e.type in ('connection.created', 'connection.state_changed')) told
       where state = before`,
  },
  {
    name: 'event_has_own_number',
    rules: ['W2'],
    holds: 'No two events have the same number, or the same place in the order in which they were recorded.',
    broken: `
      select min(e.id) as event, 'sequence' as of, e.sequence as number from events e
       where e.sequence is not null group by e.sequence having count(*) > 1
      union all
      select min(e.id), 'ord', e.ord from events e group by e.ord having count(*) > 1`,
  },
  {
    name: 'event_number_is_given',
    rules: ['W2'],
    holds: 'No event has a number that is still to be given: the CRM would miss the one that gets it.',
    broken: `
      select e.id as event, e.sequence from events e, event_numbers n
       where e.sequence > n.last_value or (e.sequence = n.last_value and not n.is_called)`,
  },
  {
    name: 'delivery_is_of_numbered_event',
    rules: ['W2'],
    holds: 'Only an event that has its number is delivered, to each webhook once.',
    broken: `
      select min(d.id) as delivery, d.webhook_id as webhook, e.id as event
        from deliveries d left join events e on e.id = d.event_id
       group by d.webhook_id, d.event_id, e.id, e.sequence having count(*) > 1 or e.sequence is null`,
  },
  {
    name: 'delivery_state_agrees',
    rules: ['W2'],
    holds: 'A pending delivery is tried, a parked or delivered one is not, and a delivered one says when.',
    broken: `
      select d.id as delivery, d.state from deliveries d
       where d.ready <> (d.state = 'pending') or (d.state = 'delivered') <> (d.delivered_at is not null)`,
  },
  {
    name: 'delivery_has_keys',
    rules: ['W2'],
    holds:
      'A delivery that is still to be made holds the order keys of its event, and one that is over holds none.',
    broken: `
      with due as (
        select distinct d.id, d.webhook_id, d.seq, k.key
          from deliveries d join events e on e.id = d.event_id cross join lateral unnest(e.order_keys) as k (key)
         where d.ready)
      select distinct coalesce(due.id, held.delivery_id) as delivery
        from due full join delivery_keys held on held.delivery_id = due.id and held.webhook_id = due.webhook_id
                                             and held.seq = due.seq and held.key = due.key
       where due.id is null or held.delivery_id is null`,
  },
  {
    name: 'delivery_waits_for_another',
    rules: ['W2'],
    holds: 'A delivery waits exactly as long as an earlier one of the same conversation is still to be made.',
    broken: `
      with placed as (
        select delivery_id, seq > min(seq) over (partition by webhook_id, key) as is_behind from delivery_keys)
      select d.id as delivery
        from deliveries d
        left join (select distinct delivery_id from placed where is_behind) behind on behind.delivery_id = d.id
       where d.ready and (d.due_at = 'infinity') <> (behind.delivery_id is not null)`,
  },
];
