import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deliver, openMailbox } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { StoryMessage } from './story.ts';

/** A small seeded generator (mulberry32): a failing run is repeated with its seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const rounds = 5;

for (const database of ['postgres', 'pglite'] as const) {
  describe(`kill -9 on ${database}`, () => {
    test('D5, S12: killed at random while mail comes and goes, every message is there once, and arrived once', async () => {
      const seed = 20_261_123;
      const random = randomFrom(seed);
      const story = await openStory({ name: 'kill', database });
      try {
        await story.connect('gmail');
        const { gateway, servers, ann, carla, sub } = story;
        const accepted = new Map<string, string>();
        for (let round = 0; round < rounds; round += 1) {
          await deliver(servers, { from: carla, to: ann, subject: `In ${round}`, text: 'x' });
          const answer = await gateway.must<{ message: { id: string } }>('POST', `${sub}/messages`, {
            kind: 'individual',
            user_id: 'ann',
            contact_id: 'carla',
            subject: `Out ${round}`,
            text: 'x',
          });
          accepted.set(answer.message.id, `Out ${round}`);
          const killAt = Date.now() + random() * 400;
          await new Promise<void>((resolve) => {
            const spin = () => (Date.now() >= killAt ? resolve() : setImmediate(spin));
            spin();
          });
          await gateway.kill();
          await gateway.start();
        }
        const all = await story.conversationOf(2 * rounds, 120_000);
        const expected = Array.from({ length: rounds }, (_, round) => [`In ${round}`, `Out ${round}`])
          .flat()
          .sort();
        assert.deepEqual(all.map((message) => message.subject).sort(), expected, `seed ${seed}`);
        const carlaClient = await openMailbox(servers, carla);
        const arrived = async () => (await carlaClient.list('INBOX')).map((mail) => mail.subject).sort();
        const sent: string[] = [];
        for (const [id, subject] of accepted) {
          const isSent = await waitFor(
            `${id} to be sent, or to be uncertain and nowhere`,
            async () => {
              const isTold = story.receiver.events.some(
                ({ type, data }) => type === 'send.sent' && data['message_id'] === id,
              );
              if (isTold) return 'sent';
              const { send } = await gateway.must<StoryMessage>('GET', `${sub}/messages/${id}`);
              if (send?.state !== 'uncertain' || (await arrived()).includes(subject))
                throw new Error(send?.state);
              return 'uncertain';
            },
            { deadlineMs: 120_000, everyMs: 500 },
          );
          if (isSent === 'sent') sent.push(subject);
        }
        await waitFor('what was sent to arrive', async () => (await arrived()).length >= sent.length);
        // Killed between the note that its end goes out and the provider's answer, a message that the provider
        // did not take is tried again when a copy has had ten minutes to appear (see outbound/crash.test.ts).
        assert.deepEqual(
          await arrived(),
          sent.sort(),
          `the customer has each that was sent once, seed ${seed}`,
        );
        await carlaClient.close();
        // What came in last may be told after all that went out.
        for (const subject of expected) {
          const isIt = (event: { type: string; data: Record<string, unknown> }) =>
            event.type === 'message.created' && event.data['subject'] === subject;
          await story.receiver.waitForEvent(`${subject} to be told`, isIt, 120_000);
        }
        const told = story.receiver.events
          .filter((event) => event.type === 'message.created')
          .map((event) => String(event.data['subject']));
        assert.deepEqual(told.sort(), expected, 'each is told as created once');
      } finally {
        await story.end();
      }
    });
  });
}
