import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { makeCertificates } from '../support/certificates.ts';
import type { Certificates } from '../support/certificates.ts';
import { waitFor } from '../support/wait.ts';
import { anna, annasAddress, deliver, openDoor, session, zone } from './door.ts';
import type { TestDoor } from './door.ts';
import { newFolder } from './support.ts';

type Taken = TestDoor['taken'][number];

/** What swaks (20201014) ends with. */
const exits = { done: 0, lost: 6, notGreeted: 21, noRecipient: 24, messageRefused: 26, noTls: 29 };

type Case = {
  what: string;
  door?: Parameters<typeof openDoor>[0];
  options: string[];
  /** Several where it depends on whether the server has gone before swaks says QUIT. */
  exit: number | readonly number[];
  /** Something that the server said, as swaks shows it. */
  said: RegExp;
  /** Looks at what is logged of it; none: nothing is. */
  logged?: (message: Taken) => void;
};

const isAs = (expected: Partial<Taken['spooled']['envelope']>) => (message: Taken) => {
  const { envelope } = message.spooled;
  const found = Object.keys(expected).map((name) => [name, envelope[name as keyof typeof envelope]]);
  assert.deepEqual(Object.fromEntries(found), expected);
  assert.match(message.raw.toString(), /\r\nX-Mailer: swaks[^\r]*\r\n[^]*\r\nThis is a test mailing\r\n/);
};

const toOf = (message: Taken) => message.spooled.envelope.to.map(({ address }) => address);

const attachment = randomBytes(300_000);
const tagged = annasAddress.replace('@', '+deal@');
const proxied = ['--proxy-source', '192.0.2.7', '--proxy-source-port', '4711'];
const proxiedTo = ['--proxy-dest', '127.0.0.1', '--proxy-dest-port', '25'];
const version1 = ['--proxy-version', '1', '--proxy-family', 'TCP4', ...proxied, ...proxiedTo];
const version2 = ['--proxy-version', '2', '--proxy-family', 'AF_INET', ...proxied, ...proxiedTo];
const behindProxy = {
  proxies: ['127.0.0.0/8'],
  dns: { ...zone, 'TXT seller.example': ['v=spf1 ip4:192.0.2.7 -all'] },
};

describe('what swaks sends to a logging address', () => {
  let ours: Certificates;
  let others: Certificates;
  let attachmentPath: string;

  before(async () => {
    ours = await makeCertificates(await newFolder(), ['127.0.0.1']);
    others = await makeCertificates(await newFolder(), ['127.0.0.1']);
    attachmentPath = join(await newFolder(), 'offer.bin');
    await writeFile(attachmentPath, attachment);
  });

  const cases: (() => Case)[] = [
    () => ({
      what: 'in plain text',
      options: [],
      exit: exits.done,
      said: /<- {2}250 2\.0\.0 Accepted as spl_/,
      logged: isAs({ from: anna, helo: 'laptop.seller.example', clientAddress: '127.0.0.1', tls: false }),
    }),
    () => ({
      what: 'with the old HELO',
      options: ['--protocol', 'SMTP'],
      exit: exits.done,
      said: /<- {2}250 2\.0\.0 Accepted as spl_/,
      logged: isAs({ from: anna, helo: 'laptop.seller.example' }),
    }),
    () => ({
      what: 'by STARTTLS, verifying the certificate',
      door: { certificate: { certPath: ours.certificatePath, keyPath: ours.keyPath } },
      options: ['--tls', '--tls-verify', '--tls-ca-path', ours.caPath],
      exit: exits.done,
      said: /TLS started with cipher TLSv1\.3:[^]*<~ {2}250 2\.0\.0 Accepted as spl_/,
      logged: isAs({ from: anna, tls: true }),
    }),
    () => ({
      what: 'by STARTTLS, of a certificate that it does not trust',
      door: { certificate: { certPath: ours.certificatePath, keyPath: ours.keyPath } },
      options: ['--tls', '--tls-verify', '--tls-ca-path', others.caPath],
      exit: exits.noTls,
      said: /\*\*\* TLS startup failed/,
    }),
    () => ({
      what: 'by STARTTLS where none is offered',
      options: ['--tls'],
      exit: exits.noTls,
      said: /\*\*\* Host did not advertise STARTTLS/,
    }),
    () => ({
      what: 'pipelined',
      options: ['--pipeline', '--to', `${annasAddress},${tagged}`],
      exit: exits.done,
      said: / -> DATA\r?\n<- {2}250 2\.1\.0[^]*<- {2}250 2\.1\.5[^]*<- {2}250 2\.0\.0 Accepted/,
      logged: (message) => assert.deepEqual(toOf(message), [annasAddress, tagged]),
    }),
    () => ({
      what: 'with an attachment larger than what is kept in the journal',
      options: ['--attach', `@${attachmentPath}`],
      exit: exits.done,
      said: /<- {2}250 2\.0\.0 Accepted as spl_/,
      logged: ({ raw }) => {
        const base64 = attachment.toString('base64').slice(0, 200_000);
        assert.ok(raw.toString('latin1').replaceAll('\r\n', '').includes(base64));
      },
    }),
    () => ({
      what: 'to several recipients, of whom one is unknown',
      options: ['--to', `${annasAddress},nobody@log.example,${tagged}`],
      exit: exits.done,
      said: /<\*\* 550 5\.1\.1 There is no such logging address[^]*250 2\.0\.0 Accepted/,
      logged: (message) => assert.deepEqual(toOf(message), [annasAddress, tagged]),
    }),
    () => ({
      what: 'to an unknown recipient',
      options: ['--to', 'nobody@log.example'],
      exit: exits.noRecipient,
      said: /<\*\* 550 5\.1\.1 There is no such logging address/,
    }),
    () => ({
      what: 'pipelined to an unknown recipient',
      options: ['--pipeline', '--to', 'nobody@log.example'],
      exit: exits.noRecipient,
      said: /<\*\* 550 5\.1\.1 There is no such logging address/,
    }),
    () => ({
      what: 'from somebody else',
      options: ['--from', 'eve@seller.example'],
      exit: exits.messageRefused,
      said: /<\*\* 550 5\.7\.1 This message was not logged/,
    }),
    () => ({
      what: 'from behind a balancer, by the PROXY protocol',
      door: behindProxy,
      options: version1,
      exit: exits.done,
      said: /<- {2}250 2\.0\.0 Accepted as spl_/,
      logged: isAs({ from: anna, clientAddress: '192.0.2.7' }),
    }),
    () => ({
      what: 'by the PROXY protocol in its binary form, which is not spoken',
      door: behindProxy,
      options: version2,
      exit: [exits.notGreeted, exits.lost],
      said: /421 4\.3\.5 A PROXY header is expected/,
    }),
    () => ({
      what: 'by the PROXY protocol from an address that is no balancer',
      options: version1,
      exit: exits.notGreeted,
      said: /421 4\.7\.0 Wait for the greeting/,
    }),
    ...['CONNECT', 'FIRST-HELO', 'MAIL', 'RCPT'].map((after) => () => ({
      what: `and gives up after ${after}, with QUIT`,
      options: ['--quit-after', after],
      exit: exits.done,
      said: /<- {2}221 2\.0\.0 /,
    })),
    ...['MAIL', 'RCPT', 'DATA'].map((after) => () => ({
      what: `and is gone after ${after}`,
      options: ['--drop-after', after],
      exit: exits.done,
      said: /=== Dropping connection/,
    })),
    () => ({
      what: 'and is gone after the final dot, when it is whole',
      options: ['--drop-after-send', 'DOT'],
      exit: exits.done,
      said: /=== Dropping connection/,
      logged: isAs({ from: anna }),
    }),
  ];

  test('is logged once, as it was sent, or not at all', async (t) => {
    for (const make of cases) {
      const one = make();
      await t.test(one.what, async () => {
        const opened = await openDoor(one.door);
        try {
          const { exit, output } = await swaks(opened.intake.port, one.options);
          assert.match(output, one.said, output);
          assert.ok([one.exit].flat().includes(exit), output);
          // What comes after it: whatever the first left behind is taken by then.
          const count = one.logged === undefined ? 0 : 1;
          await waitFor('it is taken', () => opened.taken.length >= count);
          one.logged?.(opened.taken[0] as Taken);
          opened.taken.length = 0;
          if (one.door?.proxies === undefined) await assertOthersAreTaken(opened);
          assert.deepEqual(
            opened.log.filter((line) => line.includes('could not be')),
            [],
          );
        } finally {
          await opened.stop();
        }
      });
    }
  });
});

async function assertOthersAreTaken(opened: TestDoor): Promise<void> {
  const client = await session(opened);
  assert.match(await deliver(client), /^250 /);
  client.close();
  await waitFor('the next message is taken', () => opened.taken.length > 0);
  assert.equal(opened.taken.length, 1);
  assert.match(opened.taken[0]?.raw.toString() ?? '', /^From: Ann/);
}

/** Runs it to its end, whatever that is. */
async function swaks(port: number, options: readonly string[]): Promise<{ exit: number; output: string }> {
  const given = ['--server', `127.0.0.1:${port}`, '--from', anna, '--to', annasAddress];
  const all = [...given, '--helo', 'laptop.seller.example', '--timeout', '10', ...options];
  return new Promise((resolve) => {
    execFile('/usr/bin/swaks', all, { timeout: 30_000 }, (error, stdout, stderr) => {
      const exit = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ exit, output: stdout + stderr });
    });
  });
}
