import { noteVanished } from '../filing/places.ts';
import { findVanished } from '../store/places.ts';
import type { VanishedPlace } from '../store/places.ts';
import { comeHome, isOfTheFolder, seenBy } from './round.ts';
import type { Round } from './round.ts';

/** So many are searched for after one look; the others after the next. */
const settledMax = 400;

/** So many in one SEARCH. */
const searchedAtOnce = 20;

/**
 * Says what became of messages that have left a folder and were found in no other that is watched: they are
 * in Trash or Spam, which nobody watches, or gone (U3). Only after a look at every folder that began at
 * `lookBeganAt` (by the monotonic clock), so that whatever was moved has been seen where it is now.
 */
export async function settleVanished(round: Round, lookBeganAt: number): Promise<void> {
  const { filing, clock, together } = round.deps;
  const { id: mailboxId } = round.mailbox;
  const { isBusy, times } = round.look.writing;
  if (isBusy || !seenBy(round).all || !(await together.findWork(mailboxId)).vanished) return;
  const vanished = await findVanished(filing.db, mailboxId, {
    now: clock.now(),
    lookBeganAt: clock.now() - (clock.monotonic() - lookBeganAt),
    limit: settledMax,
  });
  if (vanished.length === 0) return;
  const wanted = vanished.flatMap(idOf);
  const discarded = wanted.length === 0 ? new Set<string>() : await findDiscarded(round, wanted);
  // What we have moved meanwhile is known better.
  if (round.look.writing.times !== times) return;
  const otherwise = leftUnseen(round) ? 'archived' : 'gone';
  await noteVanished(
    filing,
    mailboxId,
    vanished.map((place) => ({
      message_id: place.messageId,
      state: idOf(place).some((id) => discarded.has(id)) ? 'trashed' : place.isElsewhere ? 'gone' : otherwise,
    })),
  );
}

/** By what a message that is in no other folder is searched for. */
function idOf({ isElsewhere, internetMessageId }: VanishedPlace): string[] {
  return isElsewhere || internetMessageId === null ? [] : [internetMessageId];
}

/**
 * Gmail with All Mail hidden: to leave the inbox is to lose a label, and where the message is then, nobody
 * shows (providers.md A.5). Most likely it was archived.
 */
function leftUnseen({ lines: [first], folders }: Round): boolean {
  return first.session.gmail && ![...folders.values()].some(({ role }) => role === 'all');
}

/** Those of some Message-IDs that lie in Trash or Spam. */
async function findDiscarded(round: Round, wanted: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  const { session } = round.lines[0];
  for (const { id, path, role } of round.folders.values()) {
    if (role !== 'trash' && role !== 'spam') continue;
    try {
      await session.open(path);
      for (let at = 0; at < wanted.length; at += searchedAtOnce) {
        const some = wanted.slice(at, at + searchedAtOnce);
        for (const each of await session.messageIds(some)) found.add(each);
      }
    } catch (error) {
      if (!isOfTheFolder(error)) throw error;
      round.deps.log.warn({ folder: id, code: error.code }, 'a folder of discarded mail cannot be searched');
    }
  }
  await comeHome(round);
  return found;
}
