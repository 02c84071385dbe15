import { newId } from '../lib/id.ts';
import type { Db } from '../store/database.ts';
import { addErrands } from '../store/errands.ts';
import type { DecidedPlace } from '../store/judged-again.ts';
import { retrySpooled } from '../store/spool.ts';

export type AskAgainDeps = {
  db: Db;
  /** Called after a commit that left something to do in a mailbox behind. */
  wakeErrands(): void;
  /** Called after a commit that left mail to a logging address to be filed. */
  wakeFiler(): void;
};

/** Why it is not asked for. `not_kept`: it came to a logging address, and was dropped. */
export type NotAsked = 'already_decided' | 'not_connected' | 'not_kept';

/**
 * Has the mail of a decision judged once more: a failed one by the rules (T3), one that was left out stored by hand.
 * A new decision for the same place says what came of it.
 */
export async function askAgain(
  deps: AskAgainDeps,
  subAccountId: string,
  decision: DecidedPlace,
): Promise<'asked' | NotAsked> {
  const refused = notAskedFor(decision);
  if (refused !== null) return refused;
  const { connectionId, mailboxId, folderId, uidValidity, uid, outcome: was, intakeId } = decision;
  if (intakeId !== null) {
    // What was not logged is not kept; what failed is.
    if (!(await retrySpooled(deps.db, intakeId))) return 'not_kept';
    deps.wakeFiler();
    return 'asked';
  }
  if (connectionId === null || mailboxId === null || folderId === null) return 'not_connected';
  const request = { folderId, uidValidity, uids: [uid], byHand: was === 'skipped' };
  const row = { sub_account_id: subAccountId, connection_id: connectionId, mailbox_id: mailboxId };
  await addErrands(deps.db, [{ id: newId('err'), kind: 'judge_again', ...row, request }]);
  deps.wakeErrands();
  return 'asked';
}

/** Why a decision cannot be asked for once more, as far as it says so itself; null where it does not. Pure. */
export function notAskedFor(
  decision: Pick<
    DecidedPlace,
    'outcome' | 'reason' | 'replacedBy' | 'intakeId' | 'connectionId' | 'isActive' | 'folderId'
  >,
): NotAsked | null {
  const { outcome, reason } = decision;
  if (outcome === 'stored' || outcome === 'held' || decision.replacedBy !== null) return 'already_decided';
  if (['delivery_report', 'read_receipt', 'erased'].includes(reason)) return 'already_decided';
  if (decision.intakeId !== null) return outcome === 'failed' ? null : 'not_kept';
  const isThere = decision.connectionId !== null && decision.folderId !== null && decision.isActive;
  return isThere ? null : 'not_connected';
}
