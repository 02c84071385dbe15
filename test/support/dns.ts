import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/**
 * Records by type and name, `TXT customer.example` (TXT, A and MX, the last as `10 mail.customer.example`). A string
 * is a failure, by node:dns's code for it: `ESERVFAIL`, or `ETIMEOUT` for silence.
 */
export type Zone = Record<string, readonly string[] | string>;

/** A DNS server of a test, on UDP of loopback. */
export type TestDns = {
  /** As TWOWAY_DNS_SERVERS names it. */
  address: string;
  /** What it answers; a test changes it as it goes. All other names are unknown. */
  zone: Zone;
  /** What it was asked, `TXT customer.example`. */
  asked: string[];
  stop(): Promise<void>;
};

export async function startDns(zone: Zone = {}): Promise<TestDns> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const question = readQuestion(query);
    asked.push(`${question.type} ${question.name}`);
    const answer = answerTo(query, question, zone);
    if (answer !== null) socket.send(answer, port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    zone,
    asked,
    async stop() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

type Question = { name: string; type: string; end: number };

/** RFC 1035 §3.2.2 */
const types: Readonly<Record<number, string>> = { 1: 'A', 15: 'MX', 16: 'TXT', 28: 'AAAA' };
const headerBytes = 12;

/** The one question of a query (RFC 1035 §4.1.2). */
function readQuestion(query: Buffer): Question {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  return { name: labels.join('.').toLowerCase(), type: types[type] ?? String(type), end: at + 5 };
}

const codes = { none: 0, servfail: 2, nxdomain: 3 } as const;

/** Null for silence. */
function answerTo(query: Buffer, { name, type, end }: Question, zone: Zone): Buffer | null {
  const found = zone[`${type} ${name}`];
  if (found === 'ETIMEOUT') return null;
  const records = found === undefined || typeof found === 'string' ? [] : found;
  const isName = Object.keys(zone).some((key) => key.endsWith(` ${name}`));
  const code = typeof found === 'string' ? codes.servfail : isName ? codes.none : codes.nxdomain;
  const header = Buffer.alloc(headerBytes);
  query.copy(header, 0, 0, 2);
  // QR, RD and RA, and the code.
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  const answers = records.map((record) => resourceRecord(query.subarray(end - 4, end), dataOf(type, record)));
  return Buffer.concat([header, query.subarray(headerBytes, end), ...answers]);
}

/** Of the name that was asked, with no time to live (RFC 1035 §4.1.3). */
function resourceRecord(typeAndClass: Buffer, data: Buffer): Buffer {
  const head = Buffer.from([0xc0, headerBytes, ...typeAndClass, 0, 0, 0, 0, 0, 0]);
  head.writeUInt16BE(data.length, head.length - 2);
  return Buffer.concat([head, data]);
}

function dataOf(type: string, record: string): Buffer {
  if (type === 'A') return Buffer.from(record.split('.').map(Number));
  if (type === 'MX') {
    const [preference, host = ''] = record.split(' ');
    const labels = host.split('.').map(withLength);
    return Buffer.concat([Buffer.from([0, Number(preference)]), ...labels, Buffer.from([0])]);
  }
  // No string of a TXT record has more than 255 bytes; readers join them.
  return Buffer.concat((record.match(/.{1,255}/g) ?? ['']).map(withLength));
}

function withLength(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}
