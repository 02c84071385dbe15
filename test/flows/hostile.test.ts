import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, describe, test } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { startGateway } from '../../src/gateway.ts';
import type { Gateway } from '../../src/gateway.ts';
import { createPostgresDatabase, dropPostgresDatabase } from '../support/database.ts';
import { consentByLink, settingsFor } from '../support/gateway.ts';
import { openMailbox } from '../support/mail.ts';
import type { MailboxClient } from '../support/mail.ts';
import { useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

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
  let gateway: Gateway;
  let databaseUrl: string;
  let dataDir: string;
  let ann: MailboxClient;
  let api: (method: string, path: string, json?: unknown) => Promise<Record<string, unknown>>;

  before(async () => {
    const servers = await useServers();
    dataDir = await mkdtemp(join(tmpdir(), 'twoway-hostile-'));
    databaseUrl = await createPostgresDatabase('empty');
    const config = readConfig({
      ...settingsFor(servers, dataDir, databaseUrl),
      TWOWAY_HTTP_PORT: '0',
      TWOWAY_LOG_LEVEL: 'error',
    });
    gateway = await startGateway(config);
    api = async (method, path, json) => {
      const response = await fetch(`${gateway.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${gateway.firstKey}`, 'content-type': 'application/json' },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      });
      assert.ok(response.status < 400, `${method} ${path}: ${response.status}`);
      return (await response.json()) as Record<string, unknown>;
    };
    await api('PUT', '/v1/sub-accounts/acme', { name: 'Acme' });
    await api('PUT', '/v1/users/ann', { name: 'Ann', email: 'ann@hostile-mailbox.test' });
    await api('PUT', '/v1/sub-accounts/acme/users/ann', {});
    await api('PUT', '/v1/sub-accounts/acme/contacts/carla', { name: 'Carla', emails: [from] });
    ann = await openMailbox(servers, 'ann@hostile-mailbox.test');
    const link = await api('POST', '/v1/sub-accounts/acme/users/ann/connection-links', { provider: 'gmail' });
    await consentByLink(String(link['url']), 'ann@hostile-mailbox.test');
    await waitFor(
      'the connection to be live',
      async () => (await api('GET', '/v1/sub-accounts/acme/users/ann/connection'))['state'] === 'live',
    );
  });

  after(async () => {
    await ann.close();
    await gateway.stop();
    await dropPostgresDatabase(databaseUrl);
    await rm(dataDir, { recursive: true, force: true });
  });

  test('F35, F38, F39: nothing is lost, nothing crashes, and nothing blocks the loop for 200 ms', async () => {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    // Appended by the person's own client, which changes no byte of them on the way.
    for (const { raw } of letters) await ann.append(raw, 'INBOX');
    await ann.append(`${head('After all of them')}\r\n\r\nstill alive\r\n`, 'INBOX');
    const messages = await waitFor(
      'all of it',
      async () => {
        const page = await api('GET', '/v1/sub-accounts/acme/conversations?contact_id=carla');
        const [conversation] = page['data'] as { id: string }[];
        if (conversation === undefined) return null;
        const found = await api(
          'GET',
          `/v1/sub-accounts/acme/conversations/${conversation.id}/messages?limit=200`,
        );
        const list = found['data'] as { id: string; subject: string; text: string }[];
        if (list.length < letters.length + 1) throw new Error(list.map(({ subject }) => subject).join(' | '));
        return list;
      },
      { deadlineMs: 90_000 },
    );
    delay.disable();
    assert.equal(messages.length, letters.length + 1);
    for (const { name, subject, text } of letters) {
      const message = messages.find((candidate) => subject.test(candidate.subject));
      assert.ok(message !== undefined, name);
      if (text !== undefined) assert.match(message.text, text, name);
    }
    assert.ok(delay.max / 1e6 < 200, `the loop was blocked for ${Math.round(delay.max / 1e6)} ms`);
  });

  test('T3: the raw bytes are kept as they came', async () => {
    const page = await api('GET', '/v1/sub-accounts/acme/conversations?contact_id=carla');
    const [conversation] = page['data'] as { id: string }[];
    const found = await api(
      'GET',
      `/v1/sub-accounts/acme/conversations/${conversation?.id}/messages?limit=200`,
    );
    const many = (found['data'] as { id: string; subject: string }[]).find(
      ({ subject }) => subject === 'Many parts',
    );
    const response = await fetch(`${gateway.url}/v1/sub-accounts/acme/messages/${many?.id}/raw`, {
      headers: { authorization: `Bearer ${gateway.firstKey}` },
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
