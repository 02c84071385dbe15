import { headerFingerprint } from '../message/fingerprint.ts';
import { readHeader } from '../message/header.ts';
import { mailKind } from '../message/kind.ts';
import { sight } from '../filing/sighting.ts';
import type { Place, Sighting } from '../filing/sighting.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import { placeOfError } from '../lib/failure.ts';

/** One message as FETCH shows it, before its body is asked for. */
export type Seen = {
  uid: number;
  /** The header as it is, raw. */
  header: Buffer;
  /** INTERNALDATE, ms since the epoch; NaN where the server gave none. */
  internalDate: number;
  /** RFC822.SIZE in bytes. */
  size: number;
  /** Flags and labels, lower-case. */
  marks: ReadonlySet<string>;
  gmail: { messageId: string; threadId: string } | null;
};

/** An unreadable message; it needs no header to be judged. */
export type Unread = Pick<Seen, 'uid'> & Partial<Seen> & { unreadable: true };

/** What FETCH showed, as filing knows it. Pure. */
export function sightingOf(
  mailboxId: MailboxId,
  place: Omit<Place, 'uid'>,
  seen: Seen,
  now: number,
): Sighting {
  const header = readHeader(seen.header);
  return sight({
    mailboxId,
    place: { ...place, uid: seen.uid },
    header,
    kind: mailKind(header).kind,
    fingerprint: headerFingerprint(header, seen.internalDate),
    internalDate: Number.isNaN(seen.internalDate) ? (header.date ?? now) : seen.internalDate,
    size: seen.size,
    marks: seen.marks,
    gmail: seen.gmail,
    unreadable: false,
  });
}

/** A message that is there and cannot be shown, or not be filed as it is: all that is left to say of it (T3). Pure. */
export function unreadableSighting(
  mailboxId: MailboxId,
  place: Omit<Place, 'uid'>,
  known: Pick<Seen, 'uid'> & Partial<Seen>,
  now: number,
): Sighting {
  const { uid, internalDate = now, size = 0, marks = new Set<string>(), gmail = null } = known;
  const bare = { uid, header: Buffer.alloc(0), internalDate, size, marks, gmail };
  return { ...sightingOf(mailboxId, place, bare, now), unreadable: true };
}

/**
 * What was shown of several messages, as filing knows it, ascending by UID. One whose header we fail to
 * read ourselves is kept as one that cannot be shown (T3).
 */
export function sightingsOf(
  of: { mailboxId: MailboxId; place: Omit<Place, 'uid'>; now: number; log: Log },
  seen: readonly (Seen | Unread)[],
): Sighting[] {
  const { mailboxId, place, now, log } = of;
  return seen
    .map((each) => {
      if ('unreadable' in each) return unreadableSighting(mailboxId, place, each, now);
      try {
        return sightingOf(mailboxId, place, each, now);
      } catch (error) {
        const { uid } = each;
        log.error({ folder: place.folderId, uid, ...placeOfError(error) }, 'a header could not be read');
        return unreadableSighting(mailboxId, place, each, now);
      }
    })
    .sort((a, b) => a.place.uid - b.place.uid);
}
