import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { rows, run, runLong, wasOvertaken } from './database.ts';
import type { Db } from './database.ts';
import { eraseEvents } from './events.ts';
import { timestamp } from './timestamp.ts';

/**
 * The settings of a sub-account, each with its default and the rule that it turns. The database
 * keeps only what differs from the defaults, so that a default can get better for everybody.
 */
export const settingsSchema = z.object({
  sync_sent_to_contacts: z
    .boolean()
    .default(true)
    .describe(
      'S6: whether mail that a user writes to a contact in Gmail or Outlook itself appears in the CRM when it begins ' +
        'something new. Off: only answers in threads that sync already, and what contacts write first.',
    ),
  assigned_contacts_only: z
    .enum(['when_shared', 'always', 'never'])
    .default('when_shared')
    .describe(
      'S8: whether new mail with a contact appears only where the contact is assigned to the user whose mailbox it is. ' +
        '`when_shared`: only while that mailbox is connected in several sub-accounts. `always`. `never`: wherever the ' +
        'contact is. A contact that is assigned to nobody, in none of them, always counts. Threads that sync go on in any case.',
    ),
  outlook_two_way_sync: z
    .boolean()
    .default(true)
    .describe(
      'S10: off: of Outlook mailboxes only threads sync in which the CRM has sent a message; what contacts write first, ' +
        'and what the user writes in Outlook, stays there. Other mailboxes are not concerned.',
    ),
  fetch_thread_head: z
    .boolean()
    .default(true)
    .describe(
      'S13: when a thread opens with a message that answers older ones, these are looked for in the mailbox, and join ' +
        'the thread if they belong to it, however old they are; mail that nobody of the thread is on but the user stays private.',
    ),
  inbound_attachments: z
    .enum(['skip_message', 'omit_attachment'])
    .default('skip_message')
    .describe(
      'L1: what happens to a message whose attachments are past the limit of its mailbox: only its header is stored, and ' +
        'shown in the conversation (`omitted`), or it is stored without them. Of mail to a logging address: it waits for ' +
        'review, or is logged without them.',
    ),
});

export type Settings = z.output<typeof settingsSchema>;

/** All settings in force, from what is stored. Names that this version does not know are left out. */
export function effectiveSettings(stored: unknown): Settings {
  return settingsSchema.parse(stored ?? {});
}

/** The sub-account's own way to send (RULES D), without its password. */
type Provider = {
  kind: 'smtp';
  host: string;
  port: number;
  /** `tls` from the first byte, `starttls` required, or `none`. */
  security: 'tls' | 'starttls' | 'none';
  /** Null: the host takes mail without a login. */
  username: string | null;
  /** The sender of mail that names none. */
  from: string;
};

export type SubAccount = {
  id: string;
  name: string;
  settings: Settings;
  provider: Provider | null;
  /** Opens with the context of `providerPasswordContext`; null when there is no login. */
  providerPasswordSealed: string | null;
  /** RFC 3339, as all times that the store hands out for showing. */
  createdAt: string;
  updatedAt: string;
};

/** What the sealed password of a sub-account's provider is bound to. */
export function providerPasswordContext(subAccountId: string): string {
  return `sub_accounts.provider_password ${subAccountId}`;
}

export async function subAccountExists(db: Db, id: string): Promise<boolean> {
  return (await rows(db, 'select 1 from sub_accounts where id = :id', { id })).length > 0;
}

export async function findSubAccount(db: Db, id: string): Promise<SubAccount | undefined> {
  const [row] = await rows<SubAccountRow>(db, `select ${columns} from sub_accounts where id = :id`, { id });
  return row && fromRow(row);
}

/** A sub-account in a list. */
export type ListedSubAccount = Pick<SubAccount, 'id' | 'name' | 'provider'> & {
  /** How many settings differ from their defaults. */
  changed: number;
};

/** Sub-accounts by id, after the one with id `after`, whose ids begin with `prefix`. */
export async function listSubAccounts(
  db: Db,
  page: { after: string; prefix: string; limit: number },
): Promise<ListedSubAccount[]> {
  // No sign of an id sorts behind the tilde.
  const found = await rows<SubAccountRow>(
    db,
    `select ${columns} from sub_accounts
      where id > :after and id >= :prefix and id < :prefix || '~' order by id limit :limit`,
    page,
  );
  return found.map((row) => {
    const { id, name, provider, settings } = fromRow(row);
    return { id, name, provider, changed: Object.keys(changedSettings(settings)).length };
  });
}

/**
 * Changes the settings alone, where they are still those that were `shown`, and answers those that there were before: any
 * others mean that somebody has changed them meanwhile, and that nothing was done. Undefined where there is no such
 * sub-account. In a transaction.
 */
export async function changeSettings(
  db: Db,
  id: string,
  { settings, shown }: { settings: Settings; shown: string },
): Promise<Settings | undefined> {
  const [row] = await rows<SubAccountRow>(
    db,
    `select ${columns} from sub_accounts where id = :id for no key update`,
    { id },
  );
  if (row === undefined) return undefined;
  const before = effectiveSettings(row.settings);
  if (versionOf(before) !== shown) return before;
  await run(
    db,
    `update sub_accounts set settings = :settings::jsonb, updated_at = now()
      where id = :id and settings is distinct from :settings::jsonb`,
    { id, settings: JSON.stringify(changedSettings(settings)) },
  );
  return before;
}

/** What settings are known again by that were shown to somebody. */
export function versionOf(settings: Settings): string {
  return JSON.stringify(settings);
}

/** Creates or replaces. What is the same already stays untouched, with its time. */
export async function putSubAccount(
  db: Db,
  subAccount: Pick<SubAccount, 'id' | 'name' | 'settings' | 'provider' | 'providerPasswordSealed'>,
): Promise<{ subAccount: SubAccount; created: boolean }> {
  const [row] = await rows<SubAccountRow & { created: boolean }>(
    db,
    `insert into sub_accounts as old (id, name, settings, provider, provider_password_sealed)
     values (:id, :name, :settings::jsonb, :provider::jsonb, :sealed)
     on conflict (id) do update set
       name = excluded.name, settings = excluded.settings, provider = excluded.provider,
       provider_password_sealed = excluded.provider_password_sealed,
       updated_at = case
         when (old.name, old.settings, old.provider, old.provider_password_sealed) is distinct from
           (excluded.name, excluded.settings, excluded.provider, excluded.provider_password_sealed)
         then now() else old.updated_at end
     returning ${columns}, xmax = 0 as created`,
    {
      id: subAccount.id,
      name: subAccount.name,
      settings: JSON.stringify(changedSettings(subAccount.settings)),
      provider: subAccount.provider === null ? null : JSON.stringify(subAccount.provider),
      sealed: subAccount.providerPasswordSealed,
    },
  );
  if (row === undefined) throw new Error('a stored sub-account was not returned');
  return { subAccount: fromRow(row), created: row.created };
}

/** Rows of one statement: a sub-account has millions, and the embedded database does nothing else meanwhile. */
const erasedAtOnce = 1_000;
/** What is erased in portions, with what tells its rows apart in a sub-account. */
type Erased = { table: string; key: 'id' | 'hash' };
const erasedContent: readonly (Erased | 'events')[] = [
  { table: 'intake_spool', key: 'id' },
  { table: 'messages', key: 'id' },
  { table: 'contacts', key: 'id' },
  { table: 'tombstones', key: 'hash' },
  { table: 'decisions', key: 'id' },
  'events',
];
/** How often a portion may be undone before it must be an error of ours. */
const erasingRoundsMax = 10;

/**
 * Erases most of what is in a sub-account, portion by portion, before it goes itself. Not in a transaction:
 * messages, and what came to logging addresses, go before what tells of them, so that what is left is sound at each
 * commit (see check/).
 */
export async function eraseContent(db: Db, id: string): Promise<void> {
  for (const content of erasedContent) {
    for (;;) {
      const erased =
        content === 'events' ? await eraseEvents(db, id, erasedAtOnce) : await erasePortion(db, content, id);
      if (erased < erasedAtOnce) break;
      // The embedded database answers without a turn of the event loop; others wait for theirs.
      await nextTurn();
    }
  }
}

/** What is being sent at this moment may be held by its sender: whoever was undone for the other begins again. */
async function erasePortion(db: Db, { table, key }: Erased, id: string): Promise<number> {
  for (let round = 1; ; round += 1) {
    try {
      return await run(
        db,
        // Not by its place (ctid): each partition of a table has its own.
        `delete from ${table} where sub_account_id = :id and ${key} = any(array(
           select ${key} from ${table} where sub_account_id = :id limit :erasedAtOnce))`,
        { id, erasedAtOnce },
      );
    } catch (error) {
      if (!wasOvertaken(error) || round === erasingRoundsMax) throw error;
    }
  }
}

/** Erases a sub-account and everything in it. Its connections must have been ended before. */
export async function deleteSubAccount(db: Db, id: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    // Nothing is told of it from here on: an event refers to it.
    await run(tx, 'select from sub_accounts where id = :id for update', { id });
    await eraseEvents(tx, id, null);
    return (await runLong(tx, 'delete from sub_accounts where id = :id', { id })) > 0;
  });
}

type SubAccountRow = Omit<SubAccount, 'settings'> & { settings: unknown };

const columns = `id, name, settings, provider, provider_password_sealed as "providerPasswordSealed",
  ${timestamp('created_at')} as "createdAt", ${timestamp('updated_at')} as "updatedAt"`;

function fromRow(row: SubAccountRow): SubAccount {
  const { id, name, provider, providerPasswordSealed, createdAt, updatedAt } = row;
  const settings = effectiveSettings(row.settings);
  return { id, name, settings, provider, providerPasswordSealed, createdAt, updatedAt };
}

function changedSettings(settings: Settings): Partial<Settings> {
  const defaults = new Map<string, unknown>(Object.entries(effectiveSettings({})));
  return Object.fromEntries(Object.entries(settings).filter(([name, value]) => value !== defaults.get(name)));
}
