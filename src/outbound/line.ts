import type { SendingWay } from '../store/sends.ts';
import { judgeSmtp } from './smtp-errors.ts';
import { SmtpFailure } from './smtp.ts';
import type { Accepted, openSession, SmtpServer, Submission } from './smtp.ts';

/** A way to one server that keeps its session from one message to the next. */
export type Line = {
  /**
   * Hands a message over, on the session that is there or on a new one; where its mailbox is traced, on one that is.
   *
   * @throws SmtpFailure; whatever `serverOf` and the login throw.
   */
  submit(submission: Submission, way: SendingWay, serverOf: () => Promise<SmtpServer>): Promise<Accepted>;
  /** Whether a session is kept. */
  isOpen(): boolean;
  end(): void;
};

/**
 * Servers count the messages of a session: Postfix asks no more than a hundred commands that bring nothing, Exchange
 * ends sessions by age. A new one costs some round trips.
 */
const submissionsMax = 100;

/** Makes a line; it connects when it is first needed. */
export function createLine(open: typeof openSession): Line {
  let session: Awaited<ReturnType<typeof openSession>> | null = null;

  let isTraced = false;

  const ready = async (
    way: SendingWay,
    serverOf: () => Promise<SmtpServer>,
    signal: AbortSignal,
    refused: string | null,
  ) => {
    const wantsTrace = way.through === 'mailbox' && way.isTraced;
    const isOver = session?.isOpen() !== true || session.submitted() >= submissionsMax;
    if (session !== null && (isOver || (wantsTrace && !isTraced))) {
      session.end();
      session = null;
    }
    if (session === null) {
      session = await open(await serverOf(), signal, refused);
      isTraced = wantsTrace;
    }
    return session;
  };

  return {
    isOpen: () => session?.isOpen() === true,
    end() {
      session?.end();
      session = null;
    },
    async submit(submission, way, serverOf) {
      let refused: string | null = null;
      for (;;) {
        const used = await ready(way, serverOf, submission.signal, refused);
        const isFresh = used.submitted() === 0;
        try {
          return await used.submit(submission);
        } catch (error) {
          if (!(error instanceof SmtpFailure)) throw error;
          if (!isFresh && wasClosed(error)) continue;
          // "Client was not authenticated to send mail", said to MAIL: once more, with another token.
          const wantsToken = judgeSmtp(error.problem).verdict === 'renew_token' && used.token !== null;
          if (!wantsToken || refused !== null) throw error;
          refused = used.token;
          used.end();
        }
      }
    },
  };
}

/**
 * The server had closed the kept session, or did so now: nothing was said about the message, which is not on its way
 * (RFC 5321 §3.8).
 */
function wasClosed({ problem }: SmtpFailure): boolean {
  if (problem.phase !== 'envelope') return false;
  return problem.reply === null ? problem.cause === 'connection_lost' : problem.reply.startsWith('421');
}
