import { newId } from '../lib/id.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import type { DecisionRow } from '../store/decision-writes.ts';
import { addErrands } from '../store/errands.ts';
import { findLeftOut } from '../store/judged-again.ts';
import { findLoggingOwners } from '../store/logging-addresses.ts';
import { subAccountsLogging } from '../store/spool.ts';
import type { LoggedMail } from '../store/spool.ts';
import { claim } from './claim.ts';
import type { Verdict } from './decide.ts';
import type { Facts } from './facts.ts';
import type { FilingDeps } from './file.ts';
import type { Ground } from './gather.ts';
import { hashOfAddress, hashOfMessageId } from './hashes.ts';
import type { Letter } from './letter.ts';
import { counterpartsOf } from './logging.ts';

/*
 * What logged mail means for the user's mailbox, in which the rest of the exchange is: within the transaction that
 * stores it.
 */

/** A mail to a logging address with what the rules said of it. */
export type JudgedLetter = { letter: Letter; facts: Facts; verdict: Verdict; row: DecisionRow };

/** S9: what the user writes in their mail program claims its contacts when it names the logging address of one sub-account. */
export async function claimAnswered(
  tx: Db,
  { loggingDomain }: Pick<FilingDeps, 'loggingDomain'>,
  mailboxId: MailboxId,
  letters: readonly JudgedLetter[],
): Promise<void> {
  const answers = letters.filter(
    ({ facts, row }) => row.message_id !== null && facts.direction === 'outbound',
  );
  const [first] = answers;
  if (loggingDomain === null || first === undefined) return;
  const { subAccountId } = first.letter.mail;
  const named = await findLoggingOwners(
    tx,
    answers.flatMap(({ letter }) => letter.otherLocalParts),
  );
  const logging = await subAccountsLogging(
    tx,
    answers.flatMap(({ letter: { mail } }) => (isToSeveral(mail) ? [mail.acceptedId] : [])),
  );
  const alone = answers.filter(({ letter: { mail, otherLocalParts } }) =>
    [
      ...(logging.get(mail.acceptedId) ?? []),
      ...otherLocalParts.flatMap((local) => named.get(local)?.subAccountId ?? []),
    ].every((id) => id === subAccountId),
  );
  const contactIds = alone.flatMap(({ facts }) => facts.logged?.contacts.map(({ id }) => id) ?? []);
  if (contactIds.length > 0) await claim(tx, { mailboxId, subAccountId, contactIds });
}

/** Whether other logging addresses than the one that it is filed for were among its recipients. */
function isToSeveral({ envelope }: LoggedMail): boolean {
  return new Set(envelope.to.map(({ loggingAddressId }) => loggingAddressId)).size > 1;
}

/**
 * The mailbox's own copy may have been judged first, and an answer as well, when nobody on them was a contact: they
 * are judged again, so that it is one message, and nothing of the exchange is missing (B3, S12).
 */
export async function judgeLeftOut(
  { secretBox }: Pick<FilingDeps, 'secretBox'>,
  tx: Db,
  mailboxId: MailboxId,
  { ground, letters }: { ground: Ground | null; letters: readonly JudgedLetter[] },
): Promise<void> {
  const connectionId = ground?.connection.id;
  const stored = letters.filter(({ row }) => row.message_id !== null);
  if (ground === null || connectionId === undefined || stored.length === 0) return;
  const found = await findLeftOut(tx, {
    connectionId,
    idHashes: stored.flatMap(({ letter, row }) => [
      ...(row.id_hash === null ? [] : [row.id_hash]),
      ...(letter.citedId === null ? [] : [hashOfMessageId(secretBox, letter.citedId)]),
    ]),
    addresses: stored.flatMap(({ letter }) =>
      counterpartsOf(letter, ground).people.map(({ address }) => ({
        hash: hashOfAddress(secretBox, address),
        since: contactsSince(letter),
      })),
    ),
  });
  await addErrands(
    tx,
    found.map((place) => ({
      id: newId('err'),
      kind: 'judge_again',
      sub_account_id: ground.connection.subAccountId,
      connection_id: connectionId,
      mailbox_id: mailboxId,
      request: { ...place, byHand: false },
    })),
  );
}

/** For so long a mail may be on its way, and be answered from elsewhere meanwhile: RFC 5321 §4.5.4.1, 4 to 5 days. */
const onItsWayMsMax = 5 * 24 * 3_600_000;

/**
 * From when on mail of those on it is the CRM's (B3): since the user wrote it to them, as far as its date can be
 * true, or forwarded what they had written. What they wrote before stays private, and is offered (S16).
 */
function contactsSince({ mail, sighting: { header, place } }: Letter): number {
  if (place.role === 'inbox') return mail.receivedAt;
  const written = Math.min(header.date ?? mail.receivedAt, mail.receivedAt);
  return Math.max(written, mail.receivedAt - onItsWayMsMax);
}
