// npm run soak [-- minutes]: one gateway on a real Dovecot, Postfix and PostgreSQL, for half an hour unless told otherwise.
// Mail comes and goes all the time, by every way; connections are made and ended; sessions are cut, Dovecot restarts, the
// database and the CRM's webhook are away for a while. In the end a ledger that is kept here must be what the conversation
// holds and what the CRM was told, each once, and the process must hold what it held in its first minute.
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { openLoggingStory } from '../flows/logging-story.ts';
import { dial } from '../intake/door.ts';
import { createRandom } from '../sim/random.ts';
import { startIdentityProvider } from '../support/identity.ts';
import { installServers } from '../support/install.ts';
import { deliver, passwordOf, submit } from '../support/mail.ts';
import { startServers } from '../support/servers.ts';
import { announceServers } from '../support/shared-servers.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';
import type { Holding } from './look.ts';

const minutes = Number(process.argv[2] ?? '30');
assert.ok(minutes > 0, 'npm run soak -- minutes');
const warmUpMs = 60_000;
/** How much more the end may hold than the beginning: caches that fill up, and the garbage of the moment. */
const grown = { heldMb: 25, descriptors: 4, resources: 6 };

const random = createRandom(20_261_128);
await installServers();
const identity = await startIdentityProvider();
const servers = await startServers({ identityUrl: identity.url });
announceServers(servers.info);
const proxy = await startSilentProxy(servers.info.postgres.port);
process.env['NODE_OPTIONS'] = `--import ${new URL('./look.ts', import.meta.url).href}`;
// In half an hour one person sends more than the limit of a day allows (L3).
const noLimit = { individual_messages_per_day_max: null };
const story = await openLoggingStory({
  name: 'soak',
  database: 'postgres',
  relay: 'story',
  databasePort: proxy.port,
  environment: { TWOWAY_PROVIDERS: JSON.stringify({ gmail: noLimit, imap: noLimit }) },
});
delete process.env['NODE_OPTIONS'];
const { gateway, ann, carla, sub, receiver } = story;

const ledger: string[] = [];
const course = { isOver: false };
let passages = 0;

/** Again and again, until it is over; `everyMs` on average. */
async function keep(everyMs: number, work: () => Promise<unknown>): Promise<void> {
  while (!course.isOver) {
    await wait(everyMs * (0.5 + random.below(1_000) / 1_000));
    if (!course.isOver) await work();
  }
}

/** What the outside does again until it succeeds, as every mail server and every CRM does. */
const untilDone = (what: string, work: () => Promise<unknown>) =>
  waitFor(what, async () => (await work(), true), { deadlineMs: 120_000, everyMs: 1_000 });

const name = (way: string) => `${way} ${(passages += 1)}`;

async function comesIn(): Promise<void> {
  const subject = name('In');
  await untilDone(subject, () => deliver(story.servers, { from: carla, to: ann, subject, text: 'x' }));
  ledger.push(subject);
}

async function isWritten(): Promise<void> {
  const subject = name('By hand');
  await untilDone(subject, () => submit(story.servers, ann, { from: ann, to: carla, subject, text: 'x' }));
  ledger.push(subject);
}

async function isSent(): Promise<void> {
  const subject = name('Out');
  const body = JSON.stringify({
    kind: 'individual',
    user_id: 'ann',
    contact_id: 'carla',
    subject,
    text: 'x',
  });
  const headers = {
    authorization: `Bearer ${gateway.key}`,
    'content-type': 'application/json',
    'idempotency-key': subject.replace(' ', '-'),
  };
  await untilDone(subject, async () => {
    const answer = await fetch(`${gateway.url}${sub}/messages`, { method: 'POST', headers, body });
    if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
  });
  ledger.push(subject);
}

async function isLogged(): Promise<void> {
  const subject = name('Logged');
  const lines = [
    `From: <${ann}>`,
    `To: <${carla}>`,
    `Subject: ${subject}`,
    `Message-ID: <${passages}@${ann.split('@')[1]}>`,
  ];
  await untilDone(subject, async () => {
    const client = await dial(story.smtpPort);
    try {
      for (const line of ['EHLO mx', `MAIL FROM:<${ann}>`, `RCPT TO:<${story.logging}>`, 'DATA']) {
        const reply = await client.say(line);
        if (!/^[23]/.test(reply)) throw new Error(reply);
      }
      const reply = await client.say(`${lines.join('\r\n')}\r\n\r\nx\r\n.`);
      if (!reply.startsWith('250 ')) throw new Error(reply);
    } finally {
      client.close();
    }
  });
  ledger.push(subject);
}

/** A user whose mailbox is connected, used and left, again and again. */
async function comesAndGoes(n: number): Promise<void> {
  const user = `guest-${n}`;
  const address = `${user}@${ann.split('@')[1]}`;
  const { host, tlsPort } = servers.info.dovecot.imap.full;
  const { smtp } = servers.info;
  await untilDone(`${user} to connect`, () =>
    gateway.must('PUT', `${sub}/users/${user}/connection`, {
      provider: 'imap',
      email: address,
      imap: { host, port: tlsPort, security: 'tls' },
      smtp: { host: smtp.host, port: smtp.submissionPort, security: 'starttls' },
      auth: { kind: 'password', username: address, password: passwordOf(address) },
    }),
  );
  await wait(2_000);
  await untilDone(`${user} to leave`, () => gateway.must('DELETE', `${sub}/users/${user}/connection`));
}

async function mishap(): Promise<void> {
  const kind = random.pick(['kick', 'dovecot', 'database', 'webhook', 'mute webhook', 'tokens'] as const);
  console.error(`${new Date().toISOString().slice(11, 19)} ${kind}; ${ledger.length} messages so far`);
  if (kind === 'kick') await story.kick().catch(() => undefined);
  if (kind === 'tokens') {
    await identity.expireAccessTokens(ann);
    await story.kick().catch(() => undefined);
  }
  if (kind === 'dovecot') await servers.restartDovecot();
  if (kind === 'database') {
    proxy.cut();
    await wait(3_000);
    proxy.recover();
  }
  if (kind === 'webhook' || kind === 'mute webhook') {
    receiver.answerWith(kind === 'webhook' ? 503 : 0);
    await wait(4_000);
    receiver.answerWith(200);
  }
}

async function look(): Promise<Holding> {
  const url = /what is held: (\S+)/.exec(gateway.output())?.[1] ?? '';
  const holding = (await (await fetch(url)).json()) as Holding;
  console.error(JSON.stringify(holding));
  return holding;
}

/** Nobody does anything, all of it is filed and told, and pauses of the database's pool are over. */
async function quiet(): Promise<Holding> {
  const expected = [...ledger].sort();
  const sorted = (subjects: string[]) => subjects.sort().join('\n');
  await waitFor(
    `${expected.length} messages in the conversation`,
    async () => {
      const found = (await story.messagesWith(carla)).map(({ subject }) => subject);
      if (sorted(found) !== expected.join('\n')) throw new Error(differences(found, expected));
      return true;
    },
    { deadlineMs: 180_000, everyMs: 2_000 },
  );
  await waitFor(
    'the CRM to be told of each',
    () => {
      const told = receiver.events
        .filter(({ type }) => type === 'message.created')
        .map(({ data }) => String(data['subject']));
      if (sorted(told) !== expected.join('\n')) throw new Error(differences(told, expected));
      return true;
    },
    { deadlineMs: 420_000, everyMs: 2_000 },
  );
  await wait(35_000);
  return look();
}

function differences(found: readonly string[], expected: readonly string[]): string {
  const missing = expected.filter((subject) => !found.includes(subject));
  const twice = found.filter((subject, at) => found.indexOf(subject) !== at);
  return JSON.stringify({
    missing: missing.slice(0, 5),
    twice: twice.slice(0, 5),
    found: found.length,
    expected: expected.length,
  });
}

const guests = [0, 1, 2];
for (const n of guests) {
  const user = `guest-${n}`;
  await gateway.must('PUT', `/v1/users/${user}`, { name: user, email: `${user}@${ann.split('@')[1]}` });
  await gateway.must('PUT', `${sub}/users/${user}`);
}
await story.connect('gmail');

/** All of it for so long, and then until it is quiet. */
async function run(ms: number): Promise<Holding> {
  course.isOver = false;
  const work = [
    keep(400, comesIn),
    keep(1_500, isWritten),
    keep(800, isSent),
    keep(800, isLogged),
    ...guests.map((n) => keep(3_000, () => comesAndGoes(n))),
    keep(12_000, mishap),
  ];
  await Promise.race([wait(ms), ...work.map((one) => one.then(() => wait(ms)))]);
  course.isOver = true;
  await Promise.all(work);
  return quiet();
}

try {
  const before = await run(Math.min(warmUpMs, (minutes * 60_000) / 4));
  const after = await run(minutes * 60_000);
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, one) => all + one, 0);
  console.log(`${ledger.length} messages in ${minutes} minutes, each in the conversation and told once`);
  for (const key of ['heldMb', 'residentMb', 'descriptors', 'listeners'] as const)
    console.log(`${key}: ${before[key].toFixed(1)} → ${after[key].toFixed(1)}`);
  console.log(`resources: ${JSON.stringify(before.resources)} → ${JSON.stringify(after.resources)}`);
  assert.ok(after.heldMb <= before.heldMb + grown.heldMb, 'memory ends where it began');
  assert.ok(after.descriptors <= before.descriptors + grown.descriptors, 'descriptors end where they began');
  assert.ok(
    sum(after.resources) <= sum(before.resources) + grown.resources,
    'timers and sockets end where they began',
  );
  assert.equal(after.listeners, before.listeners, 'listeners end where they began');
  // Whatever failed while the database was away is in the log; nothing may have come past whoever was to look at it.
  assert.ok(!/uncaught|unhandled/i.test(gateway.output()), 'every failure was dealt with');
} finally {
  // Ann's own client was last seen before some restart, and logs out in the end.
  await story.kick();
  await story.end();
  await proxy.stop();
  await servers.stop();
  await identity.stop();
}
process.exit(0);
