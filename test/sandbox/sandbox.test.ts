import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { canLogIn, connect, oauthClient, silentLog, transport, withImap, withSandbox } from './support.ts';

const ada = 'ada@sandbox.example';

describe('the sandbox', () => {
  test('after a restart the mailbox, its mail, its UIDs and its tokens are the same', async (context) => {
    const directory = mkdtempSync(join(tmpdir(), 'sandbox-'));
    context.after(() => rmSync(directory, { recursive: true }));
    const kept = { accessToken: '', refreshToken: '', uidValidity: 0n, secret: '' };
    await withSandbox(
      async (sandbox) => {
        const { accessToken, refreshToken } = await connect(sandbox, ada);
        const mail = { from: ada, to: 'replies@sandbox.example', subject: 'Offer', text: 'x' };
        await transport(sandbox, { user: ada, accessToken }).sendMail(mail);
        await withImap(sandbox, { user: ada, accessToken }, async (client) => {
          const { uidValidity } = await client.mailboxOpen('INBOX');
          Object.assign(kept, {
            accessToken,
            refreshToken,
            uidValidity,
            secret: sandbox.endpoints.clientSecret,
          });
          await client.messageFlagsAdd('1', ['\\Seen'], { uid: true });
        });
      },
      { directory },
    );
    await withSandbox(
      async (sandbox) => {
        assert.equal(sandbox.endpoints.clientSecret, kept.secret);
        await withImap(sandbox, { user: ada, accessToken: kept.accessToken }, async (client) => {
          const folder = await client.mailboxOpen('INBOX');
          assert.equal(folder.uidValidity, kept.uidValidity);
          assert.equal(folder.uidNext, 2);
          const message = await client.fetchOne('1', { envelope: true, flags: true });
          assert.equal(message && message.envelope?.subject, 'Re: Offer');
          assert.deepEqual(message && message.flags, new Set(['\\Seen']));
          const sent = await client.status('Sent', { messages: true });
          assert.equal(sent && sent.messages, 1);
        });
        const client = oauthClient(sandbox);
        client.setCredentials({ refresh_token: kept.refreshToken });
        const { credentials } = await client.refreshAccessToken();
        assert.ok(await canLogIn(sandbox, { user: ada, accessToken: credentials.access_token ?? '' }));
      },
      { directory },
    );
  });

  test('an access token ends after an hour', async () => {
    let nowMs = Date.now();
    const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
    await withSandbox(
      async (sandbox) => {
        const { accessToken } = await connect(sandbox, ada);
        nowMs += 3_599_000;
        assert.equal(await canLogIn(sandbox, { user: ada, accessToken }), true);
        nowMs += 1_000;
        assert.equal(await canLogIn(sandbox, { user: ada, accessToken }), false);
      },
      { clock },
    );
  });

  test('stops with clients connected, and starts none of its servers when a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const options = { imapPort: 0, smtpPort: 0, host: '127.0.0.1', log: silentLog } as const;
    await assert.rejects(startSandbox({ ...options, httpPort: port }), { code: 'EADDRINUSE' });
    await new Promise((resolve) => taken.close(resolve));

    const sandbox = await startSandbox({ ...options, httpPort: port });
    assert.equal(sandbox.http.url, `http://127.0.0.1:${port}`);
    const { accessToken } = await connect(sandbox, ada);
    await withImap(sandbox, { user: ada, accessToken }, async (client) => {
      await client.mailboxOpen('INBOX');
      const idle = client.idle();
      // An announcement shows that the server has read the IDLE; unread bytes would turn its end into a reset.
      const arrived = once(client, 'exists', { signal: AbortSignal.timeout(5000) });
      const mail = { mailbox: ada, from: 'eva@customer.example' };
      const headers = { 'content-type': 'application/json' };
      await fetch(`${sandbox.http.url}/mail/deliver`, {
        method: 'POST',
        headers,
        body: JSON.stringify(mail),
      });
      await arrived;
      const closed = once(client, 'close', { signal: AbortSignal.timeout(5000) });
      await sandbox.stop();
      await closed;
      assert.equal(await idle, false);
    });
  });
});
