import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createProver } from '../../src/intake/authenticate.ts';
import { intakeLimits } from '../../src/intake/limits.ts';
import type { KnownAddress, LookUp } from '../../src/intake/recipients.ts';
import { startIntake } from '../../src/intake/server.ts';
import type { IntakeOptions, IntakeServer } from '../../src/intake/server.ts';
import { openSpool, spoolLimits } from '../../src/intake/spool.ts';
import type { SpoolFiles } from '../../src/intake/spool-files.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Spooled } from '../../src/store/spool.ts';
import { stubDns } from './signing.ts';
import type { Zone } from '../support/dns.ts';
import { keptLog, newFolder } from './support.ts';

/** The one user with a logging address, and her domain, whose SPF names loopback. */
export const anna = 'ann@seller.example';
export const annasAddress = 'k7d2annas-address@log.example';
export const zone: Zone = {
  'TXT seller.example': ['v=spf1 ip4:127.0.0.1 -all'],
  'TXT strict.example': ['v=spf1 -all'],
  'TXT _dmarc.strict.example': ['v=DMARC1; p=reject'],
};

export const mailOf = (from = anna, more = ''): string =>
  `From: Ann <${from}>\r\nTo: bob@customer.example\r\nSubject: Offer\r\n${more}\r\nHello Bob\r\n`;

/** A door to a spool, whose messages are taken into an array. */
export type TestDoor = {
  intake: IntakeServer;
  taken: { spooled: Spooled; raw: Buffer }[];
  /** What the database was asked, call by call. */
  lookUps: string[][];
  log: string[];
  stop(): Promise<void>;
};

export async function openDoor(
  options: Partial<Omit<IntakeOptions, 'limits' | 'spool' | 'prover'>> & {
    limits?: Partial<typeof intakeLimits>;
    messagesMax?: number;
    openFiles?: (directory: string) => Promise<SpoolFiles>;
    take?: () => Promise<void>;
    clock?: Clock;
    dns?: Zone;
  } = {},
): Promise<TestDoor> {
  const directory = await newFolder();
  const taken: TestDoor['taken'] = [];
  const lookUps: string[][] = [];
  const log = keptLog();
  const { clock = systemClock, openFiles, messagesMax = spoolLimits.messagesMax } = options;
  const spool = await openSpool({
    directory,
    clock,
    log,
    take: options.take ?? (async (batch) => void taken.push(...batch)),
    limits: { ...spoolLimits, messagesMax },
    ...(openFiles === undefined ? {} : { openFiles }),
  });
  const known: KnownAddress = {
    id: 'lad_anna',
    subAccountId: 'sub-1',
    userId: 'usr-1',
    ownAddresses: new Set([anna, 'ann@strict.example']),
  };
  const lookUp: LookUp = async (locals) => {
    lookUps.push([...locals]);
    return new Map(locals.includes('k7d2annas-address') ? [['k7d2annas-address', known]] : []);
  };
  const starting = startIntake({
    host: '127.0.0.1',
    port: 0,
    domain: 'log.example',
    certificate: null,
    proxies: [],
    lookUp,
    ...options,
    clock,
    log,
    spool,
    prover: createProver({ resolve: stubDns(options.dns ?? zone), clock, log, hostName: 'log.example' }),
    limits: { ...intakeLimits, ...options.limits },
  });
  const intake = await starting.catch(async (error: unknown) => {
    await spool.stop();
    throw error;
  });
  return {
    intake,
    taken,
    lookUps,
    log: log.lines,
    async stop() {
      await intake.stop();
      await spool.stop();
      await rm(directory, { recursive: true });
    },
  };
}

/** A client that says exactly what a test wants. */
export type Client = {
  /** Waits for the next reply of the server, all of its lines. Rejects when the connection ends instead. */
  reply(): Promise<string>;
  /** Sends a line, and waits for the reply. */
  say(line: string): Promise<string>;
  /** Sends bytes as they are, and waits until they are on their way. */
  send(bytes: string | Buffer): Promise<void>;
  /** Resolves with all that came and nobody read, when the server has closed the connection. */
  end(): Promise<string>;
  /** Upgrades to TLS after 220. */
  startTls(): Promise<{ certificate: string }>;
  socket(): Socket;
  close(): void;
};

export async function dial(
  port: number,
  options: { greeted?: boolean; before?: string } = {},
): Promise<Client> {
  let socket: Socket = connect(port, '127.0.0.1');
  let unread = '';
  const over = new AbortController();
  let wake = () => undefined as void;
  const listen = () => {
    socket.on('data', (data: Buffer) => {
      unread += data.toString('latin1');
      wake();
    });
    socket.on('close', () => {
      over.abort();
      wake();
    });
    // How a connection ends is told by `close`.
    socket.on('error', () => undefined);
  };
  listen();
  await once(socket, 'connect');
  if (options.before !== undefined) socket.write(options.before);
  const changed = () =>
    new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the server said no more than: ${unread}`)), 15_000);
      wake = () => {
        clearTimeout(late);
        resolve();
      };
    });
  const client: Client = {
    async reply() {
      for (;;) {
        const whole = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(unread);
        if (whole !== null) {
          unread = unread.slice(whole[0].length);
          return whole[0].trimEnd();
        }
        if (over.signal.aborted) throw new Error(`the connection ended after: ${unread}`);
        await changed();
      }
    },
    say(line) {
      socket.write(`${line}\r\n`);
      return client.reply();
    },
    send: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    async end() {
      while (!over.signal.aborted) await changed();
      return unread;
    },
    async startTls() {
      socket.removeAllListeners();
      const secure = connectTls({ socket, rejectUnauthorized: false });
      socket = secure;
      await once(secure, 'secureConnect');
      listen();
      return { certificate: secure.getPeerCertificate().fingerprint256 };
    },
    socket: () => socket,
    close: () => void socket.destroy(),
  };
  if (options.greeted !== false) await client.reply();
  return client;
}

/** Greeted, with EHLO said. */
export async function session(door: TestDoor): Promise<Client> {
  const client = await dial(door.intake.port);
  await client.say('EHLO mx.seller.example');
  return client;
}

/** Up to 354. */
export async function upToData(client: Client, from = anna, to = annasAddress): Promise<string> {
  await client.say(`MAIL FROM:<${from}>`);
  await client.say(`RCPT TO:<${to}>`);
  return client.say('DATA');
}

/** One message; the last reply. */
export async function deliver(client: Client, raw = mailOf(), from = anna): Promise<string> {
  await upToData(client, from);
  return client.say(`${raw.replace(/^\./gm, '..')}.`);
}
