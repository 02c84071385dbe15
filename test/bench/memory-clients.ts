// Idle mailboxes in a process of their own, so that its memory is theirs: bare clients, or the gateway's listeners.
import { setTimeout as wait } from 'node:timers/promises';
import { ImapFlow } from 'imapflow';
import type { ServerAddress } from '../../src/provider/providers.ts';
import { openDatabase } from '../../src/store/database.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { serveParent } from './child.ts';
import { liveMailboxes, startBenchGateway } from './gateway.ts';
import { openRawClient } from './raw-client.ts';
import { addMailbox } from './tenant.ts';

export type IdleOptions = {
  kind: 'bare' | 'listeners';
  imap: ServerAddress;
  /** Connections of each listener. */
  connections: number;
  databaseUrl: string;
  blobsDirectory: string;
};

const options = JSON.parse(process.argv[2] ?? '') as IdleOptions;
const { kind, imap, connections } = options;
const addressOf = (n: number) => `idle-${n}@bench.test`;
const parallel = 20;
const held: ImapFlow[] = [];
let mailboxes = 0;

const listening = kind === 'listeners' ? await startListeners() : null;

/** Brings the number of idle mailboxes to this; answers the resident memory then, in bytes. */
serveParent(async (question) => {
  const wanted = Number(question);
  await (kind === 'bare' ? openClients(wanted) : openListeners(wanted));
  mailboxes = wanted;
  return residentBytes();
});

async function openClients(wanted: number): Promise<void> {
  const missing = Array.from({ length: wanted - mailboxes }, (_, n) => addressOf(mailboxes + n));
  const worker = async () => {
    for (let address = missing.pop(); address !== undefined; address = missing.pop()) {
      const client = await openRawClient(imap, { user: address, pass: passwordOf(address) });
      client.idle().catch(() => undefined);
      held.push(client);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

async function startListeners() {
  const { db } = await openDatabase({ kind: 'postgres', url: options.databaseUrl, connectionsMax: 10 });
  const { blobsDirectory } = options;
  const loginOf = (user: string) => ({ user, password: passwordOf(user) });
  return { db, gateway: startBenchGateway({ db, blobsDirectory, imap, loginOf, connections }) };
}

async function openListeners(wanted: number): Promise<void> {
  if (listening === null) throw new Error('no listeners run here');
  const { db, gateway } = listening;
  for (let n = mailboxes; n < wanted; n += 1) gateway.listen(await addMailbox(db, addressOf(n)));
  await waitFor(`${wanted} live mailboxes`, async () => (await liveMailboxes(db)) === wanted, {
    deadlineMs: 180_000,
    everyMs: 250,
  });
}

/** After a few collections: what is left is held. */
async function residentBytes(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await wait(500);
  }
  return process.memoryUsage.rss();
}
