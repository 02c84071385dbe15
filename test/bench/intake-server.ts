// A process of the bench: a server that takes mail durably, ours or the bare library's.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { createProver } from '../../src/intake/authenticate.ts';
import { intakeLimits } from '../../src/intake/limits.ts';
import { startIntake } from '../../src/intake/server.ts';
import { openSpool } from '../../src/intake/spool.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { serveParent } from './child.ts';

export type IntakeQuestion = { start: 'ours' | 'bare'; directory: string } | { stop: true };

let stop = async () => undefined as void;

serveParent(async (asked) => {
  const question = asked as IntakeQuestion;
  if ('stop' in question) return stop();
  return question.start === 'ours' ? startOurs(question.directory) : startBare(question.directory);
});

/** The whole door, with a DNS that knows the sender, and a database that has taken everything at once. */
async function startOurs(directory: string): Promise<number> {
  const [clock, log] = [systemClock, createLog('warn')];
  const spool = await openSpool({ directory, take: async () => undefined, clock, log });
  const resolve = async (name: string, type: string) => {
    if (`${type} ${name}` === 'TXT seller.example') return [['v=spf1 ip4:127.0.0.1 -all']];
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  };
  const known = {
    id: 'lad_bench',
    subAccountId: 'bench',
    userId: 'bench',
    ownAddresses: new Set(['ann@seller.example']),
  } as const;
  const intake = await startIntake({
    host: '127.0.0.1',
    port: 0,
    domain: 'log.example',
    certificate: null,
    proxies: [],
    lookUp: async (locals) => new Map(locals.map((local) => [local, known])),
    spool,
    prover: createProver({ resolve, clock, log, hostName: 'log.example' }),
    clock,
    log,
  });
  stop = async () => {
    await intake.stop();
    await spool.stop();
  };
  return intake.port;
}

/** Every message appended to one file; those that wait share a write and an fdatasync. */
async function startBare(directory: string): Promise<number> {
  const file = await open(join(directory, 'all.mbox'), 'a');
  let waiting: { raw: Buffer; done(): void }[] = [];
  let isWriting = false;
  const write = async () => {
    isWriting = true;
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await file.writev(group.map(({ raw }) => raw));
      await file.datasync();
      for (const { done } of group) done();
    }
    isWriting = false;
  };
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    size: intakeLimits.messageBytesMax,
    onData(stream, _session, callback) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        waiting.push({ raw: Buffer.concat(pieces), done: () => callback(null) });
        if (!isWriting) void write();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stop = async () => {
    await new Promise<void>((resolve) => server.close(resolve));
    await file.close();
  };
  const address = server.server.address();
  if (address === null || typeof address === 'string') throw new Error('it does not listen');
  return address.port;
}
