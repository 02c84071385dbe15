import { touchMessages } from '../store/changed-messages.ts';
import { endCopy } from '../store/sent-copies.ts';
import type { AwaitedCopy, CopyEnd } from '../store/sent-copies.ts';
import { noEffects } from './effects.ts';
import { tellEffects } from './events.ts';
import { inOne } from './places.ts';
import type { Deps } from './places.ts';

/** Writes down how it ended with a send's copy in Sent, and tells the CRM (U1). Nothing when somebody else has it by now. */
export function noteCopyEnd(
  deps: Deps,
  copy: Pick<AwaitedCopy, 'id' | 'messageId'>,
  end: CopyEnd & { owner: string },
): Promise<void> {
  return inOne(deps, async (tx) => {
    const { owner, outcome, reason, isRefused } = end;
    if (!(await endCopy(tx, { id: copy.id, owner, outcome, reason, isRefused }))) return 0;
    await touchMessages(tx, [copy.messageId]);
    return (await tellEffects(tx, noEffects(), { messages: [copy.messageId], sends: [] })).length;
  });
}
