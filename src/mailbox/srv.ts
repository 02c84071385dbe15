import type { ServerAddress } from '../provider/providers.ts';
import { isHostName } from './autoconfig.ts';

/** An SRV record (RFC 2782), as node:dns gives it. */
export type SrvRecord = { name: string; port: number; priority: number; weight: number };

/** What a domain publishes: by service, its records; none where there is no answer. */
export type SrvAnswers = Readonly<Partial<Record<SrvService, readonly SrvRecord[]>>>;

/** RFC 6186 §3.1, §3.2; RFC 8314 §5.1 for the one with TLS from the start. */
export const srvServices = ['_imaps', '_imap', '_submissions', '_submission'] as const;
export type SrvService = (typeof srvServices)[number];

/** `not_offered`: the domain says that it has no such service (RFC 6186 §3.4: the target "."). */
export type SrvFinding = ServerAddress | 'not_offered' | null;

/** TLS from the start comes first (RFC 8314 §3); what has it later must have it (`starttls`). Pure. */
export function serversOf(answers: SrvAnswers): { imap: SrvFinding; smtp: SrvFinding } {
  return {
    imap: serverOf(answers._imaps, answers._imap),
    smtp: serverOf(answers._submissions, answers._submission),
  };
}

function serverOf(withTls: readonly SrvRecord[] = [], without: readonly SrvRecord[] = []): SrvFinding {
  for (const [records, security] of [
    [withTls, 'tls'],
    [without, 'starttls'],
  ] as const) {
    const [best] = records
      .filter(({ name, port }) => isHostName(name) && port > 0)
      .toSorted((one, other) => one.priority - other.priority || other.weight - one.weight);
    if (best !== undefined) return { host: best.name.toLowerCase(), port: best.port, security };
  }
  // node:dns gives the root as an empty name.
  const isNone = ({ name }: SrvRecord) => name === '' || name === '.';
  return [...withTls, ...without].some(isNone) ? 'not_offered' : null;
}
