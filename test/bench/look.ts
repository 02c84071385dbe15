import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench, BenchDatabase } from './bench.ts';
import { liveMailboxes, startBenchGateway } from './gateway.ts';
import type { BenchGateway } from './gateway.ts';
import { addMailbox } from './tenant.ts';

/**
 * A listener's way through a person's whole mailbox, into a new database. `rate` is in messages a
 * second, from its start to `live`: login, folders, headers, decisions, bodies, events. The caller
 * drops the database.
 */
export async function lookThrough(
  bench: Bench,
  user: string,
  messagesMax: number,
  options: {
    /** Instead of the bench's own tenant. */
    contacts?: number;
    /** Asked for before it stops, of what has been looked through. */
    afterwards?: (gateway: BenchGateway, db: Db) => Promise<void>;
  } = {},
): Promise<{ rate: number; database: BenchDatabase }> {
  const database = await bench.newDatabase(options.contacts);
  const { db } = database;
  const gateway = startBenchGateway({
    db,
    blobsDirectory: await bench.newDirectory(),
    imap: bench.imap,
    loginOf: (login) => ({ user: login, password: passwordOf(login) }),
  });
  const mailboxId = await addMailbox(db, user);
  const startedAt = performance.now();
  gateway.listen(mailboxId);
  const live = async () => (await liveMailboxes(db)) === 1;
  await waitFor('a live mailbox', live, { deadlineMs: 120_000, everyMs: 20 }).catch(
    async (error: unknown) => {
      await gateway.stop();
      await database.drop();
      throw error;
    },
  );
  const rate = (messagesMax * 1000) / (performance.now() - startedAt);
  await options.afterwards?.(gateway, db);
  await gateway.stop();
  const [row] = await rows<{ judged: number }>(db, 'select count(*)::int as judged from decisions');
  if (row?.judged !== messagesMax) throw new Error(`${row?.judged} decisions in place of ${messagesMax}`);
  return { rate, database };
}
