import type { Because } from './because.ts';
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

function hold(reason: Extract<Answer, { verdict: 'hold' }>['reason'], because: Because): Answer {
  return { verdict: 'hold', reason, because };
}

function robot({ kind, loop }: LoggedFacts): Answer | null {
  if (loop) return skip('mail_loop', { say: 'loop' });
  if (kind !== 'auto_reply' && kind !== 'delivery_report' && kind !== 'read_receipt') return null;
  return skip('automatic', { say: 'no_person', kind: { say: `kind_${kind}` } });
}

function gone(logged: LoggedFacts): Answer | null {
  return logged.gone ? skip('address_gone', { say: 'no_member' }) : null;
}

function sender({ byUser, proof, released }: LoggedFacts): Answer | null {
  if (!byUser) return skip('not_the_user', { say: 'not_the_user' });
  return proof === 'proven' || released ? null : hold('unproven', { say: `proof_${proof}` });
}

function unclear({ forwarded, counterparts, released }: LoggedFacts): Answer | null {
  if (released) return null;
  if (forwarded === 'unsure') return hold('forward_unclear', { say: 'forward_unclear' });
  if (counterparts <= loggedRecipientsMax) return null;
  const [count, most] = [String(counterparts), String(loggedRecipientsMax)];
  return hold('too_many_recipients', { say: 'too_many_outside', count, most });
}

/** What is stored is not brought back, whatever was erased that looks alike. */
function erased(facts: Facts): Answer | null {
  if (facts.erased === null || facts.known !== null) return null;
  return skip('erased', { say: 'erased', message: facts.erased });
}

function neverLog({ counterparts, neverLogged }: LoggedFacts): Answer | null {
  if (counterparts > 0 || neverLogged === 0) return null;
  return skip('never_log', { say: 'all_never_log' });
}

function nobodyOutside({ counterparts }: LoggedFacts): Answer | null {
  return counterparts > 0 ? null : skip('counterpart_is_user', { say: 'nobody_outside' });
}

function featureOff({ contacts }: LoggedFacts, { twoWaySyncOff }: Facts): Answer | null {
  if (!twoWaySyncOff || contacts.length > 0) return null;
  return skip('feature_off', { say: 'off_no_contact' });
}

/** Held, not dropped: a mail in a mailbox can be fetched by hand later, this one could not. */
function tooLarge(logged: LoggedFacts): Answer | null {
  return logged.tooLarge ? hold('attachment_too_large', { say: 'too_large_for_user' }) : null;
}

/** In the thread that it belongs to, live or not: the user says that it is the CRM's. */
function logged({ forwarded, proof, released }: LoggedFacts, facts: Facts): Answer {
  const what: Because = { say: forwarded === 'no' ? 'user_sent' : 'user_forwarded' };
  const because: Because = proof !== 'proven' && released ? { say: 'reviewed', first: what } : what;
  const { known } = facts;
  if (known !== null) {
    const joined: Because = { say: 'same_message', first: because, message: known.messageId };
    if (!known.omitted) return { verdict: 'join', reason: 'logged', because: joined, known };
    return { verdict: 'store', reason: 'logged', because: joined, threadId: known.threadId, fills: known };
  }
  const thread = facts.threads.find((each) => belongs(facts, each));
  return { verdict: 'store', reason: 'logged', because, threadId: thread?.threadId ?? null, fills: null };
}
