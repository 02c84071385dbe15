import type { Random } from '../sim/random.ts';

/** One way to spoil a line, or what a client says. */
type Way = (bytes: Buffer, random: Random) => Buffer;

const insert = (bytes: Buffer, at: number, more: Buffer | string) =>
  Buffer.concat([bytes.subarray(0, at), Buffer.from(more), bytes.subarray(at)]);

const somewhere = (bytes: Buffer, random: Random) => random.below(bytes.length + 1);

/** Lines that a server may say at any time, or should never. None of them tells a lie about a message. */
const noise: readonly string[] = [
  '* OK [ALERT] The server goes down in 5 minutes\r\n',
  '* NO nothing in particular\r\n',
  '* BAD what was that\r\n',
  '* OK [UNKNOWN-CODE (((]\r\n',
  '* XSOMETHING 1 2 (3 "4") {3}\r\nabc\r\n',
  '* CAPABILITY IMAP4rev1 IDLE UIDPLUS NAMESPACE SPECIAL-USE\r\n',
  '* FLAGS ()\r\n',
  '* STATUS INBOX ()\r\n',
  '* 0 RECENT\r\n',
  '+ go on\r\n',
  'ZZZZ OK of nobody\r\n',
  '\r\n',
  '\n',
  '*\r\n',
  '* \0\0\0\r\n',
  '\u00ff\u00fe* garbage\r\n',
  `* OK ${'x'.repeat(20_000)}\r\n`,
  `${'('.repeat(3_000)}\r\n`,
];

/** What leaves every whole line true: noise between lines, lines that come twice, or in pieces. */
export const faithfulWays: readonly Way[] = [
  (bytes, random) => Buffer.concat([Buffer.from(random.pick(noise)), bytes]),
  (bytes, random) => Buffer.concat([bytes, Buffer.from(random.pick(noise))]),
  (bytes) => (bytes.toString('latin1').startsWith('* ') ? Buffer.concat([bytes, bytes]) : bytes),
  (bytes) => Buffer.from(bytes.toString('latin1').replace(/\r\n$/, '\n'), 'latin1'),
];

/** What makes a line untrue: bytes that are other ones, missing, or too many. */
export const falseWays: readonly Way[] = [
  (bytes, random) => {
    const flipped = Buffer.from(bytes);
    const at = random.below(bytes.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
    return flipped;
  },
  (bytes, random) =>
    insert(
      bytes,
      somewhere(bytes, random),
      random.pick(['\0', '\r', '\n', '\r\n', '"', '\\', '(', ')', '{', '<', '.\r\n', '\r\n.\r\n']),
    ),
  (bytes, random) =>
    insert(
      bytes,
      somewhere(bytes, random),
      `{${random.pick([0, 1, 7, 99, 10_000, 4_294_967_296, 1e21])}}\r\n`,
    ),
  (bytes, random) =>
    Buffer.from(
      bytes
        .toString('latin1')
        .replace(/\d+/, () =>
          random.pick(['0', '-1', '4294967295', '18446744073709551616', '9'.repeat(400), 'NaN']),
        ),
      'latin1',
    ),
  (bytes, random) =>
    insert(bytes, somewhere(bytes, random), Buffer.from(Array.from({ length: 40 }, () => random.below(256)))),
  (bytes, random) => {
    const [from, to] = [somewhere(bytes, random), somewhere(bytes, random)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, random) =>
    insert(
      bytes,
      somewhere(bytes, random),
      random.pick(['(', '[', '"a" ', '~']).repeat(random.pick([3, 200, 5_000])),
    ),
  (bytes, random) => Buffer.concat([bytes, ...Array.from({ length: random.below(50) }, () => bytes)]),
];
