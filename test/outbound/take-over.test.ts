import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { usualLimits } from '../support/limits.ts';
import type { MailboxId } from '../../src/lib/id.ts';
import { eraseMessages } from '../../src/filing/erase.ts';
import { canonicalAddress } from '../../src/message/addresses.ts';
import { cancelSend } from '../../src/outbound/cancel.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { AcceptDeps } from '../../src/outbound/accept.ts';
import { planMessage } from '../../src/outbound/plan.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { takeOver } from '../../src/outbound/take-over.ts';
import type { Draft, SendAnswer, TakenOver } from '../../src/outbound/take-over.ts';
import { writeDown } from '../../src/outbound/write-down.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { readOutgoingFacts } from '../../src/store/outgoing.ts';
import { databaseKinds } from '../support/database.ts';
import { acceptDepsOf, blankRequest, openOffice } from './support.ts';
import type { Office } from './support.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;

for (const kind of databaseKinds)
  describe(`D3, on ${kind}: messages that are accepted in one transaction`, () => {
    let office: Office;
    let mailboxId: MailboxId;
    let deps: AcceptDeps;

    before(async () => {
      // Connections end by hand, messages go by hand, and a second sub-account is made.
      office = await openOffice(kind, {
        breaks: ['connection_has_ended_or_not', 'credential_is_in_use', 'live_thread_has_connection'],
      });
      await office.addContact('carla', 'carla@customer.example');
      ({ mailboxId } = await office.connect({
        userId: 'anna',
        address: 'anna@mail.example',
        provider: 'gmail',
        smtp,
      }));
      await office.connect({ userId: 'bert', address: 'bert@mail.example', provider: 'gmail', smtp });
      await office.setProvider(smtp);
      deps = acceptDepsOf(office);
    });
    after(() => office.close());

    beforeEach(async () => {
      await run(office.db, `update mailboxes set limits = '{}'`);
      await run(office.db, 'delete from daily_places');
    });

    /** Planned and composed, as createAccept does it. */
    const drafted = async (more: Partial<SendRequest>, key: string | null = null): Promise<Draft> => {
      const request: SendRequest = { ...blankRequest, userId: 'anna', text: 'Hello', ...more };
      const { subAccountId, userId, contactId, to, replyToMessageId: parentId } = request;
      const addresses = to.map(({ address }) => canonicalAddress(address));
      const asked = { subAccountId, userId, contactId, addresses, parentId };
      const [facts] = await readOutgoingFacts(office.db, [asked]);
      assert.ok(facts !== undefined);
      const plan = planMessage(request, { ...facts, loggingDomain: null, limitsOf: usualLimits }, []);
      assert.ok(!('refused' in plan), JSON.stringify(plan));
      const requestHash = Buffer.alloc(32, request.text ?? '');
      const call = key === null ? null : { subAccountId, key, requestHash };
      return { request, call, plan, written: await writeDown(deps, request, plan) };
    };
    const together = (drafts: readonly Draft[]) => office.db.transaction((tx) => takeOver(deps, tx, drafts));
    const shown = (results: readonly TakenOver[]) =>
      results.map((result) => {
        if (typeof result === 'string') return result;
        return 'refused' in result ? result.refused.code : result.answer.send.state;
      });
    const answerOf = (result: TakenOver | undefined): SendAnswer => {
      assert.ok(typeof result === 'object' && 'answer' in result, JSON.stringify(result));
      return result.answer;
    };
    const limitTo = (max: number) =>
      run(office.db, 'update mailboxes set limits = :limits::jsonb where id = :mailboxId', {
        mailboxId,
        limits: JSON.stringify({ individualMessagesPerDayMax: max }),
      });
    const counts = async () => {
      const [found] = await rows<Record<'sends' | 'messages' | 'places' | 'keys', number>>(
        office.db,
        `select (select count(*)::int from sends) as sends, (select count(*)::int from messages) as messages,
                (select count(*)::int from daily_places) as places,
                (select count(*)::int from idempotency_keys) as keys`,
      );
      assert.ok(found !== undefined);
      return found;
    };
    /** How much more there is than before. */
    const more = async (than: Awaited<ReturnType<typeof counts>>) => {
      const now = await counts();
      return [
        now.sends - than.sends,
        now.messages - than.messages,
        now.places - than.places,
        now.keys - than.keys,
      ];
    };

    test('one that is refused, and one whose key has its answer, leave nothing behind and the others alone', async () => {
      const [first] = await together([await drafted({ contactId: 'carla' }, 'k1')]);
      await limitTo(3);
      const start = await counts();
      const results = await together([
        await drafted({ contactId: 'carla' }, 'k1'),
        await drafted({ contactId: 'carla', text: 'Another' }, 'k1'),
        await drafted({ contactId: 'carla', text: 'Two' }, 'k2'),
        await drafted({ contactId: 'carla', text: 'Three' }),
        await drafted({ contactId: 'carla', text: 'Four' }, 'k4'),
        await drafted({ contactId: 'carla', text: 'Bulk', kind: 'bulk' }),
      ]);
      const expected = ['queued', 'idempotency_key_reused', 'queued', 'queued', 'daily_limit', 'queued'];
      assert.deepEqual(shown(results), expected);
      assert.deepEqual(results[0], first);
      assert.deepEqual(await more(start), [3, 3, 2, 1]);
      const texts = [2, 3, 5].map((n) => answerOf(results[n]).message.text);
      assert.deepEqual(texts, ['Two', 'Three', 'Bulk']);
      // Its place and its key are free.
      await limitTo(4);
      const [again] = await together([await drafted({ contactId: 'carla', text: 'Four' }, 'k4')]);
      assert.equal(answerOf(again).message.text, 'Four');
    });

    test('of several with one key the first is stored; the others have its answer when they ask again', async () => {
      const start = await counts();
      const drafts = await Promise.all(
        ['One', 'One', 'Two'].map((text) => drafted({ contactId: 'carla', text }, 'k5')),
      );
      assert.deepEqual(shown(await together(drafts)), ['queued', 'same_key', 'same_key']);
      assert.deepEqual(await more(start), [1, 1, 1, 1]);
      assert.deepEqual(shown(await together(drafts.slice(1))), ['queued', 'idempotency_key_reused']);
      assert.deepEqual(await more(start), [1, 1, 1, 1]);
    });

    test('L3: the last place goes to the first, to whoever waits the next day, and another mailbox has its own', async () => {
      await limitTo(2);
      await together([await drafted({ contactId: 'carla' })]);
      const results = await together([
        await drafted({ contactId: 'carla', text: 'Last' }),
        await drafted({ contactId: 'carla', text: 'None' }),
        await drafted({ contactId: 'carla', text: 'Waits', onLimit: 'defer' }),
        await drafted({ contactId: 'carla', text: 'Bert', userId: 'bert' }),
      ]);
      assert.deepEqual(shown(results), ['queued', 'daily_limit', 'queued', 'queued']);
      const [last, , waits, bert] = results;
      assert.deepEqual(
        [last, waits, bert].map((result) => answerOf(result).send.reason),
        [null, 'daily_limit', null],
      );
    });

    test('L3: of calls at the same moment to two nodes as many pass as there is room', async () => {
      await limitTo(5);
      const [one, other] = [createAccept(deps), createAccept(deps)];
      const request = { ...blankRequest, userId: 'anna', contactId: 'carla', text: 'x' };
      const results = await Promise.all(
        Array.from({ length: 16 }, (_, n) => (n % 2 === 0 ? one : other)(request, null)),
      );
      assert.equal(results.filter((result) => 'answer' in result).length, 5);
      const [places] = await rows<{ count: number }>(
        office.db,
        'select count(*)::int as count from daily_places where mailbox_id = :mailboxId',
        { mailboxId },
      );
      assert.equal(places?.count, 5);
    });

    test('two first messages to a contact make one conversation, and each has its events', async () => {
      await office.addContact('new', 'new@customer.example');
      const before = (await office.events()).length;
      const results = await together([
        await drafted({ contactId: 'new', text: 'A' }),
        await drafted({ contactId: 'new', text: 'B', userId: 'bert' }),
      ]);
      const conversations = results.flatMap((result) => answerOf(result).message.conversation_ids);
      assert.equal(conversations.length, 2);
      assert.equal(new Set(conversations).size, 1);
      assert.deepEqual((await office.events()).slice(before), [
        'conversation.created',
        'message.created queued',
        'message.created queued',
        'send.queued queued',
        'send.queued queued',
      ]);
      assert.deepEqual(
        results.map((result) => answerOf(result).send.message_id),
        results.map((result) => answerOf(result).message.id),
      );
    });

    test('answers in one thread, from two mailboxes, keep the order of their calls', async () => {
      const parent = answerOf((await together([await drafted({ contactId: 'carla' })]))[0]);
      const { id: replyToMessageId, thread_id: threadId } = parent.message;
      const results = await together([
        await drafted({ replyToMessageId, text: 'First' }),
        await drafted({ replyToMessageId, text: 'Second', userId: 'bert' }),
        await drafted({ replyToMessageId, text: 'Third' }),
      ]);
      assert.deepEqual(
        results.map((result) => [answerOf(result).message.thread_id, answerOf(result).message.answers]),
        results.map(() => [threadId, replyToMessageId]),
      );
      const inOrder = await rows<{ text: string }>(
        office.db,
        `select m.body_text as text from sends s join messages m on m.id = s.message_id
          where s.order_keys = array[:threadId] order by s.seq`,
        { threadId },
      );
      assert.deepEqual(
        inOrder.map(({ text }) => text),
        ['Hello', 'First', 'Second', 'Third'],
      );
      const links = await rows<{ state: string }>(
        office.db,
        'select state from thread_links where thread_id = :threadId',
        { threadId },
      );
      assert.deepEqual(links, [{ state: 'live' }, { state: 'live' }]);
    });

    test('sub-accounts share nothing: a contact of the same id has its own conversation, a key its own answer', async () => {
      await run(
        office.db,
        `with s as (insert into sub_accounts (id, name, provider)
                    select 'other', 'Other', provider from sub_accounts where id = 'acme'),
              m as (insert into memberships (sub_account_id, user_id) values ('other', 'anna')),
              c as (insert into contacts (sub_account_id, id, name) values ('other', 'carla', 'Carla'))
         insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
         values ('other', 'carla', 0, 'carla@customer.example', 'carla@customer.example')`,
      );
      const bulk = { contactId: 'carla', kind: 'bulk', text: 'Both' } as const;
      const results = await together([
        await drafted(bulk, 'k6'),
        await drafted({ ...bulk, subAccountId: 'other' }, 'k6'),
      ]);
      assert.deepEqual(shown(results), ['queued', 'queued']);
      const [acme, other] = results.map((result) => answerOf(result).message);
      assert.deepEqual([acme?.sub_account_id, other?.sub_account_id], ['acme', 'other']);
      assert.notDeepEqual(acme?.conversation_ids, other?.conversation_ids);
      const events = await rows<{ sub: string; of: string }>(
        office.db,
        `select sub_account_id as sub, data ->> 'sub_account_id' as of from events where sub_account_id <> data ->> 'sub_account_id'`,
      );
      assert.deepEqual(events, []);
    });

    test('whose connection or membership has ended, or whose thread was erased, looks again; the others are stored', async () => {
      await office.connect({ userId: 'cleo', address: 'cleo@mail.example', provider: 'gmail', smtp });
      const parent = answerOf((await together([await drafted({ contactId: 'carla', kind: 'bulk' })]))[0]);
      const drafts = [
        await drafted({ contactId: 'carla', userId: 'cleo' }),
        await drafted({ contactId: 'carla', userId: 'cleo', kind: 'bulk' }),
        await drafted({ replyToMessageId: parent.message.id, kind: 'bulk' }),
        await drafted({ contactId: 'carla' }),
      ];
      await run(
        office.db,
        `update connections set ended_at = now(), state = 'disconnected' where user_id = 'cleo'`,
      );
      await run(office.db, `delete from memberships where user_id = 'cleo'`);
      assert.equal(await cancelSend(office.db, 'acme', parent.send.id), 'cancelled');
      assert.equal(await eraseMessages(deps, 'acme', [parent.message.id]), 1);
      const start = await counts();
      assert.deepEqual(shown(await together(drafts)), ['moved', 'moved', 'moved', 'queued']);
      assert.deepEqual(await more(start), [1, 1, 1, 0]);
    });

    test('bytes that cannot be stored are nobody else’s failure, and nothing of theirs is kept', async () => {
      const start = await counts();
      const full = new Error('the disk is full');
      const blobs: BlobStore = {
        ...office.blobs,
        put: (contents, names) =>
          contents.some((content) => content.includes('too much'))
            ? Promise.reject(full)
            : office.blobs.put(contents, names),
      };
      const accept = createAccept({ ...deps, blobs });
      const results = await Promise.allSettled(
        ['fine', 'too much', 'fine, too'].map((text, n) =>
          accept({ ...blankRequest, userId: 'anna', contactId: 'carla', text }, `disk-${n}`),
        ),
      );
      assert.deepEqual(
        results.map((result) => (result.status === 'rejected' ? result.reason : 'answer' in result.value)),
        [true, full, true],
      );
      assert.deepEqual(await more(start), [2, 2, 2, 2]);
    });

    test('a crash before the end of the transaction leaves nothing of any of them', async () => {
      const start = await counts();
      const drafts = [
        await drafted({ contactId: 'carla' }, 'k7'),
        await drafted({ contactId: 'carla' }, 'k8'),
      ];
      const crashed = office.db.transaction(async (tx) => {
        assert.deepEqual(shown(await takeOver(deps, tx, drafts)), ['queued', 'queued']);
        throw new Error('the process is gone');
      });
      await assert.rejects(crashed, /the process is gone/);
      assert.deepEqual(await more(start), [0, 0, 0, 0]);
      assert.deepEqual(shown(await together(drafts)), ['queued', 'queued']);
    });

    test('a commit whose answer is lost: each call fails, and none is stored a second time', async () => {
      const start = await counts();
      let isLost = false;
      const db: Db = new Proxy(office.db, {
        get: (target, name: keyof typeof office.db) =>
          name !== 'transaction' || isLost
            ? (target[name] as unknown)
            : async (work: (tx: Db) => Promise<unknown>) => {
                isLost = true;
                await target.transaction(work);
                throw new Error('Connection terminated unexpectedly');
              },
      });
      const accept = createAccept({ ...deps, db });
      const call = (n: number, key: string | null) =>
        accept({ ...blankRequest, kind: 'bulk', userId: 'anna', contactId: 'carla', text: `lost ${n}` }, key);
      const results = await Promise.allSettled([call(1, null), call(2, null), call(3, 'lost')]);
      assert.deepEqual(
        results.map((result) => (result.status === 'rejected' ? String(result.reason) : result.value)),
        Array.from({ length: 3 }, () => 'Error: Connection terminated unexpectedly'),
      );
      assert.deepEqual(await more(start), [3, 3, 0, 1]);
      // Asked again, it is answered by its key.
      assert.ok('answer' in (await call(3, 'lost')));
      assert.deepEqual(await more(start), [3, 3, 0, 1]);
    });
  });
