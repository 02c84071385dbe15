import { newId } from '../../../src/lib/id.ts';
import type { SendId, WebhookId } from '../../../src/lib/id.ts';
import { SmtpFailure } from '../../../src/outbound/smtp.ts';
import type { Accepted, Submission } from '../../../src/outbound/smtp.ts';
import { run } from '../../../src/store/database.ts';
import { listDeliveries } from '../../../src/store/delivery-list.ts';
import type { DeliveryRow } from '../../../src/store/delivery-list.ts';
import { settleDeliveries } from '../../../src/store/deliveries.ts';
import { claimDeliveries } from '../../../src/store/delivery-claims.ts';
import { publishBatch } from '../../../src/store/events.ts';
import { insertWebhook } from '../../../src/store/webhooks.ts';
import { newSecret } from '../../../src/webhook/sign.ts';
import { createLoggingWorld } from '../../filing/logging-world.ts';
import type { LoggingWorld } from '../../filing/logging-world.ts';
import { createWorld } from '../../filing/world.ts';
import { openOffice, sessionsOf } from '../../outbound/support.ts';
import type { Office } from '../../outbound/support.ts';
import { startPages } from '../pages.ts';
import type { PagesUnderTest } from '../pages.ts';

/** The pages over an office that sends (`acme`), and one whose user logs mail (`north`, Ann). */
export type WorkingOffice = PagesUnderTest & {
  office: Office;
  /** Hands mail over to Ann's logging address, and files it. */
  logMail: LoggingWorld['log'];
  /** Files what was released. */
  fileAll: LoggingWorld['fileAll'];
  /** A message that was accepted, and is not tried yet. */
  accept(subject: string, to?: string): Promise<SendId>;
  /** Tries it until it is over; by what `to` begins with the server takes it, or not. */
  send(id: SendId): Promise<void>;
  webhook(options?: { url?: string; subAccountId?: string | null }): Promise<WebhookId>;
  /** Publishes what has happened, and tells whoever follows. */
  publish(): Promise<void>;
  /** Ends the first delivery of a webhook that is due, and answers it as it is then. */
  settle(webhookId: WebhookId, state: 'delivered' | 'parked'): Promise<DeliveryRow | undefined>;
};

export async function openWorkingOffice(): Promise<WorkingOffice> {
  const office = await openOffice('pglite');
  const t = await startPages({ db: office.db });
  const world = await createWorld(office.db);
  await world.addSubAccount('north');
  await world.addUser('ann', 'ann@mail.example', ['north']);
  const logging = createLoggingWorld(world);
  await office.setProvider({ host: 'relay.example', port: 587, security: 'starttls' });
  await office.connect({ userId: 'bob', address: 'bob@acme.example', provider: 'gmail', smtp });
  await office.addContact('kim', 'kim@customer.example');
  const share = async () => {
    for (const content of world.blobs.all.values()) await t.blobs.put([content]);
  };
  return {
    ...t,
    office,
    fileAll: logging.fileAll,
    async logMail(...mails) {
      const decided = await logging.log(...mails);
      await share();
      return decided;
    },
    accept: async (subject, to = 'kim@customer.example') => {
      const recipients = ['kim@customer.example', ...(to === 'kim@customer.example' ? [] : [to])];
      const { send } = await office.accept({
        userId: 'bob',
        subject,
        text: 'Good morning.',
        to: recipients.map((address) => ({ name: '', address })),
      });
      return send.id;
    },
    async send(id) {
      const sender = office.sender({ open: sessionsOf(submit) });
      await office.waitForState(id, (await expected(office, id)) ? 'failed' : 'sent', 1);
      await sender.stop();
    },
    async webhook({ url = 'https://crm.example/hook', subAccountId = null } = {}) {
      const id = newId('whk');
      const { sealed } = newSecret(t.secretBox, id);
      await insertWebhook(office.db, { id, url, types: [], subAccountId, secretSealed: sealed });
      return id;
    },
    async publish() {
      while (true) {
        const done = await publishBatch(office.db);
        if (done !== 'busy' && done.published === 0) break;
      }
      t.eventSignal.ring();
    },
    async settle(webhookId, state) {
      const claim = { webhookId, owner: 'test', leaseMs: 60_000, limit: 1 };
      const [claimed] = await claimDeliveries(office.db, claim);
      if (claimed === undefined) throw new Error('nothing is due');
      const ended =
        state === 'delivered'
          ? { status: 200, error: null }
          : { status: 500, error: 'the endpoint answered 500' };
      await settleDeliveries(office.db, {
        webhookId,
        owner: 'test',
        settled: [
          { id: claimed.id, tried: true, state, delayMs: 0, ...ended },
          ...claimed.behind.map(({ id }) => ({
            id,
            tried: false,
            state: 'pending' as const,
            delayMs: 0,
            ...ended,
          })),
        ],
        news: { kind: 'untold' },
        pauseMs: () => 0,
      });
      const rows = await listDeliveries(
        office.db,
        { webhookId, state },
        { from: null, way: 'older', limit: 1 },
      );
      return rows[0];
    },
    async close() {
      await t.close();
      await office.close();
    },
  };
}

const smtp = { host: 'smtp.example', port: 587, security: 'starttls' } as const;

/** What the provider says to recipients that begin with `nobody`. */
export const refusal = '550 5.1.1 <b>No such user</b> here';

async function submit({ envelope, beforeEnd }: Submission): Promise<Accepted> {
  if (envelope.to.some((address) => address.startsWith('nobody')))
    throw new SmtpFailure({ phase: 'envelope', reply: refusal, cause: 'unknown' }, [], null);
  await beforeEnd([]);
  return { reply: '250 2.0.0 OK', serverMessageId: null, refused: [] };
}

async function expected(office: Office, id: SendId): Promise<boolean> {
  const found = await office.db.raw<{ rows: { fails: boolean }[] }>(
    `select envelope::text like '%"nobody%' as fails from sends where id = ?`,
    [id],
  );
  return found.rows[0]?.fails === true;
}

/** Has a session of the pages run out. */
export async function endSessions(t: WorkingOffice): Promise<void> {
  await run(t.office.db, 'delete from console_sessions');
}
