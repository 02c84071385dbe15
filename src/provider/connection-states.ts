/**
 * C5: what is true of a connection, and what a person can do about it. Pure.
 *
 * The first group is the mailbox's own and shared by all its connections; the second belongs to one
 * connection alone.
 */
const mailboxStates = {
  /** A first session is being opened; nothing has been judged yet. */
  connecting: 'Nothing to do: the mailbox is being connected.',
  /** Messages that arrived meanwhile are being judged; `backlog` says how many are left. */
  catching_up: 'Nothing to do: mail that arrived meanwhile is being read.',
  /** Every message up to `caught_up_to` has a decision, and new ones are seen at once. */
  live: 'Nothing to do.',
  /** The provider cannot be reached, or answers nonsense; retried until it works. No person is needed. */
  degraded: 'Nothing to do: the provider is tried again by itself. Nothing is lost meanwhile.',
  /** The provider asked for a pause; ends by itself at `next_try_at`. */
  rate_limited: 'Nothing to do: the provider asked for a pause. Nothing is lost meanwhile.',
  /** Consent or password no longer works; only the person can give it again. Never for a network fault. */
  reauth_required: 'The user must connect the mailbox again.',
} as const;

export const connectionStates = {
  ...mailboxStates,
  /** Microsoft wants an administrator to allow the application first. */
  admin_consent_required:
    'An administrator of the organisation must allow the application; then the user connects.',
  /** The person unticked a permission that the sync needs. */
  permission_missing: 'The user must connect again and allow every permission that is asked for.',
  /** Stopped by an administrator, with everything kept. */
  paused: 'An administrator paused it and can resume it.',
  /** Replaced by another mailbox of the same user (C6). */
  superseded: 'Nothing to do: another mailbox took its place.',
  /** Ended by the user or the CRM (C7). */
  disconnected: 'The user can connect again; the sync then starts from that moment.',
} as const;

export type MailboxState = keyof typeof mailboxStates;
export type ConnectionState = keyof typeof connectionStates;

const retried = 'It is tried again by itself, and nothing is lost meanwhile';

/** Where the cause of a state tells a person more than the state does. The first that fits counts. */
const remedies: readonly { name: string; state: ConnectionState; reason: RegExp; remedy: string }[] = [
  {
    name: 'refuses_connections',
    state: 'degraded',
    reason: /^imap_econnrefused$/,
    remedy: `The mail server takes no connections. ${retried}; if it lasts, ask the mail host, or connect again with the right server and port.`,
  },
  {
    name: 'unreachable',
    state: 'degraded',
    reason: /^imap_(?:etimedout|ehostunreach|enetunreach|econnreset|connect_timeout|greeting_timeout)$/,
    remedy: `The mail server cannot be reached. ${retried}; if it lasts, ask the mail host, or connect again with the right server and port.`,
  },
  {
    name: 'unknown_host',
    state: 'degraded',
    reason: /^(?:unknown_host|invalid_host|imap_enotfound)$/,
    remedy: `The name of the mail server cannot be found. ${retried}; if it lasts, connect again with the right server.`,
  },
  {
    name: 'private_address',
    state: 'degraded',
    reason: /^private_address$/,
    remedy:
      'The mail server is in a private network: whoever runs this gateway can allow it by TWOWAY_ALLOW_PRIVATE.',
  },
  {
    name: 'certificate',
    state: 'degraded',
    reason: /cert|issuer|self_signed|altname/,
    remedy: `The certificate of the mail server is not trusted. ${retried}; if it lasts, ask the mail host to renew it, or connect again with the right server.`,
  },
  {
    name: 'web_login',
    state: 'degraded',
    reason: /^web_login_required$/,
    remedy: 'The user must sign in at the provider with a browser once; it then goes on by itself.',
  },
  {
    name: 'no_licence',
    state: 'degraded',
    reason: /^authenticated_not_connected$/,
    remedy: `The provider opens no mailbox for this login. ${retried}; if it lasts, an administrator must see that the mailbox has a licence and that IMAP is switched on for it.`,
  },
  {
    name: 'too_many_connections',
    state: 'rate_limited',
    reason: /^too_many_connections$/,
    remedy: `The provider allows no more connections to this mailbox. ${retried}; if it lasts, close other programs that read the mailbox.`,
  },
  {
    name: 'bandwidth',
    state: 'rate_limited',
    reason: /^bandwidth_limit$/,
    remedy: `The mailbox has used up what the provider lets programs download in a day. ${retried}.`,
  },
  {
    name: 'login_refused',
    state: 'reauth_required',
    reason: /^login_refused$/,
    remedy:
      'The provider refuses the login: the user must connect the mailbox again, with the new password where it has one.',
  },
];

/** What a person can do about a connection, by its state and the cause of that. Pure. */
export function remedyOf(state: ConnectionState, reason: string | null): string {
  return knownRemedy(state, reason)?.remedy ?? connectionStates[state];
}

/** The same as a word, for whoever has words of their own for it: one of `remedyNames`. Pure. */
export function remedyNameOf(state: ConnectionState, reason: string | null): string {
  return knownRemedy(state, reason)?.name ?? state;
}

/** Every remedy that there is. */
export const remedyNames: readonly string[] = [
  ...Object.keys(connectionStates),
  ...remedies.map(({ name }) => name),
];

function knownRemedy(state: ConnectionState, reason: string | null) {
  return remedies.find((one) => one.state === state && one.reason.test(reason ?? ''));
}
