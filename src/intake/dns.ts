import { Resolver } from 'node:dns/promises';
import type { Clock } from '../lib/clock.ts';

/** The records of a name: for TXT the strings of each, for others as node:dns gives them. */
type Records = string[] | string[][];

/**
 * Asks DNS for one name. Rejects with a code: `ENOTFOUND` and `ENODATA` are answers (there is none), every other is
 * no answer.
 */
export type ResolveDns = (name: string, type: string) => Promise<Records>;

/** node:dns tells no TTL of most records; five minutes are well below what SPF, DKIM and DMARC records have. */
const keptMs = 300_000;
const keptAbsentMs = 60_000;
const keptMax = 5_000;
/** One try of one server. */
const timeoutMs = 1_500;
const triesMax = 2;

/** Asks these servers (`192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`); none: the machine's own. */
export function systemDns(servers: readonly string[]): ResolveDns {
  const resolver = new Resolver({ timeout: timeoutMs, tries: triesMax });
  if (servers.length > 0) resolver.setServers(servers);
  return async (name, type) => (await resolver.resolve(name, type)) as Records;
}

/** Remembers answers, and that there was none, for some minutes; what is being asked is asked once. */
export function cachedDns(resolve: ResolveDns, clock: Clock): ResolveDns {
  const known = new Map<string, { answer: Promise<Records>; until: number }>();
  return (name, type) => {
    const key = `${type} ${name.toLowerCase()}`;
    const now = clock.monotonic();
    const found = known.get(key);
    if (found !== undefined && found.until > now) return found.answer;
    const answer = resolve(name, type);
    const entry = { answer, until: now + keptMs };
    known.delete(key);
    known.set(key, entry);
    const [oldest] = known.keys();
    if (known.size > keptMax && oldest !== undefined) known.delete(oldest);
    answer.catch((error: unknown) => {
      if (isAbsent(error)) entry.until = clock.monotonic() + keptAbsentMs;
      else if (known.get(key) === entry) known.delete(key);
    });
    return answer;
  };
}

/**
 * For one message: whoever writes its header names what is asked, and so gets no more than so many answers;
 * to the rest there is none.
 */
export function limitedDns(resolve: ResolveDns, questionsMax: number): ResolveDns {
  let questions = 0;
  return async (name, type) => {
    questions += 1;
    if (questions > questionsMax) throw Object.assign(new Error('too many questions'), { code: 'ENODATA' });
    // mailauth sorts lists in place; the remembered one stays as it is.
    return [...(await resolve(name, type))] as Records;
  };
}

/** Whether DNS has answered that there is no such record. */
export function isAbsent(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'ENODATA')
  );
}
