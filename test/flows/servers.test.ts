import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import type { ImapEndpoint } from '../support/dovecot.ts';
import { deliver, openMailbox, passwordOf, submit } from '../support/mail.ts';
import { startServers } from '../support/servers.ts';
import { type UsedServers, useServers, useStarted } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

describe('the tests’ own mail provider', () => {
  for (const method of ['XOAUTH2', 'OAUTHBEARER'] as const) {
    test(`${method}: a live token logs in at IMAP, a revoked one does not`, async () => {
      const servers = await useServers();
      const user = `token-${method.toLowerCase()}@servers.test`;
      const accessToken = await servers.identity.issueToken(user);
      const login = { servers, auth: { user, accessToken, loginMethod: `AUTH=${method}` } };
      await withImap(login, async (client) => {
        const mailbox = await client.mailboxOpen('INBOX');
        assert.equal(mailbox.exists, 0);
      });
      await servers.identity.revoke(user);
      await assert.rejects(
        withImap(login, async () => undefined),
        {
          authenticationFailed: true,
          serverResponseCode: 'AUTHENTICATIONFAILED',
        },
      );
    });
  }

  test('nobody logs in with another person’s token or a wrong password', async () => {
    const servers = await useServers();
    const accessToken = await servers.identity.issueToken('owner@servers.test');
    const stranger = { user: 'stranger@servers.test', accessToken };
    await assert.rejects(
      withImap({ servers, auth: stranger }, async () => undefined),
      { authenticationFailed: true },
    );
    const guess = { user: 'owner@servers.test', pass: passwordOf('stranger@servers.test') };
    await assert.rejects(
      withImap({ servers, auth: guess }, async () => undefined),
      { authenticationFailed: true },
    );
  });

  for (const port of ['submissionPort', 'submissionTlsPort'] as const) {
    test(`${port}: what is submitted with XOAUTH2 arrives, and lies in Sent once`, async () => {
      const servers = await useServers();
      const [from, to] = [`${port}@sender.test`, `${port}@receiver.example`];
      const accessToken = await servers.identity.issueToken(from);
      const transport = createTransport({
        host: servers.smtp.host,
        port: servers.smtp[port],
        secure: port === 'submissionTlsPort',
        requireTLS: true,
        auth: { type: 'OAuth2', user: from, accessToken },
      });
      const { messageId } = await transport.sendMail({ from, to, subject: 'By token', text: 'Hello' });
      const receiver = await openMailbox(servers, to);
      assert.equal((await receiver.waitForMail('By token')).messageId, messageId);
      await receiver.close();
      const sender = await openMailbox(servers, from);
      assert.equal((await sender.waitForMail('By token', 'Sent')).messageId, messageId);
      assert.deepEqual(await sender.list('INBOX'), []);
      await sender.close();
    });
  }

  test('mail from elsewhere arrives without any Sent copy', async () => {
    const servers = await useServers();
    const [from, to] = ['someone@elsewhere.test', 'reached@receiver.example'];
    await deliver(servers, { from, to, subject: 'From elsewhere', text: 'Hello' });
    const receiver = await openMailbox(servers, to);
    assert.deepEqual((await receiver.waitForMail('From elsewhere')).from, from);
    await receiver.close();
    const sender = await openMailbox(servers, from);
    assert.deepEqual(await sender.list('Sent'), []);
    await sender.close();
  });

  test('without a login nothing is submitted', async () => {
    const { smtp } = await useServers();
    const letter = { from: 'a@sender.test', to: 'b@receiver.example', subject: 'No login', text: 'Hello' };
    for (const port of [smtp.submissionPort, smtp.noCopyPort, smtp.rewritingPort, smtp.impatientPort]) {
      const transport = createTransport({ host: smtp.host, port, requireTLS: true });
      await assert.rejects(transport.sendMail(letter), { responseCode: 554 });
    }
  });

  test('the port without copies leaves Sent empty; the rewriting one gives a new Message-ID', async () => {
    const servers = await useServers();
    const from = 'two-ports@sender.test';
    const send = async (port: number, subject: string) => {
      const auth = { user: from, pass: passwordOf(from) };
      const transport = createTransport({ host: servers.smtp.host, port, requireTLS: true, auth });
      return transport.sendMail({ from, to: 'two-ports@receiver.example', subject, text: 'Hello' });
    };
    await send(servers.smtp.noCopyPort, 'No copy');
    const { messageId, response } = await send(servers.smtp.rewritingPort, 'New id');
    const receiver = await openMailbox(servers, 'two-ports@receiver.example');
    await receiver.waitForMail('No copy');
    const { uid, messageId: newId } = await receiver.waitForMail('New id');
    const queueId = /queued as (\w+)/.exec(response)?.[1] ?? '';
    assert.match(newId, new RegExp(`\\.${queueId}@`));
    assert.match(await receiver.source(uid), new RegExp(`X-Microsoft-Original-Message-ID: ${messageId}`));
    await receiver.close();
    const sender = await openMailbox(servers, from);
    await sender.waitForMail('New id', 'Sent');
    const copies = await sender.list('Sent');
    assert.deepEqual(
      copies.map((mail) => [mail.subject, mail.messageId]),
      [['New id', newId]],
    );
    await sender.close();
  });

  const refusals = [
    { domain: 'refuses.test', responseCode: 550, code: 'EENVELOPE' },
    { domain: 'defers.test', responseCode: 450, code: 'EENVELOPE' },
    { domain: 'refuses-data.test', responseCode: 554, code: 'EMESSAGE' },
  ];
  for (const { domain, responseCode, code } of refusals) {
    test(`${domain} refuses with ${responseCode}`, async () => {
      const servers = await useServers();
      const letter = { from: 'a@sender.test', to: `b@${domain}`, subject: 'Refused', text: 'Hello' };
      await assert.rejects(submit(servers, 'a@sender.test', letter), { responseCode, code });
    });
  }

  test('bounces.test accepts and sends a delivery report; swallows.test is silent', async () => {
    const servers = await useServers();
    const from = 'bounced@sender.test';
    await submit(servers, from, { from, to: 'nobody@swallows.test', subject: 'Swallowed', text: 'Hello' });
    await submit(servers, from, { from, to: 'nobody@bounces.test', subject: 'Bounced', text: 'Hello' });
    const mailbox = await openMailbox(servers, from);
    const { uid } = await mailbox.waitForMail('Undelivered Mail Returned to Sender');
    const report = await mailbox.source(uid);
    assert.match(report, /^Content-Type: multipart\/report; report-type=delivery-status;/m);
    assert.match(report, /^Final-Recipient: rfc822; nobody@bounces\.test$/m);
    assert.match(report, /^Status: 5\.1\.1$/m);
    assert.equal((await mailbox.list()).length, 1);
    await mailbox.close();
  });

  const reported: [domain: string, text: string, action: string, status: RegExp, words: RegExp][] = [
    ['full.test', 'Hello', 'failed', /^Status: 5\.2\.2$/m, /552 5\.2\.2 .*full/],
    ['small.test', 'Hello. '.repeat(2_000), 'failed', /^Status: 5\.3\.4$/m, /size limit/],
    ['stalls.test', 'Hello', 'delayed', /^Status: 4\.4\.1$/m, /refused/],
  ];
  for (const [domain, text, action, status, words] of reported) {
    test(`${domain} accepts and reports: ${action}`, async () => {
      const servers = await useServers();
      const from = `ann@reported-${domain}`;
      const transport = createTransport({
        host: servers.smtp.host,
        port: servers.smtp.impatientPort,
        requireTLS: true,
        auth: { user: from, pass: passwordOf(from) },
      });
      await transport.sendMail({ from, to: `carla@${domain}`, subject: 'Reported', text });
      transport.close();
      const mailbox = await openMailbox(servers, from);
      const { uid } = await mailbox.waitForMail(
        action === 'failed' ? 'Undelivered Mail Returned to Sender' : 'Delayed Mail (still being retried)',
      );
      const report = (await mailbox.source(uid)).replaceAll(/\r?\n +/g, ' ');
      assert.match(report, new RegExp(`^Action: ${action}$`, 'm'));
      assert.match(report, status);
      assert.match(report, words);
      await mailbox.close();
    });
  }

  test('mailboxes have their special folders; listeners announce what their providers do', async () => {
    const servers = await useServers();
    const { full, gmail, outlook } = servers.dovecot.imap;
    const auth = { user: 'capable@servers.test', pass: passwordOf('capable@servers.test') };
    const capabilities = (endpoint: ImapEndpoint) =>
      withImap({ servers, auth, endpoint }, async (client) => {
        await client.mailboxOpen('INBOX');
        const uses = (await client.list()).flatMap((folder) => folder.specialUse ?? []).sort();
        assert.deepEqual(uses, ['\\Archive', '\\Drafts', '\\Inbox', '\\Junk', '\\Sent', '\\Trash']);
        return new Set(client.capabilities.keys());
      });
    const offered = async (endpoint: ImapEndpoint) => {
      const names = await capabilities(endpoint);
      return ['IDLE', 'CONDSTORE', 'QRESYNC', 'ENABLE', 'SPECIAL-USE'].filter((name) => names.has(name));
    };
    assert.deepEqual(await offered(full), ['IDLE', 'CONDSTORE', 'QRESYNC', 'ENABLE', 'SPECIAL-USE']);
    assert.deepEqual(await offered(gmail), ['IDLE', 'CONDSTORE', 'ENABLE', 'SPECIAL-USE']);
    assert.deepEqual(await offered(outlook), ['IDLE']);
  });

  test('a new message is announced in IDLE', async () => {
    const servers = await useServers();
    const user = 'idle@servers.test';
    await withImap({ servers, auth: { user, pass: passwordOf(user) } }, async (client) => {
      await client.mailboxOpen('INBOX');
      const announced = once(client, 'exists');
      const idle = client.idle();
      await deliver(servers, { from: 'x@elsewhere.test', to: user, subject: 'Wake up', text: 'Hello' });
      await announced;
      await client.noop();
      await idle;
    });
  });

  test('the hibernating listener puts a session in IDLE to sleep', async () => {
    const servers = await useServers();
    const auth = { user: 'sleeper@servers.test', pass: passwordOf('sleeper@servers.test') };
    await withImap({ servers, auth, endpoint: servers.dovecot.imap.hibernating }, async (client) => {
      await client.mailboxOpen('INBOX');
      const idle = client.idle();
      await waitFor('a process for hibernated sessions', async () =>
        /^process_total: [1-9]/m.test(await servers.doveadm('service', 'status', 'imap-hibernate')),
      );
      await client.noop();
      await idle;
    });
  });

  test('another mail client appends, moves, flags and removes', async () => {
    const servers = await useServers();
    const mailbox = await openMailbox(servers, 'by-hand@servers.test');
    const raw =
      'From: a@example.com\r\nSubject: By hand\r\nMessage-ID: <by-hand@example.com>\r\n\r\nHello\r\n';
    const uid = await mailbox.append(raw, 'Drafts', ['\\Draft']);
    await mailbox.createFolder('Customers');
    await mailbox.move(uid, 'Drafts', 'Customers');
    const moved = await mailbox.waitForMail('By hand', 'Customers');
    await mailbox.addFlags(moved.uid, ['\\Seen', '\\Flagged'], 'Customers');
    await mailbox.removeFlags(moved.uid, ['\\Draft'], 'Customers');
    assert.deepEqual(
      (await mailbox.list('Customers')).map((mail) => [...mail.flags].sort()),
      [['\\Flagged', '\\Seen']],
    );
    await mailbox.copy(moved.uid, 'Customers', 'Archive');
    await mailbox.remove(moved.uid, 'Customers');
    assert.deepEqual(await mailbox.list('Customers'), []);
    await mailbox.renameFolder('Customers', 'Clients');
    await mailbox.removeFolder('Clients');
    assert.ok(!(await mailbox.folders()).includes('Clients'));
    assert.equal((await mailbox.waitForMail('By hand', 'Archive')).messageId, '<by-hand@example.com>');
    await mailbox.close();
  });

  test('Dovecot stops, is gone, and comes back on the same port with the same mail', async () => {
    const { identityUrl } = await useServers();
    const own = await startServers({ identityUrl });
    try {
      const servers = useStarted(own.info);
      const to = 'survivor@servers.test';
      await deliver(servers, { from: 'a@elsewhere.test', to, subject: 'Before', text: 'Hello' });
      const mailbox = await openMailbox(servers, to);
      await mailbox.waitForMail('Before');
      await own.stopDovecot();
      await assert.rejects(mailbox.list());
      await assert.rejects(openMailbox(servers, to), { code: 'ECONNREFUSED' });
      await own.startDovecot();
      const again = await openMailbox(servers, to);
      assert.equal((await again.list()).length, 1);
      await own.restartDovecot();
      const third = await openMailbox(servers, to);
      assert.equal((await third.list()).length, 1);
      await third.close();
    } finally {
      await own.stop();
    }
  });
});

type ImapAuth = { user: string; pass?: string; accessToken?: string; loginMethod?: string };

async function withImap<T>(
  options: { servers: UsedServers; auth: ImapAuth; endpoint?: ImapEndpoint },
  work: (client: ImapFlow) => Promise<T>,
): Promise<T> {
  const { servers, auth, endpoint = servers.dovecot.imap.full } = options;
  const client = new ImapFlow({
    host: endpoint.host,
    port: endpoint.tlsPort,
    secure: true,
    auth,
    logger: false,
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.logout();
  }
}
