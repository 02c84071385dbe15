import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { run } from '../../src/store/database.ts';
import { effectiveSettings, settingsSchema } from '../../src/store/sub-accounts.ts';
import { createWorld } from '../filing/world.ts';
import type { Letter, TestMailbox, World } from '../filing/world.ts';
import { databaseKinds } from '../support/database.ts';
import { startApi } from './support.ts';
import type { ApiUnderTest } from './support.ts';

const carla = 'carla@customer.example';
const sent: Letter = { from: 'ann@mail.example', to: carla };
const received: Letter = { from: carla };

/** Each value of each setting, and what becomes of the next mail in the sub-account that has it. */
const cases: [setting: string, value: unknown, mail: Letter, reason: string][] = [
  ['sync_sent_to_contacts', false, sent, 'no_match'],
  ['sync_sent_to_contacts', true, sent, 'to_contact'],
  ['sync_sent_to_contacts', false, received, 'from_contact'],
  ['assigned_contacts_only', 'always', received, 'not_assigned'],
  ['assigned_contacts_only', 'when_shared', received, 'not_assigned'],
  ['assigned_contacts_only', 'never', received, 'from_contact'],
  ['assigned_contacts_only', 'always', sent, 'not_assigned'],
  ['outlook_two_way_sync', false, received, 'feature_off'],
  ['outlook_two_way_sync', false, sent, 'feature_off'],
  ['outlook_two_way_sync', true, received, 'from_contact'],
];

for (const kind of databaseKinds)
  describe(`the settings of a sub-account, on ${kind}`, () => {
    let t: ApiUnderTest;
    let world: World;
    let mailbox: TestMailbox;

    before(async () => {
      t = await startApi({ kind });
      world = await createWorld(t.db);
      for (const id of ['north', 'south']) await t.call('PUT', `/v1/sub-accounts/${id}`, { json: {} });
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      await world.addUser('ben', 'ben@crm.example', ['north']);
      for (const id of ['north', 'south']) await world.addContact(id, 'carla', [carla]);
      mailbox = await world.connect('ann@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      await run(t.db, `update connections set provider = 'outlook'`);
    });
    after(() => t.close());
    beforeEach(() => put({}));

    const put = (settings: unknown) => t.call('PUT', '/v1/sub-accounts/north', { json: { settings } });
    const see = (letter: Letter) => mailbox.see(letter.from === carla ? 'inbox' : 'sent', letter);
    const assign = (userId: string | null) =>
      t.call('PUT', '/v1/sub-accounts/north/contacts/carla', {
        json: { emails: [carla], assigned_user_id: userId },
      });

    for (const [setting, value, mail, reason] of cases) {
      const whose = mail === sent ? 'the user writes' : 'a contact writes';
      test(`${setting}: ${String(value)}: ${whose}: ${reason}, and only here`, async () => {
        const isOfAssignment = setting === 'assigned_contacts_only';
        await assign(isOfAssignment ? 'ben' : null);
        assert.equal((await put({ [setting]: value })).status, 200);
        const [north, south] = (await see(mail)).toSorted();
        assert.equal(north, `north:${reason}`);
        // Carla is Ben's in the north, so that the south, which left everything to its defaults, waits for hers.
        const elsewhere = mail === sent ? 'south:to_contact' : 'south:from_contact';
        assert.equal(south, isOfAssignment ? 'south:not_assigned' : elsewhere);
        await assign(null);
      });
    }

    test('a change counts for mail whose body is on its way', async () => {
      world.meanwhile = async () => {
        await put({ outlook_two_way_sync: false });
      };
      assert.ok((await see(received)).includes('north:feature_off'));
    });

    for (const path of ['/v1/sub-accounts/north/never-log', '/v1/users/ann/never-log'])
      test(`S15: ${path} counts for mail whose body is on its way`, async () => {
        world.meanwhile = async () => {
          await t.call('PUT', path, { json: { entries: ['@customer.example'] } });
        };
        assert.ok((await see(received)).includes('north:never_log'));
        await t.call('PUT', path, { json: { entries: [] } });
      });

    for (const path of ['/v1/sub-accounts/north/never-log', '/v1/users/ann/never-log'])
      test(`S15: ${path} counts from the next mail on, until it is emptied`, async () => {
        await t.call('PUT', path, { json: { entries: ['@customer.example'] } });
        assert.ok((await see(received)).includes('north:never_log'));
        assert.ok((await see(sent)).includes('north:never_log'));
        await t.call('PUT', path, { json: { entries: [] } });
        assert.ok((await see(received)).includes('north:from_contact'));
      });

    for (const [what, settings, path, code] of [
      ['a name that is none', { sync_sent: true }, 'settings.sync_sent', 'unknown_field'],
      [
        'text for a switch',
        { sync_sent_to_contacts: 'no' },
        'settings.sync_sent_to_contacts',
        'invalid_type',
      ],
      ['null for a switch', { outlook_two_way_sync: null }, 'settings.outlook_two_way_sync', 'invalid_type'],
      [
        'a switch for a word',
        { assigned_contacts_only: true },
        'settings.assigned_contacts_only',
        'invalid_value',
      ],
      [
        'another word',
        { assigned_contacts_only: 'sometimes' },
        'settings.assigned_contacts_only',
        'invalid_value',
      ],
      ['no object', 'all', 'settings', 'invalid_type'],
    ] as const)
      test(`refused, and nothing is lost: ${what}`, async () => {
        const kept = {
          sync_sent_to_contacts: false,
          assigned_contacts_only: 'always',
          outlook_two_way_sync: false,
        };
        await put(kept);
        const before = await t.call('GET', '/v1/sub-accounts/north');
        const json = {
          name: 'Another',
          settings: typeof settings === 'string' ? settings : { ...kept, ...settings },
        };
        const refused = await t.call('PUT', '/v1/sub-accounts/north', { json });
        assert.deepEqual([refused.status, refused.body['code']], [422, 'invalid_request']);
        const errors = refused.body['errors'] as { path: string; code: string; detail: string }[];
        assert.deepEqual(
          errors.map((error) => [error.path, error.code]),
          [[path, code]],
        );
        assert.match(errors[0]?.detail ?? '', /^(There is no such field|This must be)/);
        assert.deepEqual((await t.call('GET', '/v1/sub-accounts/north')).body, before.body);
      });
  });

test('the README lists every setting with its values, the default first', async () => {
  const readme = (await readFile(new URL('../../README.md', import.meta.url), 'utf8')).replaceAll(
    / {2,}/g,
    ' ',
  );
  const defaults = new Map<string, unknown>(Object.entries(effectiveSettings({})));
  for (const [name, schema] of Object.entries(settingsSchema.shape)) {
    const inner = schema.unwrap();
    const values = 'options' in inner ? inner.options : [true, false];
    const ordered = [...values].sort((value) => (value === defaults.get(name) ? -1 : 0));
    const row = `| \`${name}\` | ${ordered.map((value) => `\`${String(value)}\``).join(', ')} |`;
    assert.ok(readme.includes(row), row);
  }
});
