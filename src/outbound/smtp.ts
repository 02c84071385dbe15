import { Readable } from 'node:stream';
import type { SMTPConnectionAuth, SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import XOAuth2 from 'nodemailer/lib/xoauth2';
import { tlsProblem } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import { judgeSmtp } from './smtp-errors.ts';
import type { SmtpPhase, SmtpProblem } from './smtp-errors.ts';
import { createWire, isAnswered, Stopped } from './smtp-wire.ts';
import type { Patience, Wire, WireProblem } from './smtp-wire.ts';

/** A submission server, and who logs in. */
export type SmtpServer = {
  server: ServerAddress;
  /** Where to connect in place of looking the host up; the certificate must be the host's all the same. */
  address?: string;
  /** Null: it takes mail without a login. */
  login: SmtpLogin | null;
  /** Where what is said is written down; not given: nowhere. */
  trace?: (text: string) => void;
};

/** One message to be handed to a provider. */
export type Submission = {
  envelope: { from: string; to: readonly string[] };
  sizeBytes: number;
  /** The message's bytes, from their start; asked for once for each try to hand it over. */
  content(): AsyncIterable<Buffer>;
  /**
   * Called when all of the message is out but its last bytes, with the recipients that were refused. Only after it has
   * answered true may the server have taken the message, for the others; on false its end does not go out.
   */
  beforeEnd(refused: readonly RefusedRecipient[]): Promise<boolean>;
  /** Aborted: the session is cut off where it stands. */
  signal: AbortSignal;
};

/** A connection that has logged in, for one message after the other. */
export type SmtpSession = {
  /** @throws SmtpFailure when it was not taken, or may not have been taken. */
  submit(submission: Submission): Promise<Accepted>;
  /** Whether it takes another message, as far as is known here: its server may close it at any time. */
  isOpen(): boolean;
  /** How many messages it was given. */
  submitted(): number;
  /** Says QUIT, and closes. */
  end(): void;
};

/** How to log in. `token` gives an access token, another one than the `refused` one. */
export type SmtpLogin =
  { user: string; password: string } | { user: string; token(refused: string | null): Promise<string> };

/** A message that the provider took. */
export type Accepted = {
  /** The provider's own words. */
  reply: string;
  /** The Message-ID that the reply says it has now, without brackets; null where it says none. */
  serverMessageId: string | null;
  /** Recipients that were refused while others were taken (D5). */
  refused: RefusedRecipient[];
};

export type RefusedRecipient = { address: string; reply: string };

/** A session that did not end with the message taken. */
export class SmtpFailure extends Error {
  readonly problem: SmtpProblem;
  readonly refused: readonly RefusedRecipient[];

  constructor(problem: SmtpProblem, refused: readonly RefusedRecipient[], cause: unknown) {
    super(`SMTP, ${problem.phase}: ${problem.reply === null ? problem.cause : 'refused'}`, { cause });
    this.problem = problem;
    this.refused = refused;
  }
}

/** RFC 5321 §4.5.3.2 asks for 5 minutes of patience with most commands. */
const patience: Patience = {
  connectMs: 30_000,
  greetingMs: 60_000,
  silenceMs: 5 * 60_000,
  // 35 MB over 1 Mbit/s take five minutes.
  stepMs: 20 * 60_000,
};

/**
 * Connects to a submission server and logs in. A refused token is renewed and tried once more; `refused` is one that
 * the server refused before.
 *
 * @throws SmtpFailure when that is not possible; whatever `token` throws.
 */
export async function openSession(
  to: SmtpServer,
  signal: AbortSignal,
  refused: string | null = null,
): Promise<SmtpSession & { token: string | null }> {
  const { login } = to;
  if (login === null) return { ...(await connect(to, null, signal)), token: null };
  if ('password' in login) {
    const { user, password } = login;
    const session = await connect(to, { user, credentials: { user, pass: password } }, signal);
    return { ...session, token: null };
  }
  const tokens = tokenHolder(login, refused);
  for (;;) {
    try {
      const session = await connect(to, { user: login.user, oauth2: await tokens.forNodemailer() }, signal);
      return { ...session, token: tokens.current() };
    } catch (error) {
      // Thrown inside nodemailer, which would have put its own code over ours.
      if (tokens.failure() !== undefined) throw tokens.failure();
      const renew = error instanceof SmtpFailure && judgeSmtp(error.problem).verdict === 'renew_token';
      if (!renew || !(await tokens.renew())) throw error;
    }
  }
}

type TokenLogin = Extract<SmtpLogin, { token: unknown }>;

/** The token of one session: asked for, and renewed at most once, whoever finds that it is refused. */
function tokenHolder(login: TokenLogin, refused: string | null) {
  let token: string | null = null;
  let renewed = refused !== null;
  let failure: unknown;
  const renew = async (): Promise<boolean> => {
    if (renewed) return false;
    renewed = true;
    token = await login.token(token);
    return true;
  };
  const provide = async (wantsRenewed: boolean, done: (error: Error | null, token?: string) => void) => {
    try {
      if (wantsRenewed) await renew();
    } catch (error) {
      failure = error;
      return done(new Error('no token'));
    }
    done(null, token ?? '');
  };
  return {
    renew,
    current: () => token,
    failure: () => failure,
    async forNodemailer(): Promise<XOAuth2> {
      token ??= await login.token(refused);
      return new XOAuth2({
        user: login.user,
        // nodemailer asks again, on the same connection, after a challenge 334 (Google's way to refuse).
        provisionCallback: (_user, wantsRenewed, done) => void provide(wantsRenewed, done),
      });
    },
  };
}

/** Where a session stands. */
type Progress = { phase: SmtpPhase };

async function connect(
  to: SmtpServer,
  auth: SMTPConnectionAuth | null,
  signal: AbortSignal,
): Promise<SmtpSession> {
  const wire = createWire(to, patience);
  const progress: Progress = { phase: 'connect' };
  try {
    await wire.connect(signal);
    progress.phase = 'login';
    if (auth !== null) await wire.login(auth, signal);
  } catch (error) {
    wire.close();
    throw failureOf(error, progress.phase);
  }
  let submitted = 0;
  return {
    isOpen: () => wire.isOpen(),
    submitted: () => submitted,
    end: () => wire.quit(),
    async submit(submission) {
      submitted += 1;
      progress.phase = 'envelope';
      const { envelope, sizeBytes, signal: cutOff } = submission;
      const content = Readable.from(heldBack(submission, wire, progress), { objectMode: false });
      try {
        return acceptedOf(await wire.send({ ...envelope, size: sizeBytes }, content, cutOff));
      } catch (error) {
        content.destroy();
        const failure = failureOf(error, progress.phase);
        // A refused envelope leaves the session as it was, as soon as the server says so (RFC 5321 §4.1.1.5). A
        // refusal that comes while the message goes out would have RSET be one more line of it.
        if (progress.phase !== 'envelope') wire.close();
        else if (wire.isOpen()) await wire.reset(cutOff).catch(() => wire.close());
        throw failure;
      }
    },
  };
}

/**
 * The message, its last bytes only after `beforeEnd` allows it. Nothing is read before the server has
 * said 354, since only then a stream is made to flow.
 */
async function* heldBack(submission: Submission, wire: Wire, progress: Progress): AsyncGenerator<Buffer> {
  let last: Buffer | null = null;
  progress.phase = 'data';
  for await (const chunk of submission.content()) {
    if (last !== null) yield last;
    last = chunk;
  }
  const refused = refusedOf({ rejectedErrors: wire.refused() });
  if (!(await submission.beforeEnd(refused))) throw new Stopped();
  progress.phase = 'handed_over';
  if (last !== null) yield last;
}

function acceptedOf(info: SMTPConnectionSendInfo): Accepted {
  return {
    reply: info.response,
    serverMessageId: info.serverMessageId?.replaceAll(/[<>]/g, '') ?? null,
    refused: refusedOf(info),
  };
}

function failureOf(error: unknown, phase: SmtpPhase): SmtpFailure {
  const problem = error as WireProblem;
  const reply = isAnswered(error) ? (problem.response ?? null) : null;
  return new SmtpFailure({ phase, reply, cause: causeOf(problem, phase) }, refusedOf(problem), error);
}

function causeOf(error: WireProblem, phase: SmtpPhase): SmtpProblem['cause'] {
  if (error instanceof Stopped) return 'stopped';
  const { code, message = '' } = error;
  if (code === 'EMESSAGE' && message.startsWith('Message size larger')) return 'larger_than_announced';
  if (code === 'ETIMEDOUT') return 'timed_out';
  if (code === 'ETLS' || tlsProblem(error) !== null) return 'tls_failed';
  if (code === 'EDNS' || code === 'ECONNECTION' || code === 'ESOCKET') {
    return phase === 'connect' ? 'unreachable' : 'connection_lost';
  }
  return 'unknown';
}

function refusedOf(from: Pick<WireProblem, 'rejectedErrors'>): RefusedRecipient[] {
  return (from.rejectedErrors ?? []).map(({ recipient, response }) => ({
    address: recipient ?? '',
    reply: response ?? '',
  }));
}
