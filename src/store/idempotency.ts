import { rows, run, runLong } from './database.ts';
import type { Db } from './database.ts';

/** A call that named itself by an `Idempotency-Key` (D3). */
export type KeyedCall = {
  subAccountId: string;
  key: string;
  /** SHA-256 of what was asked for; the same key with another one is an error. */
  requestHash: Buffer;
};

/** What was answered the first time. */
export type RememberedAnswer = { status: number; body: unknown };

/**
 * The answer that this call got before; `other_request` when the key came with another body; null
 * when the key is new. Call it first in the transaction that does the work: a second call with the
 * same key waits here until that one has ended, so the work is done once.
 */
export async function findAnswer(
  db: Db,
  call: KeyedCall,
): Promise<RememberedAnswer | 'other_request' | null> {
  await run(db, 'select pg_advisory_xact_lock(hashtextextended(:name, 0))', {
    name: JSON.stringify(['idempotency', call.subAccountId, call.key]),
  });
  const [row] = await rows<RememberedAnswer & { same: boolean }>(
    db,
    `select request_hash = :requestHash as same, status, body from idempotency_keys
     where sub_account_id = :subAccountId and key = :key`,
    call,
  );
  if (row === undefined) return null;
  return row.same ? { status: row.status, body: row.body } : 'other_request';
}

/** Keeps the answer of a call for its repeats; in the transaction of what it did. */
export async function rememberAnswer(db: Db, call: KeyedCall, answer: RememberedAnswer): Promise<void> {
  await run(
    db,
    `insert into idempotency_keys (sub_account_id, key, request_hash, status, body)
     values (:subAccountId, :key, :requestHash, :status, :body::jsonb)`,
    { ...call, status: answer.status, body: JSON.stringify(answer.body) },
  );
}

/** Forgets the answers that are older than `hours`, and says how many. */
export function forgetAnswers(db: Db, hours: number): Promise<number> {
  return runLong(
    db,
    `delete from idempotency_keys where created_at < now() - make_interval(hours => :hours)`,
    {
      hours,
    },
  );
}
