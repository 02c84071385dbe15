import type { ConnectionState } from '../provider/connection-states.ts';
import type { ProviderName } from '../provider/providers.ts';
import type { RouteRow } from '../store/public-send.ts';

/** What a message may be (RULES, Words). */
export type MessageKind = 'individual' | 'bulk' | 'workflow';

/** All that the table of D looks at. */
export type RouteQuestion = {
  kind: MessageKind;
  /** The user's connection in the sub-account; null: nothing connected. */
  connection: { provider: ProviderName; state: ConnectionState; address: string } | null;
  /** The sub-account has a provider of its own. */
  hasProvider: boolean;
  /** What the call gave as `from`: nothing, the connected address, an alias that the user has shown to be theirs (D4), or another. */
  from: 'none' | 'connected' | 'alias' | 'other';
};

/** Which way a message takes, or why it takes none. */
export type Route =
  | {
      way: 'mailbox';
      row: RouteRow;
      /** The row in words. */
      because: string;
      /** The state of the connection that a person must mend first (D1); null: it can go out. */
      holdFor: BlockedState | null;
    }
  | { way: 'provider'; row: RouteRow; because: string }
  | {
      way: 'refused';
      code: 'no_mailbox_connected' | 'no_provider' | 'from_not_allowed';
      because: string;
    };

/** States of a connection in which nothing can be sent until a person acts. */
export const blockedStates = [
  'reauth_required',
  'admin_consent_required',
  'permission_missing',
  'paused',
] as const satisfies readonly ConnectionState[];

export type BlockedState = (typeof blockedStates)[number];

type Column = 'Gmail' | 'Outlook' | 'nothing';

type Row = {
  name: RouteRow;
  kind: MessageKind;
  connected: Column;
  /** Null: whatever the call gave. */
  from: 'connected' | 'not_connected' | null;
  through: 'mailbox' | 'provider';
};

/** RULES, D: the table, read from left to right; one row for each cell, two where `from` decides. */
const table: readonly Row[] = [
  { name: 'individual_gmail', kind: 'individual', connected: 'Gmail', from: null, through: 'mailbox' },
  { name: 'individual_outlook', kind: 'individual', connected: 'Outlook', from: null, through: 'mailbox' },
  { name: 'individual_nothing', kind: 'individual', connected: 'nothing', from: null, through: 'provider' },
  { name: 'bulk_gmail', kind: 'bulk', connected: 'Gmail', from: null, through: 'provider' },
  { name: 'bulk_outlook_from_it', kind: 'bulk', connected: 'Outlook', from: 'connected', through: 'mailbox' },
  {
    name: 'bulk_outlook_from_other',
    kind: 'bulk',
    connected: 'Outlook',
    from: 'not_connected',
    through: 'provider',
  },
  { name: 'bulk_nothing', kind: 'bulk', connected: 'nothing', from: null, through: 'provider' },
  { name: 'workflow_gmail', kind: 'workflow', connected: 'Gmail', from: null, through: 'provider' },
  { name: 'workflow_outlook', kind: 'workflow', connected: 'Outlook', from: null, through: 'provider' },
  { name: 'workflow_nothing', kind: 'workflow', connected: 'nothing', from: null, through: 'provider' },
];

/** C3: every other host follows Gmail's rules. */
const columns: Readonly<Record<ProviderName, Column>> = {
  gmail: 'Gmail',
  outlook: 'Outlook',
  imap: 'Gmail',
  sandbox: 'Gmail',
};

/** The way that a message takes (D, D1). Never a silent fallback: a mailbox that needs a person holds it. Pure. */
export function routeOf(question: RouteQuestion): Route {
  const { kind, connection, from, hasProvider } = question;
  const connected = connection === null ? 'nothing' : columns[connection.provider];
  const row = table.find(
    (candidate) =>
      candidate.kind === kind &&
      candidate.connected === connected &&
      (candidate.from === null || (candidate.from === 'connected') === (from === 'connected')),
  );
  if (row === undefined) throw new Error(`the table of D has no row for ${kind}, ${connected}`);
  const because = words(row, connection?.provider ?? null);
  if (row.through === 'provider' || connection === null) {
    if (hasProvider) return { way: 'provider', row: row.name, because };
    const code = row.kind === 'individual' ? 'no_mailbox_connected' : 'no_provider';
    return { way: 'refused', code, because: `${because}, and it has none` };
  }
  if (from === 'other') {
    return {
      way: 'refused',
      code: 'from_not_allowed',
      because: `individual mail is from ${connection.address}, or from an alias of which a mail was seen in its Sent folder`,
    };
  }
  return {
    way: 'mailbox',
    row: row.name,
    because,
    holdFor: blockedStates.find((state) => state === connection.state) ?? null,
  };
}

function words(row: Row, provider: ProviderName | null): string {
  const follows =
    provider === null || provider === row.connected.toLowerCase() ? '' : ` (${provider}, as C3 says)`;
  const from =
    row.from === null ? '' : row.from === 'connected' ? ', from it' : ', from another address or none';
  const way = row.through === 'mailbox' ? "the user's mailbox" : "the sub-account's provider";
  return `${row.kind}, ${row.connected} connected${follows}${from}: ${way}`;
}
