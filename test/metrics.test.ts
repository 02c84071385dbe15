import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../src/lib/clock.ts';
import type { Clock } from '../src/lib/clock.ts';
import { newId } from '../src/lib/id.ts';
import { meters } from '../src/lib/meters.ts';
import { createMetrics } from '../src/metrics.ts';
import { run } from '../src/store/database.ts';
import type { Db } from '../src/store/database.ts';
import { deliver, openMailbox } from './support/mail.ts';
import { databaseKinds, testDatabase } from './support/database.ts';
import { waitFor } from './support/wait.ts';
import { openStory } from './flows/story.ts';
import type { Story } from './flows/story.ts';

/** The series of a scrape, by name and labels as they are written. */
type Figures = ReadonlyMap<string, number>;

function read(text: string): Figures {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const quietLog = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => quietLog,
};

/** What /metrics has of a database, and of nothing else. */
async function scrapeOf(db: Db, clock: Clock = systemClock): Promise<Figures> {
  const metrics = createMetrics({
    db,
    clock,
    log: quietLog,
    listeners: () => 3,
    spooled: () => ({ messages: 2, bytes: 4_096 }),
  });
  return read(await metrics());
}

test('every figure is in the README, with its labels and what it tells', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, table = ''] = /<!-- metrics: [^>]*-->\n\n(.*?)\n\n/s.exec(readme) ?? [];
  const listed = table
    .split('\n')
    .slice(2)
    .map((row) => row.split('|').map((cell) => cell.trim()));
  assert.deepEqual(
    listed.map(([, name = '', type = '', labels = '', help = '']) => [name, type, labels, help]),
    meters.map(({ name, type, labels, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]),
  );
});

describe('/metrics in a story', () => {
  let story: Story;
  const scrape = async () => {
    const { url, key } = story.gateway;
    const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    return response.text();
  };

  before(async () => {
    story = await openStory({ name: 'figures', database: 'postgres' });
    await story.connect('gmail');
  });
  after(() => story.end());

  test('the counters move with what happens, step by step, and nothing of a tenant is in them', async () => {
    const { gateway, servers, ann, carla, sub, receiver } = story;
    const before = read(await scrape());
    await (await openMailbox(servers, carla)).close();
    await deliver(servers, { from: carla, to: ann, subject: 'Confidential question', text: 'How much?' });
    await story.conversationOf(1);
    await deliver(servers, {
      from: `bank@private-${ann.split('@')[1]}`,
      to: ann,
      subject: 'Confidential statement',
      text: 'Nothing.',
    });
    await waitFor('the private mail to be skipped', async () => {
      const { data } = await gateway.must<{ data: unknown[] }>('GET', `${sub}/decisions?outcome=skipped`);
      return data.length === 1;
    });
    await gateway.must('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'Confidential answer',
      text: 'A hundred.',
    });
    await receiver.waitForEvent('send.sent', (event) => event.type === 'send.sent');
    const isMoved = async () => {
      const figures = read(await scrape());
      const moved = (series: string) => (figures.get(series) ?? 0) - (before.get(series) ?? 0);
      const delivered = moved('twoway_step_seconds_count{step="delivered"}');
      return delivered > 0 && moved('twoway_send_tries_total{through="mailbox",outcome="accepted"}') === 1
        ? { figures, moved }
        : undefined;
    };
    const { figures, moved } = await waitFor('the figures to have moved', isMoved);
    const decided = (outcome: string, reason: string) =>
      moved(`twoway_decisions_total{source="mailbox",outcome="${outcome}",reason="${reason}"}`);
    assert.equal(decided('stored', 'from_contact'), 1);
    assert.equal(decided('skipped', 'no_match'), 1);
    assert.ok(moved('twoway_messages_judged_total') >= 2);
    assert.equal(moved('twoway_messages_stored_total'), 1);
    for (const step of ['looked', 'judged', 'stored', 'published', 'delivered']) {
      assert.ok(moved(`twoway_step_seconds_count{step="${step}"}`) > 0, step);
      const sum = moved(`twoway_step_seconds_sum{step="${step}"}`);
      assert.ok(sum >= 0 && sum < 60, `${step} took ${sum} s`);
    }
    assert.equal(moved('twoway_send_try_seconds_count{through="mailbox"}'), 1);
    assert.ok(moved('twoway_delivery_tries_total{outcome="delivered"}') > 0);
    const calls =
      'twoway_http_requests_total{method="POST",route="/v1/sub-accounts/:sid/messages",status="202"}';
    assert.equal(moved(calls), 1);
    assert.ok(moved('twoway_database_statements_total') > 0);
    assert.equal(figures.get('twoway_database_up'), 1);
    assert.equal(figures.get('twoway_mailboxes{provider="gmail",state="live"}'), 1);
    assert.equal(figures.get('twoway_connections{state="live"}'), 1);
    assert.equal(figures.get('twoway_connections{state="reauth_required"}'), 0);
    assert.equal(figures.get('twoway_listeners'), 1);
    assert.equal(figures.get('twoway_nodes{state="there"}'), 1);
    assert.ok((figures.get('twoway_event_loop_delay_seconds_count') ?? 0) > 0);
    assert.ok((figures.get('process_open_fds') ?? 0) > 10);
    const text = await scrape();
    for (const word of [ann, carla, 'carla', 'acme', 'Confidential', '.test', 'mbx_', 'con_', 'snd_'])
      assert.ok(!text.includes(word), `${word} is in /metrics`);
  });
});

for (const kind of databaseKinds) {
  describe(`what is counted in the database, on ${kind}`, () => {
    let db: Db;
    let drop: () => Promise<void>;
    before(async () => {
      // Written by hand, without all that belongs to them.
      const breaks = ['connection_state_is_told', 'mailbox_address_is_users', 'user_has_login_address'];
      ({ db, drop } = await testDatabase(kind, { breaks }));
    });
    after(() => drop());

    test('nothing: 0, and not left out', async () => {
      const figures = await scrapeOf(db);
      const zero = [
        'twoway_mailbox_lag_seconds',
        'twoway_mailboxes_behind{seconds="60"}',
        'twoway_sends{state="queued"}',
        'twoway_sends_overdue_seconds',
        'twoway_events_unpublished_seconds',
        'twoway_intake_waiting',
        'twoway_intake_oldest_seconds',
        'twoway_deliveries{state="parked"}',
        'twoway_delivery_oldest_seconds',
        'twoway_webhooks{state="failing"}',
        'twoway_nodes{state="gone"}',
      ];
      for (const series of zero) assert.equal(figures.get(series), 0, series);
      assert.equal(figures.get('twoway_spool_bytes'), 4_096);
      assert.equal(figures.get('twoway_listeners'), 3);
    });

    test('C5: a mailbox is behind by what was not judged; one that waits for a person, or is paused, is not', async () => {
      await run(db, `insert into sub_accounts (id, name) values ('acme', 'Acme')`);
      const add = async (user: string, given: { mailbox: string; connection: string; minutes: number }) => {
        const [mailbox, connection] = [newId('mbx'), newId('con')];
        await run(db, 'insert into users (id, name, email) values (:user, :user, :email)', {
          user,
          email: `${user}@crm.example`,
        });
        await run(db, `insert into memberships (sub_account_id, user_id) values ('acme', :user)`, { user });
        await run(
          db,
          `insert into mailboxes (id, provider, address, canonical, login, identity_key, credential_kind, credential_sealed,
                                  state, caught_up_to, access_token_expires_at)
           values (:mailbox, 'gmail', :user, :user, :user, :user, 'oauth', 'sealed', :state,
                   now() - :minutes * interval '1 minute', now() - interval '1 minute')`,
          { mailbox, user, state: given.mailbox, minutes: given.minutes },
        );
        await run(
          db,
          `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
           values (:connection, 'acme', :user, :mailbox, 'gmail', :state)`,
          { connection, user, mailbox, state: given.connection },
        );
      };
      await add('late', { mailbox: 'degraded', connection: 'degraded', minutes: 10 });
      await add('lost', { mailbox: 'reauth_required', connection: 'reauth_required', minutes: 6_000 });
      await add('paused', { mailbox: 'live', connection: 'paused', minutes: 6_000 });
      const figures = await scrapeOf(db);
      const lag = figures.get('twoway_mailbox_lag_seconds') ?? 0;
      assert.ok(lag >= 600 && lag < 700, `the lag is ${lag} s`);
      assert.equal(figures.get('twoway_mailboxes_behind{seconds="300"}'), 1);
      assert.equal(figures.get('twoway_mailboxes_behind{seconds="3600"}'), 0);
      assert.equal(figures.get('twoway_access_tokens_expired'), 1);
      assert.equal(figures.get('twoway_mailboxes{provider="gmail",state="reauth_required"}'), 1);
      assert.equal(figures.get('twoway_connections{state="paused"}'), 1);
    });
  });
}

test('a database that is away: that is told, what is counted there is left out, all else is there', async () => {
  const { db, drop } = await testDatabase('pglite');
  const busy = Promise.withResolvers<void>();
  // The embedded database has one session: a transaction that stays open is a database that hangs.
  const hanging = db.transaction(() => busy.promise);
  const figures = await scrapeOf(db, { ...systemClock, sleep: () => Promise.resolve() });
  assert.equal(figures.get('twoway_database_up'), 0);
  assert.equal(figures.get('twoway_mailbox_lag_seconds'), undefined);
  assert.equal(figures.get('twoway_spool_messages'), 2);
  assert.ok((figures.get('process_resident_memory_bytes') ?? 0) > 0);
  busy.resolve();
  await hanging;
  await drop();
});
