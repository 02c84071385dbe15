import type { Folder, Message } from './store.ts';

/**
 * A selected folder as one session knows it. Sequence numbers are places in `messages`, which changes only
 * when the client is told.
 */
export type View = {
  readonly folder: Folder;
  readonly readOnly: boolean;
  readonly messages: readonly Message[];
  /** Tells the client what has changed since the last time: expunges, new messages, flags. */
  announce(allowed: { expunges: boolean }): void;
  /** Tells the client of every change at once, until the function it returns is called (IDLE). */
  follow(): () => void;
  /** What was announced by other means need not be announced again. */
  caughtUp(): void;
  close(): void;
};

/** Opens a view of a folder; `write` sends one line, `condstore` tells whether the client wants mod-sequences. */
export function createView(
  folder: Folder,
  client: { readOnly: boolean; write: (line: string) => void; condstore: () => boolean },
): View {
  const messages = [...folder.messages];
  let seenModseq = folder.modseq;
  let stopFollowing: (() => void) | undefined;
  const announce = (allowed: { expunges: boolean }) => {
    if (folder.modseq === seenModseq && folder.messages.length === messages.length) return;
    if (allowed.expunges) announceExpunges();
    const last = messages.at(-1)?.uid ?? 0;
    for (const [index, message] of messages.entries()) {
      if (message.modseq > seenModseq)
        client.write(`* ${index + 1} FETCH ${flagsOf(message, client.condstore())}`);
    }
    const arrived = folder.messages.filter((message) => message.uid > last);
    messages.push(...arrived);
    if (arrived.length > 0) client.write(`* ${messages.length} EXISTS`);
    seenModseq = folder.modseq;
  };
  const announceExpunges = () => {
    const alive = new Set(folder.messages);
    for (let index = 0; index < messages.length;) {
      const message = messages[index];
      if (message && alive.has(message)) index += 1;
      else {
        messages.splice(index, 1);
        client.write(`* ${index + 1} EXPUNGE`);
      }
    }
  };
  return {
    folder,
    readOnly: client.readOnly,
    messages,
    announce,
    follow() {
      const push = () => announce({ expunges: true });
      push();
      folder.watchers.add(push);
      stopFollowing = () => folder.watchers.delete(push);
      return stopFollowing;
    },
    caughtUp() {
      seenModseq = folder.modseq;
    },
    close: () => stopFollowing?.(),
  };
}

/** `(UID 7 FLAGS (\Seen) MODSEQ (12))` */
export function flagsOf(message: Message, withModseq: boolean): string {
  const modseq = withModseq ? ` MODSEQ (${message.modseq})` : '';
  return `(UID ${message.uid} FLAGS (${message.flags.join(' ')})${modseq})`;
}
