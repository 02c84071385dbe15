import { createHash, createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { WebhookId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { webhookSecretContext } from '../store/webhooks.ts';

/**
 * Signatures by the Standard Webhooks specification (standardwebhooks.com, 1.0): HMAC-SHA-256 over
 * `id.timestamp.body`, the key being the Base64 after `whsec_`. Receivers refuse timestamps that are
 * more than five minutes off.
 */

/** While a secret is being replaced, requests carry a signature by the old one for so long. */
const overlapMs = 24 * 3_600_000;

const storedSecrets = z.array(z.object({ secret: z.string(), untilMs: z.number().nullable() }));

/** A new secret, and how it is stored. It is shown once. */
export function newSecret(box: SecretBox, webhookId: WebhookId): { secret: string; sealed: string } {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  return { secret, sealed: seal(box, webhookId, [{ secret, untilMs: null }]) };
}

/** As newSecret, keeping the present one in force for a day. */
export function replaceSecret(
  box: SecretBox,
  webhook: { id: WebhookId; secretSealed: string },
  nowMs: number,
): { secret: string; sealed: string } {
  const { secret } = newSecret(box, webhook.id);
  const [old = secret] = openSecrets(box, webhook, nowMs);
  const secrets = [
    { secret, untilMs: null },
    { secret: old, untilMs: nowMs + overlapMs },
  ];
  return { secret, sealed: seal(box, webhook.id, secrets) };
}

/** By what it is known again that a secret is still the one that somebody was shown a page about. */
export function secretVersion({ secretSealed }: { secretSealed: string }): string {
  return createHash('sha256').update(secretSealed).digest('base64url').slice(0, 16);
}

/** The secrets in force, the newest first. */
export function openSecrets(
  box: SecretBox,
  webhook: { id: WebhookId; secretSealed: string },
  nowMs: number,
): string[] {
  const stored = storedSecrets.parse(
    JSON.parse(box.open(webhook.secretSealed, webhookSecretContext(webhook.id))),
  );
  return stored.filter(({ untilMs }) => untilMs === null || untilMs > nowMs).map(({ secret }) => secret);
}

/** The three headers of a request. `id` is the event's: the same at every try, so that a receiver can tell a repeat. */
export function signatureHeaders(signed: {
  id: string;
  body: string;
  nowMs: number;
  secrets: readonly string[];
}): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const timestamp = String(Math.floor(signed.nowMs / 1000));
  const content = `${signed.id}.${timestamp}.${signed.body}`;
  const signatures = signed.secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
  });
  return {
    'webhook-id': signed.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}

function seal(box: SecretBox, webhookId: WebhookId, secrets: z.infer<typeof storedSecrets>): string {
  return box.seal(JSON.stringify(secrets), webhookSecretContext(webhookId));
}
