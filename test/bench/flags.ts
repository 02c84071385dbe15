import type { FilingDeps } from '../../src/filing/file.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { createLog } from '../../src/lib/log.ts';
import { changePace } from '../../src/mailbox/change-plan.ts';
import { followChanges } from '../../src/mailbox/changes.ts';
import type { Look } from '../../src/mailbox/looking.ts';
import { createTogether } from '../../src/mailbox/together.ts';
import { openSession } from '../../src/mailbox/session.ts';
import { createDoubts } from '../../src/mailbox/doubt.ts';
import { newlyWatched } from '../../src/mailbox/watched.ts';
import { createDiskBlobs } from '../../src/store/blobs.ts';
import { rows } from '../../src/store/database.ts';
import { readFolders } from '../../src/store/folders.ts';
import { passwordOf } from '../support/mail.ts';
import type { Bench, BenchDatabase } from './bench.ts';
import { runsMax } from './bench.ts';
import { figureOf, ratios, shown } from './figures.ts';
import { secretBox } from './gateway.ts';
import { lookThrough } from './look.ts';
import { contactMail, fillInbox } from './mail.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';
import { usualLimits } from '../support/limits.ts';

const messagesMax = 5_000;
const user = 'flags@bench.test';

/**
 * Milliseconds to learn what has changed of the stored messages of a folder, at a server without mod-sequences
 * (Exchange), against a bare client that fetches the flags of all. Ours asks about the newest of them alone.
 */
export async function measureFlags(bench: Bench): Promise<Row[]> {
  await fillInbox(bench.servers, user, contactMail(messagesMax));
  const { database } = await lookThrough(bench, user, messagesMax);
  const raw: number[] = [];
  const ours: number[] = [];
  await rawFlags(bench);
  for (let run = 0; run < runsMax; run += 1) {
    raw.push(await rawFlags(bench));
    ours.push(await compared(bench, database));
  }
  await database.drop();
  return [
    {
      what: `ms to compare the flags of ${messagesMax} stored messages without CONDSTORE; raw: FETCH of all flags`,
      raw: shown(figureOf(raw)),
      ours: shown(figureOf(ours)),
      ratio: ratios(ours, raw),
      aim: '',
      sample: `${runsMax}`,
      load: bench.load(),
    },
  ];
}

const endpointOf = ({ servers }: Bench) => {
  const { host, tlsPort: port } = servers.dovecot.imap.outlook;
  return { host, port, security: 'tls' } as const;
};

async function rawFlags(bench: Bench): Promise<number> {
  const client = await openRawClient(endpointOf(bench), { user, pass: passwordOf(user) });
  const startedAt = performance.now();
  const found = await client.fetchAll('1:*', { uid: true, flags: true }, { uid: true });
  const ms = performance.now() - startedAt;
  client.close();
  if (found.length !== messagesMax) throw new Error(`${found.length} messages in place of ${messagesMax}`);
  return ms;
}

async function compared(bench: Bench, { db }: BenchDatabase): Promise<number> {
  const [mailbox] = await rows<{ id: MailboxId }>(db, 'select id from mailboxes');
  const saved = (await readFolders(db, mailbox?.id ?? 'mbx_')).find(({ role }) => role === 'inbox');
  if (mailbox === undefined || saved === undefined) throw new Error('nothing was looked through');
  const session = await openSession({
    server: endpointOf(bench),
    login: { user, password: passwordOf(user) },
    onArrival: () => undefined,
    onClose: () => undefined,
  });
  await session.open(saved.path);
  const log = createLog('error');
  const blobs = createDiskBlobs(await bench.newDirectory());
  const filing: FilingDeps = {
    db,
    blobs,
    secretBox,
    clock: systemClock,
    log,
    loggingDomain: null,
    limitsOf: usualLimits,
    wakePublisher: () => undefined,
  };
  // What following changes takes of a look; the rest is for new mail.
  const look: Pick<Look, 'filing' | 'together' | 'log' | 'doubts' | 'goneWaitMs' | 'changePace' | 'writing'> =
    {
      filing,
      together: createTogether(db),
      log,
      doubts: createDoubts(systemClock),
      goneWaitMs: 30_000,
      changePace,
      writing: { isBusy: false, times: 0 },
    };
  const startedAt = performance.now();
  await followChanges(look as Look, session, newlyWatched(saved), 'flags');
  const ms = performance.now() - startedAt;
  session.close();
  return ms;
}
