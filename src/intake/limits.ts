/** What the door allows. A test narrows them; the program runs with these. */
export const intakeLimits = {
  sessionsMax: 500,
  /** From one address (of IPv6, one /64). Large providers deliver by a handful of sessions from each of many. */
  sessionsOfClientMax: 100,
  /** Announced by SIZE; 25 MB of attachments are 35 MB on the wire. */
  messageBytesMax: 50 * 1024 * 1024,
  /** RFC 5321 §4.5.3.1.8 wants 100 at least. */
  recipientsMax: 100,
  /** Unknown recipients of one session; the next one closes it. */
  failedRecipientsMax: 10,
  /** Unknown recipients that one client may name in ten minutes; past it, one in each session. */
  guessesMax: 50,
  guessesMs: 600_000,
  /** Since a message was last accepted: a hundred recipients and some to spare. */
  commandsMax: 300,
  /** RFC 5321 §4.5.3.1.4 has 512, and extensions add to it. */
  commandBytesMax: 4_096,
  /** RFC 5321 §4.5.3.2 wants at least 5 minutes. */
  silenceMs: 300_000,
  /** One DATA: 50 MB at 30 KB a second. */
  dataMs: 1_800_000,
  sessionMs: 7_200_000,
  /** For the database to say whether a logging address is known. */
  lookUpMs: 10_000,
  stopMs: 5_000,
};

export type IntakeLimits = typeof intakeLimits;
