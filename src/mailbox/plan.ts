/** Where a folder stands on our side. `uidValidity` null: it was never looked into. */
export type Saved = { uidValidity: number | null; cursorUid: number };

/** What the server says of a folder, by EXAMINE or STATUS. */
export type Observed = {
  uidValidity: number;
  /** The next UID that will be given; null where the server does not say. */
  uidNext: number | null;
};

/** The next thing to do with a folder. */
export type Step =
  /** Every message has been judged. */
  | { step: 'nothing' }
  /** Messages from this UID on have not been judged. */
  | { step: 'read'; fromUid: number }
  /** Never looked into, or numbered anew (RFC 9051 §2.3.1.1): find the first message since the sync began. */
  | { step: 'find_start' }
  /** What the server says cannot be; report it, and delete or skip nothing for it. */
  | { step: 'stop'; because: string };

/** What to do with one folder. Pure: saved and observed state in, a step out. */
export function planFolder(saved: Saved, observed: Observed): Step {
  if (!Number.isSafeInteger(observed.uidValidity) || observed.uidValidity <= 0) {
    return { step: 'stop', because: 'uid_validity_missing' };
  }
  if (saved.uidValidity === null || saved.uidValidity !== observed.uidValidity) return { step: 'find_start' };
  if (observed.uidNext === null) return { step: 'read', fromUid: saved.cursorUid + 1 };
  // RFC 9051 §2.3.1.1: UIDs only grow while UIDVALIDITY stays.
  if (observed.uidNext <= saved.cursorUid) return { step: 'stop', because: 'uids_went_backwards' };
  return observed.uidNext === saved.cursorUid + 1
    ? { step: 'nothing' }
    : { step: 'read', fromUid: saved.cursorUid + 1 };
}

/** A folder as LIST shows it. */
export type Listed = {
  path: string;
  /** RFC 6154 attribute or what imapflow derived from a localised name: `\Sent`, `\Junk`, … */
  specialUse: string | undefined;
  /** It cannot be opened (RFC 9051 \Noselect, \NonExistent). */
  closed: boolean;
};

export type FolderRole = 'all' | 'inbox' | 'sent' | 'archive' | 'other' | 'spam' | 'trash' | 'drafts';

const roles: Readonly<Record<string, FolderRole>> = {
  '\\all': 'all',
  '\\inbox': 'inbox',
  '\\sent': 'sent',
  '\\archive': 'archive',
  '\\junk': 'spam',
  '\\trash': 'trash',
  '\\drafts': 'drafts',
};

/** What a listed folder is for. Gmail's \Important and \Flagged are views of other mail, so they count as `other`. */
export function roleOf(listed: Listed): FolderRole {
  if (listed.path.toUpperCase() === 'INBOX') return 'inbox';
  return roles[listed.specialUse?.toLowerCase() ?? ''] ?? 'other';
}

/** Which folders are watched and how (S14). */
export type Watch = {
  /** Each on a connection of its own with IDLE: new mail there is seen at once. */
  idle: string[];
  /** Asked about with STATUS at each safety-net look. */
  sweep: string[];
};

/**
 * Which folders to watch. On Gmail, All Mail alone has received, sent and archived mail; where the
 * person hid it from IMAP, or there is none, inbox and Sent each have a connection (as far as the
 * provider allows that many) and every other folder but Spam, Trash and Drafts is swept. Pure.
 */
export function watchOf(
  folders: readonly { path: string; role: FolderRole }[],
  provider: { gmailExtensions: boolean; connectionsMax: number },
): Watch {
  const pathsOf = (...wanted: FolderRole[]) =>
    folders.filter((folder) => wanted.includes(folder.role)).map((folder) => folder.path);
  const allMail = provider.gmailExtensions ? pathsOf('all') : [];
  if (allMail.length > 0) return { idle: allMail.slice(0, 1), sweep: [] };
  const quick = [...pathsOf('inbox').slice(0, 1), ...pathsOf('sent').slice(0, 1)];
  const idle = quick.slice(0, Math.max(1, provider.connectionsMax));
  // Gmail without All Mail: every other label shows messages that inbox or Sent had when they came.
  const others = pathsOf(
    'inbox',
    'sent',
    'archive',
    'other',
    ...(provider.gmailExtensions ? [] : ['all' as const]),
  );
  return { idle, sweep: others.filter((path) => !idle.includes(path)) };
}
