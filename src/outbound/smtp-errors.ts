/** How far an SMTP session had come when it went wrong. */
export type SmtpPhase =
  /** From the DNS look-up to the end of EHLO and STARTTLS. */
  | 'connect'
  | 'login'
  /** MAIL, RCPT, and DATA up to its 354. */
  | 'envelope'
  /** The message was on its way, and its end was not: the server cannot have taken it (RFC 5321 §4.1.1.4). */
  | 'data'
  /** All of it was handed over, so that only the answer, or the Sent folder, tells what became of it. */
  | 'handed_over';

/** What is known of a session that went wrong, in words of no library. */
export type SmtpProblem = {
  phase: SmtpPhase;
  /** The server's reply, all its lines; null: the connection broke, or was never there. */
  reply: string | null;
  /** What happened where there is no reply. */
  cause:
    | 'unreachable'
    | 'connection_lost'
    | 'timed_out'
    | 'tls_failed'
    /** Larger than the server announced that it takes (RFC 1870); nothing was sent. */
    | 'larger_than_announced'
    /** Our own side broke it off: the gateway stops, or another node has taken over. */
    | 'stopped'
    | 'unknown';
};

/** How long to wait before the next try. */
export type Pause = 'none' | 'seconds' | 'normal' | 'slow' | 'day';

/** What to do about it. `reason` is a stable word for the API; the server's own words are kept beside it. */
export type SmtpVerdict =
  | { verdict: 'retry'; pause: Pause; reason: string }
  /** The token was refused: try once more with a renewed one, then hold for `reason`. */
  | { verdict: 'renew_token'; reason: 'reauth_required' }
  /** A person must act: consent again, or an administrator's switch. */
  | { verdict: 'hold'; reason: string }
  | { verdict: 'fail'; reason: string }
  | { verdict: 'uncertain'; reason: string };

type Rule = {
  phases?: readonly SmtpPhase[];
  codes?: readonly number[];
  enhanced?: readonly string[];
  text?: RegExp;
  /** Class of the reply: 4 or 5. */
  class?: 4 | 5;
  means: SmtpVerdict;
};

const retry = (pause: Pause, reason: string): SmtpVerdict => ({ verdict: 'retry', pause, reason });
const hold = (reason: string): SmtpVerdict => ({ verdict: 'hold', reason });
const fail = (reason: string): SmtpVerdict => ({ verdict: 'fail', reason });
const renewToken: SmtpVerdict = { verdict: 'renew_token', reason: 'reauth_required' };

/**
 * The first rule that fits counts. Sources: support.google.com/a/answer/3726730 and Microsoft's NDR
 * and SMTP AUTH pages, seen 2026-11; RFC 3463 and RFC 5321 for everybody else.
 */
const rules: readonly Rule[] = [
  // Exchange Online above three sessions, at AUTH or after DATA; over in seconds. nodemailer says EAUTH.
  { codes: [432], means: retry('seconds', 'too_many_sessions') },
  // The one 5.7.139 that is about the login itself (public reports from Outlook.com and Microsoft 365; not seen by us).
  { phases: ['login'], text: /credentials were incorrect/i, means: renewToken },
  // SMTP AUTH is switched off for the mailbox or the tenant, or a policy of the tenant forbids it. IMAP
  // goes on working, and a new consent changes nothing. 504 5.7.4 is the same, said before the login.
  { phases: ['login'], enhanced: ['5.7.139', '5.7.4'], means: hold('smtp_auth_disabled') },
  { phases: ['login'], text: /authentication is disabled/i, means: hold('smtp_auth_disabled') },
  // 454 4.7.0 "Cannot authenticate due to temporary system problem": nothing is wrong with the token.
  { phases: ['login'], class: 4, means: retry('normal', 'login_unavailable') },
  // 535 5.7.8 (Google), 535 5.7.3 (Microsoft, also for a UPN that is wrong), a last 334, and all others.
  { phases: ['login'], means: renewToken },
  // 530 5.7.57 "Client was not authenticated to send mail".
  { codes: [530], means: renewToken },
  // 550 5.4.5 "Daily user sending limit exceeded" looks permanent and ends by itself within 24 hours.
  { enhanced: ['5.4.5'], means: retry('day', 'daily_limit') },
  { text: /SubmissionQuotaExceeded/i, means: retry('day', 'daily_limit') },
  // Tenant External Recipient Rate Limit of Exchange Online.
  { enhanced: ['5.7.232', '5.7.233'], means: retry('day', 'tenant_limit') },
  { enhanced: ['5.2.252', '5.7.60'], means: hold('send_as_denied') },
  { text: /SendAsDenied/i, means: hold('send_as_denied') },
  // 554 5.2.2 after the message: the sender's own mailbox is full. At RCPT the same code means the recipient's.
  { phases: ['data', 'handed_over'], text: /\bQuotaExceeded/i, means: hold('mailbox_full') },
  { enhanced: ['5.2.3', '5.3.4'], means: fail('message_too_large') },
  { codes: [552], enhanced: ['5.7.0'], means: fail('attachment_blocked') },
  // 450 4.2.1: the sender or the recipient gets mail too fast.
  { enhanced: ['4.2.1'], means: retry('slow', 'rate_limited') },
  // A server that wants no connection from us now has judged no message.
  { phases: ['connect'], means: retry('normal', 'server_refuses_connections') },
  // "Bad sequence of commands": ours or the server's slip of one session, no word about the message.
  { codes: [503], means: retry('normal', 'protocol_error') },
  { class: 4, means: retry('normal', 'refused_for_now') },
  {
    phases: ['envelope'],
    enhanced: ['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10'],
    means: fail('unknown_recipient'),
  },
  { codes: [552], phases: ['data', 'handed_over'], means: fail('message_too_large') },
  { means: fail('refused') },
];

/** What a problem of an SMTP session means for its message. By the enhanced code first (D5). Pure. */
export function judgeSmtp(problem: SmtpProblem): SmtpVerdict {
  const { phase, reply, cause } = problem;
  const { code, enhanced, text } = parseReply(reply ?? '');
  // What is no reply (RFC 5321 §4.2) says nothing about the message.
  if (reply === null || code === 0) {
    if (cause === 'larger_than_announced') return fail('message_too_large');
    if (phase === 'handed_over') return { verdict: 'uncertain', reason: 'no_answer' };
    if (cause === 'stopped') return retry('none', 'stopped');
    return retry('normal', reply === null ? cause : 'protocol_error');
  }
  // RFC 3463 §2: the class is the enhanced code's; a server whose two codes contradict each other means that one.
  const classDigit = enhanced === null ? String(code).charAt(0) : enhanced.charAt(0);
  const rule = rules.find(
    (candidate) =>
      (candidate.phases?.includes(phase) ?? true) &&
      (candidate.codes?.includes(code) ?? true) &&
      (candidate.enhanced === undefined || (enhanced !== null && candidate.enhanced.includes(enhanced))) &&
      (candidate.text?.test(text) ?? true) &&
      (candidate.class === undefined || String(candidate.class) === classDigit),
  );
  return rule?.means ?? fail('refused');
}

/** A reply taken apart: the code of its first line, the enhanced code (RFC 2034) if it has one, the text of all lines. */
export function parseReply(reply: string): { code: number; enhanced: string | null; text: string } {
  const lines = reply.split(/\r?\n/).map((line) => {
    const match = /^(\d{3})(?:[ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)$/.exec(line);
    return { code: Number(match?.[1] ?? 0), enhanced: match?.[2] ?? null, text: match?.[3] ?? line };
  });
  return {
    code: lines[0]?.code ?? 0,
    enhanced: lines.find((line) => line.enhanced !== null)?.enhanced ?? null,
    text: lines.map((line) => line.text.trim()).join(' '),
  };
}
