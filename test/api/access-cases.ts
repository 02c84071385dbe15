import type { ApiUnderTest } from './support.ts';

/** What a route answers to each kind of key. A new route needs an entry here; access.test.ts says which. */
export type AccessCase = {
  /** Body of the call, for the route's own tenant. */
  json?: unknown;
  /** A body that is not JSON. */
  body?: { type: string; text: string };
  /** Status with a key for all sub-accounts that may write. */
  all: number;
  /** Status with a key of the sub-account that may write, asking for that sub-account's own object. */
  own: number;
  /**
   * Status with that key asking for the same kind of object of another sub-account. It must be
   * told apart by nothing from one that does not exist, unless `makes` says that the route makes it.
   * Null: the route names no object.
   */
  foreign: number | null;
  /** Status with that key for its own sub-account and, inside it, the other's user or contact. */
  mixed?: number;
  makes?: true;
  /** Which of the seeded objects `{id}` of the path is. */
  id?: 'message' | 'thread' | 'conversation' | 'send' | 'connection' | 'decision' | 'held' | 'doubtful';
};

/** Routes that need no key. */
export const publicRoutes: readonly string[] = ['GET /healthz', 'GET /readyz'];

const contact = { name: 'Cleo', emails: ['cleo@customer.example'] };
const user = { email: 'ann@crm.example' };
const neverLog = { entries: ['@bank.example'] };
/** An object of a sub-account that is asked for by its own id. */
const inside = (id: NonNullable<AccessCase['id']>): AccessCase => ({
  id,
  all: 200,
  own: 200,
  foreign: 404,
  mixed: 404,
});

export const accessCases: Readonly<Record<string, AccessCase>> = {
  'GET /metrics': { all: 200, own: 403, foreign: null },
  'PUT /v1/sub-accounts/{sid}': { json: { name: 'One' }, all: 200, own: 200, foreign: 404 },
  'GET /v1/sub-accounts/{sid}': { all: 200, own: 200, foreign: 404 },
  'DELETE /v1/sub-accounts/{sid}': { all: 204, own: 403, foreign: 404 },
  'PUT /v1/users/{uid}': { json: user, all: 200, own: 200, foreign: 404, makes: true },
  'GET /v1/users/{uid}': { all: 200, own: 200, foreign: 404 },
  'DELETE /v1/users/{uid}': { all: 204, own: 204, foreign: 404 },
  'PUT /v1/sub-accounts/{sid}/users/{uid}': { all: 200, own: 200, foreign: 404, mixed: 404 },
  'DELETE /v1/sub-accounts/{sid}/users/{uid}': { all: 204, own: 204, foreign: 404, mixed: 404 },
  'GET /v1/sub-accounts/{sid}/users': { all: 200, own: 200, foreign: 404 },
  'PUT /v1/sub-accounts/{sid}/contacts/{cid}': {
    json: contact,
    all: 200,
    own: 200,
    foreign: 404,
  },
  'GET /v1/sub-accounts/{sid}/contacts/{cid}': { all: 200, own: 200, foreign: 404, mixed: 404 },
  'DELETE /v1/sub-accounts/{sid}/contacts/{cid}': { all: 204, own: 204, foreign: 404, mixed: 404 },
  'GET /v1/sub-accounts/{sid}/contacts': { all: 200, own: 200, foreign: 404 },
  'POST /v1/sub-accounts/{sid}/contacts/import': {
    body: { type: 'application/x-ndjson', text: '{"id":"c7"}\n' },
    all: 200,
    own: 200,
    foreign: 404,
  },
  'GET /v1/sub-accounts/{sid}/users/{uid}/logging-address': { all: 200, own: 200, foreign: 404, mixed: 404 },
  'POST /v1/sub-accounts/{sid}/users/{uid}/logging-address/replace': {
    json: {},
    all: 200,
    own: 200,
    foreign: 404,
    mixed: 404,
  },
  'GET /v1/sub-accounts/{sid}/users/{uid}/logging-address.vcf': {
    all: 200,
    own: 200,
    foreign: 404,
    mixed: 404,
  },
  'GET /v1/sub-accounts/{sid}/held': { all: 200, own: 200, foreign: 404 },
  'POST /v1/sub-accounts/{sid}/held/{id}/release': {
    id: 'held',
    json: {},
    all: 202,
    own: 202,
    foreign: 404,
    mixed: 404,
  },
  'POST /v1/sub-accounts/{sid}/held/{id}/discard': inside('doubtful'),
  'GET /v1/sub-accounts/{sid}/never-log': { all: 200, own: 200, foreign: 404 },
  'PUT /v1/sub-accounts/{sid}/never-log': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'POST /v1/sub-accounts/{sid}/never-log/erase': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'GET /v1/users/{uid}/never-log': { all: 200, own: 200, foreign: 404 },
  'PUT /v1/users/{uid}/never-log': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'POST /v1/users/{uid}/never-log/erase': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'POST /v1/sub-accounts/{sid}/users/{uid}/connection-links': {
    json: {},
    all: 201,
    own: 201,
    foreign: 404,
    mixed: 404,
  },
  'POST /v1/sub-accounts/{sid}/users/{uid}/mailbox-links': {
    json: {},
    all: 201,
    own: 201,
    foreign: 404,
    mixed: 404,
  },
  'PUT /v1/sub-accounts/{sid}/users/{uid}/connection': {
    json: {
      provider: 'imap',
      email: 'ann@company.example',
      imap: { host: 'mail.company.example', port: 993, security: 'tls' },
      smtp: { host: 'mail.company.example', port: 465, security: 'tls' },
      auth: { kind: 'password', password: 'secret' },
    },
    all: 200,
    own: 200,
    foreign: 404,
    mixed: 404,
  },
  'GET /v1/sub-accounts/{sid}/users/{uid}/connection': { all: 200, own: 200, foreign: 404, mixed: 404 },
  'DELETE /v1/sub-accounts/{sid}/users/{uid}/connection': { all: 204, own: 204, foreign: 404, mixed: 404 },
  'GET /v1/connections': { all: 200, own: 200, foreign: null },
  'GET /v1/connections/{id}': { id: 'connection', all: 200, own: 200, foreign: 404 },
  // The mailbox is other sub-accounts', too.
  'POST /v1/connections/{id}/traces': {
    id: 'connection',
    json: { minutes: 5 },
    all: 201,
    own: 403,
    foreign: 404,
  },
  'GET /v1/connections/{id}/traces': { id: 'connection', all: 200, own: 403, foreign: 404 },
  'GET /v1/connections/{id}/traces/{tid}': { id: 'connection', all: 200, own: 403, foreign: 404 },
  'DELETE /v1/connections/{id}/traces': { id: 'connection', all: 204, own: 403, foreign: 404 },
  'PUT /v1/connections/{id}/limits': { id: 'connection', json: {}, all: 200, own: 403, foreign: 404 },
  'POST /v1/connections/{id}/pause': { id: 'connection', all: 200, own: 200, foreign: 404 },
  'POST /v1/connections/{id}/resume': { id: 'connection', all: 200, own: 200, foreign: 404 },
  'POST /v1/connections/{id}/backfills': {
    id: 'connection',
    json: { since: '2026-01-01T00:00:00Z' },
    all: 202,
    own: 202,
    foreign: 404,
  },
  'GET /v1/connections/{id}/backfills/{bid}': { id: 'connection', all: 200, own: 200, foreign: 404 },
  'DELETE /v1/connections/{id}/backfills/{bid}': { id: 'connection', all: 200, own: 200, foreign: 404 },
  'POST /v1/connections/{id}/audits': { id: 'connection', json: {}, all: 202, own: 202, foreign: 404 },
  'GET /v1/connections/{id}/audits/{aid}': { id: 'connection', all: 200, own: 200, foreign: 404 },
  // It is connected: whoever may erase is told so.
  'POST /v1/connections/{id}/erase': { id: 'connection', all: 409, own: 409, foreign: 404 },
  'GET /v1/sub-accounts/{sid}/conversations': { all: 200, own: 200, foreign: 404 },
  'GET /v1/sub-accounts/{sid}/conversations/{id}': inside('conversation'),
  'DELETE /v1/sub-accounts/{sid}/conversations/{id}': { ...inside('conversation'), all: 204, own: 204 },
  'GET /v1/sub-accounts/{sid}/conversations/{id}/messages': inside('conversation'),
  'GET /v1/sub-accounts/{sid}/threads/{id}': inside('thread'),
  // The contact has no address: whoever may send gets as far as being told so.
  'POST /v1/sub-accounts/{sid}/messages': {
    json: { kind: 'individual', user_id: 'u1', contact_id: 'c1', text: 'Hello' },
    all: 422,
    own: 422,
    foreign: 404,
  },
  'GET /v1/sub-accounts/{sid}/messages/{id}': inside('message'),
  'DELETE /v1/sub-accounts/{sid}/messages/{id}': { ...inside('message'), all: 204, own: 204 },
  // The seeded one lies in no mailbox.
  'PATCH /v1/sub-accounts/{sid}/messages/{id}': {
    id: 'message',
    json: { read: true },
    all: 409,
    own: 409,
    foreign: 404,
    mixed: 404,
  },
  'GET /v1/sub-accounts/{sid}/messages/{id}/raw': inside('message'),
  'GET /v1/sub-accounts/{sid}/messages/{id}/attachments/{n}': inside('message'),
  'GET /v1/sub-accounts/{sid}/sends/{id}': inside('send'),
  'DELETE /v1/sub-accounts/{sid}/sends/{id}': inside('send'),
  'GET /v1/sub-accounts/{sid}/decisions': { all: 200, own: 200, foreign: 404 },
  'POST /v1/sub-accounts/{sid}/decisions/{id}/store': {
    id: 'decision',
    all: 202,
    own: 202,
    foreign: 404,
    mixed: 404,
  },
  'GET /v1/sub-accounts/{sid}/messages/{id}/explain': {
    id: 'message',
    all: 200,
    own: 200,
    foreign: 404,
    mixed: 404,
  },
  'POST /v1/keys': { json: { sub_account_id: 's1', scope: 'read' }, all: 201, own: 201, foreign: null },
  'GET /v1/keys': { all: 200, own: 200, foreign: null },
  'DELETE /v1/keys/{kid}': { all: 204, own: 204, foreign: 404 },
  'POST /v1/webhooks': {
    json: { url: 'https://crm.example/', sub_account_id: 's1' },
    all: 201,
    own: 201,
    foreign: null,
  },
  'GET /v1/webhooks': { all: 200, own: 200, foreign: null },
  'GET /v1/webhooks/{wid}': { all: 200, own: 200, foreign: 404 },
  'PATCH /v1/webhooks/{wid}': { json: { types: [] }, all: 200, own: 200, foreign: 404 },
  'DELETE /v1/webhooks/{wid}': { all: 204, own: 204, foreign: 404 },
  'POST /v1/webhooks/{wid}/test': { all: 200, own: 200, foreign: 404 },
  'GET /v1/webhooks/{wid}/deliveries': { all: 200, own: 200, foreign: 404 },
  'POST /v1/webhooks/{wid}/deliveries/{did}/retry': { all: 200, own: 200, foreign: 404 },
  'GET /v1/events': { all: 200, own: 200, foreign: null },
  'GET /v1/events/stream': { all: 200, own: 200, foreign: null },
};

/** Values of path parameters by their name: of the sub-account s1, of s2, and of nothing. */
export type PathValues = { own: Values; foreign: Values; absent: Values };
type Values = Record<string, string>;

/** Invariants that do not hold of what `seed` makes: it is written by hand, and is no whole mail. */
export const seedBreaks: readonly string[] = [
  'message_has_key',
  'message_has_bytes',
  'thread_knows_its_people',
  'conversation_is_dated',
  'send_has_decision',
  'send_is_known',
  'send_is_told',
  'message_is_told_once',
  'conversation_is_told_once',
  'connection_state_is_told',
  'delivery_state_agrees',
];

/** Makes, or makes again, the objects that the cases name. */
export async function seed(t: ApiUnderTest): Promise<PathValues> {
  const own: Values = {
    sid: 's1',
    uid: 'u1',
    cid: 'c1',
    message: 'msg_1',
    thread: 'thr_1',
    conversation: 'cnv_1',
    send: 'snd_1',
    connection: 'con_1',
    decision: 'dec_1',
    held: 'spl_1',
    doubtful: 'spl_10',
    bid: 'bkf_1',
    aid: 'aud_1',
    tid: 'trc_1',
    mailbox: 'mbx_1',
    folder: 'fld_1',
    n: '1',
  };
  const foreign: Values = {
    sid: 's2',
    uid: 'u2',
    cid: 'c2',
    message: 'msg_2',
    thread: 'thr_2',
    conversation: 'cnv_2',
    send: 'snd_2',
    connection: 'con_2',
    decision: 'dec_2',
    held: 'spl_2',
    doubtful: 'spl_20',
    bid: 'bkf_2',
    aid: 'aud_2',
    tid: 'trc_2',
    mailbox: 'mbx_2',
    folder: 'fld_2',
    n: '1',
  };
  const absent: Values = {
    sid: 's9',
    uid: 'u9',
    cid: 'c9',
    message: 'msg_9',
    thread: 'thr_9',
    conversation: 'cnv_9',
    send: 'snd_9',
    connection: 'con_9',
    decision: 'dec_9',
    held: 'spl_9',
    doubtful: 'spl_90',
    bid: 'bkf_9',
    aid: 'aud_9',
    tid: 'trc_9',
    n: '1',
  };
  for (const values of [own, foreign]) {
    const { sid, uid, cid } = values;
    await t.call('PUT', `/v1/sub-accounts/${sid}`, { json: { name: sid } });
    await t.call('PUT', `/v1/users/${uid}`, { json: { email: `${uid}@crm.example` } });
    await t.call('PUT', `/v1/sub-accounts/${sid}/users/${uid}`);
    await t.call('PUT', `/v1/sub-accounts/${sid}/contacts/${cid}`, { json: { name: cid } });
    await seedMessage(t, values);
    await seedConnection(t, values);
  }
  for (const path of ['/v1/sub-accounts/s1/never-log', '/v1/users/u1/never-log']) {
    await t.call('PUT', path, { json: neverLog });
  }
  for (const values of [own, foreign]) {
    const made = await t.call('POST', '/v1/keys', { json: { sub_account_id: values['sid'], scope: 'read' } });
    values['kid'] = String(made.body['id']);
    await seedWebhook(t, values);
  }
  absent['kid'] = 'key_00000000-0000-7000-8000-000000000000';
  absent['wid'] = 'whk_00000000-0000-7000-8000-000000000000';
  absent['did'] = 'dlv_00000000-0000-7000-8000-000000000000';
  return { own, foreign, absent };
}

/** A connection with a mailbox in which a mail was left out, a backfill and an audit of it. */
async function seedConnection(t: ApiUnderTest, values: Values): Promise<void> {
  const statements = [
    `insert into mailboxes (id, provider, address, canonical, login, state)
     values (:mailbox, 'gmail', :uid || '@mail.example', :uid || '@mail.example', :uid, 'live') on conflict do nothing`,
    `insert into user_addresses (user_id, kind, canonical) values (:uid, 'mailbox', :uid || '@mail.example')
     on conflict do nothing`,
    `insert into connections (id, sub_account_id, user_id, mailbox_id, provider, state)
     values (:connection, :sid, :uid, :mailbox, 'gmail', 'live') on conflict do nothing`,
    `insert into wire_traces (id, mailbox_id, protocol, n, text) values (:tid, :mailbox, 'imap', 1, '') on conflict do nothing`,
    `insert into folders (id, mailbox_id, path, role, uid_validity, cursor_uid)
     values (:folder, :mailbox, 'INBOX', 'inbox', 1, 1) on conflict do nothing`,
    `insert into decisions (id, sub_account_id, connection_id, mailbox_id, folder_id, uid_validity, uid, outcome, reason, reasons)
     values (:decision, :sid, :connection, :mailbox, :folder, 1, 1, 'skipped', 'no_match', '[]') on conflict do nothing`,
    `insert into errands (id, kind, sub_account_id, connection_id, mailbox_id, request)
     values (:bid, 'backfill', :sid, :connection, :mailbox, '{"since": 0, "until": 1, "contactId": null, "dryRun": false}'),
            (:aid, 'audit', :sid, :connection, :mailbox, '{"since": 0, "heal": true, "scheduled": false}')
     on conflict do nothing`,
    ...['held', 'doubtful'].flatMap((name) => [
      `insert into decisions (id, sub_account_id, outcome, reason, reasons, intake_id)
       values ('dec_of_' || :${name}, :sid, 'held', 'unproven', '[{"rule": "B4", "because": null}]', :${name}) on conflict do nothing`,
      `insert into intake_spool (id, accepted_id, logging_address_id, sub_account_id, user_id, tags, envelope, proof,
                                 received_at, raw_sha256, raw_size, state, decision_id, read, ready)
       values (:${name}, :${name}, 'lad_1', :sid, :uid, '{}', '{}', '{"verdict": "unproven", "domain": ""}', now(), '', 0,
               'held', 'dec_of_' || :${name}, '{"from": null, "to": [], "cc": [], "subject": "", "date": null, "forwarded": null}', false)
       on conflict do nothing`,
    ]),
  ];
  for (const statement of statements) await t.db.raw(statement, values);
}

/** A webhook to which an event was delivered; nothing listens there. */
async function seedWebhook(t: ApiUnderTest, values: Values): Promise<void> {
  const { sid = '' } = values;
  const made = await t.call('POST', '/v1/webhooks', {
    json: { url: 'http://127.0.0.1:9/', sub_account_id: sid },
  });
  values['wid'] = String(made.body['id']);
  values['did'] = `dlv_of_${values['wid']}`;
  await t.db.raw(
    `with told as (
       insert into events (id, type, sub_account_id, order_keys, data, sequence)
       values ('evt_of_' || :wid, 'send.sent', :sid, '{}', '{}', nextval('event_numbers')) returning id)
     insert into deliveries (id, webhook_id, event_id, state, ready)
     select :did, :wid, id, 'delivered', false from told`,
    values,
  );
}

/** A message that was sent, in a thread in the contact's conversation, as filing would have left it. */
async function seedMessage(t: ApiUnderTest, values: Values): Promise<void> {
  // The calls of the cases read JSON, so that is what this message is made of.
  const [blob = ''] = await t.blobs.put([Buffer.from('{}')]);
  const statements = [
    `insert into threads (id, sub_account_id, subject, opened_by) values (:thread, :sid, '', 'crm_send')
     on conflict do nothing`,
    `insert into conversations (id, sub_account_id, contact_id) values (:conversation, :sid, :cid)
     on conflict do nothing`,
    'insert into conversation_threads values (:conversation, :thread) on conflict do nothing',
    `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to,
       recipients_cc, recipients_bcc, subject, date, received_at, raw_sha256)
     values (:message, :sid, :thread, 'outbound', '{crm}', '{"name":"","address":"a@crm.example"}', '[]',
       '[]', '[]', '', now(), now(), :blob) on conflict do nothing`,
    `insert into attachments (sub_account_id, message_id, n, name, type, size, sha256)
     values (:sid, :message, 1, 'a.json', 'application/json', 2, :blob) on conflict do nothing`,
    `insert into sends (id, sub_account_id, message_id, user_id, route, state, envelope, internet_message_id,
       raw_sha256, raw_size, order_keys)
     values (:send, :sid, :message, :uid, '{"through":"mailbox","from":"a@crm.example","row":"individual_gmail","because":""}', 'queued',
       '{}', '', :blob, 2, '{}') on conflict do nothing`,
  ];
  for (const statement of statements) await t.db.raw(statement, { ...values, blob });
}
