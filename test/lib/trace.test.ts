import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ImapFlow, type FetchMessageObject } from 'imapflow';
import { createTransport } from 'nodemailer';
import {
  imapTrace,
  replyText,
  smtpTrace,
  wireReader,
  type TraceLevel,
  type WireLine,
} from '../../src/lib/trace.ts';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';

const FOLDER = `
capabilities: IMAP4rev1 AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 SASL-IR IDLE X-GM-EXT-1
folder: INBOX uidvalidity 7
message: INBOX uid 1 labels (\\Inbox Divorce) {
  From: Ann Bell <ann.bell@customer.example>
  To: user@company.example
  Subject: Salaries
  Message-ID: <q1.unique@customer.example>
  Content-Type: application/pdf; name="salaries.pdf"

  Fifty thousand.
}
--- connection 1
`;
/** What a plain trace of FOLDER must not hold. */
const CONTENT = ['Ann', 'ann.bell', 'user@', 'Salaries', 'salaries', 'q1.unique', 'Fifty', 'Divorce'];

describe('a trace of IMAP', () => {
  test('plain: no content of mail, no address, no search term, no credential; sizes and structure stay', async () => {
    const { trace } = await imapStory('plain', FOLDER, { accessToken: 'the-token' });
    for (const word of [...CONTENT, 'the-token', base64('the-token')])
      assert.ok(!trace.includes(word), trace);
    assert.match(trace, /^C: \$t\w+ AUTHENTICATE XOAUTH2 \*$/m);
    assert.match(trace, /^C: \$t\w+ UID SEARCH HEADER MESSAGE-ID \* SUBJECT \* SINCE 17-Nov-2026$/m);
    assert.match(trace, /BODYSTRUCTURE \("APPLICATION" "PDF" \("NAME" \{12 hidden\}\)/);
    assert.match(trace, /X-GM-LABELS \("\\\\Inbox" \{7 hidden\}\)/);
    assert.match(trace, /BODY\[\] \{\d+ hidden\}/);
  });

  test('plain: a label that stands without quotes is content, too; those of Gmail itself stay', async () => {
    const labels = String.raw`(\Inbox Divorce "Two words" "\\Sent")`;
    const script = `${FOLDER}on UID FETCH *:\n  S: * 1 FETCH (UID 1 X-GM-LABELS ${labels} FLAGS (\\Seen))\n  S: $tag OK\n`;
    const { trace } = await imapStory('plain', script, { accessToken: 'the-token' });
    assert.ok(
      trace.includes(String.raw`X-GM-LABELS (\Inbox {7 hidden} {9 hidden} "\\Sent") FLAGS (\Seen)`),
      trace,
    );
  });

  test('U+0000 is written as its picture, and is nothing else, since PostgreSQL takes none', async () => {
    const script = `${FOLDER}on UID FETCH *:\n  S: * OK [ALERT] a\u0000b\n  S: $tag OK done\u0000\n`;
    const { trace } = await imapStory('plain', script, { accessToken: 'the-token' });
    assert.match(trace, /^S: \* OK \[ALERT\] a\u2400b\nS: \$t\w+ OK done\u2400$/m);
    assert.ok(!trace.includes('\u0000'));
  });

  const logins: [name: string, auth: { pass?: string; accessToken?: string; loginMethod?: string }][] = [
    ['OAuth', { accessToken: 'the-token' }],
    ['AUTHENTICATE PLAIN', { pass: 'the-password' }],
    ['AUTHENTICATE LOGIN', { pass: 'the-password', loginMethod: 'AUTH=LOGIN' }],
    ['LOGIN', { pass: 'the-password', loginMethod: 'LOGIN' }],
  ];
  for (const [name, auth] of logins) {
    test(`with bodies: no credential either, and it can be played again (${name})`, async () => {
      const script = `${FOLDER}on AUTHENTICATE LOGIN:\n  S: + VXNlcm5hbWU6\n  C: *\n  S: + UGFzc3dvcmQ6\n  C: *\n  S: $tag OK in\n`;
      const { trace, rows } = await imapStory('with_bodies', script, auth);
      const secret = auth.pass ?? auth.accessToken ?? '';
      assert.ok(trace.includes('Subject: Salaries'), trace);
      for (const word of [secret, base64(secret), base64(`\0user@company.example\0${secret}`)]) {
        assert.ok(!trace.includes(word), trace);
      }
      assert.match(
        trace,
        /^C: \$t\w+ (LOGIN \* \*|AUTHENTICATE XOAUTH2 \*|AUTHENTICATE (PLAIN|LOGIN)(\n.*)?\nC: \*)$/m,
      );
      assert.deepEqual((await imapStory('with_bodies', trace, auth)).rows, rows);
    });
  }

  test('with bodies: played again by the scripted peer it gives the client the same', async () => {
    const recorded = await imapStory('with_bodies', FOLDER, { accessToken: 'the-token' });
    const replayed = await imapStory('with_bodies', recorded.trace, { accessToken: 'another' });
    assert.deepEqual(replayed.rows, recorded.rows);
    assert.equal(replayed.trace, recorded.trace);
  });

  test('plain: played again it gives the client fillings of the same sizes', async () => {
    const recorded = await imapStory('plain', FOLDER, { accessToken: 'the-token' });
    const replayed = await imapStory('plain', recorded.trace, { accessToken: 'another' });
    const sizes = (rows: FetchMessageObject[]) => rows.map(({ uid, source }) => [uid, source?.length]);
    assert.deepEqual(sizes(replayed.rows), sizes(recorded.rows));
    assert.equal(recorded.rows[0]?.source?.includes('Fifty'), true);
    assert.equal(replayed.rows[0]?.source?.includes('Fifty'), false);
  });
});

describe('a trace of SMTP', () => {
  test('plain: no content, no local part, no credential; it can be played again', async () => {
    const recorded = await smtpStory('plain', 'smtp/gmail-334-challenge');
    for (const word of [
      'the-token',
      'stale',
      'ann.bell',
      'user@',
      'Salaries',
      'Fifty',
      base64('user=user'),
    ]) {
      assert.ok(!recorded.trace.includes(word), recorded.trace);
    }
    assert.match(recorded.trace, /^C: RCPT TO:<\*@customer\.example>$/m);
    assert.match(recorded.trace, /^C: \.\n# \d+ octets of message$/m);
    const replayed = await smtpStory('plain', recorded.trace);
    assert.equal(replayed.trace, recorded.trace);
  });

  test('with bodies: the message too, as comments; no credential either', async () => {
    const { trace } = await smtpStory('with_bodies', 'smtp/gmail-334-challenge');
    assert.match(trace, /^# Subject: Salaries$/m);
    assert.match(trace, /^# Fifty thousand\.$/m);
    assert.ok(!trace.includes('the-token') && !trace.includes('stale'));
  });
});

describe('an address', () => {
  const rows: [name: string, address: string, shown: string][] = [
    ['as usual', 'ann.bell+x@customer.example', '*@customer.example'],
    ['with a quoted local part', String.raw`"ann \"b\" bell"@customer.example`, '*@customer.example'],
    ['of other letters (RFC 6531)', 'änn@bücher.example', '*@bücher.example'],
    ['in a domain whose first letter is none of ours', 'ann@übung.example', '*@übung.example'],
    ['at an address literal', 'ann@[192.0.2.1]', '*@[192.0.2.1]'],
    ['in a domain of one letter', 'ann@x', '*@x'],
  ];
  for (const [name, address, shown] of rows) {
    test(`is left with its domain alone: ${name}`, () => {
      const written: string[] = [];
      const { logger } = smtpTrace('plain', (text) => written.push(text));
      logger.debug({ tnx: 'client' }, `RCPT TO:<${address}>`);
      logger.debug({ tnx: 'server' }, `550 5.1.1 <${address}>: unknown`);
      const answer = `S: 550 5.1.1 <${shown.replace('*', 'hidden')}>: unknown`;
      assert.deepEqual(written.slice(1), [`C: RCPT TO:<${shown}>`, answer]);
    });
  }
});

describe('lines and literals', () => {
  const bytes = Buffer.from('* 1 FETCH (BODY[] {9}\r\na\r\n{3}\r\nb X {0}\r\n)\r\n+ go\r\n');
  const lines: WireLine[] = [
    ['* 1 FETCH (BODY[] ', Buffer.from('a\r\n{3}\r\nb'), ' X ', Buffer.alloc(0), ')'],
    ['+ go'],
  ];
  for (const size of [1, 2, 7, bytes.length]) {
    test(`are put together from pieces of ${size} octets`, () => {
      const seen: WireLine[] = [];
      const read = wireReader({ literals: true, onLine: (line) => seen.push(line) });
      for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
      assert.deepEqual(seen, lines);
    });
  }

  const texts: [name: string, literal: Buffer, text: string][] = [
    ['whole lines', Buffer.from('a\r\n\r\nb\r\n'), 'S: x {\na\n\nb\n})'],
    ['no line end', Buffer.from('ab'), 'S: x {base64 YWI=})'],
    ['a bare line feed', Buffer.from('a\nb\r\n'), 'S: x {base64 YQpiDQo=})'],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0x0d, 0x0a]), 'S: x {base64 /w0K})'],
    ['a line that would end the block', Buffer.from('a\r\n }\r\n'), 'S: x {base64 YQ0KIH0NCg==})'],
    ['a first line that is indented', Buffer.from(' a\r\n'), 'S: x {base64 IGENCg==})'],
    ['nothing', Buffer.alloc(0), 'S: x {base64 })'],
  ];
  for (const [name, literal, text] of texts) {
    test(`are written so that they can be read again: ${name}`, async () => {
      assert.equal(replyText(['x ', literal, ')']), text);
      const { rows } = await imapStory(
        'plain',
        `${FOLDER}on UID FETCH *:\n  ${text.replace('S: x', 'S: * 1 FETCH (UID 1 BODY[]')}\n  S: $tag OK\n`,
        { accessToken: 't' },
      );
      assert.deepEqual(rows[0]?.source, literal);
    });
  }
});

async function imapStory(
  level: TraceLevel,
  script: string,
  auth: { pass?: string; accessToken?: string; loginMethod?: string },
): Promise<{ trace: string; rows: FetchMessageObject[] }> {
  const written: string[] = [];
  const rows = await withPeer(script, async ({ host, port }) => {
    const client = new ImapFlow({
      host,
      port,
      secure: false,
      auth: { user: 'user@company.example', ...auth },
      disableAutoIdle: true,
      ...imapTrace(level, (text) => written.push(text)),
    });
    await client.connect();
    await client.mailboxOpen('INBOX', { readOnly: true });
    const query = { uid: true, envelope: true, bodyStructure: true, labels: true, source: true };
    const found = await client.fetchAll('1:*', query, { uid: true });
    const term = { header: { 'message-id': '<q1.unique@customer.example>' }, subject: 'Salaries' };
    await client.search({ ...term, since: new Date('2026-11-17') }, { uid: true });
    await client.logout();
    return found;
  });
  return { trace: `${written.join('\n')}\n`, rows };
}

async function smtpStory(level: TraceLevel, script: string): Promise<{ trace: string }> {
  const written: string[] = [];
  await withPeer(script, async ({ host, port }) => {
    const transport = createTransport({
      host,
      port,
      secure: false,
      name: 'gateway.test',
      auth: { type: 'OAuth2', user: 'user@company.example' },
      ...smtpTrace(level, (text) => written.push(text)),
    });
    const tokens = ['stale', 'the-token'];
    const give = (_user: string, _renew: boolean, done: (error: Error | null, token?: string) => void) =>
      done(null, tokens.shift());
    transport.set('oauth2_provision_cb', give);
    await transport.sendMail({
      envelope: { from: 'user@company.example', to: ['ann.bell@customer.example', 'bo@customer.example'] },
      raw: 'Subject: Salaries\r\n\r\nFifty thousand.\r\n',
    });
  });
  return { trace: `${written.join('\n')}\n` };
}

async function withPeer<T>(script: string, play: (peer: ScriptPeer) => Promise<T>): Promise<T> {
  const peer = await startScriptPeer(script, { tokens: ['the-token', 'the-password', 'another', 't'] });
  try {
    const result = await play(peer);
    await peer.finished();
    return result;
  } finally {
    await peer.stop();
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '').slice(0, -1);
}
