import { planFolder } from './plan.ts';
import { comeHome, visitShortly } from './round.ts';
import type { Line, Round } from './round.ts';
import type { Watched } from './watched.ts';

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
  const rung = [...round.noticed].filter((path) => bell.notes().has(path));
  for (const path of rung) bell.clear(path);
  const folders = rung.flatMap((path) => round.folders.get(path) ?? []);
  await visitAll(round, folders);
  // What came into one while it was open was announced as its own, and perhaps after it had been read.
  const missed: Watched[] = [];
  for (const folder of folders) {
    const observed = await round.lines[0].session.status(folder.path);
    if (observed !== null && planFolder(folder, observed).step === 'read') missed.push(folder);
  }
  // Once more, not again and again: one that the server lists and does not show waits for the safety net.
  await visitAll(round, missed);
}

async function visitAll(round: Round, folders: readonly Watched[]): Promise<void> {
  let where = 'home';
  for (const folder of folders) where = await visitShortly(round, folder);
  if (where === 'away') await comeHome(round);
}
