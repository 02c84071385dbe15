import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../src/store/database.ts';
import { publishBatch } from '../src/store/events.ts';
import { makeSecretBox } from '../src/store/hash-key.ts';
import { createWorld } from './filing/world.ts';
import { twoway } from './support/cli.ts';
import { testDatabase } from './support/database.ts';
import type { TestDatabase } from './support/database.ts';
import { addWebhook } from './webhook/support.ts';

describe('T1: twoway explain', () => {
  let database: TestDatabase;
  before(async () => {
    database = await testDatabase('postgres');
    const world = await createWorld(database.db);
    world.filing.secretBox = await makeSecretBox(database.db, [Buffer.alloc(32, 7)]);
    await world.addSubAccount('north');
    await world.addUser('ann', 'ann@crm.example', ['north']);
    await world.addContact('north', 'carla', ['carla@customer.example']);
    await addWebhook(database.db, {});
    const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
    await mailbox.see(
      'inbox',
      { id: 'offer@customer.example', from: 'carla@customer.example', subject: 'Offer' },
      { id: 'findings@clinic.example', from: 'Stan <stan@clinic.example>', subject: 'Private findings' },
    );
    await publishBatch(database.db);
  });
  after(() => database.drop());

  const explain = (words: string[], key = 7) =>
    twoway(['explain', ...words], {
      TWOWAY_DATABASE_URL: database.url ?? '',
      TWOWAY_SECRET_KEYS: Buffer.alloc(32, key).toString('base64'),
    });
  const messageId = async () =>
    (await rows<{ id: string }>(database.db, 'select id from messages'))[0]?.id ?? '';

  test('a stored message: where it was seen, rule, facts, effects and deliveries', async () => {
    const id = await messageId();
    const { code, stdout, stderr } = await explain([id]);
    assert.deepEqual([code, stderr], [0, '']);
    for (const line of [
      /^Sub-account north:$/m,
      /^msg_\S+ is inbound, and came by mailbox\.$/m,
      /^\S+Z stored for inbox, UID 1 of 1: from_contact \(.+\)\.$/m,
      /^ {2}Rule S2: .+\.$/m,
      /^ {2}Asked before, without an answer: .*S7.*\.$/m,
      /^\S+Z seen in ann@mail\.example, folder inbox, as UID 1 of 1\.$/m,
      /^Its thread thr_\S+, opened by from_contact, is live in ann@mail\.example\.$/m,
      /^It shows in cnv_\S+\.$/m,
      /^\S+Z told as message\.created \(evt_\S+, number \d+\)\.$/m,
      /^ {2}To whk_\S+: pending after 0 tries, not tried yet\.$/m,
      /^dec_\S+: The facts of then: \{.*"neverLog":false.*\}$/m,
    ])
      assert.match(stdout, line);
    await run(database.db, 'update decisions set facts = null where message_id = :id', { id });
    assert.match((await explain([id])).stdout, /^dec_\S+: Its facts are no longer kept\.$/m);
  });

  for (const what of ['findings@clinic.example', '<findings@clinic.example>', 'Stan@Clinic.example'])
    test(`a mail that was left out, by ${what}: why, and nothing of it`, async () => {
      const { code, stdout } = await explain([what]);
      assert.equal(code, 0);
      assert.match(
        stdout,
        /^Sub-account north, mailbox mbx_\S+:\n\S+Z skipped for inbox, UID 2 of 1: no_match \(.+\)\.\n {2}Rule S5: .+\n {2}Asked before, .+\n {2}The facts of then: \{.*\}\n$/,
      );
      assert.doesNotMatch(stdout, /clinic|Stan|findings/i);
    });

  for (const what of ['offer@customer.example', 'carla@customer.example'])
    test(`a stored one, by ${what}: the decision, and where the story is`, async () => {
      const { code, stdout } = await explain([what]);
      assert.equal(code, 0);
      assert.match(stdout, /stored for inbox, UID 1 of 1: from_contact/);
      assert.ok(stdout.includes(`\`explain ${await messageId()}\` tells the whole story.`), stdout);
    });

  test('nothing is known: 1; another key than the gateway has, or no word to go by: 2', async () => {
    for (const what of ['msg_none', 'nobody@nowhere.example']) {
      const { code, stdout } = await explain([what]);
      assert.equal(code, 1, what);
      assert.match(stdout, new RegExp(`^Nothing is known of ${what}: `));
    }
    const foreign = await explain(['findings@clinic.example'], 8);
    assert.equal(foreign.code, 2);
    assert.match(foreign.stderr, /opens with the key \w{8}, and TWOWAY_SECRET_KEYS has \w{8}/);
    const { code, stderr } = await explain([]);
    assert.equal(code, 2);
    assert.match(stderr, /explain wants the id of a message \(msg_…\), a Message-ID or an address/);
  });
});
