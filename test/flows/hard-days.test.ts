import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { dial } from '../intake/door.ts';
import { startIdentityProvider } from '../support/identity.ts';
import type { IdentityProvider } from '../support/identity.ts';
import { deliver, openMailbox } from '../support/mail.ts';
import { startPostgres } from '../support/postgres.ts';
import { freePort, runCommand } from '../support/processes.ts';
import type { Daemon } from '../support/processes.ts';
import { startServers } from '../support/servers.ts';
import type { Servers } from '../support/servers.ts';
import { announceServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import { openLoggingStory } from './logging-story.ts';
import type { LoggingStory } from './logging-story.ts';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

/*
 * What production does to a gateway, and where each hard day is tested:
 *
 * disk that takes no more        here (the kernel's own refusal); intake/spool, intake/server, store/blobs
 * descriptors exhausted          here
 * clock set forward and back     here; mailbox/round, webhook/deliverer, webhook/request
 * PostgreSQL restarted, failed over   here; away: api/errors, console/away, flows/logging-storm; silent: store/database; lease lost: mailbox/supervisor
 * mail server without end        mailbox/hostile-server
 * mail server that talks nonsense, or cuts   mailbox/fuzz, mailbox/transcripts, mailbox/watching
 * mail server mute or restarted  mailbox/transcripts (dead-in-idle), flows/listening
 * token endpoint down, slow, 429, 500  flows/token-endpoint; provider/oauth-client, provider/oauth-failures, mailbox/listener
 * webhook receiver down, or mute for a day  webhook/deliverer
 * a thousand messages a minute  mailbox/hard-mailboxes
 * killed at any moment           flows/kill, flows/logging-storm, outbound/crash
 */

let identity: IdentityProvider;
let servers: Servers;
let story: Story | null = null;

before(async () => {
  identity = await startIdentityProvider();
  // A set of its own: its PostgreSQL is stopped and replaced.
  servers = await startServers({ identityUrl: identity.url });
  announceServers(servers.info);
});
afterEach(async () => {
  await story?.end();
  story = null;
});
after(async () => {
  await servers.stop();
  await identity.stop();
});

async function opened<Opened extends Story>(opening: Promise<Opened>): Promise<Opened> {
  const one = await opening;
  story = one;
  await one.connect('gmail');
  return one;
}

/** Sends from the CRM; the status of the answer, of which a 503 says when to come again. A repeat has the same key. */
async function send({ gateway, sub }: Story, subject: string): Promise<number> {
  const response = await fetch(`${gateway.url}${sub}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateway.key}`,
      'content-type': 'application/json',
      'idempotency-key': subject.replaceAll(' ', '-'),
    },
    body: JSON.stringify({ kind: 'individual', user_id: 'ann', contact_id: 'carla', subject, text: 'x' }),
  });
  const { code } = (await response.json()) as { code?: string };
  assert.ok(response.status !== 503 || (code === 'unavailable' && response.headers.has('retry-after')));
  return response.status;
}

const comesIn = ({ servers: used, ann, carla }: Story, subject: string) =>
  deliver(used, { from: carla, to: ann, subject, text: 'x' });

const sendUntilAccepted = (of: Story, subject: string) =>
  waitFor(
    `${subject} to be accepted`,
    async () => {
      const status = await send(of, subject);
      statuses.add(status);
      return status === 202;
    },
    { deadlineMs: 60_000, everyMs: 200 },
  );

/** What `sendUntilAccepted` was answered. */
const statuses = new Set<number>();

/** All of these are in the conversation, were told as created, and, where they were sent, have arrived: each once. */
async function assertOnce(of: Story, subjects: readonly string[], sent: readonly string[]): Promise<void> {
  const messages = await of.conversationOf(subjects.length, 90_000);
  assert.deepEqual(messages.map(({ subject }) => subject).sort(), [...subjects].sort());
  for (const subject of subjects) {
    await of.receiver.waitForEvent(
      subject,
      ({ type, data }) => type === 'message.created' && data['subject'] === subject,
      60_000,
    );
  }
  const told = of.receiver.events
    .filter(({ type }) => type === 'message.created')
    .map(({ data }) => String(data['subject']));
  assert.deepEqual(told.sort(), [...subjects].sort());
  const carla = await openMailbox(of.servers, of.carla);
  const arrived = await waitFor(
    'what was sent to arrive',
    async () => {
      const all = (await carla.list()).map(({ subject }) => subject);
      return sent.every((subject) => all.includes(subject)) ? all : Promise.reject(new Error(all.join(', ')));
    },
    { deadlineMs: 60_000 },
  );
  await carla.close();
  assert.deepEqual(arrived.sort(), [...sent].sort(), 'nothing went out twice, nor what was never accepted');
}

function assertNobodyAsked({ receiver, gateway }: Story): void {
  const states = receiver.events
    .filter(({ type }) => type === 'connection.state_changed')
    .map(({ data }) => String(data['state']));
  assert.ok(!states.includes('reauth_required'), states.join(', '));
  assert.doesNotMatch(gateway.output(), /uncaught|unhandled/i);
}

const limit = (of: Story, what: string) => runCommand('prlimit', ['--pid', `${of.gateway.pid()}`, what]);

describe('the machine', () => {
  test('B5, T3: a disk that takes no more: mail waits where it is, the CRM is told, and then all of it is there once', async () => {
    const one = await opened<LoggingStory>(
      openLoggingStory({ name: 'full', database: 'postgres', relay: 'story' }),
    );
    await comesIn(one, 'Before');
    await one.conversationOf(1);
    await limit(one, '--fsize=0:');
    await comesIn(one, 'While it is full');
    assert.ok((await send(one, 'Refused')) >= 500, 'what cannot be stored is not accepted');
    const client = await dial(one.smtpPort);
    for (const line of ['EHLO mx', `MAIL FROM:<${one.ann}>`, `RCPT TO:<${one.logging}>`])
      await client.say(line);
    const replies = [await client.say('DATA')];
    if (replies[0]?.startsWith('354'))
      replies.push(
        await client.say(`From: <${one.ann}>\r\nTo: <${one.carla}>\r\nSubject: Logged\r\n\r\nx\r\n.`),
      );
    assert.match(
      replies.at(-1) ?? '',
      /^45[12] 4\.3\.[01] /,
      'its sender’s provider keeps it, and tells nobody',
    );
    client.close();
    await one.waitForState('degraded');
    assert.equal((await one.conversation()).length, 1);
    await limit(one, '--fsize=unlimited:');
    await one.waitForState('live');
    await comesIn(one, 'After');
    await sendUntilAccepted(one, 'Sent after');
    await assertOnce(one, ['Before', 'While it is full', 'After', 'Sent after'], ['Sent after']);
    assertNobodyAsked(one);
  });

  test('no descriptor is left: whoever comes is turned away, the process lives, and then all of it is there once', async () => {
    const one = await opened(openStory({ name: 'descriptors', database: 'postgres' }));
    await comesIn(one, 'Before');
    await one.conversationOf(1);
    const open = (await readdir(`/proc/${one.gateway.pid()}/fd`)).length;
    // The soft limit alone: the other could not be raised again.
    const openMax = 1_000;
    await limit(one, `--nofile=${open + 3}:`);
    const { hostname, port } = new URL(one.gateway.url);
    const crowd: Socket[] = Array.from({ length: 40 }, () =>
      connect(Number(port), hostname).on('error', () => undefined),
    );
    await comesIn(one, 'While there is none');
    await one.kick();
    await waitFor('somebody to be turned away', () => crowd.some(({ destroyed }) => destroyed));
    await limit(one, `--nofile=${openMax}:`);
    for (const socket of crowd) socket.destroy();
    await sendUntilAccepted(one, 'Sent after');
    await comesIn(one, 'After');
    await assertOnce(one, ['Before', 'While there is none', 'After', 'Sent after'], ['Sent after']);
    assertNobodyAsked(one);
  });

  test('C5, D5: a clock that is set a day forward, and then two days back, loses nothing and asks nobody', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'twoway-clock-'));
    const clockPath = join(directory, 'shift');
    const one = await opened(
      openStory({
        name: 'clock',
        database: 'postgres',
        environment: {
          NODE_OPTIONS: `--import ${new URL('../support/shifted-clock.ts', import.meta.url).href}`,
          SHIFTED_CLOCK: clockPath,
        },
      }),
    );
    const dayMs = 86_400_000;
    const subjects: string[] = [];
    const sent: string[] = [];
    for (const [when, shiftMs] of [
      ['Now', 0],
      ['A day later', dayMs],
      ['A day ago', -dayMs],
      ['Now again', 0],
    ] as const) {
      await writeFile(clockPath, String(shiftMs));
      process.kill(one.gateway.pid(), 'SIGUSR2');
      await comesIn(one, `${when} in`);
      await sendUntilAccepted(one, `${when} out`);
      subjects.push(`${when} in`, `${when} out`);
      sent.push(`${when} out`);
      await one.conversationOf(subjects.length, 90_000);
    }
    await assertOnce(one, subjects, sent);
    assertNobodyAsked(one);
    await rm(directory, { recursive: true });
  });
});

describe('PostgreSQL', () => {
  const { kill } = process;
  const pidOf = async (dataDirectory: string) =>
    Number((await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const isGone = (pid: number) => {
    try {
      kill(pid, 0);
      return false;
    } catch {
      // ESRCH: there is none any more.
      return true;
    }
  };

  /** Mail both ways, until told to stop. */
  function traffic(of: Story) {
    const subjects: string[] = [];
    const sent: string[] = [];
    const until = { isOver: false };
    const going = (async () => {
      for (let n = 1; !until.isOver; n += 1) {
        await comesIn(of, `In ${n}`);
        subjects.push(`In ${n}`);
        await sendUntilAccepted(of, `Out ${n}`);
        subjects.push(`Out ${n}`);
        sent.push(`Out ${n}`);
      }
    })();
    going.catch(() => undefined);
    return { subjects, sent, stop: () => ((until.isOver = true), going) };
  }

  test('D3, S12: restarted, and then replaced by its standby, while mail comes and goes: all of it is there once', async () => {
    const { postgres } = servers.info;
    const daemons: Daemon[] = [];
    const one = await opened(openStory({ name: 'failover', database: 'postgres' }));
    statuses.clear();
    const mail = traffic(one);
    const enough = async (more: number) => {
      const until = mail.subjects.length + more;
      await waitFor('mail to go on', () => mail.subjects.length >= until, { deadlineMs: 60_000 });
    };
    try {
      await enough(4);
      const first = await pidOf(postgres.dataDirectory);
      kill(first, 'SIGINT');
      await waitFor('PostgreSQL to stop', () => isGone(first));
      const ready = await one.gateway.call('GET', '/readyz');
      assert.deepEqual([ready.status, ready.body['code']], [503, 'unavailable']);
      const stoppedAt = Date.now();
      await waitFor('PostgreSQL to have been away for some seconds', () => Date.now() - stoppedAt > 4_000);
      daemons.push(await startPostgres(postgres));
      await enough(4);

      const standby = {
        ...postgres,
        dataDirectory: `${postgres.dataDirectory}-standby`,
        port: await freePort(),
      };
      const at = ['--host=127.0.0.1', `--port=${postgres.port}`, '--username=postgres'];
      const postgresUser = { user: 'postgres' };
      await runCommand(
        'pg_basebackup',
        [...at, '--pgdata', standby.dataDirectory, '--write-recovery-conf', '--checkpoint=fast'],
        postgresUser,
      );
      const settings = join(standby.dataDirectory, 'postgresql.auto.conf');
      await appendFile(settings, `port = ${standby.port}\n`);
      const replica = await startPostgres(standby);
      const ask = (sql: string) =>
        runCommand('psql', [...at, '--dbname=postgres', '--tuples-only', '--command', sql], postgresUser);
      for (const setting of [`synchronous_standby_names = '*'`, `synchronous_commit = 'on'`])
        await ask(`alter system set ${setting}`);
      await ask('select pg_reload_conf()');
      await waitFor('the standby to have all that is committed', async () =>
        (await ask('select sync_state from pg_stat_replication')).includes('sync'),
      );
      await enough(4);

      const primary = await pidOf(postgres.dataDirectory);
      kill(primary, 'SIGKILL');
      await waitFor('the primary to be gone', () => isGone(primary));
      await runCommand(
        '/usr/lib/postgresql/15/bin/pg_ctl',
        ['promote', '--pgdata', standby.dataDirectory],
        postgresUser,
      );
      await replica.stop();
      // Under the address of the one that is gone, as behind any failover.
      await appendFile(settings, `port = ${postgres.port}\nsynchronous_standby_names = ''\n`);
      daemons.push(await startPostgres({ ...standby, port: postgres.port }));
      await enough(4);
      await mail.stop();
      assert.deepEqual(
        [...statuses].toSorted((a, b) => a - b),
        [202, 503],
        'away is told as away, never as a fault of ours',
      );
      await assertOnce(one, mail.subjects, mail.sent);
      assertNobodyAsked(one);
    } finally {
      await mail.stop().catch(() => undefined);
      await story?.end();
      story = null;
      for (const daemon of daemons) await daemon.stop();
    }
  });
});
