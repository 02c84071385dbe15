import assert from 'node:assert/strict';
import { copyFile, mkdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { createManualClock } from '../support/manual-clock.ts';
import { makeCertificates } from '../support/certificates.ts';
import { waitFor } from '../support/wait.ts';
import { anna, annasAddress, deliver, dial, mailOf, openDoor, session, upToData, zone } from './door.ts';
import type { TestDoor } from './door.ts';
import { createFaultyFiles } from './faulty-files.ts';
import { newFolder } from './support.ts';

async function door(t: TestContext, options: Parameters<typeof openDoor>[0] = {}): Promise<TestDoor> {
  const opened = await openDoor(options);
  t.after(() => opened.stop());
  return opened;
}

const taken = (opened: TestDoor, count: number) =>
  waitFor(`${count} messages are taken`, () => opened.taken.length === count);

describe('a message to a logging address', () => {
  test('from its user, proven, is answered with 250 and its id, and handed over as it came', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}> SIZE=200 BODY=8BITMIME`);
    assert.match(await client.say('RCPT TO:<K7D2annas-Address+Deal.7@LOG.example>'), /^250 2\.1\.5 /);
    assert.match(await client.say('DATA'), /^354 /);
    const reply = await client.say(`${mailOf()}..dot\r\n.`);
    const [, id] = /^250 2\.0\.0 Accepted as (spl_\S+)$/.exec(reply) ?? [];
    assert.ok(id, reply);
    await taken(opened, 1);
    const [message] = opened.taken;
    assert.equal(message?.raw.toString(), `${mailOf()}.dot\r\n`);
    assert.equal(message.spooled.id, id);
    assert.deepEqual(message.spooled.envelope, {
      from: anna,
      to: [{ address: 'K7D2annas-Address+Deal.7@LOG.example', loggingAddressId: 'lad_anna', tag: 'Deal.7' }],
      helo: 'mx.seller.example',
      clientAddress: '127.0.0.1',
      tls: false,
    });
    assert.equal(message.spooled.proof.verdict, 'proven');
    client.close();
  });

  test('from anybody else is refused in words for people, and nothing of it is kept', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    assert.match(
      await deliver(client, mailOf('eve@evil.example'), 'eve@evil.example'),
      /^550 5\.7\.1 .*not belong/,
    );
    assert.match(await deliver(client, mailOf('ann@strict.example')), /^550 5\.7\.26 .*strict\.example/);
    assert.match(await deliver(client, 'Subject: no From\r\n\r\n'), /^550 5\.7\.1 /);
    assert.match(await deliver(client), /^250 /, 'the session goes on');
    await taken(opened, 1);
    client.close();
  });

  test('from an address that its user was given a moment ago is from its user', async (t) => {
    const ownAddresses = new Set<string>();
    const owner = { id: 'lad_anna', subAccountId: 'sub-1', userId: 'usr-1' } as const;
    let isAway = false;
    const opened = await door(t, {
      lookUp: async () => {
        if (isAway) throw new Error('away');
        return new Map([['k7d2annas-address', { ...owner, ownAddresses: new Set(ownAddresses) }]]);
      },
    });
    const client = await session(opened);
    assert.match(await deliver(client), /^550 5\.7\.1 .*not belong/);
    isAway = true;
    assert.match(await deliver(client), /^451 4\.3\.0 /, 'who cannot be asked refuses nobody for good');
    isAway = false;
    ownAddresses.add(anna);
    assert.match(await deliver(client), /^250 /);
    client.close();
  });

  test('of a robot is accepted whoever wrote it, so that nobody answers it', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    assert.match(
      await deliver(client, mailOf('eve@evil.example', 'Auto-Submitted: auto-replied\r\n'), 'e@evil.example'),
      /^250 /,
    );
    assert.match(await deliver(client, mailOf('mailer-daemon@strict.example'), ''), /^250 /);
    await taken(opened, 2);
    client.close();
  });

  test('neither proven nor failed, or pending, is accepted and says so', async (t) => {
    const opened = await door(t, { dns: { 'TXT seller.example': 'ETIMEOUT' } });
    const client = await session(opened);
    assert.match(await deliver(client), /^250 /);
    await taken(opened, 1);
    assert.equal(opened.taken[0]?.spooled.proof.verdict, 'pending');
    client.close();
  });

  test('is refused for now only when it cannot be stored (B5)', async (t) => {
    const files = createFaultyFiles();
    const opened = await door(t, { openFiles: files.open });
    const client = await session(opened);
    files.fail(['write', 'create'], 'ENOSPC');
    assert.match(await deliver(client), /^452 4\.3\.1 /);
    assert.match(await deliver(client, mailOf() + 'x\r\n'.repeat(200_000)), /^452 4\.3\.1 /);
    files.fail(['sync'], 'EIO');
    assert.match(await deliver(client), /^451 4\.3\.0 /);
    files.fail([], '');
    assert.match(await deliver(client), /^250 /);
    await taken(opened, 1);
    client.close();
  });

  test('is accepted while the database is away, until the spool is full', async (t) => {
    const opened = await door(t, { take: () => Promise.reject(new Error('away')), messagesMax: 2 });
    const client = await session(opened);
    assert.match(await deliver(client), /^250 /);
    assert.match(await deliver(client), /^250 /);
    assert.match(await client.say(`MAIL FROM:<${anna}>`), /^452 4\.3\.1 /);
    client.close();
  });

  test('too large is refused for good, by SIZE and by what comes', async (t) => {
    const opened = await door(t, { limits: { messageBytesMax: 100_000 } });
    const client = await session(opened);
    assert.match(await client.say(`MAIL FROM:<${anna}> SIZE=100001`), /^552 5\.3\.4 /);
    assert.match(
      await deliver(client, mailOf() + 'x'.repeat(78).concat('\r\n').repeat(1300)),
      /^552 5\.3\.4 /,
    );
    assert.match(await deliver(client), /^250 /);
    await upToData(client);
    await client.send('x'.repeat(300_000));
    assert.match(await client.end(), /^552 5\.3\.4 /, 'one that never ends is cut off');
    await taken(opened, 1);
  });
});

describe('recipients', () => {
  test('unknown ones are refused for good, all alike, and one question asks for many', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}>`);
    const unknown = [
      'nobody@log.example',
      'k7d2annas-address@other.example',
      'postmaster@log.example',
      'Postmaster',
    ];
    const replies = [];
    for (const address of unknown) replies.push(await client.say(`RCPT TO:<${address}>`));
    assert.equal(new Set(replies).size, 1, replies.join('\n'));
    assert.match(replies[0] ?? '', /^550 5\.1\.1 There is no such logging address/);
    const clients = await Promise.all(Array.from({ length: 5 }, () => session(opened)));
    opened.lookUps.length = 0;
    for (const other of clients) await other.say(`MAIL FROM:<${anna}>`);
    await Promise.all(clients.map((other, n) => other.say(`RCPT TO:<other${n}@log.example>`)));
    assert.ok(opened.lookUps.length < 5, `${opened.lookUps.length} questions`);
    opened.lookUps.length = 0;
    for (const other of clients) await other.say('RCPT TO:<other1@log.example>');
    assert.deepEqual(opened.lookUps.flat(), [], 'it is remembered that one is unknown');
    for (const other of [client, ...clients]) other.close();
  });

  test('of a gateway without a domain there are none', async (t) => {
    const opened = await door(t, { domain: null });
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}>`);
    assert.match(await client.say(`RCPT TO:<${annasAddress}>`), /^550 5\.1\.1 /);
    client.close();
  });

  test('are refused for now while nobody can tell', async (t) => {
    const opened = await door(t, { lookUp: () => Promise.reject(new Error('away')) });
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}>`);
    assert.match(await client.say(`RCPT TO:<${annasAddress}>`), /^451 4\.3\.0 /);
    client.close();
  });

  test('ten unknown ones end a session at the next, and a client that guesses on has one in each', async (t) => {
    const clock = createManualClock();
    const opened = await door(t, { clock, limits: { guessesMax: 12 } });
    const guess = async (count: number): Promise<string[]> => {
      const client = await session(opened);
      await client.say(`MAIL FROM:<${anna}>`);
      const replies = [];
      for (let n = 0; n < count; n += 1)
        replies.push((await client.say(`RCPT TO:<x${n}@log.example>`)).slice(0, 9));
      client.close();
      return replies;
    };
    assert.deepEqual(await guess(11), [...Array.from({ length: 10 }, () => '550 5.1.1'), '421 4.7.0']);
    await guess(2);
    assert.deepEqual(await guess(2), ['550 5.1.1', '421 4.7.0']);
    const honest = await session(opened);
    assert.match(await upToData(honest), /^354/, 'a known address is always accepted');
    honest.close();
    await clock.advance(600_001);
    assert.deepEqual(await guess(2), ['550 5.1.1', '550 5.1.1']);
  });

  test('ten thousand of them in one message are neither kept nor looked up', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    const many = Array.from({ length: 10_000 }, (_, n) => `RCPT TO:<k7d2annas-address+${n}@log.example>\r\n`);
    client.send(`MAIL FROM:<${anna}>\r\n${many.join('')}`).catch(() => undefined);
    const replies = (await client.end()).split('\r\n');
    const count = (code: string) => replies.filter((reply) => reply.startsWith(code)).length;
    assert.equal(count('250 2.1.5'), 100);
    assert.ok(count('452 4.5.3') > 0 && count('452 4.5.3') < 300);
    assert.equal(count('421 4.7.0'), 1);
    assert.ok(opened.lookUps.length <= 1);
  });
});

describe('the protocol', () => {
  test('offers what it can, and nothing of use to a stranger', async (t) => {
    const opened = await door(t);
    const client = await dial(opened.intake.port);
    const offered = (await client.say('EHLO mx.example'))
      .split(/\r?\n/)
      .map((line) => line.slice(4))
      .sort();
    assert.deepEqual(offered, [
      '8BITMIME',
      'ENHANCEDSTATUSCODES',
      'PIPELINING',
      'SIZE 52428800',
      'SMTPUTF8',
      'log.example',
    ]);
    assert.match(await client.say('VRFY k7d2annas-address'), /^252 2\.5\.0 /);
    assert.match(await client.say('VRFY nobody'), /^252 2\.5\.0 /);
    for (const command of [
      'AUTH PLAIN AGEAYg==',
      'STARTTLS',
      'EXPN x',
      'XCLIENT ADDR=1.2.3.4',
      'WIZ x',
      'ETRN x',
    ])
      assert.match(await client.say(command), /^500 5\.5\.1 /, command);
    assert.match(await client.say('DATA'), /^503 5\.5\.1 /);
    assert.match(await client.say('MAIL FROM:<a b@c>'), /^501 5\.1\.7 /);
    assert.match(await client.say('NOOP'), /^250 2\.0\.0 /);
    assert.match(await client.say('QUIT'), /^221 2\.0\.0 /);
  });

  test('parameters of extensions that are not offered are refused, whatever they say (RFC 5321 §4.1.1.11)', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    for (const parameters of [
      'RET=HDRS ENVID=QQ314159',
      'SIZE=200 RET=FULL',
      'AUTH=<>',
      'BY=120;R',
      'MT-PRIORITY=3',
      'HOLDFOR=60',
      'XVERP',
      '__PROTO__=x',
      'CONSTRUCTOR',
    ])
      assert.match(await client.say(`MAIL FROM:<${anna}> ${parameters}`), /^555 5\.5\.4 /, parameters);
    assert.match(await client.say(`MAIL FROM:<${anna}> REQUIRETLS`), /^530 /, 'as the library says');
    assert.match(await client.say(`MAIL FROM:<${anna}> BODY=BINARYMIME`), /^501 5\.5\.4 /);
    assert.match(await client.say(`MAIL FROM:<${anna}> RET=HDRS\u0001`), /^5/);
    // The rest of the session is as if nothing had been said.
    assert.match(await client.say(`mail from:<${anna}> size=200  body=8bitmime smtputf8`), /^250 2\.1\.0 /);
    for (const parameters of [
      'NOTIFY=SUCCESS,DELAY',
      `ORCPT=rfc822;${anna}`,
      'RRVS=2026-01-01T00:00:00Z',
      'SIZE=1',
    ])
      assert.match(await client.say(`RCPT TO:<${annasAddress}> ${parameters}`), /^555 5\.5\.4 /, parameters);
    assert.deepEqual(opened.lookUps, [], 'nobody is looked up for it');
    assert.match(await client.say(`RCPT TO:<${annasAddress}>`), /^250 2\.1\.5 /);
    assert.match(await client.say('DATA'), /^354 /);
    assert.match(await client.say(`${mailOf()}.`), /^250 2\.0\.0 /);
    await taken(opened, 1);
    assert.equal(opened.taken[0]?.spooled.envelope.to.length, 1);
    client.close();
  });

  test('a message ends at CR LF . CR LF and at nothing else', async (t) => {
    const opened = await door(t);
    for (const ending of ['\n.\n', '\r.\r', '\r\n.\n', '\n.\r\n', '\r.\r\n', '\r\n.\r', '\r\n\0.\r\n']) {
      const client = await session(opened);
      await upToData(client);
      const smuggled = `MAIL FROM:<eve@evil.example>\r\nRCPT TO:<${annasAddress}>\r\nDATA\r\n`;
      opened.taken.length = 0;
      const reply = await client.say(`${mailOf()}x${ending}${smuggled}y\r\n.`);
      assert.match(reply, /^250 2\.0\.0 /);
      assert.match(await client.say('NOOP'), /^250 /, 'there was one reply, for one message');
      await taken(opened, 1);
      assert.ok(opened.taken[0]?.raw.includes(smuggled), JSON.stringify(ending));
      client.close();
    }
  });

  test('one byte at a time is the same message', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    await upToData(client);
    for (const byte of `${mailOf()}..\r\n.\r\n`) await client.send(byte);
    assert.match(await client.reply(), /^250 /);
    await taken(opened, 1);
    assert.equal(opened.taken[0]?.raw.toString(), `${mailOf()}.\r\n`);
    client.close();
  });

  test('commands pipelined behind the end of DATA are answered in order', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    const one = `MAIL FROM:<${anna}>\r\nRCPT TO:<${annasAddress}>\r\nDATA\r\n`;
    await client.send(`${one}${mailOf()}.\r\n${one}${mailOf()}.\r\nQUIT\r\n`);
    const codes = (await client.end()).split('\r\n').map((line) => line.slice(0, 3));
    assert.deepEqual(codes, ['250', '250', '354', '250', '250', '250', '354', '250', '221', '']);
    await taken(opened, 2);
  });

  test('QUIT inside DATA is text', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    assert.match(await deliver(client, `${mailOf()}QUIT\r\n`), /^250 /);
    client.close();
    await taken(opened, 1);
  });

  test('a connection dropped inside DATA leaves nothing, and ends nothing but itself', async (t) => {
    const opened = await door(t);
    for (const text of [mailOf(), mailOf() + 'x\r\n'.repeat(200_000)]) {
      const client = await session(opened);
      await upToData(client);
      await client.send(text);
      client.socket().resetAndDestroy();
    }
    const next = await session(opened);
    assert.match(await deliver(next), /^250 /);
    await taken(opened, 1);
    next.close();
    assert.deepEqual(
      opened.log.filter((line) => line.includes('could not be stored')),
      [],
    );
  });

  test('BDAT is refused, and what follows it is not read as commands', async (t) => {
    const opened = await door(t);
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}>`);
    await client.say(`RCPT TO:<${annasAddress}>`);
    await client.send(`BDAT 20 LAST\r\nRCPT TO:<x@y.z>\r\nNOOP\r\n`);
    assert.match(await client.end(), /^502 5\.5\.1 [^\n]*\n$/);
  });

  test('who talks before the greeting, or HTTP, or a line without end, is sent away', async (t) => {
    const opened = await door(t);
    const early = await dial(opened.intake.port, { greeted: false, before: 'EHLO early.example\r\n' });
    assert.match(await early.end(), /^421 4\.7\.0 Wait[^\n]*\n$/);
    const http = await dial(opened.intake.port);
    assert.match(await http.say('POST / HTTP/1.1'), /^421 4\.7\.0 /);
    const endless = await dial(opened.intake.port);
    await endless.send('x'.repeat(10_000));
    assert.match(await endless.end(), /^500 5\.5\.2 [^\n]*\n$/);
    const unknown = await dial(opened.intake.port);
    await unknown.send('FOO\r\n'.repeat(20));
    assert.match(await unknown.end(), /421 4\.7\.0 Too many unknown commands\r\n$/);
  });

  test('storms of RSET, NOOP and VRFY end', async (t) => {
    const opened = await door(t);
    for (const command of ['RSET', 'NOOP', 'VRFY x', `MAIL FROM:<${anna}>\r\nRSET`]) {
      const client = await session(opened);
      await client.send(`${command}\r\n`.repeat(300));
      assert.match(await client.end(), /421 4\.7\.0 Too many commands without a message\r\n$/);
    }
    const honest = await session(opened);
    for (let n = 0; n < 120; n += 1) assert.match(await deliver(honest), /^250 /);
    honest.close();
  });
});

describe('limits of time and number', () => {
  test('silence ends a session', async (t) => {
    const opened = await door(t, { limits: { silenceMs: 200 } });
    const client = await session(opened);
    assert.match(await client.end(), /^421 4\.4\.2 Nothing came/);
  });

  test('a DATA that takes too long, and a session that is too old, are ended', async (t) => {
    const clock = createManualClock();
    const opened = await door(t, { clock });
    const slow = await session(opened);
    await upToData(slow);
    await slow.send('From: ann');
    const old = await session(opened);
    await clock.advance(1_806_000);
    assert.match(await slow.end(), /^421 4\.4\.2 /);
    assert.match(await old.say('NOOP'), /^250/);
    await clock.advance(5_400_000);
    assert.match(await old.end(), /^421 4\.4\.2 /);
  });

  test('sessions are bounded, all and those of one client', async (t) => {
    const all = await door(t, { limits: { sessionsMax: 2 } });
    const two = [await session(all), await session(all)];
    const third = await dial(all.intake.port);
    assert.match(await third.end(), /^$/);
    for (const client of two) client.close();
    const few = await door(t, { limits: { sessionsOfClientMax: 1 } });
    const first = await session(few);
    const second = await dial(few.intake.port, { greeted: false });
    assert.match(await second.end(), /^421 4\.7\.0 Too many sessions from your address/);
    first.close();
    await waitFor('there is room again', async () => {
      const next = await dial(few.intake.port, { greeted: false });
      const isIn = (await next.reply()).startsWith('220');
      next.close();
      return isIn;
    });
  });
});

describe('stop', () => {
  test('finishes what is in DATA, and sends all others away', async () => {
    const opened = await openDoor();
    const idle = await session(opened);
    const busy = await session(opened);
    await upToData(busy);
    await busy.send(mailOf());
    const stopped = opened.stop();
    assert.match(await idle.end(), /^421 4\.3\.2 /);
    assert.match(await busy.say('.'), /^250 2\.0\.0 /);
    assert.match(await busy.end(), /^421 4\.3\.2 /);
    await stopped;
    assert.equal(opened.taken.length, 1);
  });
});

describe('TLS', () => {
  test('begins with nothing of what was said in plain text', async (t) => {
    const certificates = await makeCertificates(await newFolder(), ['127.0.0.1']);
    const { certificatePath: certPath, keyPath } = certificates;
    const opened = await door(t, { certificate: { certPath, keyPath } });
    const client = await session(opened);
    await client.say(`MAIL FROM:<${anna}>`);
    await client.send('STARTTLS\r\nRCPT TO:<injected@log.example>\r\nNOOP\r\n');
    assert.match(await client.reply(), /^220 2\.0\.0 /);
    await client.startTls();
    assert.match(
      await client.say('RCPT TO:<x@log.example>'),
      /^503 /,
      'neither EHLO nor MAIL counts any more',
    );
    const offered = await client.say('EHLO mx.seller.example');
    assert.doesNotMatch(offered, /STARTTLS/);
    assert.match(await deliver(client), /^250 /);
    await taken(opened, 1);
    assert.equal(opened.taken[0]?.spooled.envelope.tls, true);
    assert.ok(!opened.lookUps.flat().includes('injected'));
    client.close();
  });

  test('takes a renewed certificate without a restart, and keeps the old one where the new is broken', async (t) => {
    const folder = await newFolder();
    const [first, second] = [join(folder, '1'), join(folder, '2')];
    const made = [];
    for (const directory of [first, second]) {
      await mkdir(directory);
      made.push(await makeCertificates(directory, ['127.0.0.1']));
    }
    const certPath = join(folder, 'cert.pem');
    const keyPath = join(folder, 'key.pem');
    let stamp = Date.now() / 1000;
    const install = async (cert: string, key: string) => {
      await copyFile(cert, certPath);
      await copyFile(key, keyPath);
      stamp += 10;
      await utimes(certPath, stamp, stamp);
    };
    const [one, two] = made;
    assert.ok(one && two);
    await install(one.certificatePath, one.keyPath);
    const clock = createManualClock();
    const opened = await door(t, { clock, certificate: { certPath, keyPath } });
    const shown = async () => {
      const client = await session(opened);
      await client.say('STARTTLS');
      const { certificate } = await client.startTls();
      client.close();
      return certificate;
    };
    const before = await shown();
    await install(two.certificatePath, one.keyPath);
    await opened.intake.reload();
    assert.equal(await shown(), before);
    assert.ok(opened.log.some((line) => line.includes('the old one stays')));
    await install(two.certificatePath, two.keyPath);
    await clock.advance(60_000);
    await waitFor('the new one is shown', async () => (await shown()) !== before);
  });

  test('with a key of another certificate it does not start', async () => {
    const folder = await newFolder();
    const made = [];
    for (const name of ['1', '2']) {
      await mkdir(join(folder, name));
      made.push(await makeCertificates(join(folder, name), []));
    }
    const [one, two] = made;
    assert.ok(one && two);
    await assert.rejects(openDoor({ certificate: { certPath: one.certificatePath, keyPath: two.keyPath } }));
  });
});

describe('the PROXY header', () => {
  const header = 'PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n';

  test('of a trusted balancer names the client', async (t) => {
    const dns = { ...zone, 'TXT seller.example': ['v=spf1 ip4:192.0.2.7 -all'] };
    const opened = await door(t, { proxies: ['10.0.0.0/8', '127.0.0.0/8'], dns });
    const client = await dial(opened.intake.port, { before: header });
    await client.say('EHLO mx.seller.example');
    assert.match(await deliver(client), /^250 /);
    await taken(opened, 1);
    assert.equal(opened.taken[0]?.spooled.envelope.clientAddress, '192.0.2.7');
    assert.equal(opened.taken[0]?.spooled.proof.by, 'spf');
    client.close();
  });

  test('of anybody else is no command', async (t) => {
    const opened = await door(t, { proxies: ['10.0.0.0/8'] });
    const client = await dial(opened.intake.port);
    assert.match(await client.say(header.trim()), /^500 5\.5\.1 /);
    client.close();
    const early = await dial(opened.intake.port, { greeted: false, before: header });
    assert.match(await early.end(), /^421 4\.7\.0 /);
  });

  test('without which a trusted balancer is put off in words of SMTP, and the log tells', async (t) => {
    const opened = await door(t, { proxies: ['127.0.0.0/8'] });
    const told = () => opened.log.filter((line) => line.includes('PROXY header'));
    // It looks whether somebody is there, and no more.
    const look = await dial(opened.intake.port, { greeted: false });
    look.socket().end();
    assert.equal(await look.end(), '');
    for (const before of ['EHLO mx.example\r\n', 'PROXY TCP4 nonsense\r\n', `PROXY ${'x'.repeat(2_000)}`]) {
      const client = await dial(opened.intake.port, { greeted: false, before });
      assert.equal(await client.end(), '421 4.3.5 A PROXY header is expected from this address\r\n');
    }
    assert.equal(told().length, 3);
  });
});
