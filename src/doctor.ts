import { readFile, statfs } from 'node:fs/promises';
import type { Config } from './config.ts';
import { hasData, openExistingData, spoolDirectory } from './data.ts';
import { askSmtp } from './intake/ask-smtp.ts';
import type { Dial } from './intake/ask-smtp.ts';
import { certificateFindings, parseChain, tlsPolicyFindings } from './intake/certificate-findings.ts';
import type { ConfiguredCertificate } from './intake/certificate-findings.ts';
import { systemDns } from './intake/dns.ts';
import type { ResolveDns } from './intake/dns.ts';
import { hostFindings, mxFindings } from './intake/domain-findings.ts';
import { readDomain } from './intake/domain-records.ts';
import type { DomainRecords } from './intake/domain-records.ts';
import { lookAtSpool, nearestFolder } from './intake/look-at-spool.ts';
import { smtpFindings, wayFindings } from './intake/smtp-findings.ts';
import type { SmtpPort } from './intake/smtp-findings.ts';
import { spoolLimits } from './intake/spool.ts';
import { systemClock } from './lib/clock.ts';
import type { Clock } from './lib/clock.ts';
import { messageOf } from './lib/failure.ts';
import { ok, problem, warning } from './lib/finding.ts';
import type { Finding } from './lib/finding.ts';
import { hasSandbox, loggingDomainOf } from './offers.ts';
import { DirectoryInUse } from './store/directory-lock.ts';

/** What it looks with. */
export type DoctorMeans = {
  resolve: ResolveDns;
  dial?: Dial;
  clock: Clock;
  /** Bytes that the gateway may still write to the disk of a folder. */
  freeBytes(folder: string): Promise<number>;
};

/** What several checks look at. */
type Seen = {
  config: Config;
  means: DoctorMeans;
  /** Of the logging domain; null where there is none, or it is the sandbox's, of which DNS knows nothing. */
  records: DomainRecords | null;
  certificate: ConfiguredCertificate;
  smtp: SmtpPort;
};

/** One row of the list; without findings it has nothing to say of this configuration. */
type Check = { name: string; look(seen: Seen): Finding[] | Promise<Finding[]> };

const checks: readonly Check[] = [
  { name: 'public address', look: ({ config }) => publicAddress(config) },
  { name: 'database', look: ({ config }) => database(config) },
  { name: 'disk', look: ({ config, means }) => disk(config, means) },
  { name: 'logging domain', look: ({ config }) => loggingDomain(config) },
  { name: 'MX record', look: ({ records }) => (records === null ? [] : mxFindings(records)) },
  { name: 'MX host', look: ({ records }) => (records === null ? [] : hostFindings(records)) },
  { name: 'way of the mail', look: ({ config, records }) => (records === null ? [] : way(config)) },
  { name: 'SMTP port', look: smtpPort },
  { name: 'certificate', look: certificate },
  { name: 'TLS policy', look: tlsPolicy },
  { name: 'spool', look: ({ config }) => spool(config) },
];

/** What was found of one thing. */
export type Examined = { name: string; finding: Finding };

/**
 * Looks whether everything around the gateway is as it needs it, with the fix for what is not. Changes nothing, and
 * sends nothing but questions to DNS, the database and the gateway's own port; each has some seconds.
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
  const summary =
    count('problem') + count('warning') === 0
      ? 'Everything is as it should be.'
      : `${counted(count('problem'), 'problem')}, ${counted(count('warning'), 'warning')}.`;
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
  };
}

/** A look that fails is a finding, and keeps no other from being told. */
async function found(look: () => Finding[] | Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    const fix = 'Run this as the user of the gateway, with its settings.';
    return [problem(`this could not be looked at: ${messageOf(error)}`, fix)];
  }
}

function linesOf({ name, finding }: Examined): string[] {
  // OpenSSL's words have line breaks.
  const words = finding.found.replaceAll(/\s+/g, ' ').trim();
  const line = `${finding.level.padEnd(9)}${name}: ${words}`;
  return finding.level === 'ok' ? [line] : [line, `${' '.repeat(9)}${finding.fix}`];
}

function counted(count: number, what: string): string {
  return `${count === 0 ? 'No' : count} ${what}${count === 1 ? '' : 's'}`;
}

async function see(config: Config, means: DoctorMeans): Promise<Seen> {
  const { LOGGING_DOMAIN: domain, SMTP_HOST: host, SMTP_PORT: port, SMTP_PROXIES: proxies } = config;
  // Where it listens everywhere, it answers on loopback.
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const [records, configured, seen] = await Promise.all([
    domain === null ? null : readDomain(means, domain),
    readCertificate(config),
    port === 0 ? null : askSmtp({ host: near, port, proxies }, means.dial),
  ]);
  return { config, means, records, certificate: configured, smtp: { host: near, port, seen } };
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
  if (!production) return [ok(url === '' ? 'the HTTP address, since this is no production' : url)];
  if (url.startsWith('https://')) return [ok(url)];
  return [
    problem(
      url === '' ? 'TWOWAY_PUBLIC_URL is not set' : `${url} is not https`,
      'Set TWOWAY_PUBLIC_URL to the https address at which browsers reach the gateway; Google and Microsoft accept no other.',
    ),
  ];
}

/** How long PostgreSQL is waited for; ms. */
const databaseLimits = { connectMs: 5_000, statementMs: 5_000, silenceMs: 1_000 };

async function database(config: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  const isEmbedded = config.DATABASE_URL === null;
  if (isEmbedded && config.production) {
    findings.push(
      warning(
        'it is the embedded one, which does not survive a power cut',
        'For production set TWOWAY_DATABASE_URL to PostgreSQL 15 or later.',
      ),
    );
  }
  if (!hasData(config)) {
    const fix =
      'The first start makes it. Otherwise set TWOWAY_DATA_DIR or TWOWAY_DATABASE_URL as the gateway has them.';
    return [...findings, warning(`there is none in ${config.DATA_DIR} yet`, fix)];
  }
  try {
    const opened = await openExistingData(config, databaseLimits);
    await opened.close();
    return [...findings, ok(`${isEmbedded ? 'the embedded one' : 'PostgreSQL'}, of this version`)];
  } catch (error) {
    if (error instanceof DirectoryInUse)
      return [...findings, ok(`the embedded one, in use by the gateway (process ${error.pid})`)];
    const fix = isEmbedded
      ? 'Where it is older, start the gateway once; otherwise see that its user may write in TWOWAY_DATA_DIR.'
      : 'Where it is older, start the gateway once; otherwise see that PostgreSQL runs, and that TWOWAY_DATABASE_URL is right.';
    return [...findings, problem(`it cannot be used: ${messageOf(error)}`, fix)];
  }
}

/** Below it, mail is refused soon, and nothing can be stored. */
const freeBytesMin = 1024 ** 3;

async function disk({ DATA_DIR: folder }: Config, { freeBytes }: DoctorMeans): Promise<Finding[]> {
  const free = await freeBytes(await nearestFolder(folder));
  const told = `${sizeOf(free)} are free for TWOWAY_DATA_DIR (${folder})`;
  const fix = 'Make room on that disk, or move TWOWAY_DATA_DIR to a larger one.';
  if (free < freeBytesMin) return [problem(told, fix)];
  if (free < spoolLimits.bytesMax) {
    const most = sizeOf(spoolLimits.bytesMax);
    return [warning(`${told}; logged mail alone may take ${most} while the database is away`, fix)];
  }
  return [ok(told)];
}

function loggingDomain(config: Config): Finding[] {
  const domain = loggingDomainOf(config);
  if (domain === null) {
    return [
      warning(
        'there is none: no user has a logging address, and no mail to one is taken',
        'Set TWOWAY_LOGGING_DOMAIN to a domain of yours that is for nothing else (log.crm.example); README, section "The logging address".',
      ),
    ];
  }
  if (config.LOGGING_DOMAIN !== null) return [ok(domain)];
  return [
    ok(
      `${domain}, which is the sandbox's: DNS says nothing of it, and only the sandbox's people can write there`,
    ),
  ];
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
  const { directory, unwritable, bytes, left } = await lookAtSpool(spoolDirectory(config));
  const abandoned = left.map((other) =>
    warning(
      `${sizeOf(other.bytes)} of accepted mail wait in ${other.directory}, which no gateway uses`,
      'Start the gateway once under the host name that the folder is named after, so that it hands the mail over. In a container give it a fixed host name.',
    ),
  );
  if (unwritable !== null) {
    const fix =
      'Let the user of the gateway write there; until then all mail to logging addresses is put off.';
    return [...abandoned, problem(`nothing can be written in ${directory}: ${unwritable}`, fix)];
  }
  const told = `${sizeOf(bytes)} in ${directory}`;
  if (bytes < spoolLimits.bytesMax / 2) return [...abandoned, ok(told)];
  const fix = `See that the gateway runs and reaches its database: past ${sizeOf(spoolLimits.bytesMax)} mail is put off.`;
  return [
    ...abandoned,
    (bytes < spoolLimits.bytesMax ? warning : problem)(`${told} wait for the database`, fix),
  ];
}

function sizeOf(bytes: number): string {
  return bytes < 1024 ** 3 ? `${Math.ceil(bytes / 1024 ** 2)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}
