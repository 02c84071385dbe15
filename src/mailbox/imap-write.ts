import type { ImapFlow } from 'imapflow';
import { Failure } from '../lib/failure.ts';
import { commandRefused } from './imap-errors.ts';

/* What changes mail: only what the CRM asked for comes here (U2, U3). */

/** Sets or removes `\Seen`, and nothing else. */
export async function storeSeen(client: ImapFlow, uids: string, seen: boolean): Promise<void> {
  const options = { uid: true, silent: true };
  const done = seen
    ? await client.messageFlagsAdd(uids, ['\\Seen'], options)
    : await client.messageFlagsRemove(uids, ['\\Seen'], options);
  if (!done) throw refused('STORE');
}

/**
 * Moves messages (RFC 6851), or copies them and expunges these alone (RFC 4315); a server that can do
 * neither would expunge what others have marked as well.
 */
export async function moveMessages(client: ImapFlow, uids: string, to: string): Promise<void> {
  const done = canMove(client) !== 'no' && (await client.messageMove(uids, to, { uid: true }));
  if (!done) throw refused('MOVE');
}

/** Marks messages as deleted and expunges these alone. */
export async function removeMessages(client: ImapFlow, uids: string): Promise<void> {
  const done = canMove(client) !== 'no' && (await client.messageDelete(uids, { uid: true }));
  if (!done) throw refused('UID EXPUNGE');
}

/** Whether a move is one step, or a copy that may be left without its end. */
export function canMove(client: ImapFlow): 'at_once' | 'by_copy' | 'no' {
  if (client.capabilities.has('MOVE')) return 'at_once';
  return client.capabilities.has('UIDPLUS') ? 'by_copy' : 'no';
}

/** imapflow (2.10.2) answers `false` to a refusal, and to a connection that ended under the command. */
function refused(command: string): Failure {
  return new Failure('temporary', commandRefused, `the provider did not carry out ${command}`);
}

/** The server answered that it did not take a message: it is certain not to be there (RFC 9051 §6.3.12). */
export const appendRefused = 'append_refused';

type AppendError = {
  code?: string;
  responseStatus?: string;
  serverResponseCode?: string;
  responseText?: string;
};

/** See Session.appendSeen. Rejects with `append_refused` and the server's words, or with what `imapFailure` makes of it. */
export async function appendSeen(
  client: ImapFlow,
  path: string,
  { raw, date }: { raw: Buffer; date: number },
): Promise<void> {
  try {
    const done = await client.append(path, raw, ['\\Seen'], new Date(date));
    // imapflow (2.10.2) says nothing of a connection that ended before.
    if (!done) throw new Failure('temporary', 'connection_closed', 'the connection ended before APPEND');
  } catch (thrown) {
    const { code, responseStatus, serverResponseCode, responseText } = thrown as AppendError;
    const isAnswer = ['NO', 'BAD'].includes(responseStatus ?? '') && code !== 'ETHROTTLE';
    // imapflow compares the size with APPENDLIMIT by itself (RFC 7889).
    if (!isAnswer && serverResponseCode !== 'APPENDLIMIT') throw thrown;
    const words = [serverResponseCode, responseText]
      .filter((word) => word !== undefined && word !== '')
      .join(' ');
    throw new Failure('temporary', appendRefused, words, { cause: thrown });
  }
}
