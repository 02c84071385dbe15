import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionId } from '../../src/lib/id.ts';
import { askForTraces, endTraces, listTraces, readTrace } from '../../src/store/wire-traces.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { openOffice } from './support.ts';
import type { Office } from './support.ts';

// U+0000 in an answer, which PostgreSQL would not take as text.
const provider = `protocol: smtp
greeting: 220 smtp.example ESMTP
ehlo: smtp.example at your service
ehlo: SIZE 35882577
ehlo: AUTH XOAUTH2
ehlo: SMTPUTF8
on RCPT *:
  S: 250 2.1.5 OK \u0000 <"carla c"@customer.example> k12
`;

async function withAnna(
  script: string,
  play: (scene: {
    office: Office;
    peer: ScriptPeer;
    connection: ConnectionId;
    send(to?: string): Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const office = await openOffice();
  const peer = await startScriptPeer(script, { tokens: ['a-token'] });
  try {
    await office.addContact('carla', '"carla c"@customer.example');
    const { connectionId: connection } = await office.connect({
      userId: 'anna',
      address: 'anna@company.example',
      login: 'anna@login.example',
      provider: 'gmail',
      smtp: { host: peer.host, port: peer.port, security: 'none' },
    });
    office.sender({ limits: { idleMs: 60_000 } });
    const send = async () => {
      const request = { userId: 'anna', contactId: 'carla', subject: 'Salaries', text: 'Fifty thousand' };
      const { send: accepted } = await office.accept(request);
      await office.waitForState(accepted.id, 'sent');
    };
    await play({ office, peer, connection, send });
  } finally {
    await office.close();
    await peer.stop();
  }
}

test('what is said while mail is sent is traced from the next message on, redacted, on the session that was kept, too', async () => {
  let trace = '';
  await withAnna(provider, async ({ office: { db, logged }, peer, connection, send }) => {
    const read = async () => {
      const { traces } = await listTraces(db, connection);
      const texts = traces.map(({ id }) => readTrace(db, connection, id));
      return { traces, texts: (await Promise.all(texts)).map(String) };
    };
    const messages = (text: string) => text.split(' octets of message').length - 1;
    await send();
    assert.deepEqual((await read()).traces, [], 'nobody has asked');
    await askForTraces(db, connection, 5);
    await send();
    await send();
    assert.equal(peer.sent('AUTH *').length, 2, 'one session more, and no other for each message');
    const found = await waitFor('the trace', async () => {
      const { traces, texts } = await read();
      return messages(texts.join('')) === 2 ? { traces, texts } : undefined;
    });
    assert.deepEqual(
      found.traces.map(({ protocol }) => protocol),
      ['smtp'],
    );
    trace = found.texts[0] ?? '';
    assert.match(trace, /^protocol: smtp\n\n--- connection 1\nS: 220 smtp\.example ESMTP\n/);
    assert.match(trace, /^C: AUTH XOAUTH2 \*$/m);
    assert.match(trace, /^C: MAIL FROM:<\*@company\.example>/m);
    assert.match(trace, /^C: RCPT TO:<\*@customer\.example>/m);
    assert.match(trace, /^S: 250 2\.1\.5 OK \u2400 <hidden@customer\.example> k12$/m);
    const secrets = ['Salaries', 'Fifty', 'Subject', 'anna@', 'carla', 'a-token', 'a-toke', 'dXNlcj'];
    for (const word of secrets) assert.ok(!trace.includes(word), `${word} is in the trace:\n${trace}`);

    await endTraces(db, connection);
    await send();
    assert.deepEqual((await read()).traces, [], 'nothing is written after the end');
    assert.equal(peer.sent('AUTH *').length, 2, 'no session was ended for that');
    assert.deepEqual(
      logged.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
  });

  await withAnna(trace, async ({ peer, send }) => {
    await send();
    await send();
    assert.equal(peer.sent('RCPT *').length, 2, 'what was written down is what the tests play');
  });
});
