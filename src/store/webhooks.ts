import type { WebhookId } from '../lib/id.ts';
import { rows, run, runLong } from './database.ts';
import type { Db } from './database.ts';
import { counted } from './overview.ts';

/** A webhook, without its secret. */
export type WebhookRow = {
  id: WebhookId;
  /** Null: it hears of all sub-accounts. */
  subAccountId: string | null;
  url: string;
  /** Empty: all types. */
  types: string[];
  /** False: nothing is delivered and nothing new is queued; what was queued stays. */
  enabled: boolean;
  /** The endpoint failed, and is left alone until then. */
  pausedUntil: Date | null;
  /** Failures in a row. */
  failures: number;
  /** Deliveries that are still to be made, up to countMax of overview.ts. */
  pending: number;
  /** Deliveries that were given up, and wait for a retry by hand; up to so many. */
  parked: number;
  createdAt: Date;
};

/** What the sealed secrets of a webhook are bound to. */
export function webhookSecretContext(id: WebhookId): string {
  return `webhooks.secret_sealed ${id}`;
}

/** Stores a new webhook. The sub-account, where there is one, must exist. */
export async function insertWebhook(
  db: Db,
  webhook: { id: WebhookId; subAccountId: string | null; url: string; types: string[]; secretSealed: string },
): Promise<void> {
  await run(
    db,
    `insert into webhooks (id, sub_account_id, url, types, secret_sealed)
     values (:id, :subAccountId, :url, :types, :secretSealed)`,
    webhook,
  );
}

/** One webhook; undefined when there is none, or `subAccountId` (null: the whole installation) may not see it. */
export async function findWebhook(
  db: Db,
  id: string,
  subAccountId: string | null,
): Promise<(WebhookRow & { secretSealed: string }) | undefined> {
  const [row] = await rows<WebhookRow & { secretSealed: string }>(
    db,
    `select ${columns}, w.secret_sealed as "secretSealed" from webhooks w
     where w.id = :id and (:subAccountId::text is null or w.sub_account_id = :subAccountId)`,
    { id, subAccountId },
  );
  return row;
}

/** One webhook, which nobody changes until the end of the transaction; undefined when there is none. */
export async function lockWebhook(
  tx: Db,
  id: string,
): Promise<(WebhookRow & { secretSealed: string }) | undefined> {
  await run(tx, 'select from webhooks where id = :id for no key update', { id });
  // A statement of its own: one that waited for the lock still sees what was true before it waited.
  return findWebhook(tx, id, null);
}

/** Webhooks that `subAccountId` may see (null: all), oldest first, after the one with id `after`. */
export function listWebhooks(
  db: Db,
  page: { subAccountId: string | null; after: string; limit: number },
): Promise<WebhookRow[]> {
  return rows<WebhookRow>(
    db,
    `select ${columns} from webhooks w
     where w.id > :after ${page.subAccountId === null ? '' : 'and w.sub_account_id = :subAccountId'}
     order by w.id limit :limit`,
    page,
  );
}

/** Changes what is given. A new URL, or enabling it, ends the pause: what was true of the endpoint may not be any more. */
export async function updateWebhook(
  db: Db,
  id: WebhookId,
  change: {
    url?: string | undefined;
    types?: string[] | undefined;
    enabled?: boolean | undefined;
    secretSealed?: string | undefined;
  },
): Promise<void> {
  await run(
    db,
    `update webhooks
     set url = coalesce(:url, url), types = coalesce(:types::text[], types),
         enabled = coalesce(:enabled, enabled), secret_sealed = coalesce(:secretSealed, secret_sealed),
         failures = case when :restart then 0 else failures end,
         paused_until = case when :restart then null else paused_until end
     where id = :id`,
    {
      id,
      url: change.url ?? null,
      types: change.types ?? null,
      enabled: change.enabled ?? null,
      secretSealed: change.secretSealed ?? null,
      restart: change.url !== undefined || change.enabled === true,
    },
  );
}

/** Deletes a webhook with its deliveries. */
export async function deleteWebhook(db: Db, id: WebhookId): Promise<void> {
  await runLong(db, 'delete from webhooks where id = :id', { id });
}

const columns = `w.id, w.sub_account_id as "subAccountId", w.url, w.types, w.enabled, w.failures,
  case when w.paused_until > now() then w.paused_until end as "pausedUntil", w.created_at as "createdAt",
  ${counted(`from deliveries d where d.webhook_id = w.id and d.state = 'pending'`)} as pending,
  ${counted(`from deliveries d where d.webhook_id = w.id and d.state = 'parked'`)} as parked`;
