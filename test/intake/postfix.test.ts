import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { makeCertificates } from '../support/certificates.ts';
import { runCommand } from '../support/processes.ts';
import { useServers } from '../support/shared-servers.ts';
import type { UsedServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import { anna, dial, mailOf, openDoor } from './door.ts';
import type { Client, TestDoor } from './door.ts';
import { newFolder } from './support.ts';

describe('what a real Postfix relays to logging addresses', () => {
  let servers: UsedServers;
  let door: TestDoor;

  before(async () => {
    servers = await useServers();
    const { domain, port } = servers.smtp.relays.plain;
    door = await openDoor({ port, domain });
  });
  after(() => door.stop());

  const taken = (count: number) =>
    waitFor(`${count} messages are taken`, () => door.taken.length >= count, { deadlineMs: 30_000 });

  /** Gives a message to Postfix, as the user's own provider takes it. */
  async function submit(raw: string, to: string, from = anna): Promise<void> {
    const client: Client = await dial(servers.smtp.mxPort);
    await client.say('EHLO laptop.seller.example');
    for (const line of [`MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA']) await client.say(line);
    assert.match(await client.say(`${raw}.`), /^250 /);
    assert.match(await client.say('QUIT'), /^221 /);
  }

  /** What Postfix noted of each delivery to our domain: `sent`, `bounced` or `deferred`, and the reply. */
  async function outcomes(): Promise<string[]> {
    const log = await readFile(servers.smtp.logPath, 'utf8');
    const lines = log
      .split('\n')
      .filter((line) => line.includes('@log-plain.test>') && line.includes('status='));
    return lines.map((line) => line.slice(line.indexOf('status=') + 'status='.length));
  }

  async function queued(): Promise<string[]> {
    const list = await runCommand('/usr/sbin/postqueue', ['-c', servers.smtp.configDirectory, '-j']);
    return list.split('\n').filter((line) => line.includes('@log-plain.test'));
  }

  test('in plain text: it is taken, with what Postfix made of it', async () => {
    door.taken.length = 0;
    await submit(mailOf(), 'k7d2annas-address+deal@log-plain.test');
    await taken(1);
    const [message] = door.taken;
    assert.equal(message?.spooled.proof.verdict, 'proven');
    assert.deepEqual([message.spooled.envelope.from, message.spooled.envelope.tls], [anna, false]);
    assert.match(message.raw.toString(), /^Received: from .*laptop\.seller\.example/s);
  });

  test('by STARTTLS', async (t) => {
    const { domain, port } = servers.smtp.relays.tls;
    const { certificatePath: certPath, keyPath } = await makeCertificates(await newFolder(), ['127.0.0.1']);
    const other = await openDoor({ port, domain, certificate: { certPath, keyPath } });
    t.after(() => other.stop());
    await submit(mailOf(), `k7d2annas-address@${domain}`);
    await waitFor('it is taken', () => other.taken.length === 1);
    assert.equal(other.taken[0]?.spooled.envelope.tls, true);
  });

  test('25 MB of attachments', async () => {
    door.taken.length = 0;
    const base64 = `${'QUJD'.repeat(19)}\r\n`.repeat(460_000);
    await submit(`${mailOf()}${base64}`, 'k7d2annas-address@log-plain.test');
    await taken(1);
    assert.ok((door.taken[0]?.raw.length ?? 0) > 35_000_000);
  });

  test('fifty sessions at once', async () => {
    door.taken.length = 0;
    const options = ['-s', '50', '-m', '500', '-l', '10240', '-f', anna];
    await runCommand('/usr/sbin/smtp-source', [
      ...options,
      '-t',
      'k7d2annas-address@log-plain.test',
      `inet:127.0.0.1:${servers.smtp.mxPort}`,
    ]);
    await taken(500);
    assert.equal(door.taken.length, 500);
    assert.equal(new Set(door.taken.map(({ spooled }) => spooled.id)).size, 500);
  });

  test('what is refused comes back to its sender at once, with our words', async () => {
    const before = (await outcomes()).length;
    await submit(mailOf('eve@evil.example'), 'k7d2annas-address@log-plain.test', 'eve@swallows.test');
    await submit(mailOf(), 'nobody@log-plain.test', 'ann@swallows.test');
    const [one = '', two = ''] = await waitFor('both have an outcome', async () => {
      const all = (await outcomes()).slice(before);
      return all.length === 2 ? all.sort() : null;
    });
    assert.match(one, /^bounced .*550 5\.1\.1 There is no such logging address/);
    assert.match(two, /^bounced .*550 5\.7\.1 This message was not logged/);
  });

  test('at the end nothing waits, and nothing ever did', async () => {
    await waitFor('the queue is empty', async () => (await queued()).length === 0);
    assert.deepEqual(
      (await outcomes()).filter((outcome) => outcome.startsWith('deferred')),
      [],
    );
  });
});
