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
const renew =
  'Renew it (with certbot: certbot renew) and see that the renewal runs by itself; the gateway takes the new files within a minute.';

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
  if (certificate === null) {
    return [
      warning(
        'there is none: mail to the logging addresses comes in plain text',
        'Get a certificate for the MX host and name its files in TWOWAY_SMTP_TLS_CERT (with the chain) and TWOWAY_SMTP_TLS_KEY.',
      ),
    ];
  }
  if ('unreadable' in certificate) {
    return [
      problem(
        `it cannot be read: ${certificate.unreadable}`,
        'Correct TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, and let the user of the gateway read both files; without them it does not start.',
      ),
    ];
  }
  const wrong = [
    ...keyFindings(certificate),
    ...dateFindings(certificate.chain[0], now),
    ...nameFindings(certificate.chain[0], records),
    ...chainFindings(certificate.chain, isStrict(records)),
  ];
  if (wrong.length > 0) return wrong;
  return [
    ok(`it is ${subjectOf(certificate.chain[0])}, and valid until ${day(certificate.chain[0].validToDate)}`),
  ];
}

/** Whether senders are told to deliver to nobody but a host with a valid certificate. */
function isStrict(records: DomainRecords | null): boolean {
  return records !== null && records.mtaSts.rows.length > 0;
}

function keyFindings({ chain, key }: ServerCertificate): Finding[] {
  const pair =
    'Name the certificate and the key that were made together, in TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY.';
  try {
    if (chain[0].checkPrivateKey(createPrivateKey(key))) return [];
    return [problem('the key is that of another certificate', pair)];
  } catch (error) {
    return [problem(`the key cannot be used: ${messageOf(error)}`, `${pair} The key must have no password.`)];
  }
}

function dateFindings({ validFromDate, validToDate }: X509Certificate, now: number): Finding[] {
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  if (to <= now) return [problem(`it has expired on ${day(validToDate)}`, renew)];
  if (from > now) {
    return [
      problem(
        `it is valid only from ${day(validFromDate)} on`,
        "Look at this machine's clock; if that is right, use the certificate from before until then.",
      ),
    ];
  }
  if (to - now < expiresSoonMs) return [warning(`it expires on ${day(validToDate)}`, renew)];
  return [];
}

function nameFindings(certificate: X509Certificate, records: DomainRecords | null): Finding[] {
  const missing = (records?.hosts ?? []).filter(({ name }) => certificate.checkHost(name) === undefined);
  if (missing.length === 0) return [];
  const names = missing.map(({ name }) => name).join(', ');
  return [
    (isStrict(records) ? problem : warning)(
      `it is not for ${names}, which the MX record names, but for ${subjectOf(certificate)}`,
      `Get one with the name ${names}.${strictWords(records)}`,
    ),
  ];
}

function chainFindings(chain: ServerCertificate['chain'], strict: boolean): Finding[] {
  const [own] = chain;
  const complain = strict ? problem : warning;
  if (own.checkIssued(own)) {
    return [
      complain(
        'it is self-signed: senders encrypt with it, and those that check it do not deliver',
        "Get one of a public authority, such as Let's Encrypt.",
      ),
    ];
  }
  const gap = chain.slice(0, -1).find((each, n) => !each.checkIssued(chain[n + 1] ?? own));
  if (chain.length > 1 && gap === undefined) return [];
  return [
    complain(
      'its chain is not whole: the file lacks the certificate of the authority that issued it',
      'Name the file with the whole chain in TWOWAY_SMTP_TLS_CERT (with certbot: fullchain.pem), the own certificate first.',
    ),
  ];
}

function strictWords(records: DomainRecords | null): string {
  return isStrict(records) ? ' The MTA-STS policy has senders refuse every other.' : '';
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
    findings.push(unanswered(`whether ${domain} has an MTA-STS policy`, mtaSts.failure));
  else if (mtaSts.rows.length > 0 && certificate === null) {
    findings.push(
      problem(
        `_mta-sts.${domain} announces an MTA-STS policy, but the gateway offers no STARTTLS: where the policy is to enforce, senders do not deliver`,
        `Set TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, or let the policy say "mode: none" until there is a certificate.`,
      ),
    );
  } else if (mtaSts.rows.length > 0) {
    findings.push(ok(`_mta-sts.${domain} announces an MTA-STS policy; its file must name the same MX hosts`));
  }
  return findings.length > 0
    ? findings
    : [ok('DNS asks senders for no certificate (neither MTA-STS nor DANE)')];
}

function daneFindings(
  { name, tlsa }: DomainRecords['hosts'][number],
  certificate: ConfiguredCertificate,
): Finding[] {
  const place = `_25._tcp.${name}`;
  if (tlsa.failure !== null) return [unanswered(`the TLSA records of ${place}`, tlsa.failure)];
  // The others are of no use for SMTP (RFC 7672 §3.1.3).
  const usable = tlsa.rows.filter(({ certUsage }) => certUsage === 2 || certUsage === 3);
  if (usable.length === 0) return [];
  if (certificate === null) {
    return [
      problem(
        `${place} has TLSA records, but the gateway offers no STARTTLS: senders that know DANE do not deliver`,
        'Set TWOWAY_SMTP_TLS_CERT and TWOWAY_SMTP_TLS_KEY, or remove the TLSA records.',
      ),
    ];
  }
  // What is wrong with it is told of the certificate itself.
  if ('unreadable' in certificate) return [];
  if (usable.some((record) => fits(record, certificate.chain))) {
    return [ok(`${place} has TLSA records, and the certificate fits one of them`)];
  }
  return [
    problem(
      `${place} has TLSA records, and none fits the certificate: senders that know DANE do not deliver`,
      'Publish a record for the new key (usage 3, selector 1, SHA-256) before each change of keys, or let renewals keep the key.',
    ),
  ];
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
