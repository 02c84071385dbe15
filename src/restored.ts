import type { Config } from './config.ts';
import { openExistingData } from './data.ts';
import { settleRestored } from './store/restored.ts';

/** A mailbox that was away is caught up with in minutes; one whose provider is slow, in less than this. */
const waitMs = 3_600_000;

/** `twoway restored`: prepares a database that was restored from a backup. Answers what it did. */
export async function settleAfterRestore(config: Config): Promise<string> {
  const { db, close } = await openExistingData(config);
  try {
    const { sendsDelayed, sessionsEnded } = await settleRestored(db, waitMs);
    return (
      `${sendsDelayed} messages that wait to be sent may have gone out since: they wait an hour, in which the Sent folders are looked at.\n` +
      'Events go on with numbers that the CRM has not seen.\n' +
      `${sessionsEnded} sessions of the pages have ended.\n`
    );
  } finally {
    await close();
  }
}
