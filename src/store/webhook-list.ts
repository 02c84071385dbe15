import type { WebhookId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';
import { newestFirst, partSql } from './list-part.ts';
import type { ListPart } from './list-part.ts';
import { countMax } from './overview.ts';

/** A webhook as it stands in a list. */
export type ListedWebhook = {
  id: WebhookId;
  /** Null: it hears of all sub-accounts. */
  subAccountId: string | null;
  url: string;
  enabled: boolean;
  /** Failures in a row. */
  failures: number;
  pausedUntil: Date | null;
  /** Deliveries that are to be made, and those that were given up; up to countMax of overview.ts. */
  pending: number;
  parked: number;
  /** When the newest delivery was answered with 2xx; null: none was. */
  deliveredAt: Date | null;
};

const waiting = (state: 'pending' | 'parked') =>
  `(select count(*)::int from (select from deliveries d where d.webhook_id = w.id and d.state = '${state}' limit ${countMax}) c)`;

/** Webhooks, the newest first; `subAccountId` null: all of them, else those that hear of that sub-account alone. */
export async function listWebhookStates(
  db: Db,
  of: { subAccountId: string | null },
  part: ListPart,
): Promise<ListedWebhook[]> {
  const found = await rows<ListedWebhook>(
    db,
    `select w.id, w.sub_account_id as "subAccountId", w.url, w.enabled, w.failures,
            case when w.paused_until > now() then w.paused_until end as "pausedUntil",
            ${waiting('pending')} as pending, ${waiting('parked')} as parked,
            (select d.delivered_at from deliveries d where d.webhook_id = w.id and d.state = 'delivered'
              order by d.seq desc limit 1) as "deliveredAt"
       from webhooks w
      where ${of.subAccountId === null ? 'true' : 'w.sub_account_id = :subAccountId'} ${partSql('w.id', part)}`,
    { ...of, ...part },
  );
  return newestFirst(found, part);
}
