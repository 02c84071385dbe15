import { z } from 'zod';
import type { MailboxLimits, Provider, ProviderLimits, ProviderName } from './providers.ts';

/*
 * The figures of the providers (L1-L4, C8, D5) as an operator sets them: those of config/providers.json. Pure.
 */

/** Providers at which an operator's people have mailboxes. */
const named = ['gmail', 'outlook', 'imap'] as const;

const count = z.int().min(1);
const bytes = z.int().min(0).nullable();

/** What can be said of a provider, each in its place. */
const figuresSchema = z
  .strictObject({
    attachments_bytes_max: bytes,
    attachment_bytes_max: bytes,
    attachment_extensions: z
      .array(z.string().regex(/^[a-z0-9]{1,20}$/, 'an extension is in lower case, without the dot'))
      .nullable(),
    individual_messages_per_day_max: z.int().min(0).nullable(),
    smtp_messages_per_minute_max: count.nullable(),
    smtp_sessions_max: count.max(100),
    imap_connections_max: count.max(100),
    backfill_bytes_per_day_max: bytes,
    imap_download_bytes_per_day_max: bytes,
  })
  .partial();

type Figures = z.output<typeof figuresSchema>;

/** What an operator says of providers; what is left out stays as it comes. */
export const providerFigures = z.partialRecord(z.enum(named), figuresSchema);

export type ProviderFigures = z.output<typeof providerFigures>;

type AllFigures = { [Name in keyof Figures]-?: Exclude<Figures[Name], undefined> };

function figuresOf({ limits, ...provider }: Provider): AllFigures {
  return {
    attachments_bytes_max: limits.attachmentsBytesMax,
    attachment_bytes_max: limits.attachmentBytesMax,
    attachment_extensions: limits.attachmentExtensions === null ? null : [...limits.attachmentExtensions],
    individual_messages_per_day_max: limits.individualMessagesPerDayMax,
    smtp_messages_per_minute_max: provider.smtpMessagesPerMinuteMax,
    smtp_sessions_max: provider.smtpSessionsMax,
    imap_connections_max: provider.imapConnectionsMax,
    backfill_bytes_per_day_max: provider.errandBytesPerDayMax,
    imap_download_bytes_per_day_max: limits.imapDownloadBytesPerDayMax,
  };
}

/** A provider with what an operator says of it. */
export function withFigures(provider: Provider, said: Figures = {}): Provider {
  const figures = { ...figuresOf(provider), ...said } as AllFigures;
  const limits: ProviderLimits = {
    attachmentsBytesMax: figures.attachments_bytes_max,
    attachmentBytesMax: figures.attachment_bytes_max,
    attachmentExtensions: figures.attachment_extensions,
    individualMessagesPerDayMax: figures.individual_messages_per_day_max,
    imapDownloadBytesPerDayMax: figures.imap_download_bytes_per_day_max,
  };
  return {
    ...provider,
    limits,
    smtpMessagesPerMinuteMax: figures.smtp_messages_per_minute_max,
    smtpSessionsMax: figures.smtp_sessions_max,
    imapConnectionsMax: figures.imap_connections_max,
    errandBytesPerDayMax: figures.backfill_bytes_per_day_max,
  };
}

/** The text of config/providers.json: the figures as they come. */
export function exampleFigures(of: (name: (typeof named)[number]) => Provider): string {
  const text = JSON.stringify(Object.fromEntries(named.map((name) => [name, figuresOf(of(name))])), null, 2);
  // A list in a line, as Prettier writes it.
  return `${text.replaceAll(/\[\s+([^\]]*?)\s+\]/g, (_list, items: string) => `[${items.replaceAll(/\s+/g, ' ')}]`)}\n`;
}

/** The limits of a mailbox: what was said of it, and of the rest what holds for its provider here (L4). */
export type LimitsOf = (provider: ProviderName, said: Partial<MailboxLimits>) => ProviderLimits;

/** The limits of mailboxes by the providers of an installation. */
export function limitsBy(of: (name: ProviderName) => Pick<Provider, 'limits'>): LimitsOf {
  return (name, said) => ({ ...of(name).limits, ...said });
}
