import type { Answer } from './verify.ts';

/**
 * An answer to an SMTP command. The library's own defaults would turn a fault into a bounce, and a refusal into days
 * of trying (550 at RCPT, 450 at DATA; smtp-server 3.21.6).
 */
export class Refusal extends Error {
  readonly responseCode: number;
  /** Whether the session ends with it. */
  readonly closes: boolean;

  /** `text` begins with the enhanced code (RFC 3463). */
  constructor({ code, text }: Answer, closes = false) {
    super(text);
    this.responseCode = code;
    this.closes = closes;
  }
}

/** What the library says of its own, where its words or codes are not what we mean. */
const ownWords: readonly [RegExp, Answer][] = [
  [
    /Too many connected clients/,
    { code: 421, text: '4.3.2 Too many sessions at the moment, try again shortly' },
  ],
  [/You talk too soon/, { code: 421, text: '4.7.0 Wait for the greeting' }],
  [/Server shutting down/, { code: 421, text: '4.3.2 Restarting, try again in a minute' }],
  [/HTTP requests/, { code: 421, text: '4.7.0 This is SMTP' }],
  [/too many unrecognized/, { code: 421, text: '4.7.0 Too many unknown commands' }],
  // 421 would make the sender try the same line for days.
  [/Command line too long/, { code: 500, text: '5.5.2 Line too long' }],
  [/^Timeout/, { code: 421, text: '4.4.2 Nothing came for too long' }],
  [/command not recognized/, { code: 500, text: '5.5.1 Unknown command' }],
  [/^Try to send something/, { code: 252, text: '2.5.0 Nothing is verified but by sending' }],
];

/** A code and a text that begins with its enhanced code. */
const isComplete = /^[245]\.\d{1,3}\.\d{1,3} /;

/** The reply in our words; null where the library's are right. */
export function ourReply(code: number, text: string): Answer | null {
  if (isComplete.test(text)) return { code, text };
  // Of what it grants, the library's words are right but for VRFY.
  if (code < 400 && code !== 252) return null;
  return ownWords.find(([words]) => words.test(text))?.[1] ?? null;
}
