import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { sandboxContacts } from '../../src/sandbox/contacts.ts';
import { consent } from '../sandbox/support.ts';
import { consentByLink, startTestGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The commands of the tour, block by block, as a newcomer copies them. */
const blocks = [...readme.matchAll(/```sh tour\n(.*?)```/gs)].map(([, block]) => block ?? '');

describe("the README's tour", () => {
  let gateway: TestGateway;

  before(async () => {
    gateway = await startTestGateway(await useServers(), {
      database: 'pglite',
      environment: { TWOWAY_SANDBOX: 'on', TWOWAY_SANDBOX_PORT: '0' },
    });
  });
  after(() => gateway.remove());

  /** Runs blocks in one shell, and answers what they print. */
  const run = async (...commands: string[]) => {
    const environment = { ...process.env, KEY: gateway.key, TWOWAY: gateway.url };
    const { stdout } = await promisify(execFile)('bash', ['-euc', commands.join('\n')], { env: environment });
    return stdout;
  };
  const helper = blocks[0]?.split('\n')[0] ?? '';

  test('works as it is written: connect, send, be answered, ask why', async () => {
    const [
      setUp = '',
      link = '',
      state = '',
      send = '',
      conversations = '',
      why = '',
      logging = '',
      made = '',
      explain = '',
    ] = blocks;
    assert.equal(blocks.length, 9, 'the blocks that this test knows');
    assert.doesNotMatch(await run(setUp), /problem/, 'the CRM tells what it knows');

    const { url } = JSON.parse(await run(helper, link)) as { url: string };
    const page = await consentByLink(url, 'ada@sandbox.example', (authoriseUrl, person) =>
      consent(authoriseUrl, { person, mail: 'yes', decision: 'allow' }),
    );
    assert.equal(page.status, 200, page.page);
    await waitFor('the connection to be live', async () =>
      /"state":\s*"live"/.test(await run(helper, state)),
    );

    const sent = JSON.parse(await run(helper, send)) as { message: { id: string }; send: { state: string } };
    assert.equal(sent.send.state, 'queued');
    await waitFor('the message and the answer', async () => {
      const told = await run(helper, conversations);
      const messages = /^\{"data":\[\{"id":"msg_.*$/m.exec(told)?.[0] ?? '';
      return (
        (told.match(/message\.created/g) ?? []).length === 2 && /Dear Rita.*Re: Our offer/.test(messages)
      );
    });
    assert.match(await run(helper, conversations, explain), /"story":\["msg_\S+ is inbound, .*thread_member/);
    const explained = await gateway.must<{ story: string[] }>(
      'GET',
      `/v1/sub-accounts/acme/messages/${sent.message.id}/explain`,
    );
    assert.match(explained.story.join('\n'), /sent_copy/);

    const sandbox = /Sandbox mail\s+(\S+)/.exec(gateway.output())?.[1] ?? '';
    const stranger = await fetch(`${sandbox}/mail/deliver`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        mailbox: 'ada@sandbox.example',
        from: 'stan@stranger.example',
        subject: 'Private',
        text: 'x',
      }),
    });
    assert.ok(stranger.ok, await stranger.text());
    await waitFor('the decision about the stranger', async () =>
      (await run(helper, why)).includes('no_match'),
    );

    const { address } = JSON.parse(await run(helper, logging)) as { address: string };
    const written = await fetch(`${sandbox}/mail/send`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        mailbox: 'ada@sandbox.example',
        to: 'Dora New <dora@new.sandbox.example>',
        bcc: address,
        subject: 'Hello',
        text: 'x',
      }),
    });
    assert.ok(written.ok, await written.text());
    await waitFor('the new contact', async () =>
      /"created_by":"logging_address"/.test(await run(helper, made)),
    );
    const ways = async () =>
      (
        await gateway.must<{ data: { type: string; data: { subject?: string; via?: string[] } }[] }>(
          'GET',
          '/v1/events?types=message.created,message.updated&limit=100',
        )
      ).data.flatMap(({ data }) => (data.subject === 'Hello' ? [data.via?.toSorted().join(' ')] : []));
    await waitFor('both ways of it', async () => (await ways()).includes('logging_address mailbox'), {
      deadlineMs: 60_000,
    });
  });

  test('lists the people of the sandbox as they are', () => {
    for (const { localPart, does } of sandboxContacts) {
      assert.ok(
        readme.replaceAll(/ {2,}/g, ' ').includes(`| \`${localPart}@…sandbox.example\` | ${does} |`),
        localPart,
      );
    }
  });
});
