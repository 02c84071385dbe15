// What the processes of the bench that file logged mail have in common.
import { setTimeout as wait } from 'node:timers/promises';
import { createFiler } from '../../src/intake/filer.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import type { Worker } from '../../src/lib/waker.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import {
  addLoggingAddress,
  findLoggingAddresses,
  findLoggingOwners,
} from '../../src/store/logging-addresses.ts';
import type { LoggingOwner } from '../../src/store/logging-addresses.ts';
import { secretBox } from './gateway.ts';
import { addMailbox } from './tenant.ts';
import { usualLimits } from '../support/limits.ts';

const loggingDomain = 'log.example';

/** A user of the bench who logs mail. */
export type LoggingUser = { address: string; loggingId: LoggingOwner['id']; loggingAddress: string };

/** The stores of a process, and so many users, each with a mailbox and a logging address. */
export async function openLoggingStores(options: {
  users: number;
  databaseUrl: string;
  blobsDirectory: string;
}) {
  const { db } = await openDatabase({ kind: 'postgres', url: options.databaseUrl, connectionsMax: 20 });
  const users: LoggingUser[] = [];
  for (let n = 0; n < options.users; n += 1) users.push(await addLoggingUser(db, `seller-${n}@bench.test`));
  return { db, blobs: createDiskBlobs(options.blobsDirectory), users };
}

async function addLoggingUser(db: Db, address: string): Promise<LoggingUser> {
  const member = { subAccountId: 'bench', userId: address };
  await addMailbox(db, address);
  await addLoggingAddress(db, member);
  const { localPart = '' } = (await findLoggingAddresses(db, member)) ?? {};
  const owner = (await findLoggingOwners(db, [localPart])).get(localPart);
  if (owner === undefined) throw new Error(`${address} has no logging address`);
  return { address, loggingId: owner.id, loggingAddress: `${localPart}@${loggingDomain}` };
}

/** Files what is in the spool's table; `wakePublisher` is called after each commit with events. */
export function createBenchFiler(
  stores: Pick<Awaited<ReturnType<typeof openLoggingStores>>, 'db' | 'blobs'>,
  wakePublisher: () => void = () => undefined,
): Worker {
  return createFiler({
    ...stores,
    secretBox,
    clock: systemClock,
    log: createLog('warn'),
    loggingDomain,
    limitsOf: usualLimits,
    wakePublisher,
    wakeErrands: () => undefined,
    proveMessage: () => Promise.reject(new Error('all of them are proven')),
  });
}

/** Bytes in the heap and in buffers, after a few collections. Needs --expose-gc. */
export async function heldBytes(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await wait(250);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
