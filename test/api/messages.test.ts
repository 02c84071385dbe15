import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseMessage } from '../../src/message/parse.ts';
import { rows, run } from '../../src/store/database.ts';
import { connectMailbox } from '../outbound/support.ts';
import { startApi } from './support.ts';
import type { Answer, ApiUnderTest } from './support.ts';

type Json = Record<string, unknown>;

const smtp = { host: '127.0.0.1', port: 9, security: 'none' } as const;
const path = '/v1/sub-accounts/acme/messages';
const write = { kind: 'individual', user_id: 'anna', contact_id: 'carla', subject: 'Hi', text: 'Hello' };

let t: ApiUnderTest;
let wakes = { publisher: 0, sender: 0 };

async function open(): Promise<void> {
  wakes = { publisher: 0, sender: 0 };
  t = await startApi({
    wakePublisher: () => (wakes.publisher += 1),
    wakeSender: () => (wakes.sender += 1),
    // A connection is made, and a send and an attachment are changed, by hand.
    breaks: ['connection_state_is_told', 'send_is_told'],
  });
  await t.call('PUT', '/v1/sub-accounts/acme', { json: { name: 'Acme' } });
  await t.call('PUT', '/v1/sub-accounts/acme/contacts/carla', {
    json: { name: 'Carla', emails: ['carla@customer.example'] },
  });
  await connectMailbox(t.db, { userId: 'anna', address: 'anna@mail.example', provider: 'gmail', smtp });
  await t.call('PUT', '/v1/users/bert', { json: { email: 'bert@crm.example' } });
  await t.call('PUT', '/v1/sub-accounts/acme/users/bert');
}

const post = (json: unknown, key?: string) =>
  t.call('POST', path, { json, ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }) });

function form(
  message: unknown,
  files: [field: string, name: string, type: string, content: string | Buffer][] = [],
) {
  const data = new FormData();
  if (message !== undefined) data.set('message', JSON.stringify(message));
  for (const [field, name, type, content] of files) data.append(field, new File([content], name, { type }));
  return data;
}

async function postForm(data: FormData): Promise<Answer> {
  const request = new Request('http://x/', { method: 'POST', body: data });
  return t.call('POST', path, {
    body: new Uint8Array(await request.arrayBuffer()),
    headers: { 'content-type': request.headers.get('content-type') ?? '' },
  });
}

const id = (answer: Answer, what: 'message' | 'send') => String((answer.body[what] as Json)['id']);

/** The codes of the fields that are not valid, or not taken. */
function fieldCodes(answer: Answer, code = 'invalid_request'): Record<string, string> {
  assert.deepEqual([answer.status, answer.body['code']], [422, code], JSON.stringify(answer.body));
  const errors = answer.body['errors'] as { path: string; code: string }[];
  return Object.fromEntries(errors.map((error) => [error.path, error.code]));
}

const sends = () => rows<{ id: string }>(t.db, 'select id from sends order by id');

async function raw(messageId: string): Promise<Buffer> {
  const response = await t.api.request(`${path}/${messageId}/raw`, {
    headers: { authorization: `Bearer ${t.adminKey}` },
  });
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

describe('D3: POST …/messages', () => {
  before(open);
  after(() => t.close());

  test('202 with the message, its send and the route, when all of it is stored; the workers are woken', async () => {
    const answer = await post(write);
    assert.equal(answer.status, 202);
    const { message, send, route } = answer.body as { message: Json; send: Json; route: Json };
    assert.deepEqual(
      [message['subject'], message['text'], message['direction']],
      ['Hi', 'Hello', 'outbound'],
    );
    assert.deepEqual(message['to'], [{ name: 'Carla', address: 'carla@customer.example' }]);
    assert.equal(send['state'], 'queued');
    assert.deepEqual(Object.keys(route).sort(), ['because', 'from', 'row', 'through']);
    assert.deepEqual(wakes, { publisher: 1, sender: 1 });
    assert.deepEqual((await t.call('GET', `${path}/${id(answer, 'message')}`)).body, message);
    assert.deepEqual((await t.call('GET', `/v1/sub-accounts/acme/sends/${id(answer, 'send')}`)).body, send);
  });

  test('recipients as texts, with names, one or several', async () => {
    const answer = await post({
      ...write,
      contact_id: undefined,
      to: 'carla@customer.example',
      cc: ['x@a.example', { name: 'Yves', address: 'y@a.example' }],
    });
    assert.equal(answer.status, 202);
    const message = answer.body['message'] as Json;
    assert.deepEqual(message['cc'], [
      { name: '', address: 'x@a.example' },
      { name: 'Yves', address: 'y@a.example' },
    ]);
  });

  test('attachments in JSON', async () => {
    const content = Buffer.from('%PDF-1.7\n\0\xff', 'latin1');
    const answer = await post({
      ...write,
      attachments: [{ name: 'Grüße.pdf', type: 'application/pdf', content: content.toString('base64') }],
    });
    const [attachment] = (answer.body['message'] as { attachments: Json[] }).attachments;
    assert.deepEqual(
      [attachment?.['n'], attachment?.['name'], attachment?.['type'], attachment?.['size']],
      [1, 'Grüße.pdf', 'application/pdf', content.length],
    );
    const read = await parseMessage(await raw(id(answer, 'message')));
    assert.deepEqual(read.attachments[0]?.content, content);
  });

  test('multipart: the JSON in the part message, files beside it under any name', async () => {
    const big = Buffer.alloc(3_000_000, 'abc\r\n--x\r\n');
    const answer = await postForm(
      form(write, [
        ['files', 'Größe 1.bin', 'application/x-thing', big],
        ['files', 'empty.txt', 'text/plain', ''],
        ['other', 'note.txt', '', 'note'],
      ]),
    );
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    const read = await parseMessage(await raw(id(answer, 'message')));
    assert.deepEqual(
      read.attachments.map(({ name, size }) => [name, size]),
      [
        ['Größe 1.bin', big.length],
        ['empty.txt', 0],
        ['note.txt', 4],
      ],
    );
    assert.deepEqual(read.attachments[0]?.content, big);
    const asFile = form(undefined, [['message', 'message.json', 'application/json', JSON.stringify(write)]]);
    assert.equal((await postForm(asFile)).status, 202);
  });

  test('Idempotency-Key: the same answer for JSON and for the same message as multipart; another one is 409', async () => {
    const content = Buffer.from('file');
    const file = { name: 'a.txt', type: 'text/plain', content: content.toString('base64') };
    const first = await post({ ...write, attachments: [file] }, 'order-1');
    assert.equal(first.status, 202);
    const again = await post({ attachments: [file], ...write }, 'order-1');
    assert.deepEqual([again.status, again.body], [202, first.body]);
    const other = await post({ ...write, text: 'Bye' }, 'order-1');
    assert.deepEqual([other.status, other.body['code']], [409, 'idempotency_key_reused']);
  });

  test('D0, D1: refusals in the words of the rules', async () => {
    const table: [changes: Json, status: number, code: string][] = [
      [{ contact_id: 'nobody' }, 422, 'unknown_contact'],
      [{ contact_id: undefined, to: ['x@a.example'] }, 422, 'unknown_contact'],
      [{ user_id: 'bert' }, 409, 'no_mailbox_connected'],
      [{ kind: 'bulk' }, 409, 'no_provider'],
      [{ kind: 'workflow' }, 409, 'no_provider'],
      [{ from: 'boss@mail.example' }, 422, 'from_not_allowed'],
    ];
    for (const [changes, status, code] of table) {
      const answer = await post({ ...write, ...changes });
      assert.deepEqual([answer.status, answer.body['code']], [status, code]);
    }
    assert.match(
      String((await post({ ...write, kind: 'bulk' })).body['detail']),
      /^bulk, Gmail connected: the sub-account's provider, and it has none$/,
    );
    assert.deepEqual(fieldCodes(await post({ ...write, user_id: 'nobody' })), { user_id: 'unknown_user' });
    assert.deepEqual(fieldCodes(await post({ ...write, reply_to_message_id: 'msg_none' })), {
      reply_to_message_id: 'unknown_message',
    });
  });

  test('every invalid field is named at once', async () => {
    const answer = await post({
      kind: 'letter',
      to: ['carla@customer.example', 'not an address', { address: 'x@a.example', nam: 'X' }],
      subject: 'x\0',
      headers: { Bcc: 'x@a.example', Importance: 'a\nb' },
      attachments: [{ name: '', content: '***' }],
      send_at: 'tomorrow',
      track: true,
      tracks: true,
    });
    assert.deepEqual(fieldCodes(answer), {
      kind: 'invalid_value',
      user_id: 'required',
      'to.1.address': 'invalid_address',
      'to.2.nam': 'unknown_field',
      subject: 'invalid_text',
      'headers.Bcc': 'header_not_allowed',
      'headers.Importance': 'invalid_text',
      'attachments.0.name': 'too_short',
      'attachments.0.content': 'invalid_base64',
      send_at: 'invalid_format',
      track: 'invalid_type',
      tracks: 'unknown_field',
    });
    assert.deepEqual(fieldCodes(await post({ ...write, contact_id: undefined })), { to: 'required' });
    const many = Array.from({ length: 101 }, (_, n) => `n${n}@a.example`);
    assert.deepEqual(fieldCodes(await post({ ...write, cc: many.slice(0, 60), bcc: many.slice(60) })), {
      to: 'too_long',
    });
  });

  test('a user and a message that are not there are named with whatever else is wrong', async () => {
    const nobody = { ...write, user_id: 'nobody', reply_to_message_id: 'msg_none' };
    const unknown = { user_id: 'unknown_user', reply_to_message_id: 'unknown_message' };
    assert.deepEqual(fieldCodes(await post(nobody)), unknown);
    assert.deepEqual(fieldCodes(await post({ ...nobody, kind: 'letter' })), {
      ...unknown,
      kind: 'invalid_value',
    });
  });

  test('a message that says nothing is refused; a subject or a file is something', async () => {
    const nothing = { kind: 'individual', user_id: 'anna', contact_id: 'carla' };
    for (const blank of [{}, { subject: '', text: ' \n', html: null }])
      assert.deepEqual(fieldCodes(await post({ ...nothing, ...blank })), { text: 'required' });
    assert.deepEqual(fieldCodes(await post({ kind: 'letter', user_id: 'anna' })), {
      kind: 'invalid_value',
      to: 'required',
      text: 'required',
    });
    const first = await post(write);
    const answer = { ...nothing, reply_to_message_id: id(first, 'message') };
    assert.deepEqual(fieldCodes(await post(answer)), { text: 'required' }, 'nor has an empty answer');
    assert.equal((await post({ ...nothing, subject: 'Call me' })).status, 202);
    assert.equal((await postForm(form(nothing, [['file', 'offer.txt', 'text/plain', 'x']]))).status, 202);
  });

  test('L1: 25 MB of attachments, and no byte more; each that is too large is named, in JSON and in parts', async () => {
    const most = Buffer.alloc(25 * 1_048_576, 'x');
    const fits = await postForm(form(write, [['file', 'a.bin', 'application/octet-stream', most]]));
    assert.equal(fits.status, 202);
    const more: [string, string, string, Buffer][] = [
      ['file', 'a.bin', 'application/octet-stream', most],
      ['file', 'b.bin', 'application/octet-stream', Buffer.from('x')],
    ];
    const before = await sends();
    const refused = await postForm(form(write, more));
    assert.deepEqual(fieldCodes(refused, 'attachment_too_large'), { file: 'attachment_too_large' });
    assert.match(
      String(refused.body['detail']),
      /^a\.bin has 26214400 bytes; the mailbox takes 26214400 in all/,
    );
    const attachments = more.map(([, name, , content]) => ({ name, content: content.toString('base64') }));
    const asJson = await post({ ...write, attachments });
    assert.deepEqual(fieldCodes(asJson, 'attachment_too_large'), { 'attachments.0': 'attachment_too_large' });
    assert.deepEqual(await sends(), before);
  });

  test('L1: what is more than the gateway reads is named in the same way', async () => {
    const half = Buffer.alloc(25 * 1_048_576, 'x');
    const files = ['a.bin', 'b.bin', 'c.bin'].map((name): [string, string, string, Buffer] => [
      name.slice(0, 1),
      name,
      'application/octet-stream',
      name === 'c.bin' ? Buffer.from('x') : half,
    ]);
    const refused = await postForm(form(write, files));
    assert.deepEqual(fieldCodes(refused, 'attachment_too_large'), { c: 'attachment_too_large' });
  });

  test('L2, L4: each attachment by size and type, as the mailbox has it', async () => {
    await run(
      t.db,
      `update mailboxes set limits = '{"attachmentBytesMax": 12, "attachmentsBytesMax": null, "attachmentExtensions": ["pdf"]}'`,
    );
    const attachments = [
      { name: 'tool.exe', content: Buffer.from('MZ').toString('base64') },
      { name: 'fits.pdf', content: Buffer.from('%PDF-1.7....').toString('base64') },
      { name: 'large.pdf', content: Buffer.from('%PDF-1.7.....').toString('base64') },
      { name: 'lies.pdf', content: Buffer.from('MZ').toString('base64') },
    ];
    const before = await sends();
    const refused = await post({ ...write, attachments });
    assert.deepEqual(fieldCodes(refused, 'attachment_too_large'), {
      'attachments.0': 'attachment_type',
      'attachments.2': 'attachment_too_large',
      'attachments.3': 'attachment_type',
    });
    const typed = await post({ ...write, attachments: attachments.slice(0, 2) });
    assert.deepEqual(fieldCodes(typed, 'attachment_type'), { 'attachments.0': 'attachment_type' });
    assert.deepEqual(await sends(), before);
    assert.equal((await post({ ...write, attachments: attachments.slice(1, 2) })).status, 202);
    await run(t.db, `update mailboxes set limits = '{}'`);
  });

  test('L3: past the daily limit of the mailbox: 429 with the time from which it works again, or it waits', async () => {
    await run(t.db, `update mailboxes set limits = '{"individualMessagesPerDayMax": 1}'`);
    await run(t.db, 'delete from daily_places');
    assert.equal((await post(write)).status, 202);
    const before = await sends();
    const refused = await post(write, 'limited');
    assert.deepEqual([refused.status, refused.body['code']], [429, 'daily_limit']);
    const again = Date.parse(String(refused.body['retry_at'])) - Date.now();
    assert.ok(Math.abs(again - 24 * 3_600_000) < 60_000);
    assert.ok(Math.abs(Number(refused.headers.get('retry-after')) * 1000 - again) < 60_000);
    assert.deepEqual(await sends(), before);
    const deferred = await post({ ...write, on_limit: 'defer' });
    assert.equal(deferred.status, 202);
    const { state, reason, next_try_at: next } = deferred.body['send'] as Json;
    assert.deepEqual([state, reason], ['queued', 'daily_limit']);
    assert.ok(Math.abs(Date.parse(String(next)) - Date.now() - again) < 60_000);
    assert.deepEqual(fieldCodes(await post({ ...write, on_limit: 'later' })), { on_limit: 'invalid_value' });
    await run(t.db, `update mailboxes set limits = '{}'`);
    // The refusal was not remembered.
    assert.equal((await post(write, 'limited')).status, 202);
  });

  test('bodies that cannot be read', async () => {
    const call = (type: string, body: string) =>
      t.call('POST', path, { body, headers: { 'content-type': type } });
    const table: [type: string, body: string, status: number, code: string][] = [
      ['application/json', '{', 400, 'malformed_json'],
      ['text/plain', 'x', 415, 'unsupported_media_type'],
      ['multipart/form-data', 'x', 415, 'unsupported_media_type'],
      ['multipart/form-data; charset=utf-8', 'x', 400, 'malformed_multipart'],
      [
        'multipart/form-data; boundary=x',
        '--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n{',
        400,
        'malformed_multipart',
      ],
      [
        'multipart/form-data; boundary=x',
        '--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n{\r\n--x--\r\n',
        400,
        'malformed_json',
      ],
    ];
    for (const [type, body, status, code] of table) {
      const answer = await call(type, body);
      assert.deepEqual([answer.status, answer.body['code']], [status, code], body);
    }
    assert.deepEqual(fieldCodes(await postForm(form(undefined, [['file', 'a', '', 'x']]))), {
      message: 'required',
    });
    const stray = form(write);
    stray.set('subject', 'x');
    assert.deepEqual(fieldCodes(await postForm(stray)), { subject: 'unknown_field' });
    const files = Array.from({ length: 101 }, (_, n): [string, string, string, string] => [
      'f',
      `${n}`,
      '',
      'x',
    ]);
    assert.deepEqual(fieldCodes(await postForm(form(write, files))), { attachments: 'too_long' });
    assert.equal(t.logged.filter(({ level }) => level === 'error').length, 0);
  });
});

describe('what was sent can be read', () => {
  let first: Answer;
  before(async () => {
    await open();
    first = await post({
      ...write,
      html: '<p>Hello</p><script>alert(1)</script>',
      attachments: [
        {
          name: 'page.html',
          type: 'text/html',
          content: Buffer.from('<script>1</script>').toString('base64'),
        },
      ],
    });
  });
  after(() => t.close());

  const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    t.api.request(url, { method, headers: { authorization: `Bearer ${t.adminKey}`, ...headers } });

  test('an attachment is a download that no browser runs', async () => {
    const response = await get(`${path}/${id(first, 'message')}/attachments/1`);
    assert.equal(await response.text(), '<script>1</script>');
    const header = (name: string) => response.headers.get(name);
    assert.equal(header('content-type'), 'text/html');
    assert.equal(
      header('content-disposition'),
      `attachment; filename="page.html"; filename*=UTF-8''page.html`,
    );
    assert.equal(header('x-content-type-options'), 'nosniff');
    assert.equal(header('content-security-policy'), "sandbox; default-src 'none'");
    assert.equal(header('content-length'), '18');
    assert.equal(header('accept-ranges'), 'bytes');
    assert.equal((await get(`${path}/${id(first, 'message')}/attachments/2`)).status, 404);
    assert.equal((await get(`${path}/${id(first, 'message')}/attachments/x`)).status, 422);
  });

  test('L1, L2: a content that is not kept says why, and so do the bytes that would hold it', async () => {
    const [kept] = await rows<{ sha256: string; raw: string }>(
      t.db,
      'select a.sha256, m.raw_sha256 as raw from attachments a join messages m on m.id = a.message_id',
    );
    await run(t.db, `update attachments set sha256 = null, omitted = 'attachment_too_large'`);
    await run(t.db, 'update messages set raw_sha256 = null where id = :id', { id: id(first, 'message') });
    for (const what of ['attachments/1', 'raw']) {
      const response = await get(`${path}/${id(first, 'message')}/${what}`);
      const problem = (await response.json()) as Json;
      assert.deepEqual([problem['code'], problem['status']], ['content_omitted', 404]);
      assert.match(String(problem['detail']), /attachment_too_large/);
    }
    await run(t.db, 'update attachments set sha256 = :sha256, omitted = null', kept);
    await run(t.db, 'update messages set raw_sha256 = :raw where id = :id', {
      ...kept,
      id: id(first, 'message'),
    });
  });

  test('the bytes, whole and in ranges, and not twice', async () => {
    const url = `${path}/${id(first, 'message')}/raw`;
    const whole = await raw(id(first, 'message'));
    assert.match(whole.toString(), new RegExp(`^Message-ID: <`, 'm'));
    const part = await get(url, { range: 'bytes=10-19' });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), `bytes 10-19/${whole.length}`);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(10, 20));
    const tag = part.headers.get('etag') ?? '';
    assert.equal((await get(url, { 'if-none-match': tag })).status, 304);
    assert.equal((await get(url, { range: 'bytes=0-1', 'if-range': '"other"' })).status, 200);
    assert.equal((await get(url, { range: 'bytes=0-1', 'if-range': tag })).status, 206);
    const beyond = await get(url, { range: 'bytes=999999-' });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers.get('content-range'), `bytes */${whole.length}`);
    const head = await get(url, {}, 'HEAD');
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(whole.length)]);
    assert.equal((await head.arrayBuffer()).byteLength, 0);
  });

  test('the HTML that is shown is sanitised, the HTML that goes out is as it was given', async () => {
    assert.doesNotMatch(String((first.body['message'] as Json)['html']), /script/);
    assert.match((await raw(id(first, 'message'))).toString(), /<script>/);
  });

  test('its thread, and the conversation of its contact, oldest or newest first, page by page', async () => {
    const message = first.body['message'] as { id: string; thread_id: string; conversation_ids: string[] };
    const second = await post({
      ...write,
      contact_id: undefined,
      subject: undefined,
      reply_to_message_id: message.id,
    });
    const thread = (await t.call('GET', `/v1/sub-accounts/acme/threads/${message.thread_id}`)).body as {
      state: string;
      mailbox: Json;
      messages: Json[];
      older_messages: boolean;
      updated_at: string;
    };
    const changes = thread.messages.map((one) => String(one['updated_at']));
    assert.equal(thread.updated_at, changes.sort().at(-1), 'it changes with its messages');
    assert.deepEqual(
      [thread.state, thread.mailbox['address'], thread.older_messages],
      ['live', 'anna@mail.example', false],
    );
    const ids = [message.id, id(second, 'message')];
    await run(t.db, `update messages set date = date + interval '1 minute' where id = :last`, {
      last: ids[1],
    });
    assert.deepEqual(
      thread.messages.map((one) => one['id']),
      ids,
    );
    assert.deepEqual(
      thread.messages.map((one) => one['subject']),
      ['Hi', 'Re: Hi'],
    );

    const conversation = `/v1/sub-accounts/acme/conversations/${message.conversation_ids[0]}`;
    const shown = (await t.call('GET', conversation)).body;
    assert.equal(shown['contact_id'], 'carla');
    const list = async (query: string) => {
      const { data, next_cursor } = (await t.call('GET', `${conversation}/messages?${query}`)).body as {
        data: Json[];
        next_cursor: string | null;
      };
      return { ids: data.map((one) => one['id']), next: next_cursor };
    };
    assert.deepEqual((await list('')).ids, ids.toReversed());
    const page = await list('order=asc&limit=1');
    assert.deepEqual(page.ids, [ids[0]]);
    assert.deepEqual(await list(`order=asc&limit=1&cursor=${page.next}`), { ids: [ids[1]], next: null });
    const cursor = Buffer.from('["no time","x"]').toString('base64url');
    assert.equal((await t.call('GET', `${conversation}/messages?cursor=${cursor}`)).status, 422);
  });

  test('conversations by contact, user and time, the last changed first', async () => {
    await t.call('PUT', '/v1/sub-accounts/acme/contacts/carlo', {
      json: { emails: ['carlo@customer.example'] },
    });
    await post({ ...write, contact_id: 'carlo' });
    const list = async (query: string) => {
      const { body } = await t.call('GET', `/v1/sub-accounts/acme/conversations?${query}`);
      return body as { data: { contact_id: string; updated_at: string }[]; next_cursor: string | null };
    };
    const contacts = async (query: string) => (await list(query)).data.map((one) => one.contact_id);
    assert.deepEqual(await contacts(''), ['carlo', 'carla']);
    assert.deepEqual(await contacts('contact_id=carla'), ['carla']);
    assert.deepEqual(await contacts('user_id=anna'), ['carlo', 'carla']);
    assert.deepEqual(await contacts('user_id=bert'), []);
    const { data, next_cursor } = await list('limit=1');
    assert.deepEqual(await contacts(`limit=1&cursor=${next_cursor}`), ['carla']);
    assert.deepEqual(await contacts(`updated_after=${data[0]?.updated_at.replace('Z', '999Z')}`), []);
    assert.deepEqual(await contacts('updated_after=2026-01-01T00:00:00Z'), ['carlo', 'carla']);
  });

  test('D6: a send is taken back while it waits, and not once it is over', async () => {
    const later = await post({ ...write, send_at: new Date(Date.now() + 3_600_000).toISOString() });
    const url = `/v1/sub-accounts/acme/sends/${id(later, 'send')}`;
    const cancelled = await t.call('DELETE', url);
    assert.deepEqual([cancelled.status, cancelled.body['state']], [200, 'cancelled']);
    assert.equal((await t.call('DELETE', url)).status, 200);
    const message = (await t.call('GET', `${path}/${id(later, 'message')}`)).body;
    assert.deepEqual((message['send'] as Json)['state'], 'cancelled');
    await run(t.db, `update sends set state = 'sent', ready = false where id = :id`, {
      id: id(first, 'send'),
    });
    const late = await t.call('DELETE', `/v1/sub-accounts/acme/sends/${id(first, 'send')}`);
    assert.deepEqual([late.status, late.body['code'], late.body['state']], [409, 'too_late', 'sent']);
  });
});
