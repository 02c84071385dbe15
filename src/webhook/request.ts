import { request } from 'undici';
import type { Agent, Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { Failure, messageOf } from '../lib/failure.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { Answer } from './outcome.ts';
import { signatureHeaders } from './sign.ts';

/** The whole of one try, from the look-up of the name to the end of the answer. */
const tryMsMax = 15_000;
/** An answer's body is not used; it is read so far that the connection can be used again. */
const answerBytesMax = 4_096;

/** The HTTP agent of all webhooks: keeps connections open, so that an event needs no handshake. */
export function createWebhookAgent(guard: NetGuard): Agent {
  return guard.agent({
    keepAliveTimeout: 60_000,
    headersTimeout: tryMsMax,
    bodyTimeout: tryMsMax,
    // Two webhooks may have one host: no limit of connections that they would have to share.
    connections: null,
  });
}

/** Posts one signed event. Never rejects: whatever goes wrong is the answer. `stop` gives it up. */
export async function postEvent(
  deps: { dispatcher: Dispatcher; clock: Clock },
  event: { url: string; id: string; body: string; secrets: readonly string[] },
  stop: AbortSignal,
): Promise<Answer> {
  const { dispatcher, clock } = deps;
  const { id, body, secrets } = event;
  const ended = new AbortController();
  const late = new AbortController();
  void clock.sleep(tryMsMax, ended.signal).then(() => late.abort());
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Twoway',
    ...signatureHeaders({ id, body, secrets, nowMs: clock.now() }),
  };
  const signal = AbortSignal.any([late.signal, stop]);
  const send = () => request(event.url, { dispatcher, method: 'POST', headers, body, signal });
  try {
    const answer = await send().catch((error: unknown) => {
      // The other side closed a kept connection in the moment in which it was used again.
      if (wasCutOff(error) && !signal.aborted) return send();
      throw error;
    });
    // What the endpoint says after its status changes nothing.
    await answer.body.dump({ limit: answerBytesMax, signal }).catch(() => undefined);
    return {
      status: answer.statusCode,
      retryAfterMs: retryAfterMs(answer.headers['retry-after'], clock.now()),
    };
  } catch (error) {
    if (stop.aborted) return { status: null, error: 'the gateway was stopped', stopped: true };
    if (late.signal.aborted)
      return { status: null, error: `no answer within ${tryMsMax / 1000} s`, stopped: false };
    return { status: null, error: explain(error), stopped: false };
  } finally {
    ended.abort('ended');
  }
}

function wasCutOff(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

function explain(error: unknown): string {
  if (error instanceof Failure) return error.message;
  const code = codeOf(error);
  return code === '' ? messageOf(error) : `${messageOf(error) || 'no connection'} (${code})`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs(header: string | string[] | undefined, nowMs: number): number | null {
  if (typeof header !== 'string') return null;
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}
