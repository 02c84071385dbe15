import type { Config } from './config.ts';
import { openExistingData, readSecretKeys } from './data.ts';
import { explainDecision } from './filing/explain.ts';
import { explain, findDecided } from './filing/history.ts';
import type { DecisionId, MessageId } from './lib/id.ts';
import type { SecretBox } from './lib/secret-box.ts';
import type { Db } from './store/database.ts';
import { readFacts } from './store/decisions.ts';
import type { Decision } from './store/decisions.ts';
import { openSecretBox } from './store/hash-key.ts';
import { subAccountsOf } from './store/filing-writes.ts';

/** Decisions that are told of, the newest; an address may have thousands. */
const toldMax = 50;

/**
 * `twoway explain` (T1): why a message is here, or why it is not, in words. `what` is the id of a stored message, a
 * Message-ID or an address; mail that was left out is found by the keyed hashes of its decisions. Changes nothing,
 * and may run beside a gateway on PostgreSQL.
 */
export async function explainMail(config: Config, what: string): Promise<{ text: string; isFound: boolean }> {
  const database = await openExistingData(config);
  try {
    const { db } = database;
    const lines = what.startsWith('msg_')
      ? await storyOf(db, what as MessageId)
      : await searched(db, await secretBoxOf(config, db), what);
    return { text: `${(lines ?? [unknown(what)]).join('\n')}\n`, isFound: lines !== null };
  } finally {
    await database.close();
  }
}

async function secretBoxOf(config: Config, db: Db): Promise<SecretBox> {
  const secretBox = await openSecretBox(db, readSecretKeys(config));
  if (secretBox === null) throw new Error('no gateway was started on this database yet');
  return secretBox;
}

function unknown(what: string): string {
  return (
    `Nothing is known of ${what}: it was in no mailbox that is connected, or its mailbox was not looked at yet ` +
    `(see caught_up_to of the connection), or it is no mail that any connection could see.`
  );
}

/** The story of a stored message, as the API tells it, with the facts; null where there is no such message. */
async function storyOf(db: Db, id: MessageId): Promise<string[] | null> {
  const [owner] = await subAccountsOf(db, { messages: [id], sends: [] });
  if (owner === undefined) return null;
  const explained = await explain(db, owner.sub_account_id, id);
  if (explained === null) return null;
  const { decisions } = explained.history;
  const facts = await readFacts(
    db,
    decisions.map((decision) => decision.id),
  );
  return [
    `Sub-account ${owner.sub_account_id}:`,
    ...explained.story,
    ...decisions.flatMap((decision) => wordsOfFacts(decision, facts).map((line) => `${decision.id}:${line}`)),
  ];
}

/** What was decided about mail of this Message-ID, or with this address on it; null where nothing was. */
async function searched(db: Db, secretBox: SecretBox, what: string): Promise<string[] | null> {
  const found = await findDecided(
    db,
    secretBox,
    { what, subAccountId: null },
    { after: null, limit: toldMax + 1 },
  );
  if (found.length === 0) return null;
  const told = found.slice(0, toldMax).toReversed();
  const facts = await readFacts(
    db,
    told.map((decision) => decision.id),
  );
  return [
    ...(found.length > toldMax ? [`The newest ${toldMax}; the API has the others (GET …/decisions).`] : []),
    ...told.flatMap((decision) => [
      `Sub-account ${decision.sub_account_id}, mailbox ${decision.mailbox_id ?? 'none'}:`,
      ...explainDecision(decision),
      ...wordsOfFacts(decision, facts).map((line) => ` ${line}`),
      ...(decision.message_id === null
        ? []
        : [
            `  It is about ${decision.message_id}; \`explain ${decision.message_id}\` tells the whole story.`,
          ]),
    ]),
  ];
}

/** What the rules looked at. For what the CRM sent there are no facts: nothing was asked. */
function wordsOfFacts(decision: Decision, facts: ReadonlyMap<DecisionId, object | null>): string[] {
  const kept = facts.get(decision.id) ?? null;
  if (kept !== null) return [` The facts of then: ${JSON.stringify(kept)}`];
  return decision.place === null ? [] : [' Its facts are no longer kept.'];
}
