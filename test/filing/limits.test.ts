import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { MessageId } from '../../src/lib/id.ts';
import { rows, run } from '../../src/store/database.ts';
import { readMessages } from '../../src/store/public-message.ts';
import { createWorld, withFiles } from './world.ts';
import type { TestFile, TestMailbox, World } from './world.ts';

import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const mebibyte = 1_048_576;
const limit = 3 * mebibyte;

/** A PDF of so many bytes. */
const pdf = (size: number, more: Partial<TestFile> = {}): TestFile => ({
  name: 'offer.pdf',
  type: 'application/pdf',
  content: Buffer.concat([Buffer.from('%PDF-1.7'), Buffer.alloc(size - 8, 7)]),
  ...more,
});

for (const kind of databaseKinds)
  describe(`L1, L2: what is seen in a mailbox, on ${kind}`, () => {
    let database: TestDatabase;
    let world: World;
    let mailbox: TestMailbox;
    let mailboxes = 0;

    before(async () => {
      database = await testDatabase(kind);
      world = await createWorld(database.db);
      for (const sub of ['north', 'south']) await world.addSubAccount(sub);
      await world.addUser('ann', 'ann@crm.example', ['north', 'south']);
      await world.addUser('bob', 'bob@crm.example', ['north']);
      for (const sub of ['north', 'south']) await world.addContact(sub, 'c1', ['carla@customer.example']);
    });

    after(() => database.drop());

    const connect = async (
      for_: [sub: string, user: string][],
      limits: object = { attachmentsBytesMax: null, attachmentBytesMax: limit },
      startedAt = Date.now() - 60_000,
    ) => {
      mailboxes += 1;
      const made = await world.connect(`ann${mailboxes}@mail.example`, for_, startedAt);
      await run(database.db, 'update mailboxes set limits = :limits::jsonb where id = :id', {
        id: made.id,
        limits: JSON.stringify(limits),
      });
      return made;
    };

    beforeEach(async () => {
      world.fetched.length = 0;
      await run(database.db, `update sub_accounts set settings = '{}'`);
      mailbox = await connect([['north', 'ann']]);
    });

    /** The newest message of a sub-account, as the API shows it. */
    const newest = async (sub: string) => {
      const id = (await world.messages(sub)).at(-1)?.id as MessageId;
      const [message] = await readMessages(database.db, sub, [id]);
      assert.ok(message !== undefined);
      return message;
    };
    const carla = { from: 'Carla <carla@customer.example>', text: 'Here it is.' };
    const kept = (size: number) => world.blobs.all.values().some((content) => content.length >= size);

    test('L1: a byte past the limit: a line without content in the conversation, and its body is not fetched where the structure says it', async () => {
      const made = await mailbox.see('inbox', withFiles({ ...carla, subject: 'Plans' }, [pdf(2 * limit)]));
      assert.deepEqual(made, ['north:attachment_too_large']);
      assert.deepEqual(world.fetched, []);
      const shown = await newest('north');
      const [decision] = await rows<{ id: string; outcome: string; message_id: string; steps: string }>(
        database.db,
        `select id, outcome, message_id, (select string_agg(r ->> 'rule', ' ') from jsonb_array_elements(reasons) r
                                           where r ->> 'because' is not null) as steps
           from decisions order by id desc limit 1`,
      );
      assert.deepEqual(
        [decision?.outcome, decision?.message_id, decision?.steps],
        ['skipped', shown.id, 'S2 L1'],
      );
      const { from, subject, text, html, attachments, omitted, conversation_ids: conversations } = shown;
      assert.deepEqual(
        {
          from: from.address,
          subject,
          text,
          html,
          attachments,
          omitted,
          conversations: conversations.length,
        },
        {
          from: 'carla@customer.example',
          subject: 'Plans',
          text: '',
          html: null,
          attachments: [],
          omitted: { reason: 'attachment_too_large', decision_id: decision?.id },
          conversations: 1,
        },
      );
    });

    const border: [name: string, size: number, expected: string, fetched: number][] = [
      ['exactly at the limit', limit, 'north:from_contact', 1],
      ['a byte past it, which only the body tells', limit + 1, 'north:attachment_too_large', 1],
    ];
    for (const [name, size, expected, fetched] of border) {
      test(`L1: ${name}`, async () => {
        assert.deepEqual(await mailbox.see('inbox', withFiles(carla, [pdf(size)])), [expected]);
        assert.equal(world.fetched.length, fetched);
        assert.equal((await newest('north')).omitted === null, expected === 'north:from_contact');
      });
    }

    test('L1: an inline image is body, however large', async () => {
      const image = {
        name: 'a.png',
        type: 'image/png',
        content: Buffer.alloc(2 * limit, 1),
        contentId: 'a@b',
      };
      const made = await mailbox.see('inbox', withFiles({ ...carla, text: '<img src="cid:a@b">' }, [image]));
      assert.deepEqual(made, ['north:from_contact']);
      assert.deepEqual(
        (await newest('north')).attachments.map(({ inline, omitted }) => [inline, omitted]),
        [[true, null]],
      );
    });

    test('L1: of a stranger nothing is asked, not even the structure', async () => {
      const made = await mailbox.see('inbox', withFiles({ from: 'doctor@clinic.example' }, [pdf(2 * limit)]));
      assert.deepEqual(made, ['north:no_match']);
      assert.deepEqual(world.fetched, []);
    });

    test('L1: `omit_attachment`: it is stored, and the attachment listed with name, size and reason', async () => {
      await run(
        database.db,
        `update sub_accounts set settings = '{"inbound_attachments": "omit_attachment"}'`,
      );
      world.blobs.all.clear();
      const large = pdf(2 * limit, { name: 'large.pdf' });
      assert.deepEqual(await mailbox.see('inbox', withFiles(carla, [large, pdf(20)])), [
        'north:from_contact',
      ]);
      const shown = await newest('north');
      assert.deepEqual([shown.text.trim(), shown.omitted], ['Here it is.', null]);
      assert.deepEqual(
        shown.attachments.map(({ name, size, omitted }) => [name, size, omitted]),
        [
          ['large.pdf', 2 * limit, 'attachment_too_large'],
          ['offer.pdf', 20, null],
        ],
      );
      assert.ok(!kept(limit), 'neither it nor the message that holds it is kept');
    });

    test('L1: two sub-accounts, each by its own setting', async () => {
      const shared = await connect([
        ['north', 'ann'],
        ['south', 'ann'],
      ]);
      const omits = `update sub_accounts set settings = '{"inbound_attachments": "omit_attachment"}' where id = 'south'`;
      await run(database.db, omits);
      const made = await shared.see('inbox', withFiles(carla, [pdf(2 * limit)]));
      assert.deepEqual(made.toSorted(), ['north:attachment_too_large', 'south:from_contact']);
      assert.deepEqual(
        [(await newest('north')).omitted?.reason, (await newest('south')).omitted],
        ['attachment_too_large', null],
      );
    });

    test('L1: asked for by hand it is stored whole, in its place; and what answers it was in its thread', async () => {
      await mailbox.see('inbox', withFiles({ ...carla, id: 'big@customer.example' }, [pdf(2 * limit)]));
      const line = await newest('north');
      const answer = { from: 'ann@mail.example', to: 'dora@new.example, carla@customer.example' };
      const made = await mailbox.see('sent', {
        ...answer,
        inReplyTo: 'big@customer.example',
        subject: 'Re: it',
      });
      assert.deepEqual(made, ['north:thread_member']);
      const before = (await world.eventTypes()).length;
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north', byHand: true }), [
        'north:by_hand',
      ]);
      const [filled] = await readMessages(database.db, 'north', [line.id]);
      assert.deepEqual(
        [filled?.omitted, filled?.text.trim(), filled?.thread_id],
        [null, 'Here it is.', line.thread_id],
      );
      assert.deepEqual(
        filled?.attachments.map(({ size, omitted }) => [size, omitted]),
        [[2 * limit, null]],
      );
      assert.deepEqual((await world.eventTypes()).slice(before), ['message.updated']);
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north', byHand: true }), []);
    });

    test('L1: moved, it is offered where it is; judged again, nothing changes', async () => {
      const letter = withFiles({ ...carla, id: 'moved@customer.example' }, [pdf(2 * limit)]);
      await mailbox.see('inbox', letter);
      assert.deepEqual(await mailbox.seeAgain('inbox', [1], { sub: 'north' }), []);
      assert.deepEqual(await mailbox.see('archive', letter), ['north:attachment_too_large']);
      assert.equal((await world.messages('north')).filter(({ id }) => id !== '').length > 0, true);
      await run(database.db, `update sightings set gone_at = now() where folder_id = :id`, {
        id: mailbox.folder('inbox').id,
      });
      const shown = await newest('north');
      const [decision] = await rows<{ folder_id: string }>(
        database.db,
        'select folder_id from decisions where id = :id',
        { id: shown.omitted?.decision_id ?? '' },
      );
      assert.equal(decision?.folder_id, mailbox.folder('archive').id);
      assert.deepEqual(await mailbox.seeAgain('archive', [1], { sub: 'north', byHand: true }), [
        'north:by_hand',
      ]);
      assert.equal((await newest('north')).omitted, null);
    });

    test('L1: a dry run says so, and fetches no body', async () => {
      const later = await connect([['north', 'ann']], undefined, Date.now() + 60_000);
      const letters = [pdf(2 * limit), pdf(limit / 4)].map((file) => withFiles(carla, [file]));
      assert.deepEqual(await later.see('inbox', ...letters), Array(2).fill('north:before_connection'));
      const foretold = await later.foresee('inbox', [1, 2], { sub: 'north', since: 0 });
      const outcomes = foretold.map(({ outcome, reason, messages }) => ({ outcome, reason, messages }));
      assert.deepEqual(outcomes, [
        { outcome: 'skipped', reason: 'attachment_too_large', messages: 1 },
        { outcome: 'stored', reason: 'from_contact', messages: 1 },
      ]);
      assert.deepEqual(world.fetched, []);
    });

    test('L1: another mailbox of the sub-account that takes it fills it', async () => {
      await run(database.db, `update mailboxes set limits = '{}' where id = :id`, { id: mailbox.id });
      const small = await connect([['north', 'bob']]);
      const letter = withFiles({ ...carla, id: 'both@customer.example' }, [pdf(2 * limit)]);
      assert.deepEqual(await small.see('inbox', letter), ['north:attachment_too_large']);
      const line = await newest('north');
      assert.deepEqual(await mailbox.see('inbox', letter), ['north:from_contact']);
      const [filled] = await readMessages(database.db, 'north', [line.id]);
      assert.deepEqual([filled?.omitted, filled?.attachments.length], [null, 1]);
    });

    test('L2: a type that is not allowed: the message syncs, the attachment has no content, nor have its bytes', async () => {
      const outlook = await connect([['north', 'ann']], {
        attachmentsBytesMax: null,
        attachmentExtensions: ['pdf', 'docx'],
      });
      world.blobs.all.clear();
      const tool = { name: 'tool.exe', type: 'application/octet-stream', content: Buffer.from('MZ secret') };
      const made = await outlook.see('inbox', withFiles(carla, [tool, pdf(20)]));
      assert.deepEqual(made, ['north:from_contact']);
      const shown = await newest('north');
      assert.deepEqual(
        shown.attachments.map(({ name, omitted }) => [name, omitted]),
        [
          ['tool.exe', 'attachment_type'],
          ['offer.pdf', null],
        ],
      );
      const secret = tool.content.toString('base64');
      const blobs = [...world.blobs.all.values()].map((content) => content.toString('latin1'));
      assert.ok(!blobs.some((content) => content.includes('MZ secret') || content.includes(secret)));
    });

    test('L4: limits that are raised between the look and the write count', async () => {
      world.meanwhile = async () => {
        await run(
          database.db,
          `update mailboxes set limits = '{"attachmentsBytesMax": null}' where id = :id`,
          {
            id: mailbox.id,
          },
        );
      };
      assert.deepEqual(await mailbox.see('inbox', withFiles(carla, [pdf(limit + 1)])), [
        'north:from_contact',
      ]);
      assert.deepEqual(
        (await newest('north')).attachments.map(({ omitted }) => omitted),
        [null],
      );
    });
  });
