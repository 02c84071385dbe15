import type { Invariant } from './invariant.ts';

/**
 * What the facts of a decision may be called (filing/facts.ts): ids, booleans, counts and words of our
 * own. A name that is not here may hold what nobody was to keep.
 */
const factNames = `
  role draft discarded direction kind forward forwards beforeConnection author own user contacts
  outsideRecipients recipientContacts neverLog known erased threads reportsOn syncSentToContacts messageId
  sendId failed doubt id assigned assignedAnywhere claimed shared assignedContactsOnly twoWaySyncOff byHand answered threadId here
  by link unlinkedReason shares crmSent logged loop gone byUser proof released forwarded counterparts contacts neverLogged tooLarge omitted`
  .trim()
  .split(/\s+/);

/** The same of what the rules said (filing/because.ts). */
const valueNames = 'say message thread contact first kind doubt reason key role count most way'.split(' ');

const listed = (names: readonly string[]) => names.map((name) => `'${name}'`).join(', ');

/** Of what was seen, and what the rules said of it. */
export const decisionInvariants: readonly Invariant[] = [
  {
    name: 'sighting_has_decision',
    rules: ['T1'],
    holds: 'Where a message was seen, a decision says why it is stored, or why only its header is.',
    broken: `
      select s.message_id as message, s.folder_id as folder, s.uid_validity, s.uid from sightings s
       where not exists (select from decisions d where d.folder_id = s.folder_id and d.uid_validity = s.uid_validity
                            and d.uid = s.uid and d.sub_account_id = s.sub_account_id
                            and (d.outcome = 'stored' or d.reason = 'attachment_too_large') and d.message_id = s.message_id)`,
  },
  {
    name: 'stored_message_was_sighted',
    rules: ['S12', 'T1'],
    holds: 'Where a decision stored a message, the message counts as seen, unless it was erased.',
    broken: `
      select d.id as decision, d.message_id as message
        from decisions d join messages m on m.id = d.message_id
       where d.outcome = 'stored' and d.folder_id is not null
         and not exists (select from sightings s where s.folder_id = d.folder_id and s.uid_validity = d.uid_validity
                            and s.uid = d.uid and s.sub_account_id = d.sub_account_id and s.message_id = d.message_id)`,
  },
  {
    name: 'send_has_decision',
    rules: ['S1', 'T1'],
    holds: 'What the CRM sent has one decision that says so.',
    broken: `
      select s.id as send, s.message_id as message
        from sends s left join decisions d on d.message_id = s.message_id
             and d.outcome = 'stored' and d.reason = 'crm_send' and d.folder_id is null
       group by s.id, s.message_id having count(d.id) <> 1`,
  },
  {
    name: 'decision_names_message',
    rules: ['T1'],
    holds:
      'A decision names a message if it stored it, or no more than its header, or is about a report on it, and else none.',
    broken: `
      select d.id as decision from decisions d
       where (d.outcome = 'stored' or d.reason in ('delivery_report', 'read_receipt')
              or (d.outcome = 'skipped' and d.reason = 'attachment_too_large')) <> (d.message_id is not null)`,
  },
  {
    name: 'decision_has_place',
    rules: ['T1'],
    holds:
      'A decision says where the message was seen: folder, UIDVALIDITY and UID; only what the CRM sent, or what came to a logging address, has no place.',
    broken: `
      select d.id as decision from decisions d
       where num_nonnulls(d.folder_id, d.uid_validity, d.uid) <> case when d.reason = 'crm_send' or d.intake_id is not null then 0 else 3 end`,
  },
  {
    name: 'place_is_in_mailbox',
    rules: ['T1'],
    holds: 'A place is in the mailbox for which it was judged.',
    broken: `
      select 'sighting' as what, s.message_id as id, s.folder_id as folder
        from sightings s join folders f on f.id = s.folder_id where f.mailbox_id <> s.mailbox_id
      union all
      select 'decision', d.id, d.folder_id
        from decisions d join folders f on f.id = d.folder_id where f.mailbox_id is distinct from d.mailbox_id`,
  },
  {
    name: 'judged_once',
    rules: ['S12', 'T1'],
    holds: 'Of a sighting one decision holds for each connection; one that was replaced names a later one.',
    broken: `
      select d.connection_id as connection, d.folder_id as folder, d.uid_validity, d.uid from decisions d
       where d.folder_id is not null
         and not exists (select from decisions later where later.id = d.replaced_by and later.id > d.id
                            and later.connection_id = d.connection_id and later.folder_id = d.folder_id
                            and later.uid_validity = d.uid_validity and later.uid = d.uid)
       group by d.connection_id, d.folder_id, d.uid_validity, d.uid having count(*) > 1`,
  },
  {
    name: 'cursor_is_ahead',
    rules: ['S14', 'T1'],
    holds: 'No connection has a decision that is not behind the cursor of its folder.',
    // The cursor starts anew, and perhaps lower, for whoever connects again.
    broken: `
      select d.id as decision, d.folder_id as folder, d.uid
        from decisions d
        join folders f on f.id = d.folder_id and f.uid_validity = d.uid_validity and f.cursor_uid < d.uid
        join connections c on c.id = d.connection_id and c.ended_at is null`,
  },
  {
    name: 'decision_has_no_content',
    rules: ['T1', 'S5'],
    holds:
      'A decision holds nothing of a mail: ids, counts and words of our own in its facts, and hashes of one length.',
    // The ids of contacts and users are the CRM's own, and may look like anything. The backslash is knex's.
    broken: `
      select d.id as decision from decisions d
       where octet_length(d.id_hash) <> 16
          or exists (select from unnest(d.address_hashes) h where octet_length(h) <> 16)
          or exists (select from jsonb_array_elements(d.reasons) r where r - 'rule' - 'because' <> '{}'
                        or jsonb_typeof(r -> 'because') not in ('object', 'null'))
          or exists (
            select from jsonb_path_query(d.reasons, '$[*].because.** \\? (@.type() == "object")') o, jsonb_each(o) f
             where f.key not in (${listed(valueNames)})
                or (f.key <> 'contact' and jsonb_typeof(f.value) <> 'object' and f.value #>> '{}' !~ '^[a-z0-9_-]{1,64}$'))
          or exists (
            select from jsonb_path_query(d.facts, '$.** \\? (@.type() == "object")') o, jsonb_each(o) f
             where f.key not in (${listed(factNames)})
                or (f.key <> 'id' and exists (
                     select from jsonb_path_query(f.value, '$[*] \\? (@.type() == "string")') word
                      where word #>> '{}' !~ '^[a-z0-9_-]{1,64}$')))`,
  },
];
