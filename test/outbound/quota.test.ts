import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { ConnectionId, MailboxId, SendId } from '../../src/lib/id.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import { cancelSend } from '../../src/outbound/cancel.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { meterOf, takePlacesNow } from '../../src/outbound/quota.ts';
import { SmtpFailure } from '../../src/outbound/smtp.ts';
import { inOneGo, rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { readQuotas } from '../../src/store/quota.ts';
import { noteHandovers } from '../../src/store/send-attempts.ts';
import { databaseKinds } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { acceptDepsOf, blankRequest, openOffice, sessionsOf } from './support.ts';
import type { Office } from './support.ts';
import { usualLimits } from '../support/limits.ts';

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

for (const kind of databaseKinds)
  describe(`L3: individual messages in any 24 hours, on ${kind}`, () => {
    let office: Office;
    let mailboxId: MailboxId;
    let connectionId: ConnectionId;

    before(async () => {
      // Sends are cancelled by hand, and a sub-account is made.
      office = await openOffice(kind, { breaks: ['user_has_login_address', 'send_is_told'] });
      await office.addContact('carla', 'carla@customer.example');
      ({ mailboxId, connectionId } = await office.connect({
        userId: 'anna',
        address: 'anna@mail.example',
        provider: 'gmail',
        smtp,
      }));
    });
    after(() => office.close());

    beforeEach(async () => {
      await run(office.db, 'delete from daily_quotas');
      await run(office.db, `update mailboxes set limits = '{}'`);
      await run(
        office.db,
        `update sends set ready = false, state = 'cancelled', due_at = now(), lease_owner = null, lease_until = null where state in ('queued', 'sending')`,
      );
      await run(office.db, 'delete from daily_places');
    });

    /** So many that went so many hours ago. */
    const sent = (count: number, hours: number) =>
      run(
        office.db,
        `insert into daily_places (send_id, mailbox_id, at)
         select gen_random_uuid()::text, :mailboxId, now() - :hours * interval '1 hour' from generate_series(1, :count)`,
        { mailboxId, count, hours },
      );
    const limitTo = (max: number | null) =>
      run(office.db, 'update mailboxes set limits = :limits::jsonb', {
        limits: JSON.stringify({ individualMessagesPerDayMax: max }),
      });
    const accept = (more: Partial<SendRequest> = {}) =>
      createAccept(acceptDepsOf(office))(
        { ...blankRequest, userId: 'anna', contactId: 'carla', text: 'x', ...more },
        null,
      );
    /** `queued`, with the reason; or the code of the refusal. */
    const outcome = async (more: Partial<SendRequest> = {}) => {
      const result = await accept(more);
      if ('refused' in result) return result.refused.code;
      const { state, reason } = result.answer.send;
      return reason === null ? state : `${state} ${reason}`;
    };
    const idOf = async (more: Partial<SendRequest> = {}) => {
      const result = await accept(more);
      assert.ok('answer' in result, JSON.stringify(result));
      return result.answer.send.id;
    };
    const count = async (table: 'sends' | 'messages' | 'daily_places') =>
      (await rows<{ count: number }>(office.db, `select count(*)::int as count from ${table}`))[0]?.count;

    /** Of one that a sender has in hand, and has begun. */
    const sendingId = async () => {
      const id = await idOf();
      await run(
        office.db,
        `update sends set state = 'sending', lease_owner = 'me', lease_until = now() + interval '1 hour' where id = :id`,
        { id },
      );
      return id;
    };
    const handOver = (db: Db, id: SendId) =>
      noteHandovers(db, { owner: 'me', attempts: [{ id, n: 1, refused: null }] });

    /** To the nearest half hour; below 0: it is still to come. */
    const countedAgoMs = async () => {
      const [found] = await rows<{ ms: number }>(
        office.db,
        'select extract(epoch from now() - counted_at)::float8 * 1000 as ms from daily_quotas',
      );
      return Math.round((found?.ms ?? NaN) / hourMs / 0.5) * 0.5 * hourMs + 0;
    };

    test('the 500th goes, the 501st is refused with the time from which it works again, and nothing is queued', async () => {
      await sent(300, 20);
      await sent(199, 1);
      assert.equal(await outcome(), 'queued');
      const before = [await count('sends'), await count('messages'), await count('daily_places')];
      const result = await accept();
      assert.ok('refused' in result && result.refused.code === 'daily_limit');
      const again = (result.refused.retryAt ?? 0) - Date.now();
      assert.ok(Math.abs(again - 4 * hourMs) < 60_000, `${again} ms`);
      assert.deepEqual([await count('sends'), await count('messages'), await count('daily_places')], before);
    });

    test('the window rolls: what is a day old counts no more', async () => {
      await sent(500, 23.99);
      assert.equal(await outcome(), 'daily_limit');
      await run(office.db, `update daily_places set at = at - interval '1 minute'`);
      assert.equal(await outcome(), 'queued');
    });

    test('what went while the clock was ahead counts when it is set back, for a day; what waits keeps its place', async () => {
      await limitTo(3);
      const later = await idOf({ sendAt: Date.now() + 40 * hourMs });
      await sent(3, -30);
      await run(office.db, `update daily_quotas set counted_at = now() + interval '30 hours'`);
      const result = await accept();
      assert.ok('refused' in result && result.refused.code === 'daily_limit');
      const again = (result.refused.retryAt ?? 0) - Date.now();
      assert.ok(Math.abs(again - dayMs) < 60_000, `${again} ms`);
      const placed = await rows<{ hours: number }>(
        office.db,
        `select round(extract(epoch from at - now()) / 3600)::int as hours from daily_places where send_id = :later`,
        { later },
      );
      assert.deepEqual(placed, [{ hours: 40 }]);
      assert.equal(await countedAgoMs(), 0, 'once');
    });

    test('each count notes when it was made, so that a clock that was set back is known by it', async () => {
      await idOf();
      await run(office.db, `update daily_quotas set counted_at = now() - interval '1 hour'`);
      await idOf();
      assert.equal(await countedAgoMs(), 0);
    });

    test('what was closed while the clock was ahead is open a day after it was set back', async () => {
      await run(
        office.db,
        `insert into daily_quotas (mailbox_id, closed_until) values (:mailboxId, now() + interval '54 hours')`,
        { mailboxId },
      );
      const [standing] = await readQuotas(office.db, [connectionId]);
      assert.ok(Math.abs((standing?.closedUntil ?? 0) - Date.now() - dayMs) < 60_000);
      const result = await accept();
      assert.ok('refused' in result && result.refused.code === 'daily_limit');
      const again = (result.refused.retryAt ?? 0) - Date.now();
      assert.ok(Math.abs(again - dayMs) < 60_000, `${again} ms`);
      await run(office.db, `update daily_quotas set closed_until = closed_until - interval '24 hours'`);
      assert.equal(await outcome(), 'queued');
    });

    test('a message that goes has its place now; one of the last hour is left until the message is handed over', async () => {
      const ids = [await idOf(), await idOf(), await idOf()];
      const ats = [-30, -61, 30];
      await run(
        office.db,
        `update daily_places p set at = now() + t.minutes * interval '1 minute'
           from unnest(:ids::text[], :ats::integer[]) as t (id, minutes) where p.send_id = t.id`,
        { ids, ats },
      );
      const limits = { ...usualLimits('gmail', {}), individualMessagesPerDayMax: 3 };
      const going = ids.map((sendId) => ({ sendId, mailboxId, limits }));
      assert.equal((await office.db.transaction((tx) => takePlacesNow(tx, going))).size, 0);
      const placed = await rows<{ minutes: number }>(
        office.db,
        `select round(extract(epoch from at - now()) / 60)::int as minutes
           from unnest(:ids::text[]) with ordinality as t (id, n) join daily_places on send_id = id order by n`,
        { ids },
      );
      assert.deepEqual(placed, [{ minutes: -30 }, { minutes: 0 }, { minutes: 0 }]);
    });

    test('what somebody else hands over while it is counted counts', async () => {
      const [handed, sendId] = [await sendingId(), await idOf()];
      await sent(2, 1);
      const limits = { ...usualLimits('gmail', {}), individualMessagesPerDayMax: 3 };
      const later = await office.db.transaction((tx) => {
        const counting = new Proxy(tx, {
          get: (target, name: keyof typeof tx) =>
            name !== 'raw'
              ? (target[name] as unknown)
              : (sql: string, values: Record<string, never>) => ({
                  options: async (options: object) => {
                    if (sql.includes('from daily_places')) {
                      // Later than the count was locked, by the milliseconds in which that is told.
                      await run(target, 'select pg_sleep(0.002)');
                      await handOver(target, handed);
                    }
                    return target.raw<unknown>(sql, values).options(options);
                  },
                }),
        });
        return takePlacesNow(counting, [{ sendId, mailboxId, limits }]);
      });
      assert.ok((later.get(sendId) ?? 0) > 22 * hourMs);
    });

    test('what is handed over is not still to come, not for half a millisecond', async () => {
      const id = await sendingId();
      await office.db.transaction(async (tx) => {
        for (let n = 0; n < 100; n += 1) {
          const [, toCome] = await inOneGo([
            handOver(tx, id),
            rows(tx, 'select send_id from daily_places where at > clock_timestamp()'),
          ]);
          assert.deepEqual(toCome, [], `at the ${n}th time`);
        }
      });
    });

    test('of calls at the same moment as many pass as there is room', async () => {
      await limitTo(5);
      await sent(3, 1);
      const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcome()));
      assert.deepEqual(outcomes.toSorted(), [...Array<string>(4).fill('daily_limit'), 'queued', 'queued']);
    });

    test('it is one count for all sub-accounts that share the mailbox, and for each mailbox its own', async () => {
      await limitTo(1);
      assert.equal(await outcome(), 'queued');
      await office.connect({ userId: 'bert', address: 'bert@mail.example', provider: 'gmail', smtp });
      assert.equal(await outcome({ userId: 'bert' }), 'queued');
      await run(
        office.db,
        `with sub as (insert into sub_accounts (id, name) values ('south', 'South') returning id),
              member as (insert into memberships (sub_account_id, user_id) select id, 'anna' from sub),
              contact as (insert into contacts (sub_account_id, id, name) select id, 'carla', '' from sub),
              address as (insert into contact_addresses (sub_account_id, contact_id, position, address, canonical)
                          select id, 'carla', 0, 'carla@customer.example', 'carla@customer.example' from sub)
         insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
         select 'con_south', id, 'anna', :mailboxId, 'gmail', 'live' from sub`,
        { mailboxId },
      );
      assert.equal(await outcome({ subAccountId: 'south' }), 'daily_limit');
    });

    test('L4: no limit where the mailbox has none', async () => {
      await sent(600, 1);
      await limitTo(null);
      assert.equal(await outcome(), 'queued');
    });

    test('`defer`: it waits, one after the other, for the time when it may go', async () => {
      await limitTo(2);
      await sent(1, 23);
      await sent(1, 1);
      const ids = [
        await idOf({ onLimit: 'defer' }),
        await idOf({ onLimit: 'defer' }),
        await idOf({ onLimit: 'defer' }),
      ];
      const hours: number[] = [];
      for (const id of ids) {
        const { state, reason, next_try_at: next } = await office.send(id);
        assert.deepEqual([state, reason], ['queued', 'daily_limit']);
        hours.push(Math.round((Date.parse(next ?? '') - Date.now()) / hourMs));
      }
      assert.deepEqual(hours, [1, 23, 25]);
      assert.equal(await outcome(), 'daily_limit');
    });

    test('`send_at`: it counts when it goes, and what is promised then is not given away before', async () => {
      await limitTo(2);
      const tomorrow = Date.now() + 20 * hourMs;
      assert.equal(await outcome({ sendAt: tomorrow }), 'queued');
      assert.equal(await outcome({ sendAt: tomorrow + hourMs }), 'queued');
      assert.equal(await outcome({ sendAt: tomorrow + 2 * hourMs }), 'daily_limit');
      assert.equal(await outcome(), 'daily_limit');
      assert.equal(await outcome({ sendAt: tomorrow + dayMs + hourMs }), 'queued');
    });

    test('what is cancelled, or fails, gives its place back', async () => {
      await limitTo(1);
      const id = await idOf();
      assert.equal(await outcome(), 'daily_limit');
      assert.equal(await cancelSend(office.db, 'acme', id), 'cancelled');
      const failing = await idOf();
      assert.equal(await outcome(), 'daily_limit');
      const sender = office.sender({
        open: sessionsOf(() => Promise.reject(refusal('550 5.1.1 No such user'))),
      });
      await office.waitForState(failing, 'failed');
      await sender.stop();
      assert.equal(await outcome(), 'queued');
    });

    test('two nodes do not send more than the limit together, whatever was accepted before it was lowered', async () => {
      const ids: SendId[] = [];
      for (let n = 0; n < 6; n += 1) ids.push(await idOf());
      await limitTo(3);
      let accepted = 0;
      const submit = async () => {
        accepted += 1;
        await Promise.resolve();
        return { reply: '250 OK', refused: [], serverMessageId: null };
      };
      const nodes = [
        office.sender({ open: sessionsOf(submit) }),
        office.sender({ open: sessionsOf(submit) }),
      ];
      const states = () => Promise.all(ids.map(async (id) => office.send(id)));
      await waitFor('three went, three wait', async () => {
        const now = await states();
        const done = now.filter(({ state }) => state === 'sent').length;
        const waiting = now.filter(({ reason }) => reason === 'daily_limit').length;
        assert.deepEqual([done, waiting], [3, 3]);
        return true;
      });
      await Promise.all(nodes.map((node) => node.stop()));
      assert.equal(accepted, 3);
      for (const { state, next_try_at: next } of await states())
        if (state === 'queued') assert.ok(Date.parse(next ?? '') > Date.now() + 23 * hourMs);
    });

    test("the provider's own refusal closes the mailbox for a day: what waits is postponed, and not tried", async () => {
      const first = await idOf();
      const tried: string[] = [];
      const sender = office.sender({
        open: sessionsOf(() => {
          tried.push('one');
          return Promise.reject(refusal('550-5.4.5 Daily user sending limit exceeded.'));
        }),
      });
      const refused = await office.waitForState(first, 'queued', 1);
      assert.match(refused.reason ?? '', /^daily_limit: 550-5\.4\.5/);
      await sender.stop();
      const result = await accept();
      assert.ok('refused' in result && result.refused.code === 'daily_limit');
      assert.ok(Math.abs((result.refused.retryAt ?? 0) - Date.now() - dayMs) < 60_000);
      // As it is when others were accepted before the refusal came.
      await run(office.db, 'update daily_quotas set closed_until = null');
      const waiting = [await idOf(), await idOf()];
      await run(office.db, `update sends set due_at = now(), attempts = 0 where id = :first`, { first });
      await run(office.db, `update sends set due_at = now() + interval '1 hour' where id = any(:waiting)`, {
        waiting,
      });
      const before = (await office.events()).length;
      const again = office.sender({
        open: sessionsOf(() => Promise.reject(refusal('550 5.4.5 Daily limit'))),
      });
      await office.waitForState(first, 'queued', 2);
      await again.stop();
      assert.equal(tried.length, 1);
      for (const id of waiting) {
        const { state, reason, attempts, next_try_at: next } = await office.send(id);
        assert.deepEqual([state, reason, attempts.length], ['queued', 'daily_limit', 0]);
        assert.ok(Math.abs(Date.parse(next ?? '') - Date.now() - dayMs) < 60_000);
      }
      const told = (await office.events()).slice(before).filter((event) => event === 'send.queued queued');
      assert.equal(told.length, 3);
    });

    test('several that are refused in the same moment: each is told once, with the words', async () => {
      const refused: SendId[] = [];
      for (let n = 0; n < 8; n += 1) refused.push(await idOf());
      const waiting = await idOf({ sendAt: Date.now() + hourMs });
      const before = (await office.events()).length;
      let ms = 0;
      const sender = office.sender({
        open: sessionsOf(async () => {
          ms += 60;
          await systemClock.sleep(ms);
          throw refusal('550 5.4.5 Daily limit');
        }),
      });
      for (const id of refused) await office.waitForState(id, 'queued');
      await waitFor('all of it to be put off', async () => {
        const due = await rows(
          office.db,
          `select from sends where ready and (lease_owner is not null or due_at < now() + interval '23 hours')`,
        );
        return due.length === 0;
      });
      await sender.stop();
      const tried = (await Promise.all(refused.map((id) => office.send(id)))).filter(
        ({ attempts }) => attempts.length > 0,
      );
      assert.ok(tried.length > 1, 'several at once');
      for (const { reason } of tried) assert.equal(reason, 'daily_limit: 550 5.4.5 Daily limit');
      assert.equal((await office.send(waiting)).reason, 'daily_limit');
      const told = (await office.events()).slice(before).filter((event) => event === 'send.queued queued');
      assert.equal(told.length, 9);
    });

    test('a meter shows what is used and left, and when it works again', async () => {
      const meter = async () => {
        const [standing] = await readQuotas(office.db, [connectionId]);
        assert.ok(standing !== undefined);
        const { used, left, worksAgainAt } = meterOf(
          standing,
          usualLimits('gmail', { individualMessagesPerDayMax: 3 }),
        );
        const hours = worksAgainAt === null ? null : Math.round((worksAgainAt - Date.now()) / hourMs);
        return [used, left, hours];
      };
      assert.deepEqual(await meter(), [0, 3, null]);
      await sent(1, 30);
      await sent(2, 20);
      assert.deepEqual(await meter(), [2, 1, null]);
      await sent(1, 1);
      assert.deepEqual(await meter(), [3, 0, 4]);
      await run(
        office.db,
        `insert into daily_quotas (mailbox_id, closed_until) values (:mailboxId, now() + interval '10 hours')`,
        { mailboxId },
      );
      assert.deepEqual(await meter(), [3, 0, 10]);
    });

    test('what is long past is forgotten', async () => {
      await sent(3, 80);
      const id = await idOf();
      const left = await rows<{ id: SendId }>(office.db, 'select send_id as id from daily_places');
      assert.deepEqual(left, [{ id }]);
    });
  });

function refusal(reply: string): SmtpFailure {
  return new SmtpFailure({ phase: 'envelope', reply, cause: 'unknown' }, [], null);
}
