import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openStory } from './story.ts';
import type { Story } from './story.ts';

const from = 'carla@hostile.test';
const head = (subject: string, more: string[] = []) =>
  [`From: Carla <${from}>`, 'To: ann@hostile-mailbox.test', `Subject: ${subject}`, ...more].join('\r\n');

/** Each a whole raw message; what is said of it must hold for what the API shows. */
const letters: { name: string; raw: string | Buffer; text?: RegExp; subject: RegExp }[] = [
  {
    name: 'no Message-ID, no Date',
    subject: /^Bare$/,
    raw: `${head('Bare')}\r\n\r\nhello\r\n`,
    text: /hello/,
  },
  {
    name: 'an empty Message-ID',
    subject: /^Empty id$/,
    raw: `${head('Empty id', ['Message-ID: <>'])}\r\n\r\nx\r\n`,
  },
  {
    name: 'a Message-ID that came before',
    subject: /^Same id 1$/,
    raw: `${head('Same id 1', ['Message-ID: <same@hostile.test>'])}\r\n\r\nfirst\r\n`,
    text: /first/,
  },
  {
    name: 'and came again with another mail',
    subject: /^Same id 2$/,
    raw: `${head('Same id 2', ['Message-ID: <same@hostile.test>'])}\r\n\r\nsecond\r\n`,
    text: /second/,
  },
  { name: 'MIME 200 levels deep', subject: /^Deep$/, raw: deep(200) },
  { name: '20,000 parts', subject: /^Many parts$/, raw: manyParts(20_000) },
  {
    name: '10 MB of HTML',
    subject: /^Long HTML$/,
    raw: `${head('Long HTML', ['Content-Type: text/html; charset=utf-8'])}\r\n\r\n${'<p>Text <b>bold</b> and <a href="http://x.example/">a link</a></p>\r\n'.repeat(150_000)}`,
  },
  {
    name: 'NUL bytes',
    subject: /^Zeros$/,
    raw: `${head('Zeros')}\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from('zero \0 zero').toString('base64')}\r\n`,
    text: /zero {1,2}zero/,
  },
  {
    name: 'a charset that does not exist',
    subject: /^Unknown charset$/,
    raw: `${head('Unknown charset', ['Content-Type: text/plain; charset=x-klingon'])}\r\n\r\nplain words\r\n`,
    text: /plain words/,
  },
  {
    name: 'a charset that is wrong',
    subject: /^Wrong charset$/,
    raw: Buffer.concat([
      Buffer.from(
        `${head('Wrong charset', ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'])}\r\n\r\n`,
      ),
      Buffer.from('caf\u00e9\r\n', 'latin1'),
    ]),
    text: /caf/,
  },
  {
    name: 'broken addresses beside a good author',
    subject: /^Broken addresses$/,
    raw: `${head('Broken addresses', ['Cc: <<>>, @@, "unclosed <x@y', 'Reply-To: ,,,;'])}\r\n\r\nx\r\n`,
  },
  {
    name: 'a date that is none',
    subject: /^Broken date$/,
    raw: `${head('Broken date', ['Date: the day after tomorrow'])}\r\n\r\nx\r\n`,
  },
  {
    name: 'a header of 900 kB',
    subject: /^Huge header$/,
    raw: `${head(
      'Huge header',
      Array.from({ length: 9_000 }, (_, n) => `X-Filler-${n}: ${'y'.repeat(80)}`),
    )}\r\n\r\nx\r\n`,
    text: /x/,
  },
  {
    name: 'half a surrogate pair in an encoded subject',
    subject: /^Half/,
    raw: `${head('=?utf-16be?B?AEgAYQBsAGbYPQ==?=')}\r\n\r\nx\r\n`,
  },
];

describe('hostile mail', () => {
  let story: Story;

  before(async () => {
    story = await openStory({ name: 'hostile', database: 'postgres', contact: from });
    await story.connect('gmail');
  });
  after(() => story.end());

  test('F35, F38, F39: nothing is lost, nothing crashes, and nothing blocks the loop for 200 ms', async () => {
    // Appended by the person's own client, which changes no byte of them on the way.
    for (const { raw } of letters) await story.annClient.append(raw, 'INBOX');
    await story.annClient.append(`${head('After all of them')}\r\n\r\nstill alive\r\n`, 'INBOX');
    const messages = await story.conversationOf(letters.length + 1, 90_000);
    for (const { name, subject, text } of letters) {
      const message = messages.find((candidate) => subject.test(candidate.subject));
      assert.ok(message !== undefined, name);
      if (text !== undefined) assert.match(message.text, text, name);
    }
    const told = await story.receiver.waitForEvent(
      'the last of them',
      (event) => event.type === 'message.created' && event.data['subject'] === 'After all of them',
    );
    assert.ok(told.data.id);
    assert.doesNotMatch(story.gateway.output(), /the event loop was blocked/);
  });

  test('T3: the raw bytes are kept as they came', async () => {
    const { gateway, sub } = story;
    const many = (await story.conversation()).find(({ subject }) => subject === 'Many parts');
    const response = await fetch(`${gateway.url}${sub}/messages/${many?.id}/raw`, {
      headers: { authorization: `Bearer ${gateway.key}` },
    });
    assert.equal(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(manyParts(20_000))), true);
  });
});

function deep(levels: number): string {
  const open = Array.from(
    { length: levels },
    (_, n) => `Content-Type: multipart/mixed; boundary="b${n}"\r\n\r\n--b${n}\r\n`,
  ).join('');
  const close = Array.from({ length: levels }, (_, n) => `\r\n--b${levels - 1 - n}--`).join('');
  return `${head('Deep')}\r\n${open}Content-Type: text/plain\r\n\r\nat the bottom${close}\r\n`;
}

function manyParts(count: number): string {
  const part = '--many\r\nContent-Type: text/plain\r\n\r\npart\r\n';
  return `${head('Many parts', ['Content-Type: multipart/mixed; boundary=many'])}\r\n\r\n${part.repeat(count)}--many--\r\n`;
}
