import type { AdministratorId, MailboxId, ProvenLoginId, WebhookId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { totpContext } from './administrators.ts';
import { consentContext } from './connect-links.ts';
import { jsonText, rows, run } from './database.ts';
import type { Db } from './database.ts';
import { hashKeyContext } from './hash-key.ts';
import { credentialContext } from './mailboxes.ts';
import { provenCredentialContext, provenTokenContext } from './proven-logins.ts';
import { providerPasswordContext } from './sub-accounts.ts';
import { accessTokenContext } from './tokens.ts';
import { webhookSecretContext } from './webhooks.ts';

/** A column of sealed values; its table has a text as `id`. */
type SealedColumn = {
  table: string;
  column: string;
  /** What a value is bound to: made of the id, or what the row itself says. */
  contextOf: ((id: string) => string) | 'sealed_for';
};

/** Every column that holds sealed values. A test compares them with the schema. */
export const sealedColumns: readonly SealedColumn[] = [
  { table: 'installation', column: 'hash_key_sealed', contextOf: hashKeyContext },
  { table: 'sub_accounts', column: 'provider_password_sealed', contextOf: providerPasswordContext },
  { table: 'mailboxes', column: 'credential_sealed', contextOf: (id) => credentialContext(id as MailboxId) },
  {
    table: 'mailboxes',
    column: 'access_token_sealed',
    contextOf: (id) => accessTokenContext(id as MailboxId),
  },
  { table: 'revocations', column: 'token_sealed', contextOf: 'sealed_for' },
  { table: 'consents', column: 'secrets_sealed', contextOf: consentContext },
  {
    table: 'proven_logins',
    column: 'credential_sealed',
    contextOf: (id) => provenCredentialContext(id as ProvenLoginId),
  },
  {
    table: 'proven_logins',
    column: 'access_token_sealed',
    contextOf: (id) => provenTokenContext(id as ProvenLoginId),
  },
  {
    table: 'administrators',
    column: 'totp_secret_sealed',
    contextOf: (id) => totpContext(id as AdministratorId),
  },
  { table: 'webhooks', column: 'secret_sealed', contextOf: (id) => webhookSecretContext(id as WebhookId) },
];

/** How many values each key has sealed, by the name of the key; the most first. */
export function countSealed(db: Db): Promise<{ key: string; sealed: number }[]> {
  const all = sealedColumns.map(
    ({ table, column }) =>
      `select split_part(${column}, '.', 2) as key from ${table} where ${column} is not null`,
  );
  return rows(
    db,
    `select key, count(*)::int as sealed from (${all.join(' union all ')}) s group by key order by 2 desc, 1`,
  );
}

/** Rows of one transaction: whoever wants one of them waits for no more. */
const resealedAtOnce = 50;

/** What a round came to. `lost`: cannot be opened, for want of a key or because it is not what was sealed. */
export type Resealed = { resealed: number; lost: number };

/**
 * Seals anew, with the newest key, what an older one has sealed; afterwards nothing needs that one. Each row is locked
 * while it is, so that several nodes may do this, and tokens be refreshed meanwhile. Ends early when `stop` is aborted.
 */
export async function resealAll(db: Db, secretBox: SecretBox, stop: AbortSignal): Promise<Resealed> {
  const done: Resealed = { resealed: 0, lost: 0 };
  for (const column of sealedColumns) {
    let after: string | null = '';
    while (after !== null && !stop.aborted) {
      const from: string = after;
      const portion = await db.transaction((tx) => resealPortion(tx, secretBox, column, from));
      done.resealed += portion.resealed;
      done.lost += portion.lost;
      after = portion.last;
    }
  }
  return done;
}

/** The rows after the one with id `after`; `last` is null behind the last one. */
async function resealPortion(
  tx: Db,
  secretBox: SecretBox,
  { table, column, contextOf }: SealedColumn,
  after: string,
): Promise<Resealed & { last: string | null }> {
  const bound = contextOf === 'sealed_for' ? 'sealed_for' : 'id';
  const found = await rows<{ id: string; bound: string; sealed: string }>(
    tx,
    `select id, ${bound} as bound, ${column} as sealed from ${table}
      where id > :after and ${column} is not null and split_part(${column}, '.', 2) <> :newest
      order by id limit :resealedAtOnce for no key update`,
    { after, newest: secretBox.keyNames[0], resealedAtOnce },
  );
  const anew = found.flatMap(({ id, bound: boundTo, sealed }) => {
    const context = contextOf === 'sealed_for' ? boundTo : contextOf(boundTo);
    const plain = openedIfItOpens(secretBox, sealed, context);
    return plain === null ? [] : [{ id, sealed: secretBox.seal(plain, context) }];
  });
  if (anew.length > 0) {
    await run(
      tx,
      `update ${table} t set ${column} = n.sealed from json_to_recordset(:anew::json) as n(id text, sealed text)
        where t.id = n.id`,
      { anew: jsonText(anew) },
    );
  }
  const last = found.length < resealedAtOnce ? null : (found.at(-1)?.id ?? null);
  return { resealed: anew.length, lost: found.length - anew.length, last };
}

/** Null: its key is not configured, or it was changed or moved. One of those must not keep the others from their new key. */
function openedIfItOpens(secretBox: SecretBox, sealed: string, context: string): string | null {
  try {
    return secretBox.open(sealed, context);
  } catch {
    return null;
  }
}
