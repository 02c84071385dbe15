import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { dial } from '../intake/door.ts';
import { createRandom } from '../sim/random.ts';
import { deliver } from '../support/mail.ts';
import { runCommand } from '../support/processes.ts';
import { useServers } from '../support/shared-servers.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import { waitFor } from '../support/wait.ts';
import { allOf, domainOf, openLoggingStory } from './logging-story.ts';
import type { LoggingStory, StoryDecision } from './logging-story.ts';

/** So many customers share the mail of a storm. */
const customersMax = 5;
const date = new Date().toUTCString();

const customer = ({ ann }: LoggingStory, n: number) => `customer-${n % customersMax}@buyer-${domainOf(ann)}`;

/** The whole of mail `n`, the same however often it is sent; its subject tells it from all others. */
function mailOf(story: LoggingStory, subject: string, n: number): string {
  return [
    `From: Ann <${story.ann}>`,
    `To: ${customer(story, n)}`,
    `Subject: ${subject}`,
    `Date: ${date}`,
    `Message-ID: <${subject.replaceAll(' ', '-')}@${domainOf(story.ann)}>`,
    '',
    `Hello, this is ${subject}.`,
    '',
  ].join('\r\n');
}

type Sent = {
  /** The last reply; empty where the connection ended before it. */
  reply: string;
  /** Whether all of the message had been sent: it may be stored, though nobody was told. */
  whole: boolean;
};

/** Gives one mail to the gateway itself, as a client that knows exactly what it was told. */
async function offer(story: LoggingStory, raw: string): Promise<Sent> {
  const sent: Sent = { reply: '', whole: false };
  try {
    const client = await dial(story.smtpPort);
    for (const line of ['EHLO mx', `MAIL FROM:<${story.ann}>`, `RCPT TO:<${story.logging}>`, 'DATA']) {
      sent.reply = await client.say(line);
      if (!/^[23]/.test(sent.reply)) return sent;
    }
    sent.reply = '';
    sent.whole = true;
    sent.reply = await client.say(`${raw}.`);
    client.close();
    return sent;
  } catch {
    // It was refused a connection, or lost it: that there was no reply is what the test asks for.
    return { ...sent, reply: '' };
  }
}

const isAccepted = ({ reply }: Sent) => reply.startsWith('250 2.0.0 Accepted');

/** The same until it is accepted, as every mail server does. */
const offerUntilAccepted = (story: LoggingStory, raw: string) =>
  waitFor(
    'a mail to be accepted',
    async () => {
      const sent = await offer(story, raw);
      if (!isAccepted(sent)) throw new Error(sent.reply);
      return true;
    },
    { deadlineMs: 120_000 },
  );

/** Gives one mail to Postfix, which relays it. */
const submitTo = (story: LoggingStory, subject: string, n: number) =>
  deliver(story.servers, {
    from: story.ann,
    to: story.logging,
    raw: mailOf(story, subject, n),
    envelope: { from: story.ann, to: [story.logging] },
  });

/** Subjects of all that is stored, as the conversations show them. */
async function stored(story: LoggingStory): Promise<string[]> {
  const found: string[] = [];
  for (let n = 0; n < customersMax; n += 1) {
    const messages = await story.messagesWith(customer(story, n));
    found.push(...messages.map(({ subject }) => subject));
  }
  return found.sort();
}

/** Until all of these are stored, none twice, and told as created once each. `perhaps` may be there or not. */
async function assertStoredOnce(
  story: LoggingStory,
  subjects: Iterable<string>,
  perhaps: ReadonlySet<string> = new Set(),
): Promise<void> {
  const expected = [...subjects].sort();
  const all = await waitFor(
    `${expected.length} mails to be filed`,
    async () => {
      const found = new Set(await stored(story));
      const missing = expected.filter((subject) => !found.has(subject));
      if (missing.length > 0) throw new Error(`${missing.length} are missing, ${missing[0]} among them`);
      return stored(story);
    },
    { deadlineMs: 180_000, everyMs: 500 },
  );
  assert.deepEqual(
    all.filter((subject) => !perhaps.has(subject)),
    expected,
  );
  assert.equal(new Set(all).size, all.length, 'none is there twice');
  const events = await allOf<{ data: { subject: string } }>(story, '/v1/events?types=message.created');
  assert.deepEqual(events.map(({ data }) => data.subject).sort(), all, 'each is told as created once');
  const decisions = await allOf<StoryDecision>(story, `${story.sub}/decisions`);
  assert.deepEqual([...new Set(decisions.map(({ reason }) => reason))], ['logged']);
}

/** What Postfix has still to relay to the gateway. */
async function queued({ servers, logging }: LoggingStory): Promise<string[]> {
  const list = await runCommand('/usr/sbin/postqueue', ['-c', servers.smtp.configDirectory, '-j']);
  return list.split('\n').filter((line) => line.includes(`@${domainOf(logging)}`));
}

async function assertNothingWaitsOrCameBack(story: LoggingStory): Promise<void> {
  await waitFor('the queue to be empty', async () => (await queued(story)).length === 0, {
    deadlineMs: 60_000,
  });
  const bounced = (await story.relayed(story.ann)).filter((outcome) => outcome.startsWith('bounced'));
  assert.deepEqual(bounced, []);
}

const rounds = { postgres: 2, pglite: 2 };
const sendersMax = 4;
const mailsOfSender = 5;
const mailsOfPostfix = 3;

describe('mail for logging addresses', () => {
  for (const database of ['postgres', 'pglite'] as const) {
    test(`B5: killed at random while mail comes, on ${database}, what got a 250 is there once`, async () => {
      const seed = 20_261_127;
      const random = createRandom(seed);
      const story = await openLoggingStory({ name: 'killed', database, relay: 'storm' });
      try {
        const accepted = new Set<string>();
        const unsure = new Set<string>();
        let lost = 0;
        const send = async (round: number, sender: number) => {
          for (let n = 0; n < mailsOfSender; n += 1) {
            const subject = `Round ${round} by ${sender} number ${n}`;
            const raw = mailOf(story, subject, n);
            const sent = await offer(story, raw);
            // Some are sent again until they are accepted; nobody ever asks for the others again.
            if (isAccepted(sent)) accepted.add(subject);
            else if (sender % 2 === 0 && (await offerUntilAccepted(story, raw))) accepted.add(subject);
            else if (sent.whole) unsure.add(subject);
            else lost += 1;
          }
        };
        for (let round = 0; round < rounds[database]; round += 1) {
          const before = accepted.size;
          const enough = random.below(sendersMax * mailsOfSender);
          const sending = Array.from({ length: sendersMax }, (_, sender) => send(round, sender));
          for (let n = 0; n < mailsOfPostfix; n += 1) {
            const subject = `Round ${round} by Postfix number ${n}`;
            await submitTo(story, subject, n);
            accepted.add(subject);
          }
          await waitFor('so many to be accepted', () => accepted.size - before >= enough, { everyMs: 1 });
          await story.gateway.kill();
          await story.gateway.start();
          // What the start takes up again is cut off as well.
          if (random.chance(0.3)) {
            await story.gateway.kill();
            await story.gateway.start();
          }
          await Promise.all(sending);
        }
        assert.ok(lost + unsure.size > 0, 'some were cut off');
        await assertStoredOnce(story, accepted, unsure);
        await assertNothingWaitsOrCameBack(story);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      } finally {
        await story.end();
      }
    });
  }

  test('B5: while the database is away mail is accepted, and put off when nobody can say whom it is for', async () => {
    const servers = await useServers();
    const proxy = await startSilentProxy(servers.postgres.port);
    const story = await openLoggingStory({
      name: 'away',
      database: 'postgres',
      relay: 'storm',
      databasePort: proxy.port,
    });
    try {
      const accepted = new Set<string>();
      const send = async (subject: string, n: number) => {
        const sent = await offer(story, mailOf(story, subject, n));
        if (isAccepted(sent)) accepted.add(subject);
        return sent.reply;
      };
      await send('Before', 0);
      proxy.cut();
      for (let n = 1; n <= 10; n += 1) assert.match(await send(`Away ${n}`, n), /^250 /);
      // The address is remembered for some seconds.
      let tries = 0;
      await waitFor(
        'the address to be forgotten',
        async () => (await send(`Put off ${(tries += 1)}`, tries)).startsWith('451 4.3.0 '),
        { deadlineMs: 60_000 },
      );
      for (let n = 1; n <= 10; n += 1) {
        await submitTo(story, `By Postfix ${n}`, n);
        accepted.add(`By Postfix ${n}`);
      }
      await waitFor(
        'Postfix to be put off',
        async () =>
          (await story.relayed(story.ann)).some((outcome) => /^deferred .*451 4\.3\.0/.test(outcome)),
        { deadlineMs: 60_000 },
      );
      proxy.recover();
      await assertStoredOnce(story, accepted);
      await assertNothingWaitsOrCameBack(story);
    } finally {
      await story.end();
      await proxy.stop();
    }
  });

  test('B5: a queue of five thousand by fifty sessions is filed, each once, and nothing ever waits', async () => {
    const story = await openLoggingStory({ name: 'queue', database: 'postgres', relay: 'storm' });
    const { host, mxPort } = story.servers.smtp;
    const transport = createTransport({
      pool: true,
      maxConnections: 50,
      maxMessages: Infinity,
      host,
      port: mxPort,
      secure: false,
      ignoreTLS: true,
    });
    try {
      const subjects = Array.from({ length: 5_000 }, (_, n) => `Queued ${n}`);
      const envelope = { from: story.ann, to: [story.logging] };
      await Promise.all(
        subjects.map((subject, n) => transport.sendMail({ raw: mailOf(story, subject, n), envelope })),
      );
      await assertNothingWaitsOrCameBack(story);
      const outcomes = await story.relayed(story.ann);
      assert.equal(outcomes.filter((outcome) => outcome.startsWith('sent')).length, subjects.length);
      assert.equal(outcomes.length, subjects.length, 'none was put off');
      await assertStoredOnce(story, subjects);
    } finally {
      transport.close();
      await story.end();
    }
  });
});
