import type { Config } from './config.ts';
import { hasData, openExistingData } from './data.ts';
import { serverFindings } from './doctor-findings.ts';
import type { DoctorMeans } from './doctor.ts';
import type { Clock } from './lib/clock.ts';
import { Failure, messageOf } from './lib/failure.ts';
import { ok, problem, warning } from './lib/finding.ts';
import type { Finding } from './lib/finding.ts';
import type { Providers } from './offers.ts';
import { resolveProvider } from './provider/providers.ts';
import { ping } from './store/database.ts';
import type { Db } from './store/database.ts';
import { readProviderFacts, readServerFacts } from './store/diagnosis.ts';
import type { ProviderFacts } from './store/diagnosis.ts';
import { DirectoryInUse } from './store/directory-lock.ts';
import { listNodes } from './store/overview.ts';

/** What was seen of the database, by one look. */
export type DatabaseSeen = {
  findings: Finding[];
  /** How far this machine's clock is ahead of the database's, ms; null: it was not asked, or has the same. */
  aheadMs: number | null;
  /** Null: they were not asked for. */
  providers: ProviderFacts | null;
};

/** How long PostgreSQL is waited for; ms. */
const databaseLimits = { connectMs: 5_000, statementMs: 5_000, silenceMs: 1_000 };

/** Opens the database, asks it all that doctor wants to know, and closes it. */
export async function seeDatabase(config: Config, clock: Clock): Promise<DatabaseSeen> {
  const told = (more: readonly Finding[]): DatabaseSeen => ({
    findings: [...findings, ...more],
    aheadMs: null,
    providers: null,
  });
  const findings: Finding[] = [];
  const isEmbedded = config.DATABASE_URL === null;
  if (isEmbedded && config.production) {
    findings.push(warning({ say: 'embedded_in_production' }, { say: 'use_postgresql' }));
  }
  if (!hasData(config))
    return told([warning({ say: 'no_data', folder: config.DATA_DIR }, { say: 'start_first' })]);
  try {
    const opened = await openExistingData(config, databaseLimits);
    try {
      const providers = await readProviderFacts(opened.db);
      if (isEmbedded) return { ...told([ok({ say: 'embedded_ok' })]), providers };
      const { server, aheadMs } = await seeServer(opened.db, config, clock);
      return { ...told(server), aheadMs, providers };
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (error instanceof DirectoryInUse)
      return told([ok({ say: 'embedded_in_use', pid: String(error.pid) })]);
    const fix = { say: isEmbedded ? 'mend_embedded' : 'mend_postgresql' } as const;
    return told([problem({ say: 'database_unusable', failure: messageOf(error) }, fix)]);
  }
}

/** How often it is asked the smallest question; the middle answer counts. */
const pings = 5;

async function seeServer(
  db: Db,
  config: Config,
  clock: Clock,
): Promise<{ server: Finding[]; aheadMs: number }> {
  const tookMs: number[] = [];
  for (let n = 0; n < pings; n += 1) {
    const startedAt = clock.monotonic();
    await ping(db, databaseLimits.statementMs);
    tookMs.push(clock.monotonic() - startedAt);
  }
  const answerMs = Math.ceil(tookMs.sort((a, b) => a - b)[Math.floor(pings / 2)] ?? 0);
  const facts = await readServerFacts(db);
  const aheadMs = clock.now() - facts.now;
  const nodes = (await listNodes(db)).filter(({ isGone }) => !isGone).length;
  const connectionsMine = config.DATABASE_CONNECTIONS;
  return { server: serverFindings(facts, { answerMs, connectionsMine, nodes }), aheadMs };
}

/** How doctor asks the providers. */
export function askingMeans({
  oauthOf,
}: Pick<Providers, 'oauthOf'>): Pick<DoctorMeans, 'dateOf' | 'tryClient'> {
  return {
    async dateOf(url) {
      try {
        const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(5_000) });
        const date = Date.parse(response.headers.get('date') ?? '');
        return Number.isNaN(date) ? null : date;
      } catch {
        // That it cannot be reached is told where its client is tried.
        return null;
      }
    },
    async tryClient(provider) {
      try {
        await oauthOf(provider).refresh({ refreshToken: 'a token that twoway doctor made up' });
      } catch (error) {
        if (error instanceof Failure) return error.code;
        throw error;
      }
      return 'token_revoked';
    },
  };
}

/** Where the tokens of a provider are had. */
export function tokenUrlOf(config: Config, name: 'gmail' | 'outlook'): string | null {
  const endpoints = name === 'gmail' ? config.GMAIL_ENDPOINTS : config.OUTLOOK_ENDPOINTS;
  return resolveProvider(name, endpoints).oauth?.tokenUrl ?? null;
}
