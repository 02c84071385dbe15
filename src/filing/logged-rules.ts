import type { Facts, LoggedFacts } from './facts.ts';
import { belongs, skip } from './rules.ts';
import type { Answer, Rule } from './rules.ts';

/** B2: a mail to more is no letter, and makes no contacts before somebody has looked at it. */
const loggedRecipientsMax = 20;

/** The rules for what came to a logging address, in the order in which they are asked; the first answer counts. */
export const loggedRules: readonly Rule[] = [
  { id: 'B6', ask: ofLogged(robot) },
  { id: 'B1', ask: ofLogged(gone) },
  { id: 'B4', ask: ofLogged(sender) },
  // Before all that asks who wrote it: that is what is not clear.
  { id: 'B2', ask: ofLogged(unclear) },
  { id: 'C7', ask: erased },
  { id: 'S15', ask: ofLogged(neverLog) },
  { id: 'S7', ask: ofLogged(nobodyOutside) },
  { id: 'S10', ask: ofLogged(featureOff) },
  { id: 'L1', ask: ofLogged(tooLarge) },
  { id: 'B2', ask: ofLogged(logged) },
];

function ofLogged(ask: (logged: LoggedFacts, facts: Facts) => Answer | null): Rule['ask'] {
  return (facts) => (facts.logged === undefined ? null : ask(facts.logged, facts));
}

function hold(reason: Extract<Answer, { verdict: 'hold' }>['reason'], because: string): Answer {
  return { verdict: 'hold', reason, because };
}

function robot({ kind, loop }: LoggedFacts): Answer | null {
  if (loop) return skip('mail_loop', 'it comes from a logging address, or was passed on too often');
  if (kind !== 'auto_reply' && kind !== 'delivery_report' && kind !== 'read_receipt') return null;
  return skip('automatic', `no person wrote it to the logging address: ${kind}`);
}

function gone(logged: LoggedFacts): Answer | null {
  return logged.gone ? skip('address_gone', 'its user is no member of the sub-account any more') : null;
}

const withoutProof: Readonly<Record<LoggedFacts['proof'], string | null>> = {
  proven: null,
  unproven: 'neither DKIM nor SPF proves the domain of its sender, which has no policy against that',
  failed: 'neither DKIM nor SPF proves the domain of its sender, whose policy asks to refuse such mail',
  pending: 'DNS did not answer for so long that nothing is known of its sender',
};

function sender({ byUser, proof, released }: LoggedFacts): Answer | null {
  if (!byUser)
    return skip('not_the_user', 'it is not from an address of the user whose logging address it is');
  const because = withoutProof[proof];
  return because === null || released ? null : hold('unproven', because);
}

function unclear({ forwarded, counterparts, released }: LoggedFacts): Answer | null {
  if (released) return null;
  if (forwarded === 'unsure')
    return hold('forward_unclear', 'what was forwarded cannot be read with confidence');
  if (counterparts <= loggedRecipientsMax) return null;
  return hold(
    'too_many_recipients',
    `it went to ${counterparts} people outside, more than ${loggedRecipientsMax}`,
  );
}

/** What is stored is not brought back, whatever was erased that looks alike. */
function erased(facts: Facts): Answer | null {
  if (facts.erased === null || facts.known !== null) return null;
  return skip('erased', `it is ${facts.erased}, which was erased here`);
}

function neverLog({ counterparts, neverLogged }: LoggedFacts): Answer | null {
  if (counterparts > 0 || neverLogged === 0) return null;
  return skip('never_log', 'everybody outside on it is on a never-log list');
}

function nobodyOutside({ counterparts }: LoggedFacts): Answer | null {
  return counterparts > 0
    ? null
    : skip('counterpart_is_user', 'nobody on it is outside of the sub-account, or reads mail');
}

function featureOff({ contacts }: LoggedFacts, { twoWaySyncOff }: Facts): Answer | null {
  if (!twoWaySyncOff || contacts.length > 0) return null;
  return skip('feature_off', 'outlook_two_way_sync is off, so that a logged mail makes no contact');
}

/** Held, not dropped: a mail in a mailbox can be fetched by hand later, this one could not. */
function tooLarge(logged: LoggedFacts): Answer | null {
  return logged.tooLarge
    ? hold('attachment_too_large', "its attachments are past the limit of the user's mailbox")
    : null;
}

/** In the thread that it belongs to, live or not: the user says that it is the CRM's. */
function logged({ forwarded, proof, released }: LoggedFacts, facts: Facts): Answer {
  const what = forwarded === 'no' ? 'the user sent it' : 'the user forwarded it';
  const because =
    proof === 'proven' ? what : `${what}${released ? ', as a person who reviewed it says' : ''}`;
  const { known } = facts;
  if (known !== null) {
    const joined = `${because}; ${known.messageId} is the same message`;
    if (!known.omitted) return { verdict: 'join', reason: 'logged', because: joined, known };
    return { verdict: 'store', reason: 'logged', because: joined, threadId: known.threadId, fills: known };
  }
  const thread = facts.threads.find((each) => belongs(facts, each));
  return { verdict: 'store', reason: 'logged', because, threadId: thread?.threadId ?? null, fills: null };
}
