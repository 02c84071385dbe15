import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { limitsBy, providerFigures, withFigures } from '../../src/provider/figures.ts';
import type { ProviderFigures } from '../../src/provider/figures.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { Provider } from '../../src/provider/providers.ts';

const outlook = resolveProvider('outlook');

describe('L4: the figures of a provider, as an operator sets them', () => {
  const table: [
    name: keyof NonNullable<ProviderFigures['outlook']>,
    said: unknown,
    of: (provider: Provider) => unknown,
  ][] = [
    ['attachments_bytes_max', 7, ({ limits }) => limits.attachmentsBytesMax],
    ['attachment_bytes_max', 7, ({ limits }) => limits.attachmentBytesMax],
    ['attachment_bytes_max', null, ({ limits }) => limits.attachmentBytesMax],
    ['attachment_extensions', ['pdf'], ({ limits }) => limits.attachmentExtensions],
    ['individual_messages_per_day_max', 0, ({ limits }) => limits.individualMessagesPerDayMax],
    ['imap_download_bytes_per_day_max', 7, ({ limits }) => limits.imapDownloadBytesPerDayMax],
    ['smtp_messages_per_minute_max', null, (provider) => provider.smtpMessagesPerMinuteMax],
    ['smtp_sessions_max', 7, (provider) => provider.smtpSessionsMax],
    ['imap_connections_max', 7, (provider) => provider.imapConnectionsMax],
    ['backfill_bytes_per_day_max', 7, (provider) => provider.errandBytesPerDayMax],
  ];
  for (const [name, said, of] of table) {
    test(`${name}: ${JSON.stringify(said)}, and no other`, () => {
      const changed = withFigures(outlook, providerFigures.parse({ outlook: { [name]: said } }).outlook);
      assert.deepEqual(of(changed), said);
      const others = table.filter(([other]) => other !== name);
      for (const [, , other] of others) assert.deepEqual(other(changed), other(outlook));
      assert.deepEqual({ ...changed, smtp: null }, { ...withFigures(changed), smtp: null });
    });
  }

  test('what is said of one mailbox goes before it', () => {
    const limitsOf = limitsBy((name) =>
      withFigures(resolveProvider(name), { individual_messages_per_day_max: 100 }),
    );
    assert.equal(limitsOf('gmail', {}).individualMessagesPerDayMax, 100);
    assert.equal(
      limitsOf('gmail', { individualMessagesPerDayMax: 2_000 }).individualMessagesPerDayMax,
      2_000,
    );
    assert.equal(limitsOf('gmail', { individualMessagesPerDayMax: null }).individualMessagesPerDayMax, null);
  });

  test('README lists them all', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    const part = readme.split('<!-- figures:')[1]?.split('\n\n')[1] ?? '';
    const listed = new Set([...part.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]));
    assert.deepEqual(listed, new Set(table.map(([name]) => name)));
    assert.deepEqual(listed, new Set(Object.keys(providerFigures.def.valueType.shape)));
  });

  const refused: [name: string, figures: unknown][] = [
    ['another provider', { sandbox: {} }],
    ['another figure', { gmail: { smtpSessionsMax: 1 } }],
    ['no session', { gmail: { smtp_sessions_max: 0 } }],
    ['sessions without end', { gmail: { smtp_sessions_max: null } }],
    ['part of a byte', { gmail: { attachment_bytes_max: 1.5 } }],
    ['less than nothing', { gmail: { individual_messages_per_day_max: -1 } }],
    ['an extension with a dot', { gmail: { attachment_extensions: ['.pdf'] } }],
    ['a list', []],
  ];
  for (const [name, figures] of refused) {
    test(`${name}: refused`, () => assert.equal(providerFigures.safeParse(figures).success, false));
  }
});
