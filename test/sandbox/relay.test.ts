import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { silentLog } from '../filing/world.ts';
import { waitFor } from '../support/wait.ts';

describe('what the sandbox sends outside', () => {
  let sandbox: Sandbox;
  const taken: { to: string[]; raw: string }[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onRcptTo: ({ address }, _session, callback) =>
      callback(
        address.startsWith('gone')
          ? Object.assign(new Error('5.1.1 There is no such logging address'), { responseCode: 550 })
          : null,
      ),
    onData(stream, session, callback) {
      let raw = '';
      stream.on('data', (piece: Buffer) => (raw += piece.toString('latin1')));
      stream.on('end', () => {
        taken.push({ to: session.envelope.rcptTo.map(({ address }) => address), raw });
        callback();
      });
    },
  });

  before(async () => {
    sandbox = await startSandbox({
      host: '127.0.0.1',
      imapPort: 0,
      smtpPort: 0,
      httpPort: 0,
      log: silentLog,
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const address = server.server.address();
    assert.ok(typeof address === 'object' && address !== null);
    sandbox.routeTo({ domain: 'log.sandbox.example', port: address.port });
  });
  after(async () => {
    await sandbox.stop();
    await new Promise<void>((done) => server.close(done));
  });

  const send = async (fields: Record<string, string>) => {
    const answer = await fetch(`${sandbox.http.url}/mail/send`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ mailbox: 'ada@sandbox.example', subject: 'Hello', text: 'x', ...fields }),
    });
    assert.equal(answer.status, 201);
  };
  const inbox = async () => {
    const answer = await fetch(
      `${sandbox.http.url}/mail/messages?mailbox=ada@sandbox.example&as=ada@sandbox.example`,
    );
    return ((await answer.json()) as { data: Record<string, unknown>[] }).data;
  };

  test('one copy for the one domain, whatever else it goes to, and no Bcc in it', async () => {
    await send({
      to: 'dora@new.sandbox.example',
      bcc: 'log-1@log.sandbox.example, log-2@LOG.sandbox.example, x@elsewhere.example',
    });
    await waitFor('the mail', () => taken.length > 0);
    assert.deepEqual(taken[0]?.to, ['log-1@log.sandbox.example', 'log-2@log.sandbox.example']);
    assert.doesNotMatch(taken[0]?.raw ?? '', /log-1|elsewhere|^bcc/im);
    assert.match(taken[0]?.raw ?? '', /^Subject: Hello\r$/m);
  });

  test('refused, it comes back with the words of the server', async () => {
    await send({ to: 'dora@new.sandbox.example', bcc: 'gone@log.sandbox.example' });
    await waitFor('the report', async () =>
      (await inbox()).some((mail) => JSON.stringify(mail).includes('There is no such logging address')),
    );
    assert.equal(taken.length, 1);
  });
});
