import type { WireLine } from '../../src/lib/trace.ts';
import type { Mailbox } from './script-mailbox.ts';
import type { Script } from './script-syntax.ts';

/** A line from the client; its literals are taken out of the text, `{size}` stays. */
export type ClientLine = { text: string; literals: Buffer[] };

/** What the peer's own answers need of one connection. */
export type Session = {
  script: Script;
  mailbox: Mailbox;
  send(...lines: (string | WireLine)[]): void;
  /** The client's next line, for exchanges of several lines. */
  nextLine(): Promise<ClientLine>;
  /** Whether this token or password is let in. */
  mayEnter(secret: string): boolean;
  /** Plays the script's `refusal:`, where there is one. */
  playRefusal(): Promise<boolean>;
  /** Whether STARTTLS can be offered now. */
  offersStartTls(): boolean;
  startTls(): void;
  close(): void;
};

/** The secret of a SASL response: of XOAUTH2, OAUTHBEARER (RFC 7628 §3.1) or PLAIN (RFC 4616). */
export function secretOf(base64: string): string {
  const fields = Buffer.from(base64, 'base64').toString().replaceAll('\u0001', '\0').split('\0');
  const bearer = fields.find((field) => field.startsWith('auth=Bearer '));
  return bearer?.slice('auth=Bearer '.length) ?? fields.at(-1) ?? '';
}
