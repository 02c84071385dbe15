/** Pure: whether the certificate for STARTTLS is one that senders accept, and what DNS tells them to expect of it. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { messageOf } from '../lib/failure.ts';
import { ok, problem, warning } from '../lib/finding.ts';
import type { Finding } from '../lib/finding.ts';
import { unanswered } from './domain-findings.ts';
import type { DomainRecords, TlsaRecord } from './domain-records.ts';

/** The certificate with its chain, the host's own first, and its key in PEM. */
export type ServerCertificate = { chain: [X509Certificate, ...X509Certificate[]]; key: string };

/** The configured one; null where none is, and why it could not be read. */
export type ConfiguredCertificate = ServerCertificate | { unreadable: string } | null;

/** What looks at one needs to know; `records` is null where DNS has nothing to say of the domain. */
export type CertificateSeen = {
  certificate: ConfiguredCertificate;
  records: DomainRecords | null;
  /** ms since 1970. */
  now: number;
};

const expiresSoonMs = 14 * 24 * 3_600_000;

/** Reads PEM. Throws where there is no certificate in it, or none that can be read. */
export function parseChain(pem: string): ServerCertificate['chain'] {
  const [first, ...more] = [...pem.matchAll(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs)].map(
    ([each]) => new X509Certificate(each),
  );
  if (first === undefined) throw new Error('there is no certificate in the file');
  return [first, ...more];
}

/** Whether what STARTTLS offers is valid, and what senders that insist on that will accept. */
export function certificateFindings({ certificate, records, now }: CertificateSeen): Finding[] {
  if (certificate === null) return [warning({ say: 'certificate_none' }, { say: 'get_certificate' })];
  if ('unreadable' in certificate) {
    const failure = certificate.unreadable;
    return [problem({ say: 'certificate_unreadable', failure }, { say: 'correct_files' })];
  }
  const wrong = [
    ...keyFindings(certificate),
    ...dateFindings(certificate.chain[0], now),
    ...nameFindings(certificate.chain[0], records),
    ...chainFindings(certificate.chain, isStrict(records)),
  ];
  if (wrong.length > 0) return wrong;
  const [own] = certificate.chain;
  return [ok({ say: 'certificate_ok', names: subjectOf(own), day: day(own.validToDate) })];
}

/** Whether senders are told to deliver to nobody but a host with a valid certificate. */
function isStrict(records: DomainRecords | null): boolean {
  return records !== null && records.mtaSts.rows.length > 0;
}

function keyFindings({ chain, key }: ServerCertificate): Finding[] {
  try {
    if (chain[0].checkPrivateKey(createPrivateKey(key))) return [];
    return [problem({ say: 'key_of_another' }, { say: 'name_pair' })];
  } catch (error) {
    return [problem({ say: 'key_unusable', failure: messageOf(error) }, { say: 'name_pair_open' })];
  }
}

function dateFindings({ validFromDate, validToDate }: X509Certificate, now: number): Finding[] {
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  if (to <= now) return [problem({ say: 'certificate_expired', day: day(validToDate) }, { say: 'renew' })];
  if (from > now) {
    return [problem({ say: 'certificate_early', day: day(validFromDate) }, { say: 'look_at_clock' })];
  }
  if (to - now < expiresSoonMs)
    return [warning({ say: 'certificate_expires', day: day(validToDate) }, { say: 'renew' })];
  return [];
}

function nameFindings(certificate: X509Certificate, records: DomainRecords | null): Finding[] {
  const missing = (records?.hosts ?? []).filter(({ name }) => certificate.checkHost(name) === undefined);
  if (missing.length === 0) return [];
  const hosts = missing.map(({ name }) => name).join(', ');
  const found = { say: 'certificate_of_others', hosts, names: subjectOf(certificate) } as const;
  return [
    isStrict(records)
      ? problem(found, { say: 'get_for_hosts_strictly', hosts })
      : warning(found, { say: 'get_for_hosts', hosts }),
  ];
}

function chainFindings(chain: ServerCertificate['chain'], strict: boolean): Finding[] {
  const [own] = chain;
  const complain = strict ? problem : warning;
  if (own.checkIssued(own)) {
    return [complain({ say: 'self_signed' }, { say: 'get_public' })];
  }
  const gap = chain.slice(0, -1).find((each, n) => !each.checkIssued(chain[n + 1] ?? own));
  if (chain.length > 1 && gap === undefined) return [];
  return [complain({ say: 'chain_not_whole' }, { say: 'name_chain' })];
}

/** Whether the gateway keeps what DNS promises of its TLS: by MTA-STS (RFC 8461) and DANE (RFC 7672). */
export function tlsPolicyFindings(seen: {
  certificate: ConfiguredCertificate;
  records: DomainRecords;
}): Finding[] {
  const { certificate, records } = seen;
  const { domain, mtaSts } = records;
  const findings = records.hosts.flatMap((host) => daneFindings(host, certificate));
  if (mtaSts.failure !== null)
    findings.push(unanswered({ say: 'question_mta_sts', name: domain }, mtaSts.failure));
  else if (mtaSts.rows.length > 0 && certificate === null) {
    findings.push(problem({ say: 'mta_sts_without_tls', domain }, { say: 'set_certificate_or_policy' }));
  } else if (mtaSts.rows.length > 0) {
    findings.push(ok({ say: 'mta_sts_ok', domain }));
  }
  return findings.length > 0 ? findings : [ok({ say: 'no_policy' })];
}

function daneFindings(
  { name, tlsa }: DomainRecords['hosts'][number],
  certificate: ConfiguredCertificate,
): Finding[] {
  const place = `_25._tcp.${name}`;
  if (tlsa.failure !== null) return [unanswered({ say: 'question_tlsa', name: place }, tlsa.failure)];
  // The others are of no use for SMTP (RFC 7672 §3.1.3).
  const usable = tlsa.rows.filter(({ certUsage }) => certUsage === 2 || certUsage === 3);
  if (usable.length === 0) return [];
  if (certificate === null) {
    return [problem({ say: 'dane_without_tls', place }, { say: 'set_certificate_or_tlsa' })];
  }
  // What is wrong with it is told of the certificate itself.
  if ('unreadable' in certificate) return [];
  if (usable.some((record) => fits(record, certificate.chain))) {
    return [ok({ say: 'dane_ok', place })];
  }
  return [problem({ say: 'dane_unfit', place }, { say: 'publish_first' })];
}

/** RFC 6698 §2.1: usage 3 is the host's own certificate, 2 an authority's that must be in the chain (RFC 7671 §5.2). */
function fits({ certUsage, selector, match, data }: TlsaRecord, chain: ServerCertificate['chain']): boolean {
  return (certUsage === 3 ? chain.slice(0, 1) : chain).some((each) => {
    const bytes = selector === 1 ? each.publicKey.export({ type: 'spki', format: 'der' }) : each.raw;
    const wanted = Buffer.from(data);
    if (match === 0) return bytes.equals(wanted);
    const hash = createHash(match === 1 ? 'sha256' : 'sha512');
    return hash.update(bytes).digest().equals(wanted);
  });
}

function subjectOf({ subjectAltName, subject }: X509Certificate): string {
  const names = (subjectAltName ?? '').split(', ').map((name) => name.replace(/^DNS:/, ''));
  return names.filter((name) => name !== '').join(', ') || subject;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
