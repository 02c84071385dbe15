import { newId } from '../../src/lib/id.ts';
import type { ConnectionId, MailboxId } from '../../src/lib/id.ts';
import { rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { addErrands, findAudit } from '../../src/store/errands.ts';
import { passwordOf } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { figureOf, ratios, shown } from './figures.ts';
import type { BenchGateway } from './gateway.ts';
import { lookThrough } from './look.ts';
import { fillInbox, privateMail } from './mail.ts';
import { openRawClient } from './raw-client.ts';
import type { Row } from './table.ts';

const messagesMax = 20_000;
const user = 'audited@bench.test';

/** Messages that an audit compares with the decisions a second, against a bare client that fetches the same headers. */
export async function measureAudit(bench: Bench): Promise<Row[]> {
  await fillInbox(bench.servers, user, privateMail(messagesMax));
  await rawHeaders(bench);
  const raw: number[] = [];
  const ours: number[] = [];
  const { database } = await lookThrough(bench, user, messagesMax, {
    afterwards: async (gateway, db) => {
      for (let run = 0; run < runsMax; run += 1) {
        raw.push(await rawHeaders(bench));
        ours.push(await audited(gateway, db));
      }
    },
  });
  await database.drop();
  return [
    {
      what: 'messages audited a second; raw: their headers',
      raw: shown(figureOf(raw)),
      ours: shown(figureOf(ours)),
      ratio: ratios(ours, raw),
      aim: '',
      sample: `${runsMax} × ${messagesMax}`,
      load: bench.load(),
    },
  ];
}

async function rawHeaders(bench: Bench): Promise<number> {
  const startedAt = performance.now();
  const client = await openRawClient(bench.imap, { user, pass: passwordOf(user) });
  const query = { uid: true, flags: true, internalDate: true, size: true, headers: true };
  let count = 0;
  for await (const message of client.fetch('1:*', query, { uid: true })) if (message.uid > 0) count += 1;
  client.close();
  return (count * 1000) / (performance.now() - startedAt);
}

async function audited(gateway: BenchGateway, db: Db): Promise<number> {
  const [connection] = await rows<{ id: ConnectionId; mailbox: MailboxId }>(
    db,
    'select id, mailbox_id as mailbox from connections',
  );
  if (connection === undefined) throw new Error('nobody is connected');
  const id = newId('aud');
  const request = { since: 0, heal: true, scheduled: false };
  const { id: connection_id, mailbox: mailbox_id } = connection;
  await addErrands(db, [{ id, kind: 'audit', sub_account_id: 'bench', connection_id, mailbox_id, request }]);
  const startedAt = performance.now();
  gateway.wakeErrands();
  const audit = await waitFor(
    'the audit',
    async () => {
      const found = await findAudit(db, { subAccountId: 'bench', id });
      return found?.ended_at == null ? null : found;
    },
    { deadlineMs: 120_000, everyMs: 20 },
  );
  if (audit.decided !== messagesMax) throw new Error(`${audit.decided} decided in place of ${messagesMax}`);
  return (messagesMax * 1000) / (performance.now() - startedAt);
}
