import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { createTransport, type SMTPSentMessageInfo } from 'nodemailer';
import { startScriptPeer, type ScriptPeer } from '../support/script-peer.ts';

/** What nodemailer puts on its errors. */
type SmtpError = Error & { code?: string; responseCode?: number; permanent?: boolean; response?: string };

type Scene = {
  peer: ScriptPeer;
  /** Sends one message; the token callback gives `tokens` one after the other. */
  send: (options?: { tokens?: string[]; to?: string[] }) => Promise<SMTPSentMessageInfo>;
};

/** What bare nodemailer makes of each transcript; the gateway's own tests play the same files. */
const PLAYS: Record<string, (scene: Scene) => Promise<void>> = {
  async 'gmail-daily-limit'({ send, peer }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EMESSAGE', 550, true]);
    assert.match(String(error.response), /^550-5\.4\.5 Daily user sending limit exceeded/);
    assert.deepEqual(peer.taken(), []);
  },
  async 'gmail-334-challenge'({ send, peer }) {
    const error = await failure(send({ tokens: ['old', 'older'] }));
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EAUTH', 535, true]);
    assert.equal(peer.sent('AUTH XOAUTH2 *').length, 2);
    await send({ tokens: ['old', 'fresh'] });
    assert.equal(peer.taken().length, 1);
  },
  async 'gmail-454'({ send }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EAUTH', 454, false]);
    await send();
  },
  async 'outlook-432'({ send }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EAUTH', 432, false]);
    await send();
  },
  async 'outlook-535-5.7.139'({ send, peer }) {
    const error = await failure(send({ tokens: ['old', 'older'] }));
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EAUTH', 535, true]);
    assert.match(String(error.response), /5\.7\.139 .*SmtpClientAuthentication is disabled/);
    assert.equal(peer.sent('AUTH XOAUTH2 *').length, 1);
  },
  async 'outlook-535-5.7.3'({ send }) {
    const error = await failure(send({ tokens: ['old', 'older'] }));
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EAUTH', 535, true]);
    assert.match(String(error.response), /^535 5\.7\.3 /);
  },
  async 'outlook-rewritten-id'({ send, peer }) {
    await send();
    const { serverMessageId } = await send();
    assert.equal(serverMessageId, '<AM0PR01MB0002@AM0PR01MB0001.eurprd01.prod.outlook.com>');
    const kept = peer.taken().at(-1)?.raw.toString() ?? '';
    assert.ok(kept.includes(`\r\nMessage-ID: ${serverMessageId}\r\n`), kept);
    assert.ok(kept.includes('\r\nX-Microsoft-Original-Message-ID: <o1@company.example>\r\n'), kept);
  },
  async 'drop-after-data-stored'({ send, peer }) {
    assert.equal((await failure(send())).code, 'ECONNECTION');
    assert.equal(peer.taken().length, 1);
    await send();
  },
  async 'drop-after-data-lost'({ send, peer }) {
    assert.match(String((await failure(send())).code), /^(ECONNECTION|ESOCKET)$/);
    assert.equal(peer.taken().length, 0);
    await send();
    assert.equal(peer.taken().length, 1);
  },
  async 'partial-refusal'({ send, peer }) {
    const sent = await send({ to: ['ann@customer.example', 'nobody@customer.example'] });
    assert.deepEqual([sent.accepted, sent.rejected], [['ann@customer.example'], ['nobody@customer.example']]);
    assert.equal(sent.rejectedErrors?.[0]?.responseCode, 550);
    assert.deepEqual(peer.taken()[0]?.to, ['ann@customer.example']);
  },
  async 'greylisting-451'({ send }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EENVELOPE', 451, false]);
    await send();
  },
  async 'too-big-552'({ send }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EMESSAGE', 552, true]);
  },
  async 'senddenied-554-5.2.252'({ send }) {
    const error = await failure(send());
    assert.deepEqual([error.code, error.responseCode, error.permanent], ['EMESSAGE', 554, true]);
    assert.match(String(error.response), /5\.2\.252 SendAsDenied/);
  },
};

describe('SMTP transcripts played by bare nodemailer', () => {
  for (const [name, play] of Object.entries(PLAYS)) {
    test(name, () => staged(`smtp/${name}`, play));
  }

  test('every transcript is played here', () => {
    const files = readdirSync(new URL('../fixtures/smtp', import.meta.url));
    assert.deepEqual(
      files.sort(),
      Object.keys(PLAYS)
        .map((name) => `${name}.txt`)
        .sort(),
    );
  });
});

async function staged(file: string, play: (scene: Scene) => Promise<void>): Promise<void> {
  const peer = await startScriptPeer(file, { tokens: ['fresh'] });
  const send: Scene['send'] = async ({ tokens = ['fresh'], to = ['ann@customer.example'] } = {}) => {
    const waiting = [...tokens];
    const transport = createTransport({
      host: peer.host,
      port: peer.port,
      secure: false,
      auth: { type: 'OAuth2', user: 'user@company.example' },
    });
    transport.set(
      'oauth2_provision_cb',
      (_user: string, _renew: boolean, give: (error: Error | null, token?: string) => void) =>
        give(null, waiting.shift()),
    );
    return transport.sendMail({
      envelope: { from: 'user@company.example', to },
      raw: 'From: user@company.example\r\nMessage-ID: <o1@company.example>\r\nSubject: Offer\r\n\r\n.\r\nHello.\r\n',
    });
  };
  try {
    await play({ peer, send });
    await peer.finished();
  } finally {
    await peer.stop();
  }
}

async function failure(promise: Promise<unknown>): Promise<SmtpError> {
  const error: unknown = await promise.then(
    () => assert.fail('this must fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error);
  return error;
}
