import { inSet } from './imap-search.ts';
import type { ImapInput, Token } from './imap-input.ts';
import type { View } from './imap-view.ts';
import { folderNames, type Folder, type Mailbox, type Message, type Store } from './store.ts';

/** One client's connection. */
export type Session = {
  readonly store: Store;
  readonly input: ImapInput;
  /** Sends one line. */
  readonly write: (line: string) => void;
  /** Sends bytes and waits while the client is slow to take them. */
  readonly send: (bytes: Buffer) => Promise<void>;
  /** Set by AUTHENTICATE. */
  mailbox: Mailbox | undefined;
  /** Set while a folder is selected. */
  view: View | undefined;
  /** Whether the client asked for mod-sequences (RFC 7162 §3.1). */
  condstore: boolean;
};

/** Carries out one command and returns its tagged answer without the tag: `OK done`. */
export type Handler = (session: Session, args: Token[], name: string) => Promise<string> | string;

/** Commands by name; those of `selected` need a selected folder, and get its view. */
export type Commands = {
  authenticated: Record<string, Handler>;
  selected: Record<
    string,
    (session: Session, view: View, args: Token[], name: string) => Promise<string> | string
  >;
};

/** A command that cannot be done: the tagged answer, `NO …` or `BAD …`. */
export class ImapRefusal extends Error {}

/** The folder a token names, or the refusal with `code` (RFC 3501 §6.3.11, RFC 5530 §3). */
export function folderOf(
  session: Session,
  token: Token | undefined,
  code: 'NONEXISTENT' | 'TRYCREATE',
): Folder {
  const wanted = String(token);
  const name = folderNames.find((name) => name === (wanted.toUpperCase() === 'INBOX' ? 'INBOX' : wanted));
  const folder = name && session.mailbox?.folders[name];
  if (!folder) throw new ImapRefusal(`NO [${code}] there is no such folder`);
  return folder;
}

/** The messages of a view that a sequence set names, by UID or by sequence number. */
export function messagesIn(
  view: View,
  set: Token | undefined,
  byUid: boolean,
): { message: Message; number: number }[] {
  const last = byUid ? (view.messages.at(-1)?.uid ?? 0) : view.messages.length;
  const contains = inSet(String(set), last);
  return view.messages
    .map((message, index) => ({ message, number: index + 1 }))
    .filter(({ message, number }) => contains(byUid ? message.uid : number));
}

/** `… CHANGEDSINCE 12` in an optional list of modifiers (RFC 7162 §3.1); undefined where it is not there. */
export function modifier(list: Token | undefined, name: string): number | undefined {
  if (!Array.isArray(list)) return undefined;
  const at = list.findIndex((word) => typeof word === 'string' && word.toUpperCase() === name);
  return at < 0 ? undefined : Number(list[at + 1]);
}
