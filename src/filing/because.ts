/** Pure: what the rules say of a sighting, besides the code of their answer. */
import type { Decision } from '../store/decisions.ts';
import type { Held, PublicHeld } from '../store/held.ts';
import { say } from '../lib/said.ts';
import type { Said, Saying } from '../lib/said.ts';

/**
 * Every reason in English, by the word under which it is stored with the decision. Values are ids and numbers, never
 * content of a mail; what may have several words is a reason of its own, so that each language has its own for it.
 */
export const becauseEnglish = {
  draft: 'it is a draft',
  in_folder: 'it is in the folder for {role}',
  role_all: 'all',
  role_inbox: 'inbox',
  role_sent: 'sent',
  role_archive: 'archive',
  role_other: 'other',
  role_spam: 'spam',
  role_trash: 'trash',
  role_drafts: 'drafts',
  same_by: "the mailbox's {message} is the same message by its {key}",
  key_id: 'id',
  key_provider_id: 'provider_id',
  key_original_id: 'original_id',
  key_fingerprint: 'fingerprint',
  known_too_large: '{first}, and too large',
  not_believed: 'a {kind} on {message} that is not believed: {doubt}',
  doubt_dmarc: 'the domain of its author asks for such mail to be refused',
  doubt_return_path: 'it has a return path',
  doubt_recipient: 'it names nobody to whom the mail went',
  report_failed: 'it says that {message} could not be delivered to everybody',
  report_late: 'it says that {message} is late or was delivered',
  report_read: 'it says that {message} was read, or deleted',
  erased: 'it is {message}, which was erased here',
  before_connection: 'the provider received it before the connection began',
  never_log: 'somebody on it is on a never-log list',
  author_is_user: 'its author is a user of the sub-account',
  recipients_are_users: 'all its recipients are users of the sub-account',
  asked_for: 'the CRM asked for it',
  off_not_from_crm: 'outlook_two_way_sync is off, and the CRM never sent in {thread}',
  off_contact: 'outlook_two_way_sync is off, so that contact {contact} opens no thread',
  unlinked: '{thread} was unlinked: {reason}',
  unlinked_superseded: 'superseded',
  unlinked_disconnected: 'disconnected',
  unlinked_claimed_elsewhere: 'claimed_elsewhere',
  unlinked_unknown: 'no reason kept',
  report_in_thread: 'a {kind} in {thread}',
  member_by_message: 'it answers, or is, a message of {thread}, which is live',
  member_by_cited: 'it is cited by a message of {thread}, which is live',
  member_by_referenced: 'it cites the same older message as {thread}, which is live',
  member_by_gmail: 'Gmail counts it to {thread}, which is live',
  member_by_thread_index: 'its Thread-Index has the root of {thread}, which is live',
  no_letter: "it is no person's letter but {kind}",
  kind_person: 'person',
  kind_auto_reply: 'auto_reply',
  kind_delivery_report: 'delivery_report',
  kind_read_receipt: 'read_receipt',
  kind_list: 'list',
  kind_bulk: 'bulk',
  claimed_elsewhere: 'another sub-account has claimed contact {contact} for this mailbox',
  assigned_to_other: 'contact {contact} is assigned to somebody else',
  assigned_elsewhere: 'contact {contact} is assigned in another sub-account only',
  author_is_contact: 'its author is contact {contact}',
  written_to_contact: 'the user wrote it to contact {contact}',
  no_match: 'its author and recipients are no contacts, and it belongs to no thread',
  fills: '{first}; of {message}, which is the same message, only the header was stored',
  same_message: '{first}; {message} is the same message',
  too_large: 'its attachments are past the limit of the mailbox',

  loop: 'it comes from a logging address, or was passed on too often',
  no_person: 'no person wrote it to the logging address: {kind}',
  no_member: 'its user is no member of the sub-account any more',
  not_the_user: 'it is not from an address of the user whose logging address it is',
  proof_unproven: 'neither DKIM nor SPF proves the domain of its sender, which has no policy against that',
  proof_failed: 'neither DKIM nor SPF proves the domain of its sender, whose policy asks to refuse such mail',
  proof_pending: 'DNS did not answer for so long that nothing is known of its sender',
  forward_unclear: 'what was forwarded cannot be read with confidence',
  too_many_outside: 'it went to {count} people outside, more than {most}',
  all_never_log: 'everybody outside on it is on a never-log list',
  nobody_outside: 'nobody on it is outside of the sub-account, or reads mail',
  off_no_contact: 'outlook_two_way_sync is off, so that a logged mail makes no contact',
  too_large_for_user: "its attachments are past the limit of the user's mailbox",
  user_sent: 'the user sent it',
  user_forwarded: 'the user forwarded it',
  reviewed: '{first}, as a person who reviewed it says',
  discarded: 'a person reviewed it, and discarded it',

  sent_through: 'the CRM sent it through {way}',
  sent_unsynced: 'the CRM sent it as {kind} mail through {way}: it syncs with no mailbox',
  way_provider: "the sub-account's provider",
  mail_individual: 'individual',
  mail_bulk: 'bulk',
  mail_workflow: 'workflow',
  no_copy: 'the provider gave no readable copy of it',
  failed_again: 'the gateway failed at it again and again',
} as const;

/** Why a rule answers as it does. */
export type Because = Said<typeof becauseEnglish>;

/** A decision as the API shows it. */
export type PublicDecision = Omit<Decision, 'steps'> & { steps: { rule: string; because: string }[] };

/** The same in English; null: the rule has nothing to say. */
export function becauseOf(because: Saying | null): string {
  return because === null ? 'does not apply' : say(becauseEnglish, because);
}

export function publicDecision(decision: Decision): PublicDecision {
  const steps = decision.steps.map(({ rule, because }) => ({ rule, because: becauseOf(because) }));
  return { ...decision, steps };
}

export function publicHeld(held: Held): PublicHeld {
  return { ...held, because: becauseOf(held.because) };
}
