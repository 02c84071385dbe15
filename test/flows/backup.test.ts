import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { twoway } from '../support/cli.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { deliver } from '../support/mail.ts';
import { runCommand } from '../support/processes.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

const postgresBinaries = '/usr/lib/postgresql/15/bin';

describe('backup and restore, as the README has it', () => {
  let story: Story;
  let folder: string;
  let restoredUrl: string;
  let settings: Record<string, string>;

  before(async () => {
    story = await openStory({ name: 'backup', database: 'postgres' });
    await story.connect('gmail');
    folder = await mkdtemp(join(tmpdir(), 'twoway-backup-'));
    restoredUrl = await createPostgresDatabase('empty');
    settings = {
      TWOWAY_DATA_DIR: story.gateway.dataDir,
      TWOWAY_DATABASE_URL: restoredUrl,
      TWOWAY_SECRET_KEYS: Buffer.alloc(32, 5).toString('base64'),
    };
  });
  after(async () => {
    await story.end();
    await dropPostgresDatabase(restoredUrl);
    await rm(folder, { recursive: true });
  });

  test('C7, S2: database first, then the mail, beside the running gateway; what came since is fetched again, once', async () => {
    const { gateway, servers, ann, carla } = story;
    const send = (subject: string) => deliver(servers, { from: carla, to: ann, subject, text: 'x' });
    await send('Before');
    await story.conversationOf(1);

    const dump = join(folder, 'twoway.dump');
    const data = join(folder, 'data.tar');
    const pgDump = join(postgresBinaries, 'pg_dump');
    await runCommand(pgDump, ['--format=custom', `--file=${dump}`, gateway.databaseUrl ?? '']);
    // Comes between the two: its mail is in the copy, and nothing in the database refers to it.
    await send('Between');
    await story.conversationOf(2);
    await runCommand('tar', ['--directory', gateway.dataDir, '--create', '--file', data, 'blobs', 'spool']);
    await send('Since');
    await story.conversationOf(3);

    await gateway.kill();
    await rm(gateway.dataDir, { recursive: true });
    await mkdir(gateway.dataDir);
    const pgRestore = join(postgresBinaries, 'pg_restore');
    const how = ['--exit-on-error', '--single-transaction', '--no-owner'];
    await runCommand(pgRestore, [...how, `--dbname=${restoredUrl}`, dump]);
    await runCommand('tar', ['--directory', gateway.dataDir, '--extract', '--file', data]);

    const checked = await twoway(['check', 'blobs'], settings);
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    await gateway.start(settings);
    const messages = await story.conversationOf(3);
    assert.deepEqual(messages.map(({ subject }) => subject).sort(), ['Before', 'Between', 'Since']);
    await story.waitForState('live');
    assert.doesNotMatch(gateway.output(), /reauth_required/);
  });

  test('without its mail the restored database is not taken for sound', async () => {
    const { gateway } = story;
    await gateway.stop();
    const { stdout, code } = await twoway(['check', 'blobs'], {
      ...settings,
      TWOWAY_DATA_DIR: join(folder, 'empty'),
    });
    assert.equal(code, 1);
    assert.match(stdout, /^BROKEN {2}blob_is_kept .*: \d+ rows$/m);
  });
});
