import { createTransport } from 'nodemailer';
import { messageOf } from '../lib/failure.ts';
import type { Log } from '../lib/log.ts';

/** A mail server of somebody else that the sandbox delivers to: loopback only. */
export type Route = { domain: string; host: '127.0.0.1'; port: number };

/** What became of a mail that went out: null, or the words of a refusal. */
export type Relay = (
  route: Route,
  mail: { from: string; to: string[]; raw: Buffer },
) => Promise<string | null>;

const giveUpMs = 10_000;

/** Hands mail over by SMTP, once; a provider would try for days, the sandbox's people want to know. */
export function createRelay(log: Log): Relay {
  return async ({ host, port }, { from, to, raw }) => {
    const transport = createTransport({
      host,
      port,
      ignoreTLS: true,
      name: 'mx.sandbox.example',
      connectionTimeout: giveUpMs,
      socketTimeout: giveUpMs,
    });
    try {
      await transport.sendMail({ envelope: { from, to }, raw });
      return null;
    } catch (error) {
      log.info({ reason: messageOf(error) }, 'the sandbox could not deliver a mail');
      return messageOf(error);
    } finally {
      transport.close();
    }
  };
}
