import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createTracking } from '../../src/api/tracking.ts';
import type { Hits } from '../../src/outbound/hits.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { newId } from '../../src/lib/id.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { parseMessage } from '../../src/message/parse.ts';
import { createHits } from '../../src/outbound/hits.ts';
import { clickPath, openPath } from '../../src/message/tracking-links.ts';
import { rows, run } from '../../src/store/database.ts';
import { connectMailbox } from '../outbound/support.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

type Json = Record<string, unknown>;
type Tracking = { opens: Json | null; clicks: Json[] } | null;

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
const path = '/v1/sub-accounts/acme/messages';
const base = 'https://go.crm.example';
const html =
  '<html><body><p>Dear <b>Carla</b>, see <a href="https://shop.example/?a=1&amp;b=2">https://shop.example</a> or ' +
  '<a href="mailto:anna@mail.example">write</a>.</p></body></html>';
const write = { kind: 'individual', user_id: 'anna', contact_id: 'carla', subject: 'Hi', html };
const firefox = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0' };

let t: ApiUnderTest;

async function open(trackingUrl: string | null): Promise<void> {
  // A connection, and a try, are made by hand.
  t = await startApi({ trackingUrl, breaks: ['connection_state_is_told', 'send_is_told'] });
  await t.call('PUT', '/v1/sub-accounts/acme', { json: { name: 'Acme' } });
  await t.call('PUT', '/v1/sub-accounts/acme/contacts/carla', {
    json: { name: 'Carla', emails: ['carla@customer.example'] },
  });
  await connectMailbox(t.db, { userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
}

const post = (json: unknown, key?: string) =>
  t.call('POST', path, { json, ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }) });

const part = (answer: Answer, what: 'message' | 'send') => {
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return answer.body[what] as Json;
};
const trackingOf = (answer: Answer) => part(answer, 'send')['tracking'] as Tracking;

async function raw(answer: Answer): Promise<Buffer> {
  const response = await t.api.request(`${path}/${String(part(answer, 'message')['id'])}/raw`, {
    headers: { authorization: `Bearer ${t.adminKey}` },
  });
  return Buffer.from(await response.arrayBuffer());
}

/** The HTML part that goes out, as it is written, and the text part. */
async function sentParts(answer: Answer): Promise<{ sentHtml: string; text: string }> {
  const bytes = await raw(answer);
  const boundary = /boundary="([^"]+)"/.exec(bytes.toString())?.[1] ?? assert.fail('no parts');
  const parts = bytes.toString().split(`--${boundary}`);
  const written = parts.find((one) => /^content-type: text\/html/im.test(one)) ?? assert.fail('no HTML');
  const [head = '', ...body] = written.trim().split('\r\n\r\n');
  const encoded = body.join('\r\n\r\n');
  const sentHtml = /quoted-printable/i.test(head)
    ? encoded
        .replace(/=\r\n/g, '')
        .replace(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
    : encoded;
  return { sentHtml, text: (await parseMessage(bytes)).text };
}

function fieldCodes(answer: Answer): Record<string, string> {
  assert.equal(answer.status, 422, JSON.stringify(answer.body));
  const errors = answer.body['errors'] as { path: string; code: string }[];
  return Object.fromEntries(errors.map((error) => [error.path, error.code]));
}

describe('D7: track of POST …/messages', () => {
  before(() => open(base));
  after(() => t.close());

  test('off by default: nothing of the mail is changed', async () => {
    for (const track of [undefined, {}, { opens: false, clicks: false }]) {
      const answer = await post({ ...write, track });
      assert.equal(trackingOf(answer), null);
      assert.equal((await sentParts(answer)).sentHtml, html);
    }
  });

  test('what goes out leads by the gateway; what is shown, and the text, do not', async () => {
    const plain = await post(write);
    const answer = await post({ ...write, track: { opens: true, clicks: true } });
    const never = { count: 0, first_at: null, last_at: null };
    assert.deepEqual(trackingOf(answer), {
      opens: never,
      clicks: [{ url: 'https://shop.example/?a=1&b=2', ...never }],
    });
    for (const name of ['html', 'text', 'reply_text'])
      assert.equal(part(answer, 'message')[name], part(plain, 'message')[name], name);
    const { sentHtml, text } = await sentParts(answer);
    const restored = sentHtml
      .replace(/<img src="https:\/\/go\.crm\.example\/t\/o\/[\w-]{42}" [^>]*>(?=<\/body>)/, '')
      .replace(/https:\/\/go\.crm\.example\/t\/c\/[\w-]+/, 'https://shop.example/?a=1&amp;b=2');
    assert.notEqual(sentHtml, html);
    assert.equal(restored, html);
    assert.equal(text, (await sentParts(plain)).text);
    assert.match(text, /https:\/\/shop\.example\/\?a=1&b=2/);
  });

  test('a text that is given stays what it is', async () => {
    const text = 'Dear Carla, see https://shop.example/?a=1&b=2';
    const answer = await post({ ...write, text, track: { opens: true, clicks: true } });
    assert.equal((await sentParts(answer)).text.trim(), text);
    assert.equal(part(answer, 'message')['text'], text);
  });

  test('openings alone, and clicks alone', async () => {
    const opens = await post({ ...write, track: { opens: true } });
    assert.deepEqual(trackingOf(opens)?.clicks, []);
    assert.doesNotMatch((await sentParts(opens)).sentHtml, /\/t\/c\//);
    const clicks = await post({ ...write, track: { clicks: true } });
    assert.equal(trackingOf(clicks)?.opens, null);
    assert.doesNotMatch((await sentParts(clicks)).sentHtml, /<img/);
    const nothing = await post({ ...write, html: '<p>Hi</p>', track: { clicks: true } });
    assert.equal(trackingOf(nothing), null);
    assert.equal((await sentParts(nothing)).sentHtml, '<p>Hi</p>');
  });

  test('multipart, with files', async () => {
    const data = new FormData();
    data.set('message', JSON.stringify({ ...write, track: { opens: true } }));
    data.append('file', new File(['content'], 'a.txt', { type: 'text/plain' }));
    const request = new Request('http://x/', { method: 'POST', body: data });
    const answer = await t.call('POST', path, {
      body: new Uint8Array(await request.arrayBuffer()),
      headers: { 'content-type': request.headers.get('content-type') ?? '' },
    });
    assert.equal(trackingOf(answer)?.opens?.['count'], 0);
    const { attachments, html: sent } = await parseMessage(await raw(answer));
    assert.deepEqual([attachments[0]?.name, attachments[0]?.content.toString()], ['a.txt', 'content']);
    assert.match(sent ?? '', /\/t\/o\//);
    assert.doesNotMatch(String(part(answer, 'message')['html']), /\/t\/o\//);
    assert.equal((part(answer, 'message')['attachments'] as Json[]).length, 1);
  });

  test('left alone are links that are ours already, too long ones, and those after two hundred', async () => {
    const ours = `${base}/t/c/abc`;
    const long = `https://shop.example/${'x'.repeat(1400)}`;
    const many = Array.from({ length: 201 }, (_, n) => `https://shop.example/${n}`);
    const links = [ours, long, ...many, ...many].map((url) => `<a href="${url}">x</a>`).join('');
    const answer = await post({ ...write, html: links, track: { clicks: true } });
    assert.deepEqual(
      trackingOf(answer)?.clicks.map(({ url }) => url),
      many.slice(0, 200),
    );
    const { sentHtml } = await sentParts(answer);
    const targets = [...sentHtml.matchAll(/href="([^"]*)"/g)].map(([, url = '']) => url);
    assert.deepEqual(
      targets.filter((url) => !/\/t\/c\/[\w-]{60}/.test(url)),
      [ours, long, many[200], many[200]],
    );
  });

  test('what has no HTML cannot be tracked, and that is said with all that is wrong', async () => {
    const { html: _, ...text } = { ...write, text: 'Hi' };
    assert.deepEqual(fieldCodes(await post({ ...text, track: { opens: true } })), { track: 'needs_html' });
    assert.deepEqual(fieldCodes(await post({ ...text, html: '', track: { clicks: true } })), {
      track: 'needs_html',
    });
    assert.equal((await post({ ...text, track: {} })).status, 202);
    assert.deepEqual(
      fieldCodes(await post({ ...write, user_id: 'nobody', track: { opens: 'yes', pixels: 1 } })),
      { 'track.opens': 'invalid_type', 'track.pixels': 'unknown_field', user_id: 'unknown_user' },
    );
  });

  test('the same key with another track is another call', async () => {
    const first = await post({ ...write, track: { opens: true } }, 'once');
    assert.deepEqual(
      (await post({ ...write, track: { opens: true, clicks: false } }, 'once')).body,
      first.body,
    );
    assert.equal((await post(write, 'once')).body['code'], 'idempotency_key_reused');
  });
});

describe('D7: without an address for tracking', () => {
  before(() => open(null));
  after(() => t.close());

  test('it is refused, with whom to ask; what asks for none is sent', async () => {
    const track = { opens: true };
    const answer = await post({ ...write, track });
    assert.deepEqual(fieldCodes(answer), { track: 'tracking_not_configured' });
    assert.match(JSON.stringify(answer.body), /TWOWAY_TRACKING_URL/);
    assert.deepEqual(fieldCodes(await post({ ...write, subject: 7, track })), {
      subject: 'invalid_type',
      track: 'tracking_not_configured',
    });
    assert.equal((await post({ ...write, track: { opens: false } })).status, 202);
  });
});

describe('D7: what recipients load', () => {
  const box = createSecretBox([Buffer.alloc(32, 7)]);
  const sendId = newId('snd');
  let taken: Parameters<Hits['take']>[0][] = [];
  const app = createTracking({ secretBox: box, hits: { take: (hit) => void taken.push(hit) } });
  const get = (target: string, init: RequestInit = {}) => {
    taken = [];
    return app.request(target, { headers: firefox, ...init });
  };
  const url = 'https://shop.example/?a=1&b=2#c';
  const picture = openPath(box, sendId);
  const link = clickPath(box, { sendId, n: 3, url });

  test('a picture of 43 bytes that nobody keeps', async () => {
    const response = await get(picture);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.deepEqual([response.status, bytes.length, bytes.subarray(0, 6).toString()], [200, 43, 'GIF89a']);
    assert.equal(response.headers.get('content-type'), 'image/gif');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(response.headers.get('set-cookie'), null);
    assert.deepEqual(taken, [{ sendId, n: 0, opener: 'person' }]);
  });

  test('a link leads on, and tells nobody from where', async () => {
    const response = await get(link);
    assert.deepEqual([response.status, response.headers.get('location')], [302, url]);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    assert.equal(response.headers.get('set-cookie'), null);
    assert.deepEqual(taken, [{ sendId, n: 3, opener: 'person' }]);
  });

  test('HEAD and browsers that load ahead are answered, as machines', async () => {
    for (const target of [picture, link]) {
      const wanted = target === link ? 302 : 200;
      const head = await get(target, { method: 'HEAD' });
      assert.deepEqual([head.status, (await head.arrayBuffer()).byteLength], [wanted, 0]);
      assert.deepEqual(
        taken.map(({ opener }) => opener),
        ['machine'],
      );
      const ahead = await get(target, { headers: { ...firefox, 'sec-purpose': 'prefetch' } });
      assert.equal(ahead.status, wanted);
      assert.deepEqual(
        taken.map(({ opener }) => opener),
        ['machine'],
      );
    }
  });

  const evil = 'https://evil.example/';
  const wrong: [name: string, target: string, method?: string][] = [
    ['a token of a picture as a link', picture.replace('/o/', '/c/')],
    ['a token of a link as a picture', link.replace('/c/', '/o/')],
    ['a character less', link.slice(0, -1)],
    ['another target behind the signature', link.slice(0, 50) + Buffer.from(evil).toString('base64url')],
    ['a target in the clear', `/t/c/${evil}`],
    ['an encoded target', `/t/c/${encodeURIComponent(evil)}`],
    ['a target in a query', `/t/c/?url=${evil}`],
    ['two slashes', `/t/c//evil.example`],
    ['no token', '/t/c/'],
    ['a broken escape', '/t/c/%E0%A4%A'],
    ['line ends', `/t/c/x%0d%0aLocation:%20${evil}`],
    ['a very long token', `/t/o/${'A'.repeat(10_000)}`],
    ['nothing', '/t/'],
    ['POST', link, 'POST'],
  ];
  for (const [name, target, method = 'GET'] of wrong) {
    test(`${name}: a plain 404`, async () => {
      const response = await get(target, { method });
      assert.deepEqual([response.status, await response.text()], [404, 'Not found\n']);
      assert.equal(response.headers.get('location'), null);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.deepEqual(taken, []);
    });
  }

  test('a query that was added to a link changes nothing', async () => {
    const response = await get(`${link}?url=${evil}&fbclid=x`);
    assert.equal(response.headers.get('location'), url);
  });
});

describe('D7, C7: an erased message', () => {
  before(() => open(base));
  after(() => t.close());

  test('its links still lead on; nothing is counted, and nothing of them is left', async () => {
    const answer = await post({ ...write, track: { opens: true, clicks: true } }, 'erase');
    const id = String(part(answer, 'send')['id']);
    await run(
      t.db,
      `insert into send_attempts (send_id, n, started_at, ended_at, outcome)
       values (:id, 1, now() - interval '1 minute', now() - interval '1 minute', 'accepted')`,
      { id },
    );
    const { sentHtml } = await sentParts(answer);
    const link = /href="https:\/\/go\.crm\.example(\/t\/c\/[\w-]+)"/.exec(sentHtml)?.[1] ?? '';
    const click = async () => {
      const log = { debug() {}, info() {}, warn: assert.fail, error: assert.fail, child: () => log };
      const hits = createHits({ db: t.db, clock: systemClock, log, wakePublisher() {} });
      const app = createTracking({ secretBox: createSecretBox([Buffer.alloc(32, 7)]), hits });
      const response = await app.request(link, { headers: firefox });
      await hits.stop();
      return response.headers.get('location');
    };
    const target = 'https://shop.example/?a=1&b=2';
    assert.equal(await click(), target);
    const events = () =>
      rows<{ type: string; data: string }>(
        t.db,
        `select type, data::text from events where object_id = :id and type = 'send.clicked'`,
        { id },
      );
    assert.match((await events())[0]?.data ?? '', /shop\.example/);
    assert.equal((await t.call('DELETE', `${path}/${String(part(answer, 'message')['id'])}`)).status, 204);
    assert.equal(await click(), target);
    const told = await events();
    assert.equal(told.length, 1);
    assert.doesNotMatch(told[0]?.data ?? '', /shop\.example/);
    assert.deepEqual(await rows(t.db, 'select from tracked'), []);
    const again = await post({ ...write, track: { opens: true, clicks: true } }, 'erase');
    assert.equal(trackingOf(again), null);
  });
});
