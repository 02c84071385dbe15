import type { Config } from './config.ts';
import { existingSecretKeys, openBlobs, openExistingData } from './data.ts';
import { checkTombstones } from './filing/tombstones.ts';
import { checkBlobs } from './store/check/blobs.ts';
import { checkInvariants } from './store/check/check.ts';
import type { Checked } from './store/check/invariant.ts';
import { openSecretBox } from './store/hash-key.ts';

/** What a check came to, in words for a person. */
export type CheckReport = { text: string; isSound: boolean };

/**
 * `twoway check`: looks for data that breaks an invariant, and with `blobs` also for blobs that are not
 * there. Changes nothing, and may run beside a gateway on PostgreSQL.
 */
export async function check(config: Config, { blobs }: { blobs: boolean }): Promise<CheckReport> {
  const database = await openExistingData(config);
  try {
    const checked = await checkInvariants(database.db);
    const keys = existingSecretKeys(config);
    const secretBox = keys === null ? null : await openSecretBox(database.db, keys);
    if (secretBox !== null) checked.push(await checkTombstones(database.db, secretBox));
    if (blobs) checked.push(await checkBlobs(database.db, (await openBlobs(config)).blobs));
    return reportOf(checked);
  } finally {
    await database.close();
  }
}

function reportOf(checked: readonly Checked[]): CheckReport {
  const broken = checked.filter(({ count }) => count > 0);
  const summary =
    broken.length === 0
      ? `All ${checked.length} invariants hold.`
      : `${broken.length} of ${checked.length} invariants ${broken.length === 1 ? 'is' : 'are'} broken.`;
  return {
    text: `${[...checked.flatMap(linesOf), '', summary].join('\n')}\n`,
    isSound: broken.length === 0,
  };
}

function linesOf({ name, rules, holds, count, examples }: Checked): string[] {
  const title = `${name} (${rules.join(', ')})`;
  if (count === 0) return [`ok      ${title}`];
  return [
    `BROKEN  ${title}: ${count} ${count === 1 ? 'row' : 'rows'}`,
    `        ${holds}`,
    ...examples.map((row) => `        ${wordsOf(row)}`),
    ...(count > examples.length ? [`        … and ${count - examples.length} more`] : []),
  ];
}

function wordsOf(row: Checked['examples'][number]): string {
  return Object.entries(row)
    .map(([name, value]) => `${name} ${value ?? 'none'}`)
    .join(', ');
}
