import { readFile, statfs } from 'node:fs/promises';
import type { Config } from './config.ts';
import { blobsDirectory, openBlobs, spoolDirectory } from './data.ts';
import { clientFindings, clockFindings, consentFindings } from './doctor-findings.ts';
import { askingMeans, seeDatabase, tokenUrlOf } from './doctor-means.ts';
import type { DatabaseSeen } from './doctor-means.ts';
import { askSmtp } from './intake/ask-smtp.ts';
import type { Dial } from './intake/ask-smtp.ts';
import { certificateFindings, parseChain, tlsPolicyFindings } from './intake/certificate-findings.ts';
import type { ConfiguredCertificate } from './intake/certificate-findings.ts';
import { systemDns } from './intake/dns.ts';
import type { ResolveDns } from './intake/dns.ts';
import { hostFindings, mxFindings } from './intake/domain-findings.ts';
import { readDomain } from './intake/domain-records.ts';
import type { DomainRecords } from './intake/domain-records.ts';
import { lookAtSpool, nearestFolder, whyUnwritable } from './intake/look-at-spool.ts';
import { smtpFindings, wayFindings } from './intake/smtp-findings.ts';
import type { SmtpPort } from './intake/smtp-findings.ts';
import { spoolLimits } from './intake/spool.ts';
import { systemClock } from './lib/clock.ts';
import type { Clock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import { ok, problem, warning } from './lib/finding.ts';
import type { CheckName, Finding } from './lib/finding.ts';
import { findingEnglish } from './lib/finding-words.ts';
import { say } from './lib/said.ts';
import { createProviders, hasSandbox, loggingDomainOf } from './offers.ts';
import { secretKeyFindings } from './secret-key-findings.ts';

/** What it looks with. */
export type DoctorMeans = {
  resolve: ResolveDns;
  dial?: Dial;
  clock: Clock;
  /** Bytes that the gateway may still write to the disk of a folder. */
  freeBytes(folder: string): Promise<number>;
  /** What time a server says it is, in ms since the epoch; null: it says nothing. */
  dateOf(url: string): Promise<number | null>;
  /** The code of the failure that a token endpoint answers to a refresh token which nobody has. */
  tryClient(provider: 'gmail' | 'outlook'): Promise<string>;
};

/** What several checks look at. */
type Seen = {
  config: Config;
  means: DoctorMeans;
  /** Of the logging domain; null where there is none, or it is the sandbox's, of which DNS knows nothing. */
  records: DomainRecords | null;
  certificate: ConfiguredCertificate;
  smtp: SmtpPort;
  database: DatabaseSeen;
};

/** One row of the list; without findings it has nothing to say of this configuration. */
type Check = { name: CheckName; look(seen: Seen): Finding[] | Promise<Finding[]> };

const checks: readonly Check[] = [
  { name: 'check_public_address', look: ({ config }) => publicAddress(config) },
  { name: 'check_database', look: ({ database }) => database.findings },
  { name: 'check_secret_keys', look: ({ config }) => secretKeyFindings(config) },
  { name: 'check_clock', look: clock },
  { name: 'check_disk', look: ({ config, means }) => disk(config, means) },
  { name: 'check_blobs', look: ({ config }) => blobs(config) },
  { name: 'check_google_client', look: ({ config, means }) => client(config, means, 'gmail') },
  { name: 'check_microsoft_client', look: ({ config, means }) => client(config, means, 'outlook') },
  { name: 'check_consents', look: consents },
  { name: 'check_logging_domain', look: ({ config }) => loggingDomain(config) },
  { name: 'check_mx_record', look: ({ records }) => (records === null ? [] : mxFindings(records)) },
  { name: 'check_mx_host', look: ({ records }) => (records === null ? [] : hostFindings(records)) },
  { name: 'check_way', look: ({ config, records }) => (records === null ? [] : way(config)) },
  { name: 'check_smtp_port', look: smtpPort },
  { name: 'check_certificate', look: certificate },
  { name: 'check_tls_policy', look: tlsPolicy },
  { name: 'check_spool', look: ({ config }) => spool(config) },
];

/** What was found of one thing. */
export type Examined = { name: CheckName; finding: Finding };

/**
 * Looks whether everything around the gateway is as it needs it, with the fix for what is not. Changes nothing, and
 * sends nothing but questions to DNS, the database, the gateway's own port and the token endpoints of the providers that
 * are configured; each has some seconds.
 */
export async function examine(config: Config, means: DoctorMeans = systemMeans(config)): Promise<Examined[]> {
  const seen = await see(config, means);
  const told = await Promise.all(
    checks.map(async ({ name, look }) => {
      const findings = await found(() => look(seen));
      return findings.map((finding) => ({ name, finding }));
    }),
  );
  return told.flat();
}

/** `twoway doctor`: the same, as text. `isSound`: there is no problem; warnings do not count. */
export async function doctor(
  config: Config,
  means?: DoctorMeans,
): Promise<{ text: string; isSound: boolean }> {
  const all = await examine(config, means);
  const count = (level: Finding['level']) => all.filter(({ finding }) => finding.level === level).length;
  const amiss = (['problem', 'warning'] as const).filter((level) => count(level) > 0);
  const summary =
    amiss.length === 0
      ? 'Everything is as it should be.'
      : `${amiss.map((level) => counted(count(level), level)).join(', ')}.`;
  return {
    text: `${[...all.flatMap(linesOf), '', summary].join('\n')}\n`,
    isSound: count('problem') === 0,
  };
}

function systemMeans(config: Config): DoctorMeans {
  return {
    resolve: systemDns(config.DNS_SERVERS),
    clock: systemClock,
    async freeBytes(folder) {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    ...askingMeans(createProviders(config, null)),
  };
}

/** A look that fails is a finding, and keeps no other from being told. */
async function found(look: () => Finding[] | Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [problem({ say: 'not_looked', failure: messageOf(error) }, { say: 'run_as_gateway' })];
  }
}

function linesOf({ name, finding }: Examined): string[] {
  // OpenSSL's words have line breaks.
  const words = say(findingEnglish, finding.found).replaceAll(/\s+/g, ' ').trim();
  const line = `${finding.level.padEnd(9)}${findingEnglish[name]}: ${words}`;
  return finding.level === 'ok' ? [line] : [line, `${' '.repeat(9)}${say(findingEnglish, finding.fix)}`];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

async function see(config: Config, means: DoctorMeans): Promise<Seen> {
  const { LOGGING_DOMAIN: domain, SMTP_HOST: host, SMTP_PORT: port, SMTP_PROXIES: proxies } = config;
  // Where it listens everywhere, it answers on loopback.
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const [records, configured, seen, database] = await Promise.all([
    domain === null ? null : readDomain(means, domain),
    readCertificate(config),
    port === 0 ? null : askSmtp({ host: near, port, proxies }, means.dial),
    seeDatabase(config, means.clock),
  ]);
  return { config, means, records, certificate: configured, smtp: { host: near, port, seen }, database };
}

async function readCertificate(config: Config): Promise<ConfiguredCertificate> {
  const { SMTP_TLS_CERT: certPath, SMTP_TLS_KEY: keyPath } = config;
  if (certPath === null || keyPath === null) return null;
  try {
    const [pem, key] = await Promise.all([readFile(certPath, 'utf8'), readFile(keyPath, 'utf8')]);
    return { chain: parseChain(pem), key };
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}

function publicAddress({ PUBLIC_URL: url, production }: Config): Finding[] {
  if (!production && url === '') return [ok({ say: 'url_by_default' })];
  if (!production || url.startsWith('https://')) return [ok({ say: 'as_set', value: url })];
  return [problem(url === '' ? { say: 'url_not_set' } : { say: 'url_not_https', url }, { say: 'set_url' })];
}

/** One clock against another is no better than the time that an answer takes. */
async function clock({ config, means, database }: Seen): Promise<Finding[]> {
  const ahead: Parameters<typeof clockFindings>[0][number][] = [{ whose: 'database', ms: database.aheadMs }];
  const configured = [
    { whose: 'Google' as const, url: config.GOOGLE_CLIENT_ID === null ? null : tokenUrlOf(config, 'gmail') },
    {
      whose: 'Microsoft' as const,
      url: config.MICROSOFT_CLIENT_ID === null ? null : tokenUrlOf(config, 'outlook'),
    },
  ];
  for (const { whose, url } of configured) {
    const date = url === null ? null : await means.dateOf(url);
    // A Date header has whole seconds (RFC 9110 §5.6.7).
    ahead.push({ whose, ms: date === null ? null : means.clock.now() - date - 500 });
  }
  return clockFindings(ahead);
}

async function client(
  config: Config,
  { tryClient }: DoctorMeans,
  name: 'gmail' | 'outlook',
): Promise<Finding[]> {
  const id = name === 'gmail' ? config.GOOGLE_CLIENT_ID : config.MICROSOFT_CLIENT_ID;
  if (id === null) return [];
  return clientFindings(name === 'gmail' ? 'Google' : 'Microsoft', await tryClient(name));
}

function consents({ config, database }: Seen): Finding[] {
  if (database.providers === null) return [];
  return consentFindings(database.providers, createProviders(config, null).of);
}

async function blobs(config: Config): Promise<Finding[]> {
  const { S3_BUCKET: bucket } = config;
  if (bucket !== null) {
    try {
      // What there is not: a bucket says of itself what is the matter.
      await (await openBlobs(config)).blobs.size('0'.repeat(64));
      return [ok({ say: 'bucket_ok', bucket })];
    } catch (error) {
      return [problem({ say: 'bucket_unusable', bucket, failure: messageOf(error) }, { say: 'mend_bucket' })];
    }
  }
  const folder = blobsDirectory(config);
  const failure = await whyUnwritable(folder);
  if (failure === null) return [ok({ say: 'blobs_ok', folder })];
  return [problem({ say: 'blobs_unwritable', folder, failure }, { say: 'let_write_blobs' })];
}

/** Below it, mail is refused soon, and nothing can be stored. */
const freeBytesMin = 1024 ** 3;

async function disk({ DATA_DIR: folder }: Config, { freeBytes }: DoctorMeans): Promise<Finding[]> {
  const bytes = await freeBytes(await nearestFolder(folder));
  const told = { say: 'disk_free', free: sizeOf(bytes), folder } as const;
  if (bytes < freeBytesMin) return [problem(told, { say: 'make_room' })];
  if (bytes >= spoolLimits.bytesMax) return [ok(told)];
  return [warning({ ...told, say: 'disk_short', most: sizeOf(spoolLimits.bytesMax) }, { say: 'make_room' })];
}

function loggingDomain(config: Config): Finding[] {
  const domain = loggingDomainOf(config);
  if (domain === null) {
    return [warning({ say: 'no_logging_domain' }, { say: 'set_logging_domain' })];
  }
  if (config.LOGGING_DOMAIN !== null) return [ok({ say: 'as_set', value: domain })];
  return [ok({ say: 'sandbox_domain', domain })];
}

function way({ SMTP_HOST: host, SMTP_PORT: port, SMTP_PROXIES: proxies }: Config): Finding[] {
  return port === 0 ? [] : wayFindings({ host, port, proxies });
}

function smtpPort({ config, smtp, certificate: configured }: Seen): Finding[] {
  // A sandbox in development has any port.
  if (smtp.seen === null && config.LOGGING_DOMAIN === null && hasSandbox(config)) return [];
  const isUsable = configured !== null && 'chain' in configured;
  const fingerprint = isUsable ? configured.chain[0].fingerprint256 : null;
  return smtpFindings(smtp, { domain: loggingDomainOf(config), fingerprint });
}

function certificate({ certificate: configured, records, means }: Seen): Finding[] {
  if (configured === null && records === null) return [];
  return certificateFindings({ certificate: configured, records, now: means.clock.now() });
}

function tlsPolicy({ certificate: configured, records }: Seen): Finding[] {
  return records === null ? [] : tlsPolicyFindings({ certificate: configured, records });
}

async function spool(config: Config): Promise<Finding[]> {
  const { directory: folder, unwritable, bytes, left } = await lookAtSpool(spoolDirectory(config));
  const abandoned = left.map((other) =>
    warning(
      { say: 'spool_abandoned', size: sizeOf(other.bytes), folder: other.directory },
      { say: 'start_under_name' },
    ),
  );
  if (unwritable !== null) {
    const found = { say: 'spool_unwritable', folder, failure: unwritable } as const;
    return [...abandoned, problem(found, { say: 'let_write' })];
  }
  const size = sizeOf(bytes);
  if (bytes < spoolLimits.bytesMax / 2) return [...abandoned, ok({ say: 'spool_ok', size, folder })];
  const fix = { say: 'see_it_runs', most: sizeOf(spoolLimits.bytesMax) } as const;
  const complain = bytes < spoolLimits.bytesMax ? warning : problem;
  return [...abandoned, complain({ say: 'spool_waits', size, folder }, fix)];
}

function sizeOf(bytes: number): string {
  return bytes < 1024 ** 3 ? `${Math.ceil(bytes / 1024 ** 2)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}
