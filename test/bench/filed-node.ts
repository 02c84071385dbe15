// The process that files logged mail in the bench: the spool's way into the database, and the filer.
import { setTimeout as wait } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { createFiler } from '../../src/intake/filer.ts';
import { createTake } from '../../src/intake/take.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import { createLog } from '../../src/lib/log.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { openDatabase, rows } from '../../src/store/database.ts';
import {
  addLoggingAddress,
  findLoggingAddresses,
  findLoggingOwners,
} from '../../src/store/logging-addresses.ts';
import type { LoggingOwner } from '../../src/store/logging-addresses.ts';
import type { Spooled } from '../../src/store/spool.ts';
import { waitFor } from '../support/wait.ts';
import { serveParent } from './child.ts';
import { secretBox } from './gateway.ts';
import { loggedMail } from './mail.ts';
import { addMailbox } from './tenant.ts';

export type FiledOptions = { users: number; databaseUrl: string; blobsDirectory: string };
export type Filed = { perSecond: number; heldBytes: number };

const options = JSON.parse(process.argv[2] ?? '') as FiledOptions;
const { db } = await openDatabase({ kind: 'postgres', url: options.databaseUrl, connectionsMax: 20 });
const blobs = createDiskBlobs(options.blobsDirectory);
const addressOf = (n: number) => `seller-${n % options.users}@bench.test`;
const loggingIds = await addUsers();
const take = createTake({ db, blobs, wakeFiler: () => undefined });
let accepted = 0;
const takenAtOnce = 100;

/** Files so many more mails, in whole batches of the spool. */
serveParent(async (question): Promise<Filed> => {
  const count = Number(question);
  const end = accepted + count;
  for (; accepted < end; accepted += takenAtOnce)
    await take(Array.from({ length: takenAtOnce }, (_, n) => mailOf(accepted + n)));
  const filer = createFiler({
    db,
    blobs,
    secretBox,
    clock: systemClock,
    log: createLog('warn'),
    loggingDomain: 'log.example',
    wakePublisher: () => undefined,
    wakeErrands: () => undefined,
    proveMessage: () => Promise.reject(new Error('all of them are proven')),
  });
  const startedAt = performance.now();
  filer.start();
  await waitFor('all of them to be filed', isDone, { deadlineMs: 300_000, everyMs: 20 });
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

/** The ids of their logging addresses. */
async function addUsers(): Promise<LoggingOwner['id'][]> {
  const ids: LoggingOwner['id'][] = [];
  for (let n = 0; n < options.users; n += 1) {
    const member = { subAccountId: 'bench', userId: addressOf(n) };
    await addMailbox(db, addressOf(n));
    await addLoggingAddress(db, member);
    const { localPart = '' } = (await findLoggingAddresses(db, member)) ?? {};
    const owner = (await findLoggingOwners(db, [localPart])).get(localPart);
    if (owner !== undefined) ids.push(owner.id);
  }
  return ids;
}

function mailOf(n: number): { spooled: Spooled; raw: Buffer } {
  const from = addressOf(n);
  const raw = loggedMail(n, from);
  const spooled: Spooled = {
    id: newId('spl'),
    receivedAt: Date.now(),
    envelope: {
      from,
      to: [
        {
          address: 'log-any@log.example',
          loggingAddressId: loggingIds[n % options.users] ?? 'lad_none',
          tag: '',
        },
      ],
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

/** In the heap and in buffers, after a few collections. */
async function heldBytes(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await wait(250);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
