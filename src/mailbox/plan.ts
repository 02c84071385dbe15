import type { FolderRole } from '../filing/sighting.ts';
import type { FolderEnd } from '../store/folders.ts';

/** Where a folder stands on our side. `uidValidity` null: it was never looked into. */
export type Saved = { uidValidity: number | null; cursorUid: number };

/** What the server says of a folder, by EXAMINE or STATUS. */
export type Observed = {
  uidValidity: number;
  /** The next UID that will be given; null where the server does not say. */
  uidNext: number | null;
};

/** What STATUS says of a folder, which tells too that something in it has changed, by another signature. */
export type Standing = Observed & {
  signature: string;
  /** How many messages lie in it; null where the server does not say. */
  messages: number | null;
};

/** The next thing to do with a folder. */
export type Step =
  /** Every message has been judged. */
  | { step: 'nothing' }
  /** Messages from this UID on have not been judged; about how many there are, where that is known. */
  | { step: 'read'; fromUid: number; atMost: number | null }
  /** Never looked into, or numbered anew (RFC 9051 §2.3.1.1): find the first message that counts. */
  | { step: 'find_start' }
  /** What the server says cannot be; report it, and delete or skip nothing for it. */
  | { step: 'stop'; because: 'uid_validity_missing' | 'uids_went_backwards' };

/** What to do with one folder. Pure: saved and observed state in, a step out. */
export function planFolder(saved: Saved, observed: Observed): Step {
  if (!Number.isSafeInteger(observed.uidValidity) || observed.uidValidity <= 0) {
    return { step: 'stop', because: 'uid_validity_missing' };
  }
  if (saved.uidValidity !== observed.uidValidity) return { step: 'find_start' };
  const fromUid = saved.cursorUid + 1;
  if (observed.uidNext === null) return { step: 'read', fromUid, atMost: null };
  // RFC 9051 §2.3.1.1: UIDs only grow while UIDVALIDITY stays.
  if (observed.uidNext < fromUid) return { step: 'stop', because: 'uids_went_backwards' };
  const atMost = observed.uidNext - fromUid;
  return atMost === 0 ? { step: 'nothing' } : { step: 'read', fromUid, atMost };
}

/**
 * Where to begin in a folder that holds nothing: what comes has a UID from UIDNEXT on. Null for one with mail, which
 * may have come since mail counts, so that it must be opened and searched. Pure.
 */
export function startUnopened(step: Step, { messages, uidNext, uidValidity }: Standing): Start | null {
  if (step.step !== 'find_start' || messages !== 0 || uidNext === null) return null;
  return { uidValidity, cursorUid: uidNext - 1 };
}

/** Where a folder is read from. */
export type Start = { uidValidity: number; cursorUid: number };

/** A folder as LIST shows it. */
export type Listed = {
  path: string;
  /** What the server says of it (RFC 9051 §7.3.1, RFC 6154), as written. */
  attributes: ReadonlySet<string>;
  /** Its RFC 6154 use, also where that was derived from a localised name: `\Sent`, `\Junk`, … */
  specialUse: string | undefined;
  /** Where it stands, if the server tells that with the list (RFC 5819). */
  observed: Standing | null;
};

const roles: Readonly<Record<string, FolderRole>> = {
  '\\sent': 'sent',
  '\\archive': 'archive',
  '\\junk': 'spam',
  '\\trash': 'trash',
  '\\drafts': 'drafts',
};

/**
 * Folders of what is not sent yet, or never will be: Outlook's Outbox, mail that goes out later, and
 * templates. Neither Exchange nor Thunderbird marks them, so that their names must do; no library
 * knows these. Lower case.
 */
const unsentNames: ReadonlySet<string> = new Set(
  [
    'outbox|postausgang|boîte d’envoi|bandeja de salida|posta in uscita|caixa de saída|a enviar|postvak uit',
    'utkorgen|utboks|utboksen|udbakke|lähtevät|skrzynka nadawcza|pošta k odeslání|postázandó üzenetek|giden kutusu',
    'исходящие|εξερχόμενα|送信トレイ|发件箱|寄件匣|보낼 편지함',
    'templates|vorlagen|modèles|plantillas|modelli|modelos|sjablonen|mallar|maler|skabeloner|mallit|szablony|šablony',
    'scheduled|geplant|planifiés|programados|programmati|agendados|gepland',
  ].flatMap((names) => names.split('|')),
);

/** Whether the path is such a folder's: at the top or right below the inbox, where programs make them. */
function isUnsent(path: string): boolean {
  const name = path
    .normalize('NFC')
    .replace(/^INBOX[./]/i, '')
    .replaceAll("'", '’');
  return unsentNames.has(name.toLowerCase());
}

/**
 * What a listed folder is for; null for one that has no mail of its own: it cannot be opened, or
 * shows a selection of what lies elsewhere (RFC 6154 \Flagged, RFC 8457 \Important; so does \All,
 * which only Gmail's is used for). A *name* like "All" or "Starred" makes no such view: it may be
 * any folder. What is not sent yet counts as drafts.
 */
export function roleOf(listed: Listed): FolderRole | null {
  const attributes = new Set([...listed.attributes].map((attribute) => attribute.toLowerCase()));
  const has = (...some: string[]) => some.some((attribute) => attributes.has(attribute));
  if (has('\\noselect', '\\nonexistent')) return null;
  if (listed.path.toUpperCase() === 'INBOX') return 'inbox';
  if (has('\\all')) return 'all';
  if (has('\\flagged', '\\important')) return null;
  const role = roles[listed.specialUse?.toLowerCase() ?? ''];
  if (role !== undefined) return role;
  return has('\\scheduled') || isUnsent(listed.path) ? 'drafts' : 'other';
}

/** Which folders are watched and how (S14). */
export type Watch = {
  /** Each on a connection of its own with IDLE: new mail there is seen at once. */
  idle: string[];
  /** Asked about at each safety-net look. */
  sweep: string[];
};

/**
 * Which folders to watch. On Gmail, All Mail alone has received, sent and archived mail; where the
 * person hid it from IMAP, and everywhere else, inbox and Sent each have a connection (as far as the
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
  const sweep = pathsOf('inbox', 'sent', 'archive', 'other').filter((path) => !idle.includes(path));
  return { idle, sweep };
}

/**
 * Where the folders that are to be swept ended when they were listed, so that what counts from then on is read from
 * there. Left out are those of which the listing does not say it; all, where it shows no inbox. Pure.
 */
export function endsOf(listed: readonly Listed[]): FolderEnd[] {
  const folders = listed.flatMap((folder) => {
    const role = roleOf(folder);
    return role === null ? [] : [{ ...folder, role }];
  });
  const { idle, sweep } = watchOf(folders, { gmailExtensions: false, connectionsMax: 2 });
  if (idle.length === 0) return [];
  const swept = new Set(sweep);
  return folders.flatMap(({ path, role, observed }) => {
    if (!swept.has(path) || observed === null || observed.uidNext === null) return [];
    const { uidValidity, uidNext } = observed;
    const isNumbered = planFolder({ uidValidity: null, cursorUid: 0 }, observed).step === 'find_start';
    return isNumbered ? [{ path, role, uidValidity, cursorUid: uidNext - 1 }] : [];
  });
}
