import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openDatabase, rows } from '../../src/store/database.ts';
import type { Database } from '../../src/store/database.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import type { SilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

describe('a call while the database is away', () => {
  const sub = '/v1/sub-accounts/s1';
  let url: string;
  let proxy: SilentProxy;
  let database: Database;
  let beside: Database;
  let t: ApiUnderTest;

  before(async () => {
    url = await createPostgresDatabase('migrated');
    proxy = await startSilentProxy(Number(new URL(url).port));
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href;
    database = await openDatabase({ kind: 'postgres', url: through, connectionsMax: 4 });
    beside = await openDatabase({ kind: 'postgres', url, connectionsMax: 1 });
    t = await startApi({ db: database.db });
    const provider = { kind: 'smtp', host: 'relay.example', port: 587, security: 'starttls' };
    for (const [path, json] of [
      [sub, { name: 'S', provider: { ...provider, username: 'u', password: 'p', from: 'crm@s1.example' } }],
      ['/v1/users/ann', { name: 'Ann', email: 'ann@s1.example' }],
      [`${sub}/users/ann`, undefined],
      [`${sub}/contacts/carla`, { name: 'Carla', emails: ['carla@customer.example'] }],
    ] as const) {
      const { status, body } = await t.call('PUT', path, { json });
      assert.ok(status < 300, JSON.stringify(body));
    }
  });
  after(async () => {
    await t.close();
    await database.close();
    await beside.close();
    await proxy.stop();
    await dropPostgresDatabase(url);
  });

  const send = (idempotencyKey: string): Promise<Answer> =>
    t.call('POST', `${sub}/messages`, {
      headers: { 'idempotency-key': idempotencyKey },
      json: { kind: 'workflow', user_id: 'ann', contact_id: 'carla', subject: idempotencyKey, text: 'x' },
    });

  function assertAway({ status, headers, body }: Answer): void {
    assert.deepEqual([status, body['code']], [503, 'unavailable'], JSON.stringify(body));
    assert.equal(headers.get('content-type'), 'application/problem+json');
    const waitS = Number(headers.get('retry-after'));
    assert.ok(waitS >= 1 && waitS <= 10, `${waitS} s`);
    assert.ok(Date.parse(String(body['retry_at'])) > Date.now() - 1_000);
  }

  test('is 503 with Retry-After, is in the log as a warning, and works again', async () => {
    proxy.cut();
    const read = await t.call('GET', sub);
    assertAway(read);
    assert.doesNotMatch(String(read.body['detail']), /not known/, 'a question has no outcome');
    const written = await t.call('PUT', '/v1/users/ben', { json: { name: 'B', email: 'b@s1.example' } });
    assertAway(written);
    assert.match(String(written.body['detail']), /Whether this call was carried out is not known/);
    assertAway(await send('refused'));
    const levels = t.logged.filter(({ msg }) => msg === 'a call found no database').map(({ level }) => level);
    assert.deepEqual(levels, ['warn', 'warn', 'warn']);
    assert.ok(!t.logged.some(({ level }) => level === 'error'));
    proxy.recover();
    assert.equal((await t.call('GET', sub)).status, 200);
    assert.equal((await send('refused')).status, 202);
  });

  test('D3: whose commit lost its answer is 503, too, and its Idempotency-Key tells that it was accepted: once', async () => {
    await beside.db.raw(`
      create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return null; end $$;
      create constraint trigger slowly after insert on sends deferrable initially deferred
        for each row execute function slowly()`);
    const asked = send('in doubt');
    await waitFor('its commit to be under way', async () => {
      const found = await rows(
        beside.db,
        `select from pg_stat_activity where query ilike 'commit%' and state = 'active' and pid <> pg_backend_pid()`,
      );
      return found.length > 0;
    });
    proxy.cut();
    const lost = await asked;
    assertAway(lost);
    assert.match(String(lost.body['detail']), /the same message with the same Idempotency-Key/);
    proxy.recover();
    await beside.db.raw('drop trigger slowly on sends');
    const repeated = await send('in doubt');
    assert.equal(repeated.status, 202, JSON.stringify(repeated.body));
    const { send: first } = repeated.body as { send?: { id: string } };
    const sends = await rows<{ id: string }>(
      beside.db,
      `select s.id from sends s join messages m on m.id = s.message_id where m.subject = 'in doubt'`,
    );
    assert.deepEqual(sends, [{ id: first?.id }], 'one send, that of the call whose answer was lost');
  });
});
