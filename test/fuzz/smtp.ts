import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { anna, annasAddress, deliver, mailOf, openDoor, session } from '../intake/door.ts';
import type { TestDoor } from '../intake/door.ts';
import { createRandom } from '../sim/random.ts';
import type { Random } from '../sim/random.ts';
import { waitFor } from '../support/wait.ts';
import { falseWays } from './garble.ts';

/*
 * Clients of the logging address that say what nobody should, by a seed, and hang up where they like. What must hold: the
 * door stays open for the next one, what it answered with 250 is there and nothing else is, every reply is one of SMTP,
 * and no session is left behind.
 */

/** What a proper client says, piece by piece. */
function lines(random: Random, n: number): string[] {
  const to = `RCPT TO:<${annasAddress}>\r\n`;
  return [
    'EHLO mx.seller.example\r\n',
    `MAIL FROM:<${anna}> SIZE=${random.below(100_000)}\r\n`,
    ...Array.from({ length: random.below(3) + 1 }, () => to),
    'DATA\r\n',
    `${mailOf(anna, `X-Number: ${n}\r\n`)}\r\n.\r\n`,
    random.pick([
      'QUIT\r\n',
      'RSET\r\n',
      'NOOP\r\n',
      'VRFY anna\r\n',
      'STARTTLS\r\n',
      'BDAT 20 LAST\r\n',
      'HELP\r\n',
    ]),
  ];
}

type Visit = { said: string; accepted: string[] };

/** A client that does not wait for replies, most of the time, and spoils what it says. */
async function visit(port: number, random: Random, n: number): Promise<Visit> {
  const socket = connect(port, '127.0.0.1');
  let said = '';
  socket.on('data', (data) => (said += data.toString('latin1')));
  // How it ends is what the door is asked about.
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // Who talks before is sent away.
  await waitFor('the greeting', () => said !== '' || socket.destroyed);
  const share = random.pick([0.1, 0.3, 0.6]);
  for (const line of lines(random, n)) {
    const bytes = Buffer.from(line, 'latin1');
    const spoiled = random.chance(share) ? random.pick(falseWays)(bytes, random) : bytes;
    await send(socket, spoiled, random);
    if (random.chance(0.05)) socket.resetAndDestroy();
    if (random.chance(0.7)) await settled(() => said.length, 8);
  }
  await settled(() => said.length, 40);
  socket.end();
  setTimeout(() => socket.destroy(), 200);
  await closed;
  return {
    said,
    accepted: [...said.matchAll(/^250 2\.0\.0 Accepted as (spl_\S+)\r?$/gm)].map(([, id]) => id ?? ''),
  };
}

async function send(socket: Socket, bytes: Buffer, random: Random): Promise<void> {
  const at = random.chance(0.5) ? bytes.length : random.below(bytes.length + 1);
  for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
    if (part.length === 0 || socket.destroyed) continue;
    socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Until nothing more has come for a moment. */
async function settled(size: () => number, quietMs: number): Promise<void> {
  for (let before = -1; before !== size();) {
    before = size();
    await new Promise((resolve) => setTimeout(resolve, quietMs));
  }
}

/** RFC 5321 §4.2: code, then a space or a hyphen. */
const isReply = (line: string) => /^[2-5]\d\d(?:[ -].*)?$/.test(line);

/** Plays one seed: some clients at once. What is wrong with how it went. */
export async function fuzzSmtp(seed: number): Promise<string[]> {
  const random = createRandom(seed);
  const door: TestDoor = await openDoor({ limits: { commandBytesMax: 512, messageBytesMax: 100_000 } });
  try {
    const clients = Array.from({ length: 6 }, (_, n) =>
      visit(door.intake.port, createRandom(random.below(2 ** 31)), n),
    );
    const visits = await Promise.all(clients);
    const accepted = visits.flatMap((one) => one.accepted);
    const wrong = visits
      .flatMap(({ said }) => said.split('\r\n').slice(0, -1))
      .filter((line) => !isReply(line))
      .map((line) => `no reply of SMTP: ${JSON.stringify(line)}`);
    // Whoever hung up before the answer may have been accepted, too.
    const has = () => new Set<string>(door.taken.map(({ spooled }) => spooled.id));
    await waitFor('what was accepted to be taken', () => accepted.every((id) => has().has(id)));
    if (door.taken.length !== has().size) wrong.push('a message was taken twice');
    for (const { spooled, raw } of door.taken) {
      if (spooled.size !== raw.length) wrong.push(`${spooled.id} is not what was accepted`);
      if (!spooled.envelope.to.every(({ loggingAddressId }) => loggingAddressId === 'lad_anna'))
        wrong.push('a recipient of nobody');
    }
    const next = await session(door);
    const reply = await deliver(next);
    if (!reply.startsWith('250 2.0.0 ')) wrong.push(`the next one is not served: ${reply}`);
    next.close();
    return wrong;
  } finally {
    await door.stop();
  }
}
