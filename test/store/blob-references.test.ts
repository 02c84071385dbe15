import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findUnreferencedBlobs } from '../../src/store/blob-references.ts';
import { rows, run } from '../../src/store/database.ts';
import { databaseKinds, testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

for (const kind of databaseKinds) {
  describe(`what refers to a blob, ${kind}`, () => {
    let database: TestDatabase;
    before(async () => {
      // Rows by hand, of which only their blobs count.
      database = await testDatabase(kind, {
        breaks: [
          'message_has_source',
          'message_has_key',
          'message_has_bytes',
          'message_is_shown',
          'attachment_has_content',
          'send_has_decision',
          'send_is_ready_or_over',
          'send_is_known',
          'send_is_told',
          'message_is_told_once',
          'logged_mail_has_decision',
          'held_mail_is_shown',
        ],
      });
    });
    after(() => database.drop());

    test('is a message, an attachment, a send, or mail to a logging address that is not filed', async () => {
      const { db } = database;
      await db.transaction(async (tx) => {
        // Rows without what they belong to: the question looks at nothing else.
        await run(tx, 'set local session_replication_role = replica');
        await run(
          tx,
          `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to, recipients_cc,
             recipients_bcc, subject, date, received_at, raw_sha256)
           values ('m', 's', 't', 'inbound', '{}', '{}', '[]', '[]', '[]', '', now(), now(), 'of a message')`,
        );
        await run(
          tx,
          `insert into attachments (sub_account_id, message_id, n, name, type, size, sha256)
           values ('s', 'm', 1, '', '', 1, 'of an attachment'), ('s', 'm', 2, '', '', 1, null)`,
        );
        await run(
          tx,
          `insert into sends (id, sub_account_id, message_id, user_id, route, state, envelope, internet_message_id,
             raw_sha256, raw_size, order_keys)
           values ('d', 's', 'm', 'u', '{}', 'sent', '{}', 'x', 'of a send', 1, '{}')`,
        );
        for (const state of ['waiting', 'held', 'failed', 'filed', 'discarded']) {
          await run(
            tx,
            `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof,
               received_at, raw_sha256, raw_size, state, ready)
             values (:state, :state, 'l', 's', 'u', '{}', '{}', '{}', now(), 'of mail that is ' || :state, 1, :state, :state = 'waiting')`,
            { state },
          );
        }
      });
      const asked = [
        'of a message',
        'of nothing',
        'of an attachment',
        'of a send',
        'of nothing else',
        'of mail that is waiting',
        'of mail that is held',
        'of mail that is failed',
        'of mail that is filed',
        'of mail that is discarded',
      ];
      assert.deepEqual((await findUnreferencedBlobs(db, asked)).sort(), [
        'of mail that is discarded',
        'of mail that is filed',
        'of nothing',
        'of nothing else',
      ]);
      assert.deepEqual(await findUnreferencedBlobs(db, []), []);
    });

    test('is nothing else: a table that names blobs must be asked before one is removed', async () => {
      const named = await rows<{ name: string }>(
        database.db,
        `select table_name || '.' || column_name as name from information_schema.columns
          where table_schema = 'public' and (column_name like '%sha256%' or column_name like '%blob%') order by 1`,
      );
      assert.deepEqual(
        named.map(({ name }) => name),
        ['attachments.sha256', 'intake_spool.raw_sha256', 'messages.raw_sha256', 'sends.raw_sha256'],
      );
    });
  });
}
