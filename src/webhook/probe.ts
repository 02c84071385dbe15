import type { Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/id.ts';
import type { WebhookId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { outcomeOf } from './outcome.ts';
import { postEvent } from './request.ts';
import { openSecrets } from './sign.ts';

/** What an endpoint made of a test event. */
export type ProbeResult = {
  delivered: boolean;
  /** HTTP status; null when there was no answer. */
  status: number | null;
  /** What was wrong, in words; null when it was delivered. */
  error: string | null;
  tookMs: number;
};

/**
 * Sends an event of type `webhook.test`, signed as any other, and waits for the answer. It is in no
 * log, has no number, is tried once, and neither pauses nor revives the webhook.
 */
export async function probeWebhook(
  deps: { dispatcher: Dispatcher; clock: Clock; secretBox: SecretBox },
  webhook: { id: WebhookId; url: string; subAccountId: string | null; secretSealed: string },
): Promise<ProbeResult> {
  const nowMs = deps.clock.now();
  const startedAtMs = deps.clock.monotonic();
  const id = newId('evt');
  const body = JSON.stringify({
    id,
    type: 'webhook.test',
    created_at: new Date(nowMs).toISOString(),
    sub_account_id: webhook.subAccountId,
    sequence: null,
    data: { webhook_id: webhook.id },
  });
  const secrets = openSecrets(deps.secretBox, webhook, nowMs);
  const never = new AbortController().signal;
  const answer = await postEvent(deps, { url: webhook.url, id, body, secrets }, never);
  const { state, status, error } = outcomeOf({ answer, attempts: 1, startedAtMs });
  const tookMs = Math.round(deps.clock.monotonic() - startedAtMs);
  return { delivered: state === 'delivered', status, error, tookMs };
}
