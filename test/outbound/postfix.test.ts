import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readHeader } from '../../src/message/header.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { makeCertificates } from '../support/certificates.ts';
import { openMailbox, passwordOf } from '../support/mail.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import { useServers } from '../support/shared-servers.ts';
import type { UsedServers } from '../support/shared-servers.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

describe('sending through a real Postfix', () => {
  let servers: UsedServers;
  let office: Office;
  let people = 0;

  before(async () => {
    servers = await useServers();
    office = await openOffice();
    await office.addContact('carla', 'carla@postfix.example');
    office.sender();
  });
  after(() => office.close());

  /** A new person, by password, at a port of Postfix. */
  async function person(
    port: 'submissionPort' | 'submissionTlsPort' | 'noCopyPort' = 'submissionPort',
    security: 'tls' | 'starttls' = 'starttls',
  ): Promise<{ userId: string; address: string }> {
    people += 1;
    const [userId, address] = [`u${people}`, `person${people}@postfix.test`];
    const smtp = { host: servers.smtp.host, port: servers.smtp[port], security };
    await office.connect({ userId, address, provider: 'imap', smtp, password: passwordOf(address) });
    return { userId, address };
  }

  async function received(address: string, subject: string): Promise<Buffer> {
    const mailbox = await openMailbox(servers, address);
    try {
      const mail = await mailbox.waitForMail(subject);
      return Buffer.from(await mailbox.source(mail.uid), 'utf8');
    } finally {
      await mailbox.close();
    }
  }

  for (const [port, security] of [
    ['submissionPort', 'starttls'],
    ['submissionTlsPort', 'tls'],
  ] as const) {
    test(`${security}: what was written arrives as it was written, once, and in Sent once`, async () => {
      const { userId, address } = await person(port, security);
      const subject = `Über ${security}`;
      const content = Buffer.alloc(200_000, 'inhalt.\r\n.\n');
      const { send, message } = await office.accept({
        userId,
        contactId: 'carla',
        bcc: [{ name: '', address: `hidden-${userId}@postfix.example` }],
        subject,
        text: 'Liebe Carla\n.\n..\nGrüße',
        html: '<p>Liebe <b>Carla</b></p>',
        files: [{ name: 'Größe.bin', type: 'application/x-thing', content }],
      });
      await office.waitForState(send.id, 'sent');
      const raw = await received('carla@postfix.example', subject);
      const read = await parseMessage(raw);
      assert.equal(read.header.messageId, message.internet_message_id);
      assert.deepEqual(read.header.from, [{ name: `User ${userId}`, address }]);
      assert.deepEqual(read.header.bcc, []);
      assert.equal(read.text.trim(), 'Liebe Carla\n.\n..\nGrüße');
      assert.match(read.html ?? '', /<b>Carla<\/b>/);
      assert.deepEqual(read.attachments[0]?.content, content);
      assert.doesNotMatch(raw.toString(), /hidden-/);
      await received(`hidden-${userId}@postfix.example`, subject);
      const own = await openMailbox(servers, address);
      await own.waitForMail(subject, 'Sent');
      await own.close();
    });
  }

  test('D4: an answer to an answer cites the whole thread, under the same subject', async () => {
    const { userId } = await person();
    const subject = 'A thread';
    const first = await office.accept({ userId, contactId: 'carla', subject, text: '1' });
    const second = await office.accept({ userId, replyToMessageId: first.message.id, text: '2' });
    const third = await office.accept({
      userId,
      replyToMessageId: second.message.id,
      text: '3',
      subject: 'Re: Re: A thread',
    });
    await office.waitForState(third.send.id, 'sent');
    assert.deepEqual(
      [second.message.thread_id, third.message.thread_id],
      [first.message.thread_id, first.message.thread_id],
    );
    assert.equal(second.message.subject, 'Re: A thread');
    const header = readHeader(await received('carla@postfix.example', 'Re: Re: A thread'));
    assert.deepEqual(header.inReplyTo, [second.message.internet_message_id]);
    assert.deepEqual(header.references, [
      first.message.internet_message_id,
      second.message.internet_message_id,
    ]);
  });

  const refusals: [name: string, to: string, state: 'failed' | 'queued', reason: RegExp][] = [
    ['refused at RCPT', 'x@refuses.test', 'failed', /^unknown_recipient: 550 5\.1\.1 .*No such user here/],
    ['refused at DATA', 'x@refuses-data.test', 'failed', /^refused: 554 5\.7\.1 .*Message refused by policy/],
    ['put off at RCPT', 'x@defers.test', 'queued', /^rate_limited: 450 4\.2\.1 .*busy/],
  ];
  for (const [name, to, state, reason] of refusals) {
    test(`${name}: ${state}, with the server's own words`, async () => {
      const { userId } = await person();
      await office.addContact(to, to);
      const { send } = await office.accept({ userId, contactId: to, text: 'x' });
      const tried = await office.waitForState(send.id, state, 1);
      assert.match(tried.reason ?? '', reason);
    });
  }

  test('D5: one refused recipient keeps the mail from nobody else', async () => {
    const { userId } = await person();
    const subject = 'One of two';
    const { send } = await office.accept({
      userId,
      contactId: 'carla',
      cc: [{ name: '', address: 'gone@refuses.test' }],
      subject,
      text: 'x',
    });
    const sent = await office.waitForState(send.id, 'sent');
    assert.match(sent.reason ?? '', /^recipients_refused: gone@refuses\.test: 550 5\.1\.1/);
    await received('carla@postfix.example', subject);
  });

  test('D5: one who is put off is tried again, alone, and nobody else gets it twice', async () => {
    const { userId } = await person();
    const subject = 'One of two is busy';
    const { send } = await office.accept({
      userId,
      contactId: 'carla',
      cc: [{ name: '', address: 'busy@defers.test' }],
      subject,
      text: 'x',
    });
    const sent = await office.waitForState(send.id, 'sent');
    assert.match(sent.reason ?? '', /^recipients_deferred: busy@defers\.test: 450 4\.2\.1 .*busy/);
    await received('carla@postfix.example', subject);
    await office.hurry(send.id);
    const again = await office.waitForState(send.id, 'sent', 2);
    assert.deepEqual(
      again.attempts.map(({ outcome }) => outcome),
      ['accepted', 'temporary'],
    );
    assert.deepEqual(
      again.refused.map(({ address, state }) => `${address} ${state}`),
      ['busy@defers.test deferred'],
    );
    await received('carla@postfix.example', subject);
  });

  test('a wrong password: held, and nothing else', async () => {
    const address = 'locked-out@postfix.test';
    const smtp = {
      host: servers.smtp.host,
      port: servers.smtp.submissionPort,
      security: 'starttls',
    } as const;
    await office.connect({ userId: 'locked', address, provider: 'imap', smtp, password: 'wrong' });
    const { send } = await office.accept({ userId: 'locked', contactId: 'carla', text: 'x' });
    const held = await office.waitForState(send.id, 'held');
    assert.equal(held.reason, 'reauth_required');
    assert.match(held.attempts[0]?.reply ?? '', /^535 5\.7\.8/);
  });

  test('a server that offers no STARTTLS gets neither password nor message', async () => {
    const peer = await startScriptPeer(
      'protocol: smtp\nehlo: AUTH PLAIN\non STARTTLS:\n  S: 502 5.5.1 What?\n',
    );
    const smtp = { host: peer.host, port: peer.port, security: 'starttls' } as const;
    await office.connect({
      userId: 'plain',
      address: 'plain@postfix.test',
      provider: 'imap',
      smtp,
      password: 'p',
    });
    const { send } = await office.accept({ userId: 'plain', contactId: 'carla', text: 'x' });
    const waiting = await office.waitForState(send.id, 'queued', 1);
    assert.match(waiting.reason ?? '', /^server_refuses_connections/);
    assert.deepEqual(peer.sent('AUTH *'), []);
    await peer.stop();
  });

  test('nobody answers: tried again later', async () => {
    const smtp = { host: '127.0.0.1', port: 9, security: 'tls' } as const;
    await office.connect({
      userId: 'alone',
      address: 'alone@postfix.test',
      provider: 'imap',
      smtp,
      password: 'p',
    });
    const { send } = await office.accept({ userId: 'alone', contactId: 'carla', text: 'x' });
    const waiting = await office.waitForState(send.id, 'queued', 1);
    assert.equal(waiting.reason, 'unreachable');
  });

  test('a certificate of nobody is not trusted', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'twoway-forged-'));
    const { keyPath, certificatePath } = await makeCertificates(directory, ['127.0.0.1']);
    const tls = { key: await readFile(keyPath, 'utf8'), cert: await readFile(certificatePath, 'utf8') };
    await rm(directory, { recursive: true });
    const peer = await startScriptPeer('protocol: smtp\nehlo: AUTH PLAIN\n', { tls });
    const smtp = { host: peer.host, port: peer.port, security: 'tls' } as const;
    await office.connect({
      userId: 'forged',
      address: 'forged@postfix.test',
      provider: 'imap',
      smtp,
      password: 'p',
    });
    const { send } = await office.accept({ userId: 'forged', contactId: 'carla', text: 'x' });
    const waiting = await office.waitForState(send.id, 'queued', 1);
    assert.equal(waiting.reason, 'tls_failed');
    await peer.stop();
  });
});
