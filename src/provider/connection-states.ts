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
