import type { SecretBox } from '../../lib/secret-box.ts';
import { clientOf } from '../../lib/networks.ts';
import { currentClient, writeAudit } from '../../store/audit.ts';
import type { Db } from '../../store/database.ts';
import { forgetTries, takeTry } from '../../store/sign-in-tries.ts';

/*
 * How guessing is slowed down: by account, whether there is one or not, by client, and for codes by account again. The
 * pauses grow, and are short enough that nobody can keep an administrator out for long.
 */

/** How long the next try waits after the first, the second …; seconds. */
const pauses = {
  account: [0, 0, 0, 0, 15, 30, 60, 120, 300, 900],
  code: [0, 0, 0, 0, 30, 60, 120, 300, 900],
  client: [...Array.from({ length: 19 }, () => 0), 30, 60, 120, 300, 900],
} as const satisfies Record<string, readonly number[]>;

/** Whose tries are counted: an address as it was typed, an id, and the client that asks. */
export type Tried = { kind: 'account' | 'code'; of: string } | { kind: 'client' };

type TryDeps = { db: Db; secretBox: SecretBox };

/** Counts a try of each; answers until when to wait where one of them has to, RFC 3339, and null where none has. */
export async function mayTry(
  deps: TryDeps,
  tried: readonly Tried[],
): Promise<{ until: string } | { until: null; tries: number }> {
  let tries = 0;
  for (const each of tried) {
    const taken = await takeTry(deps.db, { whose: hashOf(deps, each), pausesSeconds: pauses[each.kind] });
    if (!taken.allowed) return { until: taken.until };
    ({ tries } = taken);
    // One entry for each pause: whoever tries as many addresses fills no log.
    if (each.kind === 'client' && taken.pauseSeconds > 0) {
      await writeAudit(deps.db, {
        administratorId: null,
        action: 'sign_in.client_paused',
        subject: currentClient(),
        details: { tries, seconds: taken.pauseSeconds },
      });
    }
  }
  return { until: null, tries };
}

/** Forgets them, when it was the right one. */
export async function succeeded(deps: TryDeps, tried: readonly Tried[]): Promise<void> {
  await forgetTries(
    deps.db,
    tried.map((each) => hashOf(deps, each)),
  );
}

function hashOf(deps: TryDeps, tried: Tried): Buffer {
  const of = tried.kind === 'client' ? clientOf(currentClient() ?? '') : tried.of;
  return deps.secretBox.mac('sign-in tries', `${tried.kind} ${of}`);
}
