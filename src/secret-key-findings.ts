import type { Config } from './config.ts';
import { existingSecretKeys, hasData, openExistingData } from './data.ts';
import { ok, problem, warning } from './lib/finding.ts';
import type { Finding } from './lib/finding.ts';
import { createSecretBox } from './lib/secret-box.ts';
import { countSealed } from './store/sealed.ts';

/** How long PostgreSQL is waited for; ms. Everything that is sealed is counted. */
const limits = { connectMs: 5_000, statementMs: 20_000, silenceMs: 1_000 };

/** Which keys of the ring are still in use; nothing where the database cannot be opened, of which its own check tells. */
export async function secretKeyFindings(config: Config): Promise<Finding[]> {
  const keys = existingSecretKeys(config);
  if (keys === null || !hasData(config)) return [];
  const database = await openExistingData(config, limits).catch(() => null);
  if (database === null) return [];
  try {
    return judgeKeys(createSecretBox(keys).keyNames, await countSealed(database.db));
  } finally {
    await database.close();
  }
}

/** What is to be done about the keys, by what each has sealed. Pure. */
export function judgeKeys(
  ring: readonly string[],
  counts: readonly { key: string; sealed: number }[],
): Finding[] {
  const [newest = '', ...older] = ring;
  const findings: Finding[] = [];
  for (const { key, sealed } of counts) {
    if (ring.includes(key)) continue;
    findings.push(problem({ say: 'keys_unknown', count: `${sealed}`, key }, { say: 'put_key_back' }));
  }
  for (const key of older) {
    const sealed = counts.find((count) => count.key === key)?.sealed ?? 0;
    findings.push(
      sealed > 0
        ? warning({ say: 'keys_older', count: `${sealed}`, key }, { say: 'keep_key' })
        : ok({ say: 'keys_done', key }),
    );
  }
  const sealed = counts.find(({ key }) => key === newest)?.sealed ?? 0;
  return findings.length > 0 ? findings : [ok({ say: 'keys_ok', count: `${sealed}`, key: newest })];
}
