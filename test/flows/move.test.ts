import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { openData } from '../../src/data.ts';
import { startGateway } from '../../src/gateway.ts';
import { run } from '../../src/store/database.ts';
import { twoway } from '../support/cli.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { deliver } from '../support/mail.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

const otherKey = Buffer.alloc(32, 9).toString('base64');

describe('an installation moves from the embedded database to PostgreSQL', () => {
  let story: Story;
  let url: string;
  let settings: Record<string, string>;

  before(async () => {
    story = await openStory({ name: 'move', database: 'pglite' });
    await story.connect('gmail');
    const { gateway, servers, ann, carla, sub } = story;
    await deliver(servers, { from: carla, to: ann, subject: 'Before', text: 'x' });
    await deliver(servers, {
      from: `stan@stranger-${ann.split('@')[1]}`,
      to: ann,
      subject: 'Private',
      text: 'x',
    });
    await gateway.must('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'From the CRM',
      text: 'x',
    });
    await story.conversationOf(2);
    await story.receiver.waitForEvent('send.sent', ({ type }) => type === 'send.sent');
    url = await createPostgresDatabase('empty');
    const key = await readFile(join(gateway.dataDir, 'secret.key'), 'utf8');
    settings = {
      TWOWAY_DATA_DIR: gateway.dataDir,
      TWOWAY_DATABASE_URL: url,
      TWOWAY_SECRET_KEYS: `${otherKey},${key}`,
    };
  });
  after(async () => {
    await story.end();
    await dropPostgresDatabase(url);
  });

  const move = (more: Record<string, string> = {}) => twoway(['move-to-postgres'], { ...settings, ...more });

  test('it is refused, and changes nothing, beside a gateway, without a target, and with keys that open nothing', async () => {
    const { gateway } = story;
    const beside = await move();
    assert.equal(beside.code, 2);
    assert.match(beside.stderr, /another Twoway \(process \d+\) is using .*; stop it first/);
    await gateway.stop();
    const cases: [Record<string, string>, RegExp][] = [
      [{ TWOWAY_DATABASE_URL: '' }, /set TWOWAY_DATABASE_URL to an empty database/],
      [
        { TWOWAY_SECRET_KEYS: otherKey },
        /last key of TWOWAY_SECRET_KEYS must be the one in the file secret\.key/,
      ],
      [
        { TWOWAY_SECRET_KEYS: (settings['TWOWAY_SECRET_KEYS'] ?? '').split(',').reverse().join(',') },
        /last key of TWOWAY_SECRET_KEYS must be the one in the file secret\.key/,
      ],
      [{ TWOWAY_DATA_DIR: `${gateway.dataDir}/none` }, /there is no database in .*none/],
    ];
    for (const [more, said] of cases) {
      const refused = await move(more);
      assert.deepEqual([refused.code, refused.stdout], [2, '']);
      assert.match(refused.stderr, said);
    }
    assert.ok(existsSync(join(gateway.dataDir, 'database')));
  });

  test('all of it is moved, checked and put aside; a second time there is nothing to move', async () => {
    const { dataDir } = story.gateway;
    const { code, stdout, stderr } = await move();
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^[1-9]\d+ rows of \d+ tables were moved, and compared with what was read\.\n/);
    assert.match(stdout, /^ok {6}blob_is_kept/m);
    assert.match(stdout, /All \d+ invariants hold\.\n\nStart the gateway with these settings/);
    assert.ok(existsSync(join(dataDir, 'database.moved')));
    assert.equal(existsSync(join(dataDir, 'database')), false);
    const again = await move();
    assert.deepEqual([again.code, again.stdout], [2, '']);
    assert.match(again.stderr, /there is a database that was moved before: remove .*database\.moved first/);
  });

  test('C5, S2, S5: the gateway goes on there: same key, same consent, same hooks, the mail that came meanwhile', async () => {
    const { gateway, servers, ann, carla, sub } = story;
    await deliver(servers, { from: carla, to: ann, subject: 'Meanwhile', text: 'x' });
    await gateway.start(settings);
    const messages = await story.conversationOf(3);
    assert.deepEqual(messages.map(({ subject }) => subject).sort(), ['Before', 'From the CRM', 'Meanwhile']);
    await story.waitForState('live');
    const told = await story.receiver.waitForEvent(
      'the webhook',
      ({ type, data }) => type === 'message.created' && data['subject'] === 'Meanwhile',
    );
    assert.equal(told.type, 'message.created');
    const created = story.receiver.events.filter(({ type }) => type === 'message.created');
    assert.equal(created.length, 3, 'nothing is told twice');
    const skipped = await gateway.must<{ data: unknown[] }>(
      'GET',
      `${sub}/decisions?address=stan@stranger-${ann.split('@')[1]}`,
    );
    assert.equal(skipped.data.length, 1, 'keyed hashes are still found');
    assert.doesNotMatch(gateway.output(), /reauth_required/);
  });

  test('the old settings start nothing beside it: the mail belongs to the database that was moved', async () => {
    await story.gateway.stop();
    const old = readConfig({ TWOWAY_DATA_DIR: story.gateway.dataDir });
    const start = startGateway({ ...old, HTTP_PORT: 0, SMTP_PORT: 0, SANDBOX: 'off', LOG_LEVEL: 'error' });
    await assert.rejects(start, /was moved to PostgreSQL.*: set TWOWAY_DATABASE_URL/);
    assert.ok(!existsSync(join(story.gateway.dataDir, 'database')), 'nor leaves an empty one behind');
  });

  test('ended between the move and the step behind it, the next call only puts the old one aside', async () => {
    const { dataDir } = story.gateway;
    await rename(join(dataDir, 'database.moved'), join(dataDir, 'database'));
    const server = await openData(readConfig(settings));
    await run(server.db, `update sub_accounts set name = 'Changed since'`);
    const { code, stdout } = await move();
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /^This database was moved before\. What a gateway wrote into the embedded one since/,
    );
    assert.ok(existsSync(join(dataDir, 'database.moved')));
    const { rows } = await server.db.raw<{ rows: unknown[] }>('select name from sub_accounts');
    assert.deepEqual(rows, [{ name: 'Changed since' }]);
    await server.close();
  });
});
