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
  id?: 'message' | 'thread' | 'conversation';
};

/** Routes that need no key. */
export const publicRoutes: readonly string[] = ['GET /healthz', 'GET /readyz'];

const contact = { name: 'Cleo', emails: ['cleo@customer.example'] };
const user = { email: 'ann@crm.example' };
const neverLog = { entries: ['@bank.example'] };

export const accessCases: Readonly<Record<string, AccessCase>> = {
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
  'GET /v1/sub-accounts/{sid}/never-log': { all: 200, own: 200, foreign: 404 },
  'PUT /v1/sub-accounts/{sid}/never-log': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'GET /v1/users/{uid}/never-log': { all: 200, own: 200, foreign: 404 },
  'PUT /v1/users/{uid}/never-log': { json: neverLog, all: 200, own: 200, foreign: 404 },
  'GET /v1/sub-accounts/{sid}/decisions': { all: 200, own: 200, foreign: 404 },
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
};

/** Values of path parameters by their name: of the sub-account s1, of s2, and of nothing. */
export type PathValues = { own: Values; foreign: Values; absent: Values };
type Values = Record<string, string>;

/** Makes, or makes again, the objects that the cases name. */
export async function seed(t: ApiUnderTest): Promise<PathValues> {
  const own: Values = {
    sid: 's1',
    uid: 'u1',
    cid: 'c1',
    message: 'msg_1',
    thread: 'thr_1',
    conversation: 'cnv_1',
  };
  const foreign: Values = {
    sid: 's2',
    uid: 'u2',
    cid: 'c2',
    message: 'msg_2',
    thread: 'thr_2',
    conversation: 'cnv_2',
  };
  const absent: Values = {
    sid: 's9',
    uid: 'u9',
    cid: 'c9',
    message: 'msg_9',
    thread: 'thr_9',
    conversation: 'cnv_9',
  };
  for (const values of [own, foreign]) {
    const { sid, uid, cid } = values;
    await t.call('PUT', `/v1/sub-accounts/${sid}`, { json: { name: sid } });
    await t.call('PUT', `/v1/users/${uid}`, { json: { email: `${uid}@crm.example` } });
    await t.call('PUT', `/v1/sub-accounts/${sid}/users/${uid}`);
    await t.call('PUT', `/v1/sub-accounts/${sid}/contacts/${cid}`, { json: { name: cid } });
    await seedMessage(t, values);
  }
  for (const values of [own, foreign]) {
    const made = await t.call('POST', '/v1/keys', { json: { sub_account_id: values['sid'], scope: 'read' } });
    values['kid'] = String(made.body['id']);
  }
  absent['kid'] = 'key_00000000-0000-7000-8000-000000000000';
  return { own, foreign, absent };
}

/** A message in a thread in the contact's conversation, as filing would have left it. */
async function seedMessage(t: ApiUnderTest, values: Values): Promise<void> {
  const statements = [
    `insert into threads (id, sub_account_id, subject, opened_by) values (:thread, :sid, '', 'crm_send')
     on conflict do nothing`,
    `insert into conversations (id, sub_account_id, contact_id) values (:conversation, :sid, :cid)
     on conflict do nothing`,
    'insert into conversation_threads values (:conversation, :thread) on conflict do nothing',
    `insert into messages (id, sub_account_id, thread_id, direction, via, sender, recipients_to,
       recipients_cc, recipients_bcc, subject, date, received_at)
     values (:message, :sid, :thread, 'outbound', '{crm}', '{"name":"","address":"a@crm.example"}', '[]',
       '[]', '[]', '', now(), now()) on conflict do nothing`,
  ];
  for (const statement of statements) await t.db.raw(statement, values);
}
