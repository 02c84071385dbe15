import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionAuth, SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import XOAuth2 from 'nodemailer/lib/xoauth2';
import { tlsProblem } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import { judgeSmtp } from './smtp-errors.ts';
import type { SmtpPhase, SmtpProblem } from './smtp-errors.ts';

/** One message to be handed to a provider. */
export type Submission = {
  server: ServerAddress;
  /** Where to connect in place of looking the host up; the certificate must be the host's all the same. */
  address?: string;
  login: SmtpLogin;
  envelope: { from: string; to: readonly string[] };
  sizeBytes: number;
  /** The message's bytes, from their start; asked for once for each connection. */
  content(): AsyncIterable<Buffer>;
  /**
   * Called when all of the message is out but its last bytes. Only after it has answered true may the
   * server have taken the message; on false its end does not go out.
   */
  beforeEnd(): Promise<boolean>;
  /** Aborted: the session is cut off where it stands. */
  signal: AbortSignal;
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

/** Limits of one session. RFC 5321 §4.5.3.2 asks for 5 minutes of patience with most commands. */
const limits = {
  connectMs: 30_000,
  greetingMs: 60_000,
  silenceMs: 5 * 60_000,
  /** The whole of it: 35 MB over 1 Mbit/s take five minutes. */
  wholeMs: 20 * 60_000,
};

/**
 * Hands a message over by SMTP. A refused token is renewed and tried once more.
 *
 * @throws SmtpFailure when it was not taken, or may not have been taken; whatever `token` throws.
 */
export async function submit(submission: Submission): Promise<Accepted> {
  const { login } = submission;
  if ('password' in login) {
    const { user, password } = login;
    return session(submission, { user, credentials: { user, pass: password } });
  }
  const tokens = tokenHolder(login);
  for (;;) {
    try {
      return await session(submission, { user: login.user, oauth2: await tokens.forNodemailer() });
    } catch (error) {
      // Thrown inside nodemailer, which would have put its own code over ours.
      if (tokens.failure() !== undefined) throw tokens.failure();
      const renew = error instanceof SmtpFailure && judgeSmtp(error.problem).verdict === 'renew_token';
      if (!renew || !(await tokens.renew())) throw error;
    }
  }
}

type TokenLogin = Extract<SmtpLogin, { token: unknown }>;

/** The token of one submission: asked for, and renewed at most once, whoever finds that it is refused. */
function tokenHolder(login: TokenLogin) {
  let token: string | null = null;
  let renewed = false;
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
    failure: () => failure,
    async forNodemailer(): Promise<XOAuth2> {
      token ??= await login.token(null);
      return new XOAuth2({
        user: login.user,
        // nodemailer asks again, on the same connection, after a challenge 334 (Google's way to refuse).
        provisionCallback: (_user, wantsRenewed, done) => void provide(wantsRenewed, done),
      });
    },
  };
}

/** One connection: greeting, login, envelope, message, answer. */
function session(submission: Submission, auth: SMTPConnectionAuth): Promise<Accepted> {
  const { envelope, signal } = submission;
  const connection = new SMTPConnection(options(submission));
  const progress: { phase: SmtpPhase } = { phase: 'connect' };
  const content = Readable.from(heldBack(submission, progress), { objectMode: false });
  return new Promise<Accepted>((resolve, reject) => {
    const settle = (end: () => void) => {
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      end();
      connection.close();
      content.destroy();
    };
    const fail = (error: unknown) => settle(() => reject(failureOf(error, progress.phase)));
    const onAbort = () => fail(new Stopped());
    const deadline = setTimeout(() => fail({ code: 'ETIMEDOUT' }), limits.wholeMs);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) return onAbort();
    // The listener stays: an error of a socket that is being closed would else end the process.
    connection.on('error', fail);
    connection.once('end', () => fail({ code: 'ECONNECTION' }));
    connection.connect((refused) => {
      if (refused) return fail(refused);
      progress.phase = 'login';
      connection.login(auth, (denied) => {
        if (denied) return fail(denied);
        progress.phase = 'envelope';
        const { from, to } = envelope;
        connection.send({ from, to: [...to], size: submission.sizeBytes }, content, (problem, info) => {
          if (problem) return fail(problem);
          settle(() => resolve(acceptedOf(info)));
        });
      });
    });
  });
}

/** Our own side cut the session off. */
class Stopped extends Error {}

/**
 * The message, its last bytes only after `beforeEnd` allows it. Nothing is read before the server has
 * said 354, since only then a stream is made to flow.
 */
async function* heldBack(submission: Submission, progress: { phase: SmtpPhase }): AsyncGenerator<Buffer> {
  let last: Buffer | null = null;
  progress.phase = 'data';
  for await (const chunk of submission.content()) {
    if (last !== null) yield last;
    last = chunk;
  }
  if (!(await submission.beforeEnd())) throw new Stopped();
  progress.phase = 'handed_over';
  if (last !== null) yield last;
}

function options(submission: Submission): ConstructorParameters<typeof SMTPConnection>[0] {
  return {
    ...serverOptions(submission.server, submission.address),
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.greetingMs,
    socketTimeout: limits.silenceMs,
  };
}

/** How nodemailer is told of a server; `address`: where to connect in place of looking its host up. */
export function serverOptions(
  server: ServerAddress,
  address: string | undefined,
): NonNullable<ConstructorParameters<typeof SMTPConnection>[0]> {
  return {
    host: address ?? server.host,
    ...(address === undefined || isIP(server.host) > 0 ? {} : { servername: server.host }),
    port: server.port,
    secure: server.security === 'tls',
    // RFC 8314 §3: a password or a token never goes out in clear where TLS was agreed on.
    requireTLS: server.security === 'starttls',
    ignoreTLS: server.security === 'none',
    // What a mail program behind a NAT says; the machine's name is nobody's business.
    name: '[127.0.0.1]',
  };
}

function acceptedOf(info: SMTPConnectionSendInfo): Accepted {
  return {
    reply: info.response,
    serverMessageId: info.serverMessageId?.replaceAll(/[<>]/g, '') ?? null,
    refused: refusedOf(info),
  };
}

/** What is read of nodemailer's errors. */
type NodemailerProblem = {
  code?: string;
  message?: string;
  response?: string;
  rejectedErrors?: { recipient?: string | undefined; response?: string | undefined }[] | undefined;
};

function failureOf(error: unknown, phase: SmtpPhase): SmtpFailure {
  const problem = error as NodemailerProblem;
  const reply = typeof problem.response === 'string' && problem.response !== '' ? problem.response : null;
  return new SmtpFailure({ phase, reply, cause: causeOf(problem, phase) }, refusedOf(problem), error);
}

function causeOf(error: NodemailerProblem, phase: SmtpPhase): SmtpProblem['cause'] {
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

function refusedOf(from: Pick<NodemailerProblem, 'rejectedErrors'>): RefusedRecipient[] {
  return (from.rejectedErrors ?? []).map(({ recipient, response }) => ({
    address: recipient ?? '',
    reply: response ?? '',
  }));
}
