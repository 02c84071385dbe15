import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SendId } from '../../src/lib/id.ts';
import type { Sender, SenderDeps } from '../../src/outbound/sender.ts';
import { openSession, SmtpFailure } from '../../src/outbound/smtp.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
const ok = { reply: '250 2.0.0 OK', serverMessageId: null, refused: [] };

/** Anna, Bob, Carl and Dora at Outlook with 60 contacts, and nodes that send for them; `perMinute` is what is said of the provider. */
async function withNodes(
  perMinute: number,
  play: (scene: {
    office: Office;
    /** Letters to so many contacts that had none yet. */
    write(
      count: number,
      kind?: 'individual' | 'bulk',
      userId?: 'anna' | 'bob' | 'carl' | 'dora',
    ): Promise<SendId[]>;
    node(more?: Partial<SenderDeps>): Sender;
    /** What is at the provider: messages that are under way, the most at once, those that it took. */
    post: { open: number; most: number; taken: number; release(): void };
    /** How often a node woke the others. */
    wakes(): number;
  }) => Promise<void>,
): Promise<void> {
  const office = await openOffice();
  const gate = Promise.withResolvers<void>();
  try {
    for (const userId of ['anna', 'bob', 'carl', 'dora'])
      await office.connect({ userId, address: `${userId}@mail.example`, provider: 'outlook', smtp });
    const post = { open: 0, most: 0, taken: 0, release: () => gate.resolve() };
    let [contacts, wakes] = [0, 0];
    await play({
      office,
      post,
      wakes: () => wakes,
      write: async (count, kind = 'individual', userId = 'anna') => {
        const ids: SendId[] = [];
        for (let n = 0; n < count; n += 1) {
          const contactId = `c${(contacts += 1)}`;
          await office.addContact(contactId, `${contactId}@customer.example`);
          const call = { kind, userId, from: `${userId}@mail.example`, contactId, text: 'x' };
          ids.push((await office.accept(call)).send.id);
        }
        return ids;
      },
      node: (more) =>
        office.sender({
          wakeOthers: () => void (wakes += 1),
          provider: (name) => ({ ...resolveProvider(name), smtp, smtpMessagesPerMinuteMax: perMinute }),
          open: sessionsOf(async ({ beforeEnd }) => {
            post.open += 1;
            post.most = Math.max(post.most, post.open);
            await gate.promise;
            assert.ok(await beforeEnd([]));
            post.taken += 1;
            post.open -= 1;
            return ok;
          }),
          ...more,
        }),
    });
  } finally {
    gate.resolve();
    await office.close();
  }
}

/** When whoever sends has looked for what is due many times more. */
async function looked(office: Office): Promise<void> {
  let times = 0;
  const count = ({ sql }: { sql: string }) => void (times += sql.includes('with recursive longest') ? 1 : 0);
  office.db.on('query', count);
  await waitFor('the nodes to look', () => times >= 20);
  office.db.removeListener('query', count);
}

describe('D5: nodes that send for one mailbox, whose provider counts sessions and messages', () => {
  test('they have no more sessions together than one of them alone, of letters and campaigns together', async () => {
    await withNodes(1_000, async ({ write, node, post, wakes, office }) => {
      node();
      const ids = await write(2);
      await waitFor('the first node to have its sessions', () => post.open === 2);
      assert.equal(wakes(), 0);
      node();
      // As many as the first node leaves room for.
      ids.push(...(await write(4)), ...(await write(4, 'bulk')));
      await waitFor('the second one to wake the first', () => wakes() > 0);
      assert.equal(post.open, 2);
      post.release();
      for (const id of ids) await office.waitForState(id, 'sent');
      assert.equal(post.most, 2);
    });
  });

  test('one that has its hands full leaves a mailbox of which it has nothing to another', async () => {
    await withNodes(1_000, async ({ write, node, post, office }) => {
      node({ limits: { inHandMax: 2 } });
      await write(2);
      await waitFor('the first node to have its hands full', () => post.open === 2);
      const [bobs] = await write(1, 'individual', 'bob');
      await looked(office);
      node();
      await waitFor('the second one to send it', () => post.open === 3);
      post.release();
      await office.waitForState(bobs as SendId, 'sent');
    });
  });

  test('one takes no more mailboxes than it has hands for, and leaves the rest to another', async () => {
    await withNodes(1_000, async ({ write, node, post }) => {
      for (const userId of ['anna', 'bob', 'carl', 'dora'] as const) await write(1, 'individual', userId);
      node({ limits: { inHandMax: 2 } });
      await waitFor('the first node to have its hands full', () => post.open === 2);
      node();
      await waitFor('the second one to send for another', () => post.open >= 3);
    });
  });

  test('letters that wait for one that was put off take no room from those of another mailbox', async () => {
    await withNodes(1_000, async ({ write, node, post, office }) => {
      post.release();
      const [first] = await write(2);
      await run(office.db, `update sends set order_keys = array['thread']`);
      await run(office.db, `update sends set due_at = now() + interval '1 hour' where id = :first`, {
        first,
      });
      const [bobs] = await write(1, 'individual', 'bob');
      // As many as one mailbox may have in hand.
      node({ limits: { inHandMax: 8 } });
      await office.waitForState(bobs as SendId, 'sent');
    });
  });

  test('one that cannot reach the provider leaves the mailbox to another when its lease is over', async () => {
    await withNodes(1_000, async ({ write, node, post, office }) => {
      post.release();
      node({ limits: { leaseMs: 500 }, open: openSession });
      await write(6);
      await waitFor(
        'the first node to try in vain',
        async () =>
          (await rows(office.db, `select from send_attempts where outcome = 'temporary'`)).length > 0,
      );
      node();
      await waitFor('the second one to send the rest', () => post.taken >= 3);
    });
  });

  test('one that cannot reach the provider tries no more of what waits, also where it broke off what had begun', async () => {
    await withNodes(1_000, async ({ write, node, office }) => {
      const [refusing, beginning] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let [asked, transactions] = [0, 0];
      const transaction = async (work: (tx: Db) => Promise<unknown>) => {
        transactions += 1;
        if (transactions === 2) await beginning.promise;
        return office.db.transaction(work);
      };
      node({
        db: new Proxy(office.db, {
          get: (db, key) => (key === 'transaction' ? transaction : (Reflect.get(db, key) as unknown)),
        }),
        open: async (_to, signal) => {
          if (!signal.aborted) asked += 1;
          const cause = signal.aborted ? 'stopped' : 'unreachable';
          await refusing.promise;
          throw new SmtpFailure({ phase: 'connect', reply: null, cause }, [], null);
        },
      });
      const [first] = await write(1);
      await waitFor('the first to be on its way', () => asked === 1);
      const [second] = await write(1);
      await waitFor('the second to begin', () => transactions === 2);
      refusing.resolve();
      await office.waitForState(first as SendId, 'queued', 1);
      beginning.resolve();
      const { attempts } = await office.waitForState(second as SendId, 'queued', 1);
      assert.deepEqual(
        attempts.map(({ outcome, reply }) => [outcome, reply]),
        [['temporary', null]],
      );
      await write(4);
      await looked(office);
      assert.equal(asked, 1);
    });
  });

  test('two that have found what the other one sends wake each other for each letter, and not for ever', async () => {
    await withNodes(2, async ({ write, node, post, wakes, office }) => {
      post.release();
      node();
      await write(2);
      await waitFor('the first to have sent what it may', () => post.taken === 2);
      await write(1);
      node();
      await waitFor('the second to wake it', () => wakes() === 1);
      await looked(office);
      assert.equal(wakes(), 1);
      await write(1);
      await waitFor('the second to wake it again', () => wakes() === 2);
    });
  });

  test('one that stops leaves the mailbox to another at once', async () => {
    await withNodes(1_000, async ({ write, node, post, office }) => {
      post.release();
      const first = node();
      const [one] = await write(1);
      await office.waitForState(one as SendId, 'sent');
      await first.stop();
      node();
      const [other] = await write(1);
      await office.waitForState(other as SendId, 'sent');
    });
  });

  test('they begin no more messages in a minute together than one of them alone', async () => {
    await withNodes(10, async ({ write, node, post }) => {
      await write(20);
      await write(20, 'bulk');
      post.release();
      const nodes = [node(), node(), node()];
      await waitFor('as many to go as may', () => post.taken >= 10);
      for (let n = 0; n < 5; n += 1) await write(1);
      await Promise.all(nodes.map((each) => each.stop()));
      assert.equal(post.taken, 10);
    });
  });
});
