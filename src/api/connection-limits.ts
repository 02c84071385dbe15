import { z } from 'zod';
import { meterOf } from '../outbound/quota.ts';
import type { LimitsOf } from '../provider/figures.ts';
import type { MailboxLimits } from '../provider/providers.ts';
import type { PublicConnection } from '../store/connections.ts';
import type { Db } from '../store/database.ts';
import { readQuotas } from '../store/quota.ts';
import { timeField } from './fields.ts';

/* The limits of a mailbox, with what is left of them (L). */

const bytesMax = z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable();
const extensions = z
  .array(z.string().regex(/^[a-z0-9]{1,20}$/, { message: 'An extension is in lower case, without a dot.' }))
  .max(200)
  .nullable();
const messagesMax = z.int().min(1).max(1_000_000).nullable();

const words = {
  attachments: 'All attachments of one message together, in decoded bytes (L1).',
  attachment: 'Each attachment, in decoded bytes (L1).',
  extensions: 'The only types of attachments (L2).',
  messages: 'Individual messages in any 24 hours (L3).',
};

export const limitsInputSchema = z
  .strictObject({
    attachments_bytes_max: bytesMax.optional().describe(words.attachments),
    attachment_bytes_max: bytesMax.optional().describe(words.attachment),
    attachment_extensions: extensions.optional().describe(words.extensions),
    individual_messages_per_day_max: messagesMax.optional().describe(words.messages),
  })
  .meta({
    id: 'ConnectionLimitsInput',
    description: 'Limits of a mailbox; null: none. What is left out is as its provider has it.',
  });

export const limitsSchema = z
  .strictObject({
    attachments_bytes_max: z.int().nullable().describe(words.attachments),
    attachment_bytes_max: z.int().nullable().describe(words.attachment),
    attachment_extensions: z.array(z.string()).nullable().describe(words.extensions),
    individual_messages_per_day_max: z.int().nullable().describe(words.messages),
    individual_messages: z
      .strictObject({
        used: z.int().describe('How many went in the last 24 hours, or are about to.'),
        left: z
          .int()
          .nullable()
          .describe(
            'How many may go now; what is to go within a day (`send_at`) is not among them. Null: no limit.',
          ),
        works_again_at: timeField
          .nullable()
          .describe('When the next one may go, where none is left, or the provider takes none; null: now.'),
      })
      .describe(
        'What is left of the day’s individual messages, in all sub-accounts of the mailbox together.',
      ),
    imap_download_bytes_per_day_max: z
      .int()
      .nullable()
      .describe('In any 24 hours, for all of the person’s programs together (C8).'),
  })
  .meta({
    id: 'ConnectionLimits',
    description: 'Limits of the mailbox, and what is left of them; null: none.',
  });

/** What was said of the limits of a mailbox, as it is stored. */
export function limitsSaid(input: z.output<typeof limitsInputSchema>): Partial<MailboxLimits> {
  const said = {
    attachmentsBytesMax: input.attachments_bytes_max,
    attachmentBytesMax: input.attachment_bytes_max,
    attachmentExtensions: input.attachment_extensions,
    individualMessagesPerDayMax: input.individual_messages_per_day_max,
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

/** Connections with the limits of their mailboxes, in their order. */
export async function withLimits(
  { db, limitsOf }: { db: Db; limitsOf: LimitsOf },
  connections: readonly PublicConnection[],
): Promise<(PublicConnection & { limits: z.output<typeof limitsSchema> })[]> {
  const found = await readQuotas(
    db,
    connections.map(({ id }) => id),
  );
  const standings = new Map(found.map((standing) => [standing.connectionId, standing]));
  return connections.map((connection) => {
    const standing = standings.get(connection.id);
    if (standing === undefined) throw new Error(`${connection.id} is gone`);
    const limits = limitsOf(connection.provider, standing.limitsSaid);
    const { used, left, worksAgainAt } = meterOf(standing, limits);
    return {
      ...connection,
      limits: {
        attachments_bytes_max: limits.attachmentsBytesMax,
        attachment_bytes_max: limits.attachmentBytesMax,
        attachment_extensions: limits.attachmentExtensions === null ? null : [...limits.attachmentExtensions],
        individual_messages_per_day_max: limits.individualMessagesPerDayMax,
        individual_messages: {
          used,
          left,
          works_again_at: worksAgainAt === null ? null : new Date(worksAgainAt).toISOString(),
        },
        imap_download_bytes_per_day_max: limits.imapDownloadBytesPerDayMax,
      },
    };
  });
}
