import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOAuthClient } from '../../../src/provider/oauth-client.ts';
import { resolveProvider } from '../../../src/provider/providers.ts';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.ts';
import { findConnection } from '../../../src/store/connections.ts';
import { silentLog } from '../../filing/world.ts';
import { startPages, type PagesUnderTest } from '../pages.ts';

let sandbox: Sandbox;
let t: PagesUnderTest;

before(async () => {
  sandbox = await startSandbox({ imapPort: 0, smtpPort: 0, httpPort: 0, host: '127.0.0.1', log: silentLog });
  const { endpoints } = sandbox;
  const provider = resolveProvider('sandbox', {
    authoriseUrl: endpoints.authorise,
    tokenUrl: endpoints.token,
    revokeUrl: endpoints.revoke,
    certsUrl: endpoints.certs,
    issuers: [endpoints.issuer],
    imap: { ...sandbox.imap, security: 'none' },
    smtp: { ...sandbox.smtp, security: 'none' },
  });
  t = await startPages({ more: [{ provider, oauth: createOAuthClient(provider, endpoints) }] });
  await t.member('s1', 'ann');
});
after(async () => {
  await t.close();
  await sandbox.stop();
});

/** What the person does on the sandbox's own consent page. */
async function decide(consentUrl: string, choice: Record<string, string>): Promise<string> {
  const fields = new URLSearchParams([...new URL(consentUrl).searchParams, ...Object.entries(choice)]);
  const response = await fetch(sandbox.endpoints.authorise, {
    method: 'POST',
    body: fields,
    redirect: 'manual',
  });
  await response.body?.cancel();
  return response.headers.get('location') ?? assert.fail(String(response.status));
}

test('C1: the sandbox connects as Gmail does: refused, unticked, allowed', async () => {
  const browser = t.browser();
  const link = await t.link({ provider: 'sandbox' });
  const answer = async (choice: Record<string, string>) => {
    await browser.get(link);
    const started = await browser.submit({ provider: 'sandbox' });
    return browser.finish(await decide(started.location ?? '', choice));
  };
  const person = { other: 'carla@sandbox.example' };
  assert.equal((await answer({ decision: 'refuse' })).title, 'You did not allow access');
  assert.equal((await answer({ ...person, decision: 'allow' })).title, 'A permission is missing');
  const done = await answer({ ...person, decision: 'allow', mail: 'yes' });
  assert.equal(done.title, 'Your mailbox is connected');
  const connection = await findConnection(t.db, { subAccountId: 's1', userId: 'ann' });
  assert.deepEqual([connection?.email, connection?.state], ['carla@sandbox.example', 'connecting']);
});
