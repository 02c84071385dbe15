import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { wireReader, type WireLine } from '../../src/lib/trace.ts';
import { makeCertificates } from '../support/certificates.ts';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';
import { matchPattern, readScript } from '../support/script-syntax.ts';

const FOLDER = 'folder: INBOX uidvalidity 7 uidnext 4 exists 3\n';

describe('the syntax of transcripts', () => {
  const matches: [name: string, pattern: string, text: string, bound: Record<string, string> | undefined][] =
    [
      ['* stands for anything', '* UID FETCH 4:* *', '7 UID FETCH 4:* (UID FLAGS)', {}],
      ['* stands for nothing too', 'IDLE*', 'IDLE', {}],
      ['\\* is a star', '* FETCH 1:\\* *', '7 FETCH 1:9 FLAGS', undefined],
      ['$name takes a word', '$t LOGIN $user *', '7 LOGIN "a b" c', { t: '7', user: '"a b"' }],
      ['$name twice in a line is the same', '$a and $a', 'x and y', undefined],
      ['a bound name must be met again', '$seen DONE', '8 DONE', undefined],
      ['letter case does not matter', '* idle', '7 IDLE', {}],
      ['everything else is itself', '* STATUS (A.B [c]) \\$x $', '7 STATUS (A.B [c]) $x $', {}],
    ];
  for (const [name, pattern, text, bound] of matches) {
    test(name, () => {
      const result = matchPattern(pattern, text, new Map([['seen', '7']]));
      assert.deepEqual(result && Object.fromEntries(result), bound && { seen: '7', ...bound });
    });
  }

  const mistakes: [name: string, script: string, message: RegExp][] = [
    ['a line nobody knows', 'oops\n', /script:1: what is this line\? oops/],
    ['a step outside a section', '\nC: * IDLE\n', /script:2: this line belongs under/],
    [
      'a block without its end',
      '--- connection 1\nS: a {\nb\n',
      /script:2: the block that begins here has no end/,
    ],
    ['an unknown protocol', 'protocol: pop3\n', /script:1: "pop3" is none of imap, smtp/],
    ['parentheses', '--- connection 1\n@ flags INBOX 1 (a\n', /script:2: parentheses do not match/],
  ];
  for (const [name, script, message] of mistakes) {
    test(`a mistake is told with its line: ${name}`, () => assert.throws(() => readScript(script), message));
  }

  test('literals: a block without its indentation, base64, and filling', () => {
    const script = readScript(
      '--- connection 1\nS: a {\n  From: x\n\n    y\n} b {base64 AP8=} c {3 hidden})\n',
    );
    const [step] = script.sections[0]?.steps ?? [];
    assert.ok(step?.kind === 'send');
    const parts = step.parts.map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
    assert.deepEqual(parts, ['a ', 'From: x\r\n\r\n  y\r\n', ' b ', '\u0000\u00ff', ' c ', 'hid', ')']);
  });
});

describe('a scripted peer', () => {
  test('answers what no line waits for, and plays the section of the folder that is opened', () =>
    staged(`${FOLDER}--- connection 1: INBOX\nC: $t CHECK\nS: $t OK ours\n`, async ({ peer, client }) => {
      assert.equal(await client.ask('CHECK'), '1 OK done');
      await client.ask('EXAMINE INBOX');
      assert.equal(await client.ask('CHECK'), '3 OK ours');
      assert.equal(await client.ask('CHECK'), '4 OK done');
      await peer.finished();
      assert.deepEqual(peer.sent('* CHECK'), ['1 CHECK', '3 CHECK', '4 CHECK']);
    }));

  test('a rule answers in the place of the peer, as often as it says', () =>
    staged('on NOOP, twice:\n  S: $tag NO not now\n\n--- connection 1\n', async ({ peer, client }) => {
      const replies = [await client.ask('NOOP'), await client.ask('NOOP'), await client.ask('NOOP')];
      assert.deepEqual(replies, ['1 NO not now', '2 NO not now', '3 OK done']);
      await peer.finished();
    }));

  test('what is delivered is announced to an IDLE at once, to others with their next answer', () =>
    staged(
      `${FOLDER}--- connection 1: INBOX\nC: * IDLE\n@ deliver INBOX {\n  Subject: a\n}\n@ wait go\n@ flags INBOX 1 (\\Seen)\n@ expunge INBOX 2\n`,
      async ({ peer, client }) => {
        await client.ask('SELECT INBOX');
        client.send('IDLE');
        assert.deepEqual([await client.line(), await client.line()], ['+ idling', '* 4 EXISTS']);
        client.sendRaw('DONE');
        assert.equal(await client.line(), '2 OK IDLE terminated');
        peer.signal('go');
        await peer.finished();
        client.send('NOOP');
        const lines = [await client.line(), await client.line(), await client.line()];
        assert.deepEqual(lines, ['* 1 FETCH (UID 1 FLAGS (\\Seen))', '* 2 EXPUNGE', '3 OK done']);
      },
    ));

  test('@ advance calls the test, @ signal and @ wait meet it', async () => {
    const advanced: number[] = [];
    await staged(
      '--- connection 1\n@ signal here\n@ wait there\n@ advance 29m\nS: * OK later\n',
      async ({ peer, client }) => {
        await peer.waitFor('here');
        assert.deepEqual(advanced, []);
        peer.signal('there');
        assert.equal(await client.line(), '* OK later');
        assert.deepEqual(advanced, [29 * 60_000]);
      },
      { onAdvance: (ms) => void advanced.push(ms) },
    );
  });

  test('tokens decide who is let in; the refusal is the script\u2019s', () =>
    staged(
      'refusal:\n  S: + bm8=\n  C: AQ==\n  S: $tag NO go away\n\n--- connection 1\n',
      async ({ client }) => {
        const sasl = (token: string) =>
          Buffer.from(`n,a=u,\u0001auth=Bearer ${token}\u0001\u0001`).toString('base64');
        client.send(`AUTHENTICATE OAUTHBEARER ${sasl('old')}`);
        assert.equal(await client.line(), '+ bm8=');
        client.sendRaw('AQ==');
        assert.equal(await client.line(), '1 NO go away');
        assert.equal(await client.ask(`AUTHENTICATE OAUTHBEARER ${sasl('new')}`), '2 OK logged in');
      },
      { tokens: ['new'] },
    ));

  test('its transcript can be played again', async () => {
    let transcript = '';
    const story = async ({ client }: Scene) => {
      assert.equal(await client.ask('EXAMINE INBOX'), '1 OK [READ-ONLY] done');
      client.send('FETCH 3 (BODY[])');
      assert.match(String(await client.line()), /^\* 3 FETCH \(BODY\[\] From: Somebody/);
      assert.equal(await client.line(), '2 OK done');
    };
    await staged(`${FOLDER}--- connection 1\n`, async (scene) => {
      await story(scene);
      transcript = scene.peer.transcript();
    });
    await staged(transcript, async (scene) => {
      await story(scene);
      await scene.peer.finished();
    });
  });
});

describe('a script that is not kept to', () => {
  const cases: [name: string, script: string, commands: string[], told: RegExp[]][] = [
    [
      'a command that must not be sent',
      `${FOLDER}! * STORE *\n--- connection 1\n`,
      ['SELECT INBOX', 'UID STORE 1 +FLAGS (\\Seen)'],
      [/script:2: must not be sent: \* STORE \*/, /C: 2 UID STORE 1/, /transcript so far:\n--- connection 1/],
    ],
    [
      'a command that nobody can answer',
      '--- connection 1\nC: * IDLE\n',
      ['GETQUOTA ""'],
      [/neither the script nor the peer has an answer for: 1 GETQUOTA/],
    ],
    [
      'another line than the one a block waits for',
      'on STARTTLS:\n  S: + what\n  C: AQ==\n--- connection 1\n',
      ['STARTTLS', 'NOOP'],
      [/script:3: expected\n {2}C: AQ==\nbut got\n {2}C: 2 NOOP/],
    ],
    [
      'a variable that nothing bound',
      '--- connection 1\nC: * NOOP\nS: $other OK\n',
      ['NOOP'],
      [/script:3: \$other was not bound/],
    ],
  ];
  for (const [name, script, commands, told] of cases) {
    test(`fails at once and says why: ${name}`, async () => {
      const peer = await startScriptPeer(script);
      const client = await plainClient(peer);
      for (const command of commands) client.send(command);
      await once(client.socket, 'close', { signal: AbortSignal.timeout(5000) });
      await assert.rejects(peer.finished(), (error: Error) => told.every((part) => part.test(error.message)));
      await peer.stop();
    });
  }

  test('fails when nothing moves: expected line, what came instead, transcript', async () => {
    const peer = await startScriptPeer('--- connection 1\nC: * IDLE\n', { deadlineMs: 50 });
    const client = await plainClient(peer);
    await client.ask('NOOP');
    await assert.rejects(
      peer.finished(),
      /script:2: connection 1: expected\n {2}C: \* IDLE\nbut .* came\n {2}C: 1 NOOP/,
    );
    await assert.rejects(peer.waitFor('dawn'), /"@ signal dawn" was not reached/);
    client.socket.destroy();
    await peer.stop();
  });

  test('fails when a connection does not come, and when a counted rule is left', async () => {
    const peer = await startScriptPeer('on NOOP, once:\n  S: $tag NO\n--- connection 2\n', {
      deadlineMs: 20,
    });
    await assert.rejects(
      peer.finished(),
      /script:3: connection 2 did not come\nscript:1: "on NOOP:" is left 1 times/,
    );
    await peer.stop();
  });

  test('fails when the client is gone too early', async () => {
    const peer = await startScriptPeer('--- connection 1\nC: * IDLE\n');
    const client = await plainClient(peer);
    client.socket.end();
    await assert.rejects(
      peer.finished(),
      /the connection is gone\nscript:2: connection 1: expected\n {2}C: \* IDLE/,
    );
    await peer.stop();
  });

  test('stop() tells what finished() was not asked for', async () => {
    const peer = await startScriptPeer('! * NOOP\n--- connection 1\n');
    const client = await plainClient(peer);
    client.send('NOOP');
    await once(client.socket, 'close');
    await assert.rejects(peer.stop(), /must not be sent/);
  });
});

describe('a scripted peer with a certificate', () => {
  test('speaks TLS from the first byte', async () => {
    const { ca, ...tls } = await certificate();
    const peer = await startScriptPeer('capabilities: IMAP4rev1 AUTH=XOAUTH2 SASL-IR\n', { tls });
    const { host, port } = peer;
    const auth = { user: 'u', accessToken: 't' };
    const client = new ImapFlow({ host, port, auth, logger: false, secure: true, tls: { ca } });
    try {
      await client.connect();
      await client.logout();
      assert.equal(peer.sent('* LOGOUT').length, 1);
    } finally {
      await peer.stop();
    }
  });

  test('speaks TLS after STARTTLS where the script offers that, and offers it once', async () => {
    const { ca, ...tls } = await certificate();
    const script = 'protocol: smtp\nehlo: here\nehlo: STARTTLS\nehlo: AUTH PLAIN\n';
    const peer = await startScriptPeer(script, { tls });
    const { host, port } = peer;
    const auth = { user: 'u', pass: 'p' };
    const transport = createTransport({ host, port, secure: false, requireTLS: true, tls: { ca }, auth });
    const raw = 'Subject: dots\r\n\r\n.\r\n..two\r\n';
    try {
      await transport.sendMail({ envelope: { from: 'a@a.example', to: ['b@b.example'] }, raw });
      assert.equal(peer.taken()[0]?.raw.toString(), raw);
      assert.equal(peer.sent('STARTTLS').length, 1);
    } finally {
      await peer.stop();
    }
  });
});

async function certificate(): Promise<{ ca: string; key: string; cert: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'script-peer-'));
  try {
    const paths = await makeCertificates(directory, ['127.0.0.1']);
    const [ca, key, cert] = await Promise.all(
      [paths.caPath, paths.keyPath, paths.certificatePath].map((path) => readFile(path, 'utf8')),
    );
    assert.ok(ca !== undefined && key !== undefined && cert !== undefined);
    return { ca, key, cert };
  } finally {
    await rm(directory, { recursive: true });
  }
}

type PlainClient = {
  socket: Socket;
  /** Sends a command with the next tag. */
  send(command: string): void;
  sendRaw(line: string): void;
  line(): Promise<string | undefined>;
  /** Sends a command and reads up to its answer. */
  ask(command: string): Promise<string | undefined>;
};

type Scene = { peer: ScriptPeer; client: PlainClient };

async function staged(
  script: string,
  play: (scene: Scene) => Promise<void>,
  options: Parameters<typeof startScriptPeer>[1] = {},
): Promise<void> {
  const peer = await startScriptPeer(script, options);
  const client = await plainClient(peer);
  try {
    await play({ peer, client });
  } finally {
    client.socket.destroy();
    await peer.stop();
  }
}

async function plainClient(peer: ScriptPeer): Promise<PlainClient> {
  const lines: string[] = [];
  const socket = connect({ host: peer.host, port: peer.port, noDelay: true });
  const text = (line: WireLine) => line.map((part) => part.toString()).join('');
  const read = wireReader({
    literals: true,
    onLine: (line) => lines.push(text(line)) && socket.emit('line'),
  });
  socket.on('data', read);
  socket.on('error', () => socket.destroy());
  let tag = 0;
  const line = async () => {
    while (lines.length === 0) await once(socket, 'line', { signal: AbortSignal.timeout(5000) });
    return lines.shift();
  };
  const send = (command: string) => void socket.write(`${++tag} ${command}\r\n`);
  assert.match(String(await line()), /^\* /);
  return {
    socket,
    send,
    sendRaw: (raw) => void socket.write(`${raw}\r\n`),
    line,
    async ask(command) {
      send(command);
      for (;;) {
        const reply = await line();
        if (reply?.startsWith(`${tag} `) === true) return reply;
      }
    },
  };
}
