import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eraseMessages } from '../../src/filing/erase.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { createAccept } from '../../src/outbound/accept.ts';
import { createSender } from '../../src/outbound/sender.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { checkBlobs } from '../../src/store/check/blobs.ts';
import { checkInvariants, invariants } from '../../src/store/check/check.ts';
import type { Checked } from '../../src/store/check/invariant.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { settleDeliveries } from '../../src/store/deliveries.ts';
import { claimDeliveries } from '../../src/store/delivery-claims.ts';
import { publishBatch } from '../../src/store/events.ts';
import { endConnection, findActiveConnection } from '../../src/store/lifecycle.ts';
import { eraseContent } from '../../src/store/sub-accounts.ts';
import { createLoggingWorld } from '../filing/logging-world.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { blankRequest, sessionsOf } from '../outbound/support.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { addWebhook } from '../webhook/support.ts';

const attached = [
  'From: carla@customer.example',
  'To: ann@mail.example',
  'Cc: cyril@customer.example',
  'Subject: With a file',
  'Date: Fri, 20 Nov 2026 09:00:00 +0000',
  'Message-ID: <attached@customer.example>',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain',
  '',
  'Text.',
  '--b',
  'Content-Type: application/pdf; name=offer.pdf',
  'Content-Disposition: attachment; filename=offer.pdf',
  '',
  'PDF',
  '--b--',
  '',
].join('\r\n');

const inbound = `(select id from messages where direction = 'inbound')`;
const refusedAs = (address: string, state: string) =>
  `jsonb_build_array(jsonb_build_object('address', ${address}, 'state', '${state}', 'reply', '450 busy'))`;

const tryOfQueued = `insert into send_attempts (send_id, n, started_at) select id, 1, now() from sends where state = 'queued'`;

const anErrand = `insert into errands (id, kind, sub_account_id, connection_id, mailbox_id, request)
  select 'err_1', 'resume', sub_account_id, id, mailbox_id, '{"since": 0}' from connections where mailbox_id is not null limit 1`;
const tombstone = `insert into tombstones (sub_account_id, hash, message_id)
  values ('north', decode(md5('erased'), 'hex'), 'msg_erased')`;

const copyOfQueued = `insert into sent_copies (id, sub_account_id, mailbox_id, due_at)
  select id, sub_account_id, mailbox_id, now() from sends where state = 'queued' limit 1`;

/** The event of an erasure that is as it shall be but for `shown`. */
function eventOfErased(shown: string): string {
  const emptied = `{"id": "msg_erased", "subject": "", "text": "", "reply_text": "", "html": null, "to": [], "cc": [],
    "from": {"name": "", "address": ""}, "internet_message_id": null, "attachments": [], "erased_at": "2026-11-20T09:00:00.000Z"}`;
  return `insert into events (id, type, sub_account_id, order_keys, data)
    values ('evt_erased', 'message.updated', 'north', '{}', '${emptied}'::jsonb || '${shown}')`;
}

const reportOfQueued = `insert into send_reports (send_id, sub_account_id, address, action, reported_at)
  select id, sub_account_id, 'carla@customer.example', 'failed', now() from sends where state = 'queued' limit 1`;

/** A case of each invariant: what somebody does to the data. `also`: what else that breaks. */
const cases: { name: string; done: string[]; also?: string[] }[] = [
  {
    name: 'connection_has_ended_or_not',
    done: [`update connections set ended_at = now()`],
    also: ['live_thread_has_connection'],
  },
  {
    name: 'connection_has_ended_or_not',
    done: [`update connections set state = 'disconnected'`],
    also: ['connection_state_is_told'],
  },
  {
    name: 'connection_has_mailbox',
    done: [`update connections set mailbox_id = null`],
    also: ['live_thread_has_connection'],
  },
  { name: 'connection_is_of_member', done: [`delete from memberships where user_id = 'ann'`] },
  {
    name: 'credential_is_in_use',
    done: [
      `insert into mailboxes (id, provider, address, canonical, login, credential_kind, credential_sealed, state)
       values ('mbx_left', 'imap', 'left@mail.example', 'left@mail.example', 'left', 'password', 'sealed', 'live')`,
    ],
  },
  { name: 'mailbox_address_is_users', done: [`delete from user_addresses where kind = 'mailbox'`] },
  { name: 'user_has_login_address', done: [`delete from user_addresses where kind = 'login'`] },
  { name: 'contact_addresses_are_ordered', done: [`update contact_addresses set position = position + 1`] },
  { name: 'contact_is_assigned_to_member', done: [`update contacts set assigned_user_id = 'nobody'`] },
  { name: 'errand_ends_once', done: [anErrand, `update errands set state = 'finished'`] },
  { name: 'errand_ends_once', done: [anErrand, `update errands set ready = false, ended_at = now()`] },
  {
    name: 'errand_is_of_its_connection',
    done: [
      anErrand,
      `update errands set sub_account_id = (select max(id) from sub_accounts where id <> errands.sub_account_id)`,
    ],
  },
  ...['sends', 'deliveries', 'revocations', 'errands'].map((table) => ({
    name: 'lease_is_whole',
    done: [anErrand, `update ${table} set lease_owner = 'node', lease_until = null where ready`],
  })),
  { name: 'bounced_has_report', done: [reportOfQueued] },
  { name: 'answer_is_in_thread', done: [`update messages set answers = id where direction = 'inbound'`] },
  { name: 'message_has_source', done: [`update messages set via = '{crm}' where direction = 'inbound'`] },
  {
    name: 'message_has_source',
    done: [`update messages set via = '{crm,mailbox,mailbox}' where direction = 'outbound'`],
  },
  {
    name: 'message_is_where_its_places_say',
    done: [`update messages set mailbox_state = 'trashed' where direction = 'inbound'`],
  },
  { name: 'message_is_where_its_places_say', done: [`update sightings set is_read = true`] },
  {
    name: 'lease_is_whole',
    done: [
      `insert into wanted_changes (id, sub_account_id, message_id, mailbox_id, is_read, lease_owner)
       select 'wch_1', 'north', s.message_id, s.mailbox_id, m.is_read, 'node'
         from sightings s join messages m on m.id = s.message_id where m.direction = 'inbound' limit 1`,
    ],
  },
  {
    name: 'wanted_change_can_be_done',
    done: [
      `insert into wanted_changes (id, sub_account_id, message_id, mailbox_id, is_read, ready)
       select 'wch_1', 'north', s.message_id, s.mailbox_id, m.is_read, false
         from sightings s join messages m on m.id = s.message_id where m.direction = 'inbound' limit 1`,
    ],
  },
  { name: 'message_has_key', done: [`delete from message_keys where message_id in ${inbound}`] },
  { name: 'message_has_bytes', done: [`update messages set raw_sha256 = null where direction = 'inbound'`] },
  { name: 'message_has_bytes', done: [`update sends set raw_size = raw_size + 1`] },
  { name: 'message_has_bytes', done: [`update sends set raw_sha256 = 'another'`] },
  {
    name: 'omitted_message_has_no_content',
    done: [`update messages set omitted = 'too_large', raw_sha256 = null where direction = 'inbound'`],
  },
  {
    name: 'message_is_shown',
    done: [
      `delete from conversation_threads where conversation_id in (select id from conversations where contact_id = 'c1')`,
    ],
    also: ['conversation_has_thread'],
  },
  {
    name: 'place_is_given_back',
    done: [
      `update sends set state = 'failed', ready = false where state = 'queued' and id in (select send_id from daily_places)`,
    ],
    also: ['send_is_told'],
  },
  { name: 'attachment_has_content', done: [`update attachments set sha256 = null`] },
  {
    name: 'attachment_has_content',
    done: [`update attachments set omitted = 'too_large'`],
    also: ['message_has_bytes'],
  },
  { name: 'attachments_are_numbered', done: [`update attachments set n = n + 1`] },
  { name: 'thread_knows_its_messages', done: [`update thread_keys set kind = 'referenced'`] },
  {
    name: 'thread_knows_its_people',
    done: [`delete from thread_participants where canonical = 'cyril@customer.example'`],
  },
  { name: 'thread_has_links', done: [`delete from thread_links`] },
  {
    name: 'live_thread_has_connection',
    done: [`update connections set ended_at = now(), state = 'disconnected'`],
  },
  { name: 'unlinked_thread_has_reason', done: [`update thread_links set state = 'unlinked'`] },
  { name: 'unlinked_thread_has_reason', done: [`update thread_links set reason = 'disconnected'`] },
  {
    name: 'erased_is_gone',
    done: [
      `insert into tombstones (sub_account_id, hash, message_id)
       select sub_account_id, decode(md5(id), 'hex'), id from messages where direction = 'inbound'`,
    ],
    also: ['erased_is_told', 'erased_left_no_content'],
  },
  { name: 'erased_is_told', done: [tombstone] },
  {
    name: 'erased_is_told',
    done: [tombstone, eventOfErased(`{}`), `update events set data = data - 'erased_at'`],
  },
  ...[
    `{"subject": "Private"}`,
    `{"text": "Private"}`,
    `{"html": "Private"}`,
    `{"reply_text": "Private"}`,
    `{"from": {"name": "", "address": "stan@private.example"}}`,
    `{"to": [{"name": "", "address": "stan@private.example"}]}`,
    `{"cc": [{"name": "", "address": "stan@private.example"}]}`,
    `{"internet_message_id": "letter@private.example"}`,
    `{"attachments": [{"name": "private.pdf"}]}`,
  ].map((shown) => ({ name: 'erased_left_no_content', done: [tombstone, eventOfErased(shown)] })),
  {
    name: 'erased_left_no_content',
    done: [
      tombstone,
      eventOfErased('{}'),
      `update decisions set message_id = 'msg_erased' where outcome = 'skipped'`,
    ],
    also: ['decision_names_message'],
  },
  {
    name: 'conversation_has_thread',
    done: [
      `delete from conversation_threads where conversation_id in (select id from conversations where contact_id = 'c2')`,
    ],
  },
  { name: 'conversation_is_dated', done: [`update conversations set last_message_at = null`] },
  { name: 'conversation_is_dated', done: [`update conversations set last_message_at = '2026-11-01Z'`] },
  {
    name: 'sighting_has_decision',
    done: [`delete from decisions where outcome = 'stored' and folder_id is not null`],
  },
  {
    name: 'stored_message_was_sighted',
    done: [`delete from sightings where folder_id in (select id from folders where role = 'archive')`],
  },
  { name: 'send_has_decision', done: [`delete from decisions where reason = 'crm_send'`] },
  {
    name: 'decision_names_message',
    done: [`update decisions set message_id = 'msg_1' where outcome = 'skipped'`],
  },
  { name: 'decision_has_place', done: [`update decisions set uid = null where outcome = 'skipped'`] },
  { name: 'place_is_in_mailbox', done: [`update decisions set mailbox_id = null where outcome = 'skipped'`] },
  {
    name: 'place_is_in_mailbox',
    done: [
      `insert into mailboxes (id, provider, address, canonical, login, state) values ('mbx_2', 'imap', 'b', 'b', 'b', 'live')`,
      `update sightings set mailbox_id = 'mbx_2' where folder_id in (select id from folders where role = 'archive')`,
    ],
    also: ['thread_has_links'],
  },
  {
    name: 'judged_once',
    done: [
      `insert into decisions (id, sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason, reasons)
       select 'dec_again', sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason, reasons
         from decisions where outcome = 'skipped'`,
    ],
  },
  { name: 'cursor_is_ahead', done: [`update folders set cursor_uid = 0`] },
  ...[
    `facts = facts || '{"subject": "Private"}'`,
    `facts = facts || '{"kind": "Private words"}'`,
    `facts = facts || '{"author": {"own": false, "name": "Stan"}}'`,
    `facts = facts || '{"threads": [{"by": "stan@private.example"}]}'`,
    `facts = facts || '{"threads": ["stan@private.example"]}'`,
    `reasons = '[{"rule": "S5", "because": null, "subject": "Private"}]'`,
    `reasons = '[{"rule": "S5", "because": "Private words"}]'`,
    `reasons = '[{"rule": "S5", "because": {"say": "no_match", "subject": "private"}}]'`,
    `reasons = '[{"rule": "S5", "because": {"say": "fills", "first": {"say": "Private words"}}}]'`,
    `id_hash = 'letter@private.example'`,
    `address_hashes = array['stan@private.example'::bytea]`,
  ].map((change) => ({
    name: 'decision_has_no_content',
    done: [`update decisions set ${change} where outcome = 'skipped'`],
  })),
  { name: 'send_is_ready_or_over', done: [`update sends set ready = false where state = 'queued'`] },
  { name: 'send_is_ready_or_over', done: [`update sends set ready = true where state = 'sent'`] },
  {
    name: 'send_is_ready_or_over',
    done: [`update sends set lease_owner = 'node', lease_until = now() where state = 'sent'`],
  },
  {
    name: 'send_is_ready_or_over',
    done: [
      `update sends set refused = ${refusedAs("envelope -> 'to' -> 0", 'deferred')} where state = 'sent'`,
    ],
  },
  {
    name: 'refused_were_written_to',
    done: [
      `update sends set refused = ${refusedAs(`'"stan@private.example"'`, 'refused')} where state = 'sent'`,
    ],
  },
  {
    name: 'refused_were_written_to',
    done: [
      `update sends set refused = ${refusedAs("envelope -> 'to' -> 0", 'refused')} where state = 'queued'`,
    ],
  },
  { name: 'send_comes_due', done: [`update sends set due_at = 'infinity' where state = 'queued'`] },
  {
    name: 'sending_is_leased',
    done: [tryOfQueued, `update sends set state = 'sending' where state = 'queued'`],
  },
  {
    name: 'send_was_tried',
    done: [`update sends set state = 'uncertain', uncertain_at = now() where state = 'queued'`],
  },
  { name: 'tries_are_numbered', done: [`update send_attempts set n = 2`] },
  { name: 'try_has_outcome', done: [`update send_attempts set outcome = null`] },
  { name: 'try_has_outcome', done: [`update send_attempts set outcome = 'lost'`] },
  {
    name: 'uncertain_has_time',
    done: [tryOfQueued, `update sends set state = 'uncertain' where state = 'queued'`],
  },
  { name: 'uncertain_has_time', done: [`update sends set uncertain_at = now() where state = 'sent'`] },
  { name: 'confirmed_is_sent', done: [`update sends set copy_seen_at = now() where state = 'queued'`] },
  {
    name: 'confirmed_is_sent',
    done: [`delete from sightings where message_id in (select message_id from sends)`],
    also: ['message_has_source', 'stored_message_was_sighted'],
  },
  { name: 'appended_copy_is_due', done: [copyOfQueued] },
  { name: 'appended_copy_is_due', done: [`update mailboxes set provider = 'gmail'`] },
  {
    name: 'appended_copy_is_due',
    done: [`update sent_copies set ready = false, outcome = 'appended'`],
  },
  {
    name: 'lease_is_whole',
    done: [`update sent_copies set lease_owner = 'node'`],
  },
  { name: 'lease_is_whole', done: [`update intake_spool set lease_owner = 'node' where ready`] },
  { name: 'send_is_known', done: [`update sends set internet_message_id = 'another@mail.example'`] },
  { name: 'send_is_known', done: [`update sends set server_message_id = 'another@mail.example'`] },
  { name: 'envelope_has_recipients', done: [`update sends set envelope = envelope || '{"to": []}'`] },
  {
    name: 'envelope_has_recipients',
    done: [
      `update sends set envelope = jsonb_set(envelope, '{to}', envelope -> 'to' || '"stan@private.example"')`,
    ],
  },
  { name: 'send_is_told', done: [`update events set type = 'send.held' where type = 'send.sent'`] },
  { name: 'tracking_is_told', done: [countTracked(0, null)] },
  { name: 'tracking_is_told', done: [countTracked(1, 'https://a.example/')] },
  {
    name: 'message_is_told_once',
    done: [`update events set type = 'message.updated' where type = 'message.created'`],
  },
  { name: 'message_is_told_once', done: [eventAgain('message.created')] },
  {
    name: 'conversation_is_told_once',
    done: [`update events set type = 'conversation.updated' where type = 'conversation.created'`],
  },
  { name: 'conversation_is_told_once', done: [eventAgain('conversation.created')] },
  { name: 'connection_state_is_told', done: [`update connections set state = 'degraded'`] },
  { name: 'connection_state_is_news', done: [eventAgain('connection.created')] },
  { name: 'event_has_own_number', done: [`update events set sequence = 2 where sequence = 1`] },
  { name: 'event_number_is_given', done: [`update events set sequence = 1000000 where sequence = 1`] },
  { name: 'delivery_is_of_numbered_event', done: [`update events set sequence = null where sequence = 1`] },
  {
    name: 'delivery_is_of_numbered_event',
    done: [
      `insert into deliveries (id, webhook_id, event_id, state, delivered_at, ready)
       select 'dlv_again', webhook_id, event_id, state, delivered_at, ready from deliveries where state = 'delivered'`,
    ],
  },
  { name: 'delivery_state_agrees', done: [`update deliveries set state = 'parked' where state = 'pending'`] },
  { name: 'delivery_state_agrees', done: [`update deliveries set delivered_at = null`] },
  { name: 'delivery_has_keys', done: [`update events set order_keys = order_keys || '{another}'`] },
  { name: 'delivery_has_keys', done: [`update delivery_keys set seq = seq + 1000`] },
  {
    name: 'delivery_waits_for_another',
    done: [`update deliveries set due_at = now() where due_at = 'infinity'`],
  },
  { name: 'delivery_waits_for_another', done: [`update deliveries set due_at = 'infinity' where ready`] },
  { name: 'logged_mail_has_decision', done: [`delete from decisions where outcome = 'held'`] },
  {
    name: 'logged_mail_has_decision',
    done: [`update intake_spool set decision_id = 'dec_1' where state = 'filed'`],
  },
  {
    name: 'logged_mail_has_decision',
    done: [
      `insert into decisions (id, sub_account_id, outcome, reason, reasons, intake_id)
       select 'dec_again', sub_account_id, outcome, reason, reasons, intake_id from decisions where outcome = 'held'`,
    ],
  },
  {
    name: 'logged_mail_has_decision',
    done: [`update intake_spool set state = 'discarded', read = null where state = 'held'`],
  },
  { name: 'held_mail_is_shown', done: [`update intake_spool set read = null where state = 'held'`] },
  { name: 'held_mail_is_shown', done: [`update intake_spool set read = '{}' where state = 'filed'`] },
  {
    name: 'logged_mail_waits_or_is_done',
    done: [`update intake_spool set ready = false where state = 'waiting'`],
  },
  {
    name: 'logged_mail_waits_or_is_done',
    done: [`update intake_spool set ready = true where state = 'held'`],
  },
];

function eventAgain(type: string): string {
  return `insert into events (id, type, sub_account_id, order_keys, data)
          select 'evt_again_' || id, case type when 'connection.created' then 'connection.state_changed' else type end,
                 sub_account_id, order_keys, data from events where type = '${type}'`;
}

/** What `nothing_crosses` calls what was moved to another sub-account. */
const crossings: { what: string; done: string }[] = [
  { what: 'message', done: `update messages set sub_account_id = 'south'` },
  { what: 'message key', done: `update message_keys set sub_account_id = 'south'` },
  { what: 'send report', done: reportOfQueued.replace('select id, sub_account_id', `select id, 'south'`) },
  { what: 'sighting', done: `update sightings set sub_account_id = 'south'` },
  {
    what: 'wanted change',
    done: `insert into wanted_changes (id, sub_account_id, message_id, mailbox_id, is_read)
           select 'wch_1', 'south', message_id, mailbox_id, true from sightings limit 1`,
  },
  { what: 'sent copy', done: `update sent_copies set sub_account_id = 'south'` },
  {
    what: 'tracked',
    done: `insert into tracked (send_id, n, sub_account_id) select id, 0, 'south' from sends limit 1`,
  },
  { what: 'attachment', done: `update attachments set sub_account_id = 'south'` },
  { what: 'send', done: `update sends set sub_account_id = 'south'` },
  { what: 'decision', done: `update decisions set sub_account_id = 'south' where outcome = 'stored'` },
  { what: 'decision', done: `update decisions set sub_account_id = 'south' where outcome = 'skipped'` },
  { what: 'logged mail', done: `update decisions set sub_account_id = 'south' where outcome = 'held'` },
  { what: 'thread key', done: `update thread_keys set sub_account_id = 'south'` },
  { what: 'thread link', done: `update thread_links set sub_account_id = 'south'` },
  { what: 'conversation', done: `update threads set sub_account_id = 'south'` },
  { what: 'event', done: `update events set sub_account_id = 'south' where type = 'message.created'` },
  { what: 'delivery', done: `update webhooks set sub_account_id = 'south'` },
];

for (const kind of databaseKinds)
  describe(`invariants of the data, on ${kind}`, () => {
    let database: TestDatabase;
    let db: Db;
    let world: World;

    before(async () => {
      database = await testDatabase(kind);
      db = database.db;
      world = await createWorld(db);
      await exchangeMail(world);
    });
    after(() => database.drop());

    /** What the invariants say of the data as the statements leave it, which is undone then. */
    async function afterDoing(statements: readonly string[]): Promise<Checked[]> {
      const undone = new Error('undone');
      let broken: Checked[] = [];
      await db
        .transaction(async (tx) => {
          for (const statement of statements) assert.ok((await run(tx, statement)) > 0, statement);
          broken = (await checkInvariants(tx)).filter(({ count }) => count > 0);
          throw undone;
        })
        .catch((error: unknown) => {
          if (error !== undone) throw error;
        });
      return broken;
    }

    test('all hold after mail was received, sent, confirmed and delivered', async () => {
      const [seen] = await rows<Record<string, number>>(
        db,
        `select (select count(*) from messages)::int as messages, (select count(*) from sightings)::int as sightings,
                (select count(*) from sends where copy_seen_at is not null)::int as confirmed,
                (select count(*) from decisions where outcome = 'skipped')::int as skipped,
                (select count(*) from deliveries where state = 'delivered')::int as delivered,
                (select count(*) from deliveries where due_at = 'infinity')::int > 0 as waiting`,
      );
      assert.deepEqual(seen, {
        messages: 4,
        sightings: 3,
        confirmed: 1,
        skipped: 1,
        delivered: 1,
        waiting: true,
      });
      const checked = await checkInvariants(db);
      assert.deepEqual(
        checked.map(({ name, count, examples }) => ({ name, count, examples })),
        invariants.map(({ name }) => ({ name, count: 0, examples: [] })),
      );
    });

    test('each has a name of its own, and a case here', () => {
      const names = invariants.map(({ name }) => name);
      assert.equal(new Set(names).size, names.length);
      const tried = new Set(['nothing_crosses', ...cases.map(({ name }) => name)]);
      assert.deepEqual([...tried].sort(), names.toSorted());
    });

    for (const { name, done, also = [] } of cases)
      test(`${name}: ${done.at(-1)?.replaceAll(/\s+/g, ' ')}`, async () => {
        const broken = await afterDoing(done);
        assert.deepEqual(broken.map((each) => each.name).sort(), [name, ...also].sort());
      });

    for (const { what, done } of crossings)
      test(`nothing_crosses: ${what}: ${done}`, async () => {
        const found = (await afterDoing([done])).find(({ name }) => name === 'nothing_crosses');
        assert.ok(found?.examples.some((row) => row['what'] === what));
      });

    test('of many rows that break one, all are counted and the first ones named', async () => {
      const [found] = await afterDoing([
        `insert into users (id, name, email) select 'u' || n, '', 'u@crm.example' from generate_series(1, 30) n`,
      ]);
      assert.equal(found?.name, 'user_has_login_address');
      assert.equal(found.count, 30);
      assert.equal(found.examples.length, 20);
      assert.match(String(found.examples[0]?.['user']), /^u\d+$/);
    });

    test('blobs: one that is missing is named, and one of another size', async () => {
      const { all } = world.blobs;
      const [row] = await rows<{ raw: string; file: string }>(
        db,
        `select m.raw_sha256 as raw, a.sha256 as file from messages m join attachments a on a.message_id = m.id`,
      );
      const { raw = '', file = '' } = row ?? {};
      assert.equal((await checkBlobs(db, world.blobs)).count, 0);
      const kept = [raw, file].map((name): [string, Buffer] => [name, all.get(name) ?? Buffer.alloc(0)]);
      all.delete(raw);
      all.set(file, Buffer.from('P'));
      const { count, examples } = await checkBlobs(db, world.blobs);
      assert.equal(count, 2);
      assert.deepEqual(
        examples.toSorted((one, other) => Number(one['size']) - Number(other['size'])),
        [
          { blob: file, size: 3, stored: 1 },
          { blob: raw, size: attached.length, stored: null },
        ],
      );
      for (const [name, content] of kept) all.set(name, content);
    });

    test('blobs: that of a mail which was accepted, and is not filed yet, is named where it is missing', async () => {
      const { all } = world.blobs;
      const mails = await rows<{ state: string; name: string }>(
        db,
        `select state, raw_sha256 as name from intake_spool where state <> 'filed' order by seq`,
      );
      const kept = mails.map(({ name }): [string, Buffer] => [name, all.get(name) ?? Buffer.alloc(0)]);
      const counts: [string, number][] = [];
      for (const { state, name } of mails) {
        all.delete(name);
        counts.push([state, (await checkBlobs(db, world.blobs)).count]);
      }
      for (const [name, content] of kept) all.set(name, content);
      assert.deepEqual(counts, [
        ['held', 1],
        ['waiting', 2],
      ]);
    });

    test('all hold at each commit of an erasure', async () => {
      const active = await findActiveConnection(db, { subAccountId: 'north', userId: 'ann' });
      assert.ok(active);
      await endConnection(db, active.id, 'disconnected');
      const [message] = await world.messages('north');
      assert.equal(await eraseMessages(world.filing, 'north', [(message?.id ?? '') as MessageId]), 1);
      const commits: string[] = [];
      const checked = async (result: unknown) => {
        const broken = (await checkInvariants(db)).filter(({ count }) => count > 0);
        commits.push(broken.map(({ name }) => name).join(', '));
        return result;
      };
      const watched = {
        raw: (sql: string, bindings: Record<string, string>) => ({
          options: async (options: Record<string, unknown>) =>
            checked(await db.raw(sql, bindings).options(options)),
        }),
        transaction: async (work: (tx: Db) => Promise<unknown>) => checked(await db.transaction(work)),
      };
      await eraseContent(watched as unknown as Db, 'north');
      assert.deepEqual(commits, ['', '', '', '', '', '']);
      assert.deepEqual(
        await rows(db, 'select from messages union all select from events union all select from tombstones'),
        [],
      );
    });
  });

/**
 * North: a message with a file, seen twice; one of a stranger; two sends, of which one went out and came
 * back as a copy in Sent; a webhook that has got its first event; three mails that came to a logging address: one is
 * filed, one is held, one waits. South: nothing.
 */
async function exchangeMail(world: World): Promise<void> {
  const { db } = world;
  for (const id of ['north', 'south']) await world.addSubAccount(id);
  await world.addUser('ann', 'ann@crm.example', ['north']);
  await world.addUser('ben', 'ben@crm.example', ['north']);
  await world.addContact('north', 'c1', ['carla@customer.example'], 'ben');
  await world.addContact('north', 'c2', ['cyril@customer.example']);
  await run(
    db,
    `insert into revocations (id, provider, identity_key, token_sealed, sealed_for) values ('rvk_1', 'gmail', 'k', 't', 'f')`,
  );
  const { id: webhookId } = await addWebhook(db, { subAccountId: 'north' });
  const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
  await mailbox.see('inbox', Buffer.from(attached), { from: 'stan@private.example' });
  await mailbox.see('archive', Buffer.from(attached));
  const { sendId, raw } = await accept(world, 'Sent');
  const sender = createSender({
    ...world.filing,
    tokens: { accessToken: () => Promise.resolve({ token: 'a-token', expiresAt: Infinity, login: '' }) },
    provider: () => ({
      ...resolveProvider('imap'),
      smtp: { host: '127.0.0.1', port: 1, security: 'none' },
    }),
    resolveHost: (address) => Promise.resolve({ address }),
    wakeOthers() {},
    open: sessionsOf(async ({ beforeEnd }) => {
      await beforeEnd([]);
      return { reply: '250 taken', refused: [], serverMessageId: null };
    }),
  });
  sender.start();
  await waitFor('it is sent', async () => {
    const [send] = await rows<{ state: string }>(db, 'select state from sends where id = :sendId', {
      sendId,
    });
    return send?.state === 'sent';
  });
  await sender.stop();
  await mailbox.see('sent', raw);
  await accept(world, 'Queued');
  const logging = createLoggingWorld(world);
  const logged = { from: 'ann@crm.example', to: 'carla@customer.example' };
  await logging.log(logged, { ...logged, proof: 'unproven' });
  await logging.accept(logged);
  await publishBatch(db);
  const owner = newId('dlv');
  const [first] = await claimDeliveries(db, { webhookId, owner, leaseMs: 60_000, limit: 1 });
  assert.ok(first);
  await settleDeliveries(db, {
    webhookId,
    owner,
    settled: [{ id: first.id, tried: true, state: 'delivered', status: 200, error: null, delayMs: 0 }],
    news: { kind: 'answered' },
    pauseMs: () => 0,
  });
}

/** Something of a send was opened or clicked, and told to nobody. */
function countTracked(n: number, url: string | null): string {
  return `insert into tracked (send_id, n, sub_account_id, url, count, first_at, last_at)
          select id, ${n}, sub_account_id, ${url === null ? 'null' : `'${url}'`}, 1, now(), now() from sends limit 1`;
}

/** What the CRM sends to Carla: its send, and the bytes that go out. */
async function accept(world: World, subject: string): Promise<{ sendId: string; raw: Buffer }> {
  const result = await createAccept({
    ...world.filing,
    clock: systemClock,
    trackingUrl: null,
    wakeSender: () => undefined,
  })(
    { ...blankRequest, subAccountId: 'north', userId: 'ann', contactId: 'c1', subject, text: 'Text.' },
    null,
  );
  if ('refused' in result) throw new Error(JSON.stringify(result.refused));
  const { send } = result.answer;
  const [stored] = await rows<{ raw: string }>(
    world.db,
    'select raw_sha256 as raw from sends where id = :id',
    {
      id: send.id,
    },
  );
  return { sendId: send.id, raw: world.blobs.all.get(stored?.raw ?? '') ?? Buffer.alloc(0) };
}
