import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { twoway } from '../support/cli.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { deliver, openMailbox } from '../support/mail.ts';
import { runCommand } from '../support/processes.ts';
import { waitFor } from '../support/wait.ts';
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

  test('C7, S2, D5, W2: database first, then the mail, beside the running gateway; what came since is fetched again, once', async () => {
    const { gateway, servers, ann, carla, sub } = story;
    const send = (subject: string) => deliver(servers, { from: carla, to: ann, subject, text: 'x' });
    await send('Before');
    await story.conversationOf(1);

    // Waits when the database is copied, and has gone out when that is restored.
    const { send: letter } = await gateway.must<{ send: { id: string } }>('POST', `${sub}/messages`, {
      kind: 'individual',
      user_id: 'ann',
      contact_id: 'carla',
      subject: 'Letter',
      text: 'x',
      send_at: new Date(Date.now() + 8_000).toISOString(),
    });

    const dump = join(folder, 'twoway.dump');
    const data = join(folder, 'data.tar');
    const pgDump = join(postgresBinaries, 'pg_dump');
    await runCommand(pgDump, ['--format=custom', `--file=${dump}`, gateway.databaseUrl ?? '']);
    const queued = await gateway.must<{ state: string }>('GET', `${sub}/sends/${letter.id}`);
    assert.equal(queued.state, 'queued', 'the copy has it as it was before it went');
    // Comes between the two: its mail is in the copy, and nothing in the database refers to it.
    await send('Between');
    await story.conversationOf(3);
    await runCommand('tar', ['--directory', gateway.dataDir, '--create', '--file', data, 'blobs', 'spool']);
    await send('Since');
    await story.conversationOf(4);
    const carlaClient = await openMailbox(servers, carla);
    await carlaClient.waitForMail('Letter');
    await story.receiver.waitForEvent('the letter’s end', ({ type }) => type === 'send.sent');
    const numberOf = ({ data }: { data: { sequence: number }[] }) =>
      Math.max(...data.map((event) => event.sequence));
    const seen = numberOf(await gateway.must('GET', '/v1/events?limit=200'));

    await gateway.kill();
    await rm(gateway.dataDir, { recursive: true });
    await mkdir(gateway.dataDir);
    const pgRestore = join(postgresBinaries, 'pg_restore');
    const how = ['--exit-on-error', '--single-transaction', '--no-owner'];
    await runCommand(pgRestore, [...how, `--dbname=${restoredUrl}`, dump]);
    await runCommand('tar', ['--directory', gateway.dataDir, '--extract', '--file', data]);

    const checked = await twoway(['check', 'blobs'], settings);
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    const settled = await twoway(['restored'], settings);
    assert.deepEqual(
      [settled.code, settled.stdout.startsWith('1 messages that wait')],
      [0, true],
      settled.stdout,
    );
    await gateway.start(settings);
    const messages = await story.conversationOf(4);
    const subjects = messages.map(({ subject }) => subject).sort();
    assert.deepEqual(subjects, ['Before', 'Between', 'Letter', 'Since']);
    await waitFor('the letter to be known as sent, by its copy', async () => {
      const { state } = await gateway.must<{ state: string }>('GET', `${sub}/sends/${letter.id}`);
      return state === 'sent' ? true : Promise.reject(new Error(state));
    });
    const letters = (await carlaClient.list('INBOX')).filter(({ subject }) => subject === 'Letter');
    assert.equal(letters.length, 1, 'it went out once');
    await carlaClient.close();
    const next = await gateway.must<{ data: { sequence: number }[] }>(
      'GET',
      `/v1/events?after=${seen}&limit=200`,
    );
    assert.ok(next.data.length > 0, 'whoever reads on from where they were misses nothing');
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
