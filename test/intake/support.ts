import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../src/lib/log.ts';
import type { Envelope, Proof } from '../../src/store/spool.ts';

/** A log that keeps its lines. */
export function keptLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const keep = (_fields: unknown, message: string) => void lines.push(message);
  const log: Log & { lines: string[] } = {
    lines,
    debug: () => undefined,
    info: keep,
    warn: keep,
    error: keep,
    child: () => log,
  };
  return log;
}

export const newFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'intake-'));

export const envelope: Envelope = {
  from: 'ann@seller.example',
  to: [],
  helo: 'mx.seller.example',
  clientAddress: '192.0.2.1',
  tls: false,
};

export const proof: Proof = {
  verdict: 'proven',
  domain: 'seller.example',
  by: 'spf',
  spf: 'pass',
  dkim: null,
  dmarcPolicy: null,
  arc: null,
};
