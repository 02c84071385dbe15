import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { keyRecords, signed } from '../intake/signing.ts';
import { deliver, openMailbox, submit } from '../support/mail.ts';
import type { Letter } from '../support/mail.ts';
import { waitFor } from '../support/wait.ts';
import { allOf, domainOf, openLoggingStory } from './logging-story.ts';
import type { LoggingStory, StoryDecision } from './logging-story.ts';

/** A whole message, the same however often it is put on its way. */
const mailOf = (from: string, to: string, subject: string): string =>
  [
    `From: Ann <${from}>`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Date: ${new Date().toUTCString()}`,
    `Message-ID: <${subject.toLowerCase().replaceAll(' ', '-')}@${domainOf(from)}>`,
    '',
    'Hello',
    '',
  ].join('\r\n');

for (const database of ['postgres', 'pglite'] as const) {
  describe(`the logging address on ${database}`, () => {
    let story: LoggingStory;
    let dora: string;

    before(async () => {
      story = await openLoggingStory({ name: `log-${database}`, database, relay: 'story' });
      await story.connect('gmail');
      dora = `dora@buyer-${domainOf(story.ann)}`;
    });
    after(() => story.end());

    /** Ann writes in her own mail program, the logging address unseen in Bcc. */
    const annWrites = (letter: Omit<Letter, 'from'> & { to: string }, logged = story.logging) =>
      submit(story.servers, story.ann, {
        from: story.ann,
        ...letter,
        envelope: { from: story.ann, to: [letter.to, logged] },
      });

    /** The one message with this subject in the conversation with whom it is, once it came by these ways. */
    const arrived = (address: string, subject: string, via: readonly string[]) =>
      waitFor(
        `"${subject}" by ${via.join(' and ')}`,
        async () => {
          const found = (await story.messagesWith(address)).filter((message) => message.subject === subject);
          const [one] = found;
          if (found.length !== 1 || one?.via.toSorted().join() !== via.toSorted().join())
            throw new Error(JSON.stringify(found.map((each) => each.via)));
          return one;
        },
        { deadlineMs: 30_000 },
      );

    const heldOf = (subject: string) =>
      waitFor(`"${subject}" to be held`, async () => {
        const held = await allOf<{ id: string; reason: string; mail: { subject: string } | null }>(
          story,
          `${story.sub}/held`,
        );
        return held.find(({ mail }) => mail?.subject === subject);
      });

    test('B2, B3: the user writes to somebody unknown; the whole exchange is in the conversation', async () => {
      const { ann, servers, receiver, gateway, sub } = story;
      const doraClient = await openMailbox(servers, dora);
      await annWrites({ to: dora, subject: 'Your kitchen', text: 'Dear Dora,\n\nhere is the plan.\n' });
      const first = await arrived(dora, 'Your kitchen', ['logging_address', 'mailbox']);
      assert.deepEqual(
        [first.direction, first.from.address, first.to.map(({ address }) => address)],
        ['outbound', ann, [dora]],
      );
      const contact = await story.contactOf(dora);
      assert.deepEqual(
        [contact?.emails, contact?.assigned_user_id, contact?.created_by],
        [[dora], 'ann', 'logging_address'],
      );
      await receiver.waitForEvent(
        'the contact',
        ({ type, data }) => type === 'contact.created' && data.id === contact?.id,
      );

      const received = await doraClient.waitForMail('Your kitchen');
      await submit(servers, dora, {
        from: dora,
        to: ann,
        subject: 'Re: Your kitchen',
        text: 'I like it.',
        inReplyTo: received.messageId,
        references: [received.messageId],
      });
      const [, answer] = await story.waitForSubjects(dora, ['Your kitchen', 'Re: Your kitchen']);
      assert.deepEqual([answer?.direction, answer?.via], ['inbound', ['mailbox']]);

      await submit(servers, ann, {
        from: ann,
        to: dora,
        subject: 'AW: Your kitchen',
        text: 'Then I order it.',
        inReplyTo: `<${answer?.internet_message_id}>`,
        references: [received.messageId, `<${answer?.internet_message_id}>`],
      });
      const all = await story.waitForSubjects(dora, ['Your kitchen', 'Re: Your kitchen', 'AW: Your kitchen']);
      assert.deepEqual([all[2]?.direction, all[2]?.via], ['outbound', ['mailbox']]);
      assert.equal(new Set(all.map((message) => message.thread_id)).size, 1, 'one thread');
      const told = receiver.events.filter(
        ({ type, data }) => type === 'message.created' && data.id === first.id,
      );
      assert.equal(told.length, 1, 'it is told once, though it came twice');
      const explained = await gateway.must<{ story: string[] }>('GET', `${sub}/messages/${first.id}/explain`);
      assert.match(explained.story.join('\n'), /the user sent it/);
      await doraClient.close();
    });

    test('S12: whichever comes first, the logged copy or the mailbox’s own, it is one message', async () => {
      const { ann, servers } = story;
      const late = `late@${domainOf(dora)}`;
      const mail = (subject: string): Letter => ({ from: ann, to: late, raw: mailOf(ann, late, subject) });
      const one = mail('Mailbox first');
      await submit(servers, ann, one);
      await waitFor('the mailbox’s copy to be judged', async () =>
        (await story.decisionsOn(late)).some(({ reason }) => reason === 'no_match'),
      );
      assert.equal(await story.contactOf(late), undefined);
      await deliver(servers, { ...one, envelope: { from: ann, to: [story.logging] } });
      await arrived(late, 'Mailbox first', ['logging_address', 'mailbox']);

      const two = mail('Logged first');
      await deliver(servers, { ...two, envelope: { from: ann, to: [story.logging] } });
      await arrived(late, 'Logged first', ['logging_address']);
      await submit(servers, ann, two);
      await arrived(late, 'Logged first', ['logging_address', 'mailbox']);
      assert.equal((await story.messagesWith(late)).length, 2);
    });

    test('B4: a stranger who replies to all makes nothing, and is told so; the customer who does is heard by mailbox', async () => {
      const { ann, servers, logging, sub } = story;
      const stan = `stan@stranger-${domainOf(ann)}`;
      const contacts = await allOf(story, `${sub}/contacts`);
      const replyToAll = (from: string, text: string): Letter => ({
        from,
        to: ann,
        cc: [dora, logging],
        subject: 'Re: Your kitchen for all',
        text,
        envelope: { from, to: [ann, logging] },
      });
      await deliver(servers, replyToAll(stan, 'I am Stan.'));
      const refused = await waitFor('Postfix to have an outcome', async () => (await story.relayed(stan))[0]);
      assert.match(refused, /^bounced .*550 5\.7\.1 This message was not logged/);
      await waitFor('the mailbox’s copy to be judged', async () =>
        (await story.decisionsOn(stan)).some(({ reason }) => reason === 'no_match'),
      );
      assert.deepEqual(await allOf(story, `${sub}/contacts`), contacts);
      assert.equal(await story.contactOf(stan), undefined);

      await deliver(servers, replyToAll(dora, 'To all of you.'));
      const heard = await arrived(dora, 'Re: Your kitchen for all', ['mailbox']);
      assert.deepEqual(
        heard.cc.map(({ address }) => address),
        [dora],
      );
      assert.match((await story.relayed(dora)).at(-1) ?? '', /^bounced .*550 5\.7\.1/);
    });

    test('B4: neither proven nor failed: held, and then logged or dropped as a person says', async () => {
      const { servers, gateway, sub, receiver } = story;
      const unproven = `ann@norecords-${domainOf(story.ann)}`;
      await gateway.must('PUT', '/v1/users/ann', { name: 'Ann', email: story.ann, aliases: [unproven] });
      const write = (subject: string) =>
        deliver(servers, {
          from: unproven,
          to: `held@${domainOf(dora)}`,
          subject,
          text: 'x',
          envelope: { from: unproven, to: [story.logging] },
        });
      await write('To be released');
      await write('To be discarded');
      const [first, second] = [await heldOf('To be released'), await heldOf('To be discarded')];
      assert.deepEqual([first.reason, second.reason], ['unproven', 'unproven']);
      assert.equal(await story.contactOf(`held@${domainOf(dora)}`), undefined);
      for (const { id } of [first, second])
        await receiver.waitForEvent(
          'what is held',
          ({ type, data }) => type === 'decision.held' && data.id === id,
        );
      await gateway.must('POST', `${sub}/held/${first.id}/release`, {});
      await gateway.must('POST', `${sub}/held/${second.id}/discard`);
      const logged = await arrived(`held@${domainOf(dora)}`, 'To be released', ['logging_address']);
      assert.equal(logged.direction, 'outbound');
      assert.deepEqual(await allOf(story, `${sub}/held`), []);
      assert.equal((await story.messagesWith(`held@${domainOf(dora)}`)).length, 1);
    });

    test('B4: of a forged sender whose domain forbids it nothing is taken', async () => {
      const { servers, dns, gateway } = story;
      const strict = `ann@strict-${domainOf(story.ann)}`;
      dns.zone[`TXT ${domainOf(strict)}`] = ['v=spf1 ip4:192.0.2.1 -all'];
      dns.zone[`TXT _dmarc.${domainOf(strict)}`] = ['v=DMARC1; p=reject'];
      await gateway.must('PUT', '/v1/users/ann', { name: 'Ann', email: story.ann, aliases: [strict] });
      await deliver(servers, {
        from: strict,
        to: `forged@${domainOf(dora)}`,
        subject: 'Forged',
        text: 'x',
        envelope: { from: strict, to: [story.logging] },
      });
      const refused = await waitFor(
        'Postfix to have an outcome',
        async () => (await story.relayed(strict))[0],
      );
      assert.match(refused, /^bounced .*550 5\.7\.26 This message was not logged/);
      assert.equal(await story.contactOf(`forged@${domainOf(dora)}`), undefined);
    });

    test('B4: relayed by a host that SPF does not name, it is proven by its signature', async () => {
      const { servers, dns, gateway } = story;
      const signs = `ann@signs-${domainOf(story.ann)}`;
      const domain = domainOf(signs);
      Object.assign(dns.zone, keyRecords(domain), {
        [`TXT ${domain}`]: ['v=spf1 ip4:192.0.2.1 -all'],
        [`TXT _dmarc.${domain}`]: ['v=DMARC1; p=reject'],
      });
      await gateway.must('PUT', '/v1/users/ann', { name: 'Ann', email: story.ann, aliases: [signs] });
      const to = `signed@${domainOf(dora)}`;
      const envelope = { from: signs, to: [story.logging] };
      const raw = await signed(mailOf(signs, to, 'Signed by hand'), { domain });
      await deliver(servers, { from: signs, to, raw, envelope });
      await arrived(to, 'Signed by hand', ['logging_address']);
      const altered = (await signed(mailOf(signs, to, 'Signed and altered'), { domain })).replace(
        'Hello',
        'Hullo',
      );
      await deliver(servers, { from: signs, to, raw: altered, envelope });
      await waitFor('Postfix to have both outcomes', async () => {
        const [one = '', two = ''] = await story.relayed(signs);
        return /^sent .*2\.0\.0/.test(one) && /^bounced .*550 5\.7\.26/.test(two);
      });
    });

    test('B2: what is forwarded to it, inline or attached, is logged as the customer’s', async () => {
      const { ann, servers } = story;
      const [inline, attached] = [`inline@${domainOf(dora)}`, `attached@${domainOf(dora)}`];
      await submit(servers, ann, {
        from: ann,
        to: story.logging,
        subject: 'Fwd: A question of tiles',
        text:
          `---------- Forwarded message ---------\nFrom: Ines Line <${inline}>\n` +
          `Date: Mon, Nov 23, 2026 at 3:04 PM\nSubject: A question of tiles\nTo: Ann <${ann}>\n\n\nWhich tiles?\n`,
      });
      const one = await arrived(inline, 'A question of tiles', ['logging_address']);
      assert.deepEqual(
        [one.direction, one.from.address, one.text.trim()],
        ['inbound', inline, 'Which tiles?'],
      );
      await submit(servers, ann, {
        from: ann,
        to: story.logging,
        subject: 'Fwd: A question of light',
        text: 'See below.',
        attachments: [
          {
            filename: 'question.eml',
            contentType: 'message/rfc822',
            content:
              `From: At Tached <${attached}>\r\nTo: Ann <${ann}>\r\nSubject: A question of light\r\n` +
              `Date: Mon, 23 Nov 2026 15:04:00 +0100\r\nMessage-ID: <light@${domainOf(attached)}>\r\n\r\nWhich lamps?\r\n`,
          },
        ],
      });
      const two = await arrived(attached, 'A question of light', ['logging_address']);
      assert.deepEqual(
        [two.direction, two.from.address, two.text.trim()],
        ['inbound', attached, 'Which lamps?'],
      );
      assert.equal((await story.contactOf(attached))?.assigned_user_id, 'ann');
      await deliver(servers, { from: attached, to: ann, subject: 'And then', text: 'x' });
      await arrived(attached, 'And then', ['mailbox']);
    });

    test('B6: the logging address is nobody in all that the CRM is shown, and nothing was put off', async () => {
      const { sub, receiver, logging } = story;
      const local = logging.slice(0, logging.indexOf('@'));
      const conversations = await allOf<{ id: string }>(story, `${sub}/conversations`);
      const shown: unknown[] = [conversations];
      for (const { id } of conversations)
        shown.push(await allOf(story, `${sub}/conversations/${id}/messages`));
      for (const list of ['contacts', 'held', 'decisions']) shown.push(await allOf(story, `${sub}/${list}`));
      shown.push(await allOf(story, '/v1/events'), receiver.events);
      assert.ok(conversations.length >= 5);
      const text = JSON.stringify(shown);
      const at = text.indexOf(local);
      assert.equal(at < 0 ? '' : text.slice(Math.max(at - 300, 0), at + 100), '');
      const skipped = (await allOf<StoryDecision>(story, `${sub}/decisions`)).filter(
        ({ outcome }) => outcome === 'failed',
      );
      assert.deepEqual(skipped, []);
      for (const from of [story.ann, dora])
        assert.deepEqual(
          (await story.relayed(from)).filter((outcome) => outcome.startsWith('deferred')),
          [],
        );
    });
  });
}
