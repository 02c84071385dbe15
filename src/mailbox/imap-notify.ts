import type { ImapFlow } from 'imapflow';

/** What imapflow (2.10.2) does for its own commands, of which NOTIFY is none. */
type Commanding = {
  exec(command: string, attributes: Argument[], options: object): Promise<{ next(): void }>;
  /** Called for what the server says by itself; what it says to a command of the library goes there. */
  untaggedHandlers: Record<string, (said: Said) => Promise<void>>;
  sectionHandlers: Record<string, () => Promise<void>>;
};
type Argument = { type: 'ATOM' | 'STRING'; value: string } | Argument[];
type Said = { attributes?: { value?: unknown }[] };

/** Folders of one mailbox that are noticed, at most; the others are swept. Dovecot (2.3.19) takes a hundred and refuses two hundred. */
const pathsMax = 100;

/**
 * Asks the server to tell, on this one connection, of new mail in folders that are not open (NOTIFY, RFC 5465; Dovecot
 * has it). Answers of which it will: none where it cannot. `onNotice` is called with a path; what is asked by STATUS or
 * LIST is no notice. A server that can keep up no longer has its connection closed, so that a new one asks anew.
 */
export async function askForNotices(
  client: ImapFlow,
  paths: readonly string[],
  onNotice: (path: string) => void,
): Promise<string[]> {
  const asked = paths.filter(isPlain).slice(0, pathsMax);
  if (!client.capabilities.has('NOTIFY') || asked.length === 0) return [];
  const { untaggedHandlers, sectionHandlers, exec } = client as unknown as Commanding;
  const wanted = new Set(asked);
  // §5.8: it has stopped telling, or (in its refusal) will not begin.
  let isOn = false;
  sectionHandlers['NOTIFICATIONOVERFLOW'] = () => Promise.resolve(isOn ? client.close() : undefined);
  untaggedHandlers['STATUS'] = ({ attributes }) => {
    const path = attributes?.[0]?.value;
    if (typeof path === 'string' && wanted.has(path)) onNotice(path);
    return Promise.resolve();
  };
  try {
    const done = await exec.call(client, 'NOTIFY', argumentsFor(asked), {});
    done.next();
    isOn = true;
    return asked;
  } catch (error) {
    // It offers NOTIFY and refuses it (NO, BAD): the folders get what those of other servers get.
    if (client.isClosed) throw error;
    return [];
  }
}

/** In other paths there are signs that IMAP writes in a way of its own (RFC 3501 §5.1.3, or UTF-8), which differs by server. */
function isPlain(path: string): boolean {
  return /^[\x20-\x7e]+$/.test(path) && !/[&"\\]/.test(path);
}

/**
 * What comes in the folders, and of the open one what a server tells without NOTIFY (§3: with it, it would tell nothing
 * else); delayed, so that sequence numbers stay true during a command (§5.2).
 */
function argumentsFor(paths: readonly string[]): Argument[] {
  const atoms = (...values: string[]): Argument[] => values.map((value) => ({ type: 'ATOM', value }));
  const folders = paths.map((value): Argument => ({ type: 'STRING', value }));
  const list: Argument = folders.length === 1 && folders[0] !== undefined ? folders[0] : folders;
  return [
    ...atoms('SET'),
    [...atoms('SELECTED-DELAYED'), atoms('MessageNew', 'MessageExpunge', 'FlagChange')],
    [...atoms('MAILBOXES'), list, atoms('MessageNew', 'MessageExpunge')],
  ];
}
