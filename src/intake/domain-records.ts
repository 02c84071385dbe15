import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/failure.ts';
import { isAbsent } from './dns.ts';
import type { ResolveDns } from './dns.ts';

/** What DNS said to one question: its records, none of them where there is none, or why it said nothing. */
export type Answered<Row> = { rows: Row[]; failure: null } | { rows: []; failure: string };

/** An MX record; `exchange` is empty in the one that says that a domain takes no mail (RFC 7505). */
export type MxRecord = { exchange: string; priority: number };

/** What a server's certificate has to be (RFC 6698 §2.1). */
export type TlsaRecord = { certUsage: number; selector: number; match: number; data: ArrayBuffer };

/** A host that takes the mail of a domain. */
export type MailHost = {
  name: string;
  /** A and AAAA. */
  addresses: Answered<string>;
  cname: Answered<string>;
  tlsa: Answered<TlsaRecord>;
};

/** What DNS says of the domain of the logging addresses. */
export type DomainRecords = {
  domain: string;
  mx: Answered<MxRecord>;
  /** Those of its MX records, the first ones first; without any the domain itself (RFC 5321 §5.1). */
  hosts: MailHost[];
  /** TXT records that announce MTA-STS (RFC 8461 §3.1). */
  mtaSts: Answered<string>;
};

/** One question, whatever the resolver does; ms. */
const answerMsMax = 5_000;
/** Of more hosts the first ones tell enough. */
const hostsMax = 8;

/** Asks all that matters for mail to `domain`. Never rejects: a question without an answer says so. */
export async function readDomain(
  parts: { resolve: ResolveDns; clock: Clock },
  domain: string,
): Promise<DomainRecords> {
  const ask = <Row>(name: string, type: string) => question<Row>(parts, name, type);
  const [mx, txt] = await Promise.all([
    ask<MxRecord>(domain, 'MX'),
    ask<string[]>(`_mta-sts.${domain}`, 'TXT'),
  ]);
  const named = mx.rows
    .toSorted((one, other) => one.priority - other.priority)
    .map(({ exchange }) => exchange.toLowerCase())
    .filter((name) => name !== '');
  const names = mx.failure === null && mx.rows.length === 0 ? [domain] : [...new Set(named)];
  const hosts = await Promise.all(names.slice(0, hostsMax).map((name) => readHost(ask, name)));
  const texts = txt.rows.map((strings) => strings.join(''));
  const mtaSts: Answered<string> =
    txt.failure === null
      ? { rows: texts.filter((text) => /^v=STSv1\s*(?:;|$)/.test(text)), failure: null }
      : txt;
  return { domain, mx, hosts, mtaSts };
}

type Ask = <Row>(name: string, type: string) => Promise<Answered<Row>>;

async function readHost(ask: Ask, name: string): Promise<MailHost> {
  const [a, aaaa, cname, tlsa] = await Promise.all([
    ask<string>(name, 'A'),
    ask<string>(name, 'AAAA'),
    ask<string>(name, 'CNAME'),
    ask<TlsaRecord>(`_25._tcp.${name}`, 'TLSA'),
  ]);
  const rows = [...a.rows, ...aaaa.rows];
  const failure = rows.length > 0 ? null : (a.failure ?? aaaa.failure);
  return { name, addresses: failure === null ? { rows, failure } : { rows: [], failure }, cname, tlsa };
}

async function question<Row>(
  { resolve, clock }: { resolve: ResolveDns; clock: Clock },
  name: string,
  type: string,
): Promise<Answered<Row>> {
  const done = new AbortController();
  const late = clock.sleep(answerMsMax, done.signal).then(() => {
    throw new Error(`no answer within ${answerMsMax} ms`);
  });
  try {
    // What node:dns gives for a type; see ResolveDns.
    const rows = (await Promise.race([resolve(name, type), late])) as unknown as Row[];
    return { rows, failure: null };
  } catch (error) {
    return isAbsent(error) ? { rows: [], failure: null } : { rows: [], failure: messageOf(error) };
  } finally {
    done.abort();
  }
}
