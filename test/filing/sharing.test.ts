import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import type { SendRequest } from '../../src/outbound/plan.ts';
import { deleteContact } from '../../src/store/contacts.ts';
import { endConnection, inLifecycle } from '../../src/store/lifecycle.ts';
import { rows, run } from '../../src/store/database.ts';
import { blankRequest } from '../outbound/support.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { createWorld } from './world.ts';
import type { TestMailbox, World } from './world.ts';

for (const kind of databaseKinds)
  describe(`a mailbox in two sub-accounts, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let mailbox: TestMailbox;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      await world.addUser('bob', 'bob@crm.example', ['north']);
      mailbox = await world.connect('ann@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
    });
    after(() => database.drop());

    /** A contact of both sub-accounts, by one address each and by a second one in north. */
    async function addShared(name: string, assigned: { north?: string; south?: string } = {}) {
      await world.addContact(
        'north',
        `n-${name}`,
        [`${name}@customer.example`, `${name}@home.example`],
        assigned.north,
      );
      await world.addContact('south', `s-${name}`, [`${name}@customer.example`], assigned.south);
      return { from: `${name}@customer.example`, to: 'ann@mail.example' };
    }

    async function send(sub: string, request: Partial<SendRequest>): Promise<void> {
      const deps = { ...world.filing, clock: systemClock, trackingUrl: null, wakeSender: () => undefined };
      const result = await createAccept(deps)(
        { ...blankRequest, subAccountId: sub, userId: 'ann', text: 'Dear customer', ...request },
        null,
      );
      if ('refused' in result) throw new Error(JSON.stringify(result.refused));
    }

    const threadsWith = (address: string) =>
      rows<{ sub: string; state: string; reason: string | null }>(
        database.db,
        `select l.sub_account_id as sub, l.state, l.reason from thread_links l
           join thread_participants p on p.thread_id = l.thread_id and p.canonical = :address
          order by 1, l.thread_id`,
        { address },
      );

    const claimers = async (name: string) =>
      (
        await rows<{ line: string }>(
          database.db,
          `select contact_canonical || ' ' || sub_account_id as line from claims
            where contact_canonical like :name order by 1`,
          { name: `${name}@%` },
        )
      ).map(({ line }) => line);

    const told = async (from: string) =>
      (
        await rows<{ line: string }>(
          database.db,
          `select sub_account_id || ' ' || type || ' ' || coalesce(data ->> 'reason', data ->> 'id') as line
             from events where id > :from and type in ('contact.claimed', 'thread.unlinked') order by ord`,
          { from },
        )
      ).map(({ line }) => line);

    const lastEvent = async () =>
      (await rows<{ id: string }>(database.db, 'select id from events order by id desc limit 1'))[0]?.id ??
      '';

    test('S8: mail goes to where the contact is assigned to the user, and to both if it is nobody’s', async () => {
      const cases: [name: string, assigned: { north?: string; south?: string }, expected: string[]][] = [
        ['free', {}, ['north:from_contact', 'south:from_contact']],
        ['north', { north: 'ann' }, ['north:from_contact', 'south:not_assigned']],
        ['both', { north: 'ann', south: 'ann' }, ['north:from_contact', 'south:from_contact']],
        ['bobs', { north: 'bob' }, ['north:not_assigned', 'south:not_assigned']],
      ];
      for (const [name, assigned, expected] of cases) {
        assert.deepEqual(await mailbox.see('inbox', await addShared(name, assigned)), expected, name);
      }
    });

    test('S8, S9: a paused connection shares the mailbox all the same, and nothing is decided for it', async () => {
      const assigned = await addShared('paul', { south: 'ann' });
      const claimed = await addShared('peter');
      await run(
        database.db,
        `insert into claims (sub_account_id, contact_canonical, mailbox_id) values ('south', 'peter@customer.example', :id)`,
        { id: mailbox.id },
      );
      const was = await rows<{ id: string; state: string }>(
        database.db,
        `select id, state from connections where sub_account_id = 'south'`,
      );
      await run(database.db, `update connections set state = 'paused' where sub_account_id = 'south'`);
      try {
        assert.deepEqual(await mailbox.see('inbox', assigned, claimed, await addShared('piet')), [
          'north:not_assigned',
          'north:claimed_elsewhere',
          'north:from_contact',
        ]);
        await send('north', { contactId: 'n-piet' });
        assert.deepEqual(await claimers('piet'), ['piet@customer.example north', 'piet@home.example north']);
      } finally {
        for (const { id, state } of was)
          await run(database.db, 'update connections set state = :state where id = :id', { id, state });
      }
    });

    test('S8: assigned_contacts_only holds from the next decision on, in its own sub-account alone', async () => {
      const letter = await addShared('nora', { north: 'bob' });
      const set = (settings: object) =>
        run(database.db, `update sub_accounts set settings = :settings where id = 'south'`, {
          settings: JSON.stringify(settings),
        });
      try {
        await set({ assigned_contacts_only: 'never' });
        assert.deepEqual(await mailbox.see('inbox', letter), ['north:not_assigned', 'south:from_contact']);
      } finally {
        await set({});
      }
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:not_assigned', 'south:not_assigned']);
    });

    test('S9: the first who answers from the CRM gets the contact; what the other holds stays, marked', async () => {
      const letter = await addShared('carla');
      const first = { ...letter, id: 'first@customer.example', subject: 'Offer?' };
      assert.deepEqual(await mailbox.see('inbox', first), ['north:from_contact', 'south:from_contact']);
      const byHand = { from: 'ann@mail.example', to: letter.from, inReplyTo: 'first@customer.example' };
      assert.deepEqual(await mailbox.see('sent', byHand), ['north:thread_member', 'south:thread_member']);
      assert.deepEqual(await claimers('carla'), [], 'an answer in the mailbox claims nothing');

      const before = await lastEvent();
      const messagesBefore = (await world.messages('south')).length;
      const [original] = (await world.messages('north')).filter(({ subject }) => subject === 'Offer?');
      await send('north', { replyToMessageId: original?.id ?? '' });

      assert.deepEqual(await claimers('carla'), ['carla@customer.example north', 'carla@home.example north']);
      assert.deepEqual(await told(before), [
        'north contact.claimed n-carla',
        'south thread.unlinked claimed_elsewhere',
      ]);
      assert.deepEqual(await threadsWith('carla@customer.example'), [
        { sub: 'north', state: 'live', reason: null },
        { sub: 'south', state: 'unlinked', reason: 'claimed_elsewhere' },
      ]);
      assert.equal((await world.messages('south')).length, messagesBefore, 'what it holds stays');
      const answer = { ...letter, inReplyTo: 'first@customer.example' };
      assert.deepEqual(await mailbox.see('inbox', answer), ['north:thread_member', 'south:thread_unlinked']);
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:from_contact', 'south:claimed_elsewhere']);
      const home = await lastEvent();
      await send('north', { contactId: 'n-carla' });
      assert.deepEqual(await told(home), [], 'claimed once');
    });

    test('S9: a contact whose mail goes to one sub-account alone is not claimed', async () => {
      await addShared('single', { north: 'ann' });
      await send('north', { contactId: 'n-single' });
      await world.addContact('north', 'n-only', ['only@customer.example']);
      await send('north', { contactId: 'n-only' });
      assert.deepEqual([...(await claimers('single')), ...(await claimers('only'))], []);
    });

    test('S9: of two answers in the same instant one claims, and the other’s thread is unlinked or its own', async () => {
      for (let round = 0; round < 5; round += 1) {
        const name = `dan${round}`;
        const letter = await addShared(name);
        await mailbox.see('inbox', letter);
        await Promise.all([
          send('north', { contactId: `n-${name}` }),
          send('south', { contactId: `s-${name}` }),
        ]);
        const claims = new Set((await claimers(name)).map((line) => line.split(' ')[1]));
        assert.equal(claims.size, 1, `${[...claims].join()} have claimed`);
        const [winner = ''] = claims;
        const loser = winner === 'north' ? 'south' : 'north';
        const lost = (await threadsWith(letter.from)).filter(({ sub }) => sub === loser);
        assert.equal(lost[0]?.reason, 'claimed_elsewhere', 'the thread that the mail opened there');
        assert.deepEqual(
          (await mailbox.see('inbox', letter)).toSorted(),
          [`${winner}:from_contact`, `${loser}:claimed_elsewhere`].toSorted(),
        );
      }
    });

    for (const [what, isAnswer] of [
      ['opens no thread', false],
      ['joins no thread', true],
    ] as const) {
      test(`S9: mail of a contact who is claimed while its body comes ${what} elsewhere`, async () => {
        const name = isAnswer ? 'mia' : 'max';
        const letter = await addShared(name);
        await mailbox.see('inbox', { ...letter, id: `${name}@customer.example` });
        world.meanwhile = () => send('north', { contactId: `n-${name}` });
        const next = isAnswer ? { ...letter, inReplyTo: `${name}@customer.example` } : letter;
        const [sent, ...made] = await mailbox.see('inbox', next);
        assert.equal(sent, 'north:crm_send');
        assert.deepEqual(
          made,
          isAnswer
            ? ['north:thread_member', 'south:thread_unlinked']
            : ['north:from_contact', 'south:claimed_elsewhere'],
        );
        const south = (await threadsWith(letter.from)).filter(({ sub }) => sub === 'south');
        assert.deepEqual([...new Set(south.map(({ state }) => state))], ['unlinked']);
      });
    }

    if (kind === 'postgres')
      test('S9: mail of a contact who is claimed while it is being written opens no live thread elsewhere', async () => {
        const letter = await addShared('pia');
        await mailbox.see('inbox', letter);
        const { db, blobs } = world.filing;
        let claiming: Promise<void> | undefined;
        const onQuery = ({ sql }: { sql: string }) => {
          if (sql.includes('insert into messages (')) claiming ??= send('north', { contactId: 'n-pia' });
        };
        // The blob is on disk when the claim is made, or waits for a lock.
        const waits = () =>
          rows(
            db,
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          );
        let isFirst = true;
        world.filing.blobs = {
          ...blobs,
          put: async (contents, names) => {
            const kept = await blobs.put(contents, names);
            if (isFirst) {
              isFirst = false;
              await waitFor('the claim', () => claiming !== undefined);
              let isMade = false;
              void claiming?.finally(() => (isMade = true));
              await waitFor('the claim, made or waiting', async () => isMade || (await waits()).length > 0);
            }
            return kept;
          },
        };
        db.on('query', onQuery);
        try {
          await mailbox.see('inbox', letter);
        } finally {
          world.filing.blobs = blobs;
          db.removeListener('query', onQuery);
        }
        await claiming;
        const live = (await threadsWith(letter.from)).filter(({ state }) => state === 'live');
        assert.deepEqual([...new Set(live.map(({ sub }) => sub))], ['north']);
      });

    test('S10: while outlook_two_way_sync is off, only what the CRM began syncs', async () => {
      const outlook = await world.connect('bob@mail.example', [['north', 'bob']]);
      await run(database.db, `update connections set provider = 'outlook' where mailbox_id = :id`, outlook);
      await world.addContact('north', 'olga', ['olga@customer.example']);
      const letter = { from: 'olga@customer.example', to: 'bob@mail.example' };
      await run(
        database.db,
        `update sub_accounts set settings = '{"outlook_two_way_sync": false}' where id = 'north'`,
      );
      try {
        assert.deepEqual(await outlook.see('inbox', letter), ['north:feature_off']);
        await send('north', { userId: 'bob', contactId: 'olga', subject: 'From the CRM' });
        const [sent] = await rows<{ id: string }>(
          database.db,
          `select trim(both '<>' from internet_message_id) as id from messages where subject = 'From the CRM'`,
        );
        const answer = { ...letter, inReplyTo: sent?.id ?? '' };
        assert.deepEqual(await outlook.see('inbox', answer), ['north:thread_member']);
      } finally {
        await run(database.db, `update sub_accounts set settings = '{}' where id = 'north'`);
      }
      assert.deepEqual(
        await outlook.see('inbox', letter),
        ['north:from_contact'],
        'from the next decision on',
      );
    });

    test('S9, C7: who disconnects has no claims any more, and the contact’s mail goes to the others', async () => {
      const letter = await addShared('lea');
      await mailbox.see('inbox', letter);
      await send('north', { contactId: 'n-lea' });
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:from_contact', 'south:claimed_elsewhere']);
      const [connection] = await rows<{ id: `con_${string}` }>(
        database.db,
        `select id from connections where sub_account_id = 'north' and user_id = 'ann' and ended_at is null`,
      );
      assert.ok(connection);
      await inLifecycle(database.db, (tx) => endConnection(tx, connection.id, 'disconnected'));
      assert.deepEqual(await claimers('lea'), []);
      assert.deepEqual(await mailbox.see('inbox', letter), ['south:from_contact']);
    });

    test('S9: a claim by who has the contact no more keeps its mail from nobody, and another may claim it', async () => {
      await world.addSubAccount('west');
      await run(database.db, `insert into memberships (sub_account_id, user_id) values ('west', 'ann')`);
      mailbox = await world.connect('ann3@mail.example', [
        ['north', 'ann'],
        ['south', 'ann'],
        ['west', 'ann'],
      ]);
      const letter = { ...(await addShared('ida')), to: 'ann3@mail.example' };
      await world.addContact('west', 'w-ida', [letter.from]);
      await send('north', { contactId: 'n-ida' });
      const claimed = ['north:from_contact', 'south:claimed_elsewhere', 'west:claimed_elsewhere'];
      assert.deepEqual(await mailbox.see('inbox', letter), claimed);
      await database.db.transaction((tx) => deleteContact(tx, 'north', 'n-ida'));
      const free = ['north:no_match', 'south:from_contact', 'west:from_contact'];
      assert.deepEqual(await mailbox.see('inbox', letter), free);
      await send('south', { contactId: 's-ida' });
      await world.addContact('north', 'n-ida', [letter.from]);
      const again = ['north:claimed_elsewhere', 'south:from_contact', 'west:claimed_elsewhere'];
      assert.deepEqual(await mailbox.see('inbox', letter), again);
    });
  });
