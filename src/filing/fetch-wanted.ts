import { readBody, readReport } from './body.ts';
import type { Batch, Course, FilingDeps } from './file.ts';
import type { Wanted } from './judge.ts';

/** Fetches what verdicts ask for, reads it, and puts what is to be stored on its way to the disk. */
export async function fetchWanted(
  deps: FilingDeps,
  batch: Batch,
  wanted: readonly Wanted[],
  course: Course,
): Promise<void> {
  const { bodies, structures, reports } = course.fetched;
  const asked = wanted.filter(({ as }) => as === 'structure').map(({ uid }) => uid);
  const shown = asked.length > 0 ? await batch.fetchStructures(asked) : null;
  for (const uid of asked) structures.set(uid, shown?.get(uid) ?? null);
  const read = wanted.filter(({ as }) => as !== 'structure');
  if (read.length === 0) return;
  const raw = await batch.fetchBodies([...new Set(read.map(({ uid }) => uid))]);
  const limiting = { limits: course.limits, anySize: batch.again?.byHand === true };
  await Promise.all(
    read.map(async ({ uid, as }) => {
      const content = raw.get(uid);
      if (as === 'body') {
        const body = content === undefined ? null : await readBody(deps, content, limiting);
        bodies.set(uid, body?.body ?? null);
        if (body !== null) course.keeping.set(uid, body.kept);
      } else reports.set(uid, content === undefined ? null : await readReport(content));
    }),
  );
}
