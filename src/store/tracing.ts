import { messageOf } from '../lib/failure.ts';
import { newId } from '../lib/id.ts';
import type { MailboxId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { Db } from './database.ts';
import { appendTrace } from './wire-traces.ts';
import type { TracedProtocol } from './wire-traces.ts';

/** Traces of connections with mail servers, while they are made: one for each connection. */
export type Traces = {
  /** What takes the lines of one more connection. Never waits, never throws. */
  begin(mailboxId: MailboxId, protocol: TracedProtocol): (text: string) => void;
  /** Resolves when all that was said so far is written down, or cannot be. */
  written(): Promise<void>;
};

/** Of one connection; what a catch-up of ten thousand messages says without their content. */
const charsMax = 4_000_000;
const full = '# The trace is full, and ends here.\n';

/** What comes while a part is written goes into the next one. A trace that cannot be written disturbs nothing. */
export function createTraces(deps: { db: Db; log: Log }): Traces {
  const writing = new Set<Promise<void>>();
  return {
    begin(mailboxId, protocol) {
      const id = newId('trc');
      let held = '';
      let n = 0;
      let isWriting = false;
      let charsLeft = charsMax;
      const writeHeld = async () => {
        while (held !== '') {
          const text = held;
          held = '';
          n += 1;
          if (await appendTrace(deps.db, { id, mailboxId, protocol, n, text })) continue;
          charsLeft = 0;
          held = '';
        }
      };
      return (text) => {
        if (charsLeft <= 0) return;
        charsLeft -= text.length;
        held += charsLeft > 0 ? `${text}\n` : full;
        if (isWriting) return;
        isWriting = true;
        const done = writeHeld()
          .catch((error: unknown) => {
            charsLeft = 0;
            deps.log.warn({ error: messageOf(error) }, 'a trace ends: it cannot be written');
          })
          .finally(() => {
            isWriting = false;
            writing.delete(done);
          });
        writing.add(done);
      };
    },
    written: async () => void (await Promise.all(writing)),
  };
}
