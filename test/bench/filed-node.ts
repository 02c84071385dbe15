// The process that files logged mail in the bench: the spool's way into the database, and the filer.
import { createHash } from 'node:crypto';
import { createTake } from '../../src/intake/take.ts';
import { newId } from '../../src/lib/id.ts';
import { rows } from '../../src/store/database.ts';
import type { Spooled } from '../../src/store/spool.ts';
import { waitFor } from '../support/wait.ts';
import { serveParent } from './child.ts';
import { createBenchFiler, heldBytes, openLoggingStores } from './logging-node.ts';
import { loggedMail } from './mail.ts';

export type FiledOptions = { users: number; databaseUrl: string; blobsDirectory: string };
export type Filed = { perSecond: number; heldBytes: number };

const stores = await openLoggingStores(JSON.parse(process.argv[2] ?? '') as FiledOptions);
const { db, blobs, users } = stores;
const take = createTake({ db, blobs, wakeFiler: () => undefined });
let accepted = 0;
const takenAtOnce = 100;

/** Files so many more mails, in whole batches of the spool. */
serveParent(async (question): Promise<Filed> => {
  const count = Number(question);
  const end = accepted + count;
  for (; accepted < end; accepted += takenAtOnce)
    await take(Array.from({ length: takenAtOnce }, (_, n) => mailOf(accepted + n)));
  const filer = createBenchFiler(stores);
  const startedAt = performance.now();
  filer.start();
  await waitFor('all of them to be filed', isDone, { deadlineMs: 300_000, everyMs: 100 });
  const perSecond = (count * 1000) / (performance.now() - startedAt);
  await filer.stop();
  const [stored] = await rows<{ messages: number }>(db, 'select count(*)::int as messages from messages');
  if (stored?.messages !== accepted)
    throw new Error(`${stored?.messages} in place of ${accepted} are stored`);
  return { perSecond, heldBytes: await heldBytes() };
});

async function isDone(): Promise<boolean> {
  const waiting = await rows(db, 'select 1 from intake_spool where ready limit 1');
  return waiting.length === 0;
}

function mailOf(n: number): { spooled: Spooled; raw: Buffer } {
  const user = users[n % users.length];
  if (user === undefined) throw new Error('there are no users');
  const raw = loggedMail(n, user.address);
  const spooled: Spooled = {
    id: newId('spl'),
    receivedAt: Date.now(),
    envelope: {
      from: user.address,
      to: [{ address: user.loggingAddress, loggingAddressId: user.loggingId, tag: '' }],
      helo: 'mx.bench.test',
      clientAddress: '192.0.2.1',
      tls: true,
    },
    proof: {
      verdict: 'proven',
      domain: 'bench.test',
      by: 'spf',
      spf: 'pass',
      dkim: null,
      dmarcPolicy: null,
      arc: null,
    },
    sha256: createHash('sha256').update(raw).digest('hex'),
    size: raw.length,
  };
  return { spooled, raw };
}
