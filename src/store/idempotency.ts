import { jsonText, rows, run, runLong } from './database.ts';
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
 * Holds back other calls with these keys until the transaction ends, or waits for them: of two with the same key one does
 * the work. In one order for everybody.
 */
export async function lockCalls(db: Db, calls: readonly KeyedCall[]): Promise<void> {
  if (calls.length === 0) return;
  await run(
    db,
    `select pg_advisory_xact_lock(lock)
       from (select distinct hashtextextended(name, 0) as lock from unnest(:names::text[]) name order by 1) l`,
    { names: calls.map(({ subAccountId, key }) => JSON.stringify(['idempotency', subAccountId, key])) },
  );
}

/**
 * The answers that calls got before, in their order; `other_request` where the key came with another body; null where
 * the key is new. What is new stays so until the transaction ends only where its key is locked.
 */
export async function findAnswers(
  db: Db,
  calls: readonly KeyedCall[],
): Promise<(RememberedAnswer | 'other_request' | null)[]> {
  if (calls.length === 0) return [];
  const found = await rows<RememberedAnswer & { n: number; same: boolean }>(
    db,
    `select asked.n::int as n, k.request_hash = asked.hash as same, k.status, k.body
       from unnest(:subs::text[], :keys::text[], :hashes::bytea[]) with ordinality as asked (sub, key, hash, n)
      cross join lateral (
        select * from idempotency_keys where sub_account_id = asked.sub and key = asked.key offset 0) k`,
    {
      subs: calls.map(({ subAccountId }) => subAccountId),
      keys: calls.map(({ key }) => key),
      hashes: calls.map(({ requestHash }) => requestHash),
    },
  );
  const answers: (RememberedAnswer | 'other_request' | null)[] = calls.map(() => null);
  for (const { n, same, status, body } of found) answers[n - 1] = same ? { status, body } : 'other_request';
  return answers;
}

/** Keeps the answers of calls for their repeats; in the transaction of what they did. */
export async function rememberAnswers(
  db: Db,
  answered: readonly { call: KeyedCall; answer: RememberedAnswer }[],
): Promise<void> {
  if (answered.length === 0) return;
  await run(
    db,
    `insert into idempotency_keys (sub_account_id, key, request_hash, status, body)
     select sub, key, hash, status, body::jsonb
       from unnest(:subs::text[], :keys::text[], :hashes::bytea[], :statuses::int[], :bodies::text[])
         as t(sub, key, hash, status, body)`,
    {
      subs: answered.map(({ call }) => call.subAccountId),
      keys: answered.map(({ call }) => call.key),
      hashes: answered.map(({ call }) => call.requestHash),
      statuses: answered.map(({ answer }) => answer.status),
      bodies: answered.map(({ answer }) => jsonText(answer.body)),
    },
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
