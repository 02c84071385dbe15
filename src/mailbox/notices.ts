import { comeHome, visitInTurns } from './round.ts';
import type { Line, Round } from './round.ts';

/** Folders besides its own in which the first line's server tells of new mail at once; none where it cannot. */
export async function noticedBy(line: Line, watch: Round['watch']): Promise<Set<string>> {
  return new Set(await line.session.notify([...watch.idle.slice(1), ...watch.sweep]));
}

/**
 * Looks into the folders of which the server has told, with the first line, which is at home when this begins and when
 * it ends. What is told meanwhile is looked at when this comes round again.
 */
export async function lookWhereNoticed(round: Round): Promise<void> {
  const { bell } = round.listening;
  let isAway = false;
  for (const path of round.noticed) {
    if (!bell.notes().has(path)) continue;
    bell.clear(path);
    const folder = round.folders.get(path);
    if (folder === undefined) continue;
    isAway = true;
    await visitInTurns(round, folder);
  }
  if (isAway) await comeHome(round);
}
