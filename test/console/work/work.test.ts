import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { rows, run } from '../../../src/store/database.ts';
import { findText } from '../../../src/console/texts/texts.ts';
import { waitFor } from '../../support/wait.ts';
import { publicUrl } from '../pages.ts';
import type { Browser, Shown } from '../pages.ts';
import { openWorkingOffice, refusal } from './office.ts';
import type { WorkingOffice } from './office.ts';

const evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>';
const offer = { from: 'Ann <ann@mail.example>', to: 'x@other.example', subject: 'An offer' };

const source = (path: string) => readFileSync(new URL(`../../../src/${path}`, import.meta.url), 'utf8');

/** No tag and no attribute of it got out of the text. */
function assertHarmless({ html }: Shown): void {
  assert.doesNotMatch(html, /<script>alert|<img src=x/);
  assert.doesNotMatch(html, / style="| on\w+="/, 'nothing is inline');
}

describe('the administrators’ work', () => {
  let t: WorkingOffice;
  let root: Browser;
  before(async () => {
    t = await openWorkingOffice();
    root = await t.administrator();
  });
  after(() => t.close());

  const get = (path: string) => root.get(`${publicUrl}${path}`);
  const audited = async () =>
    (
      await rows<{ line: string }>(
        t.office.db,
        `select action || ' ' || coalesce(subject, details ->> 'count', '') as line from audit order by id`,
      )
    ).map(({ line }) => line);
  const ids = async (table: string, where = 'true') =>
    (await rows<{ id: string }>(t.office.db, `select id from ${table} where ${where} order by id`)).map(
      ({ id }) => id,
    );

  test('nobody else sees any of it, and nothing is done for another site’s form', async () => {
    const [person, nobody] = [await t.person({ subAccountId: 'north', userId: 'ann' }), t.browser()];
    const id = await t.webhook();
    for (const path of ['', '/held', '/sends', '/webhooks', `/webhooks/${id}`, '/webhooks/new'])
      for (const browser of [person, nobody])
        assert.match(
          (await browser.get(`${publicUrl}/admin${path}`)).location ?? '',
          /^\/admin\/sign-in(?:\?|$)/,
          path,
        );
    const stream = await person.get(`${publicUrl}/admin/live?part=overview`);
    assert.match(stream.text, /Your session is over/);
    assert.doesNotMatch(stream.html, /needs-title|count-held/);
    for (const path of [`webhooks/${id}/delete`, 'held/review', 'sends/snd_1/cancel', 'webhooks/new']) {
      const forged = await root.post(`${publicUrl}/admin/${path}`, { form_token: 'made up' });
      assert.equal(forged.status, 403, path);
    }
    assert.deepEqual(await ids('webhooks'), [id]);
    await run(t.office.db, 'delete from webhooks');
  });

  for (const path of ['held/spl_1', 'sends/snd_1', 'webhooks/whk_1', 'webhooks/whk_1/edit'])
    test(`what is not there is not found: ${path}`, async () => {
      assert.equal((await get(`/admin/${path}`)).status, 404);
    });

  test('an empty installation says what to do next', async () => {
    assert.match((await get('/admin')).text, /Nothing needs you/);
    assert.match((await get('/admin/held')).text, /No mail waits for review\. Mail to a logging address/);
    assert.match((await get('/admin/sends')).text, /Nothing was sent yet/);
    assert.match((await get('/admin/webhooks')).text, /There is no webhook yet\. Make one/);
  });

  test('C5: each state that needs a person is named, and its link shows those connections', async () => {
    const [connection] = await rows<{ id: string; state: string }>(
      t.office.db,
      'select id, state from connections',
    );
    const put = (state: string) =>
      run(t.office.db, 'update connections set state = :state where id = :id', { state, id: connection?.id });
    for (const [state, says] of [
      ['reauth_required', /One mailbox needs its user to sign in again/],
      ['permission_missing', /One user did not allow all that the sync needs/],
      ['admin_consent_required', /One connection waits for an administrator’s consent/],
    ] as const) {
      await put(state);
      const { text, html } = await get('/admin');
      assert.match(text, says);
      assert.match(html, /id="count-connections" class="count">1</, state);
      const look = /<li class="bad">.*?href="([^"]+)"/s.exec(html)?.[1] ?? '';
      assert.match((await get(look)).text, /bob@acme\.example/, look);
    }
    await put(connection?.state ?? '');
    assert.match((await get('/admin')).text, /Nothing needs you/);
  });

  test('B4: held mail is shown as text, with why it waits, and decided on', async () => {
    const html = `<p>${evil}</p><a href="https://evil.example/">here</a>`;
    const raw = Buffer.from(
      [
        `From: ${offer.from}`,
        'To: x@other.example',
        `Subject: ${evil}`,
        'Message-ID: <evil@mail.example>',
        `X-Evil: ${evil}`,
        'Content-Type: text/html; charset=utf-8',
        '',
        html,
        '',
      ].join('\r\n'),
    );
    await t.logMail({ ...offer, raw, proof: 'failed' }, { ...offer, subject: 'Another', proof: 'unproven' });
    const list = await get('/admin/held');
    assertHarmless(list);
    assert.match(list.text, /Sender not proven/);
    const [first = '', second = ''] = await ids('intake_spool', `state = 'held'`);
    const one = await get(`/admin/held/${first}`);
    assertHarmless(one);
    assert.match(one.text, /own policy asks to refuse it/);
    assert.match(one.text, /X-Evil: ">/);
    assert.doesNotMatch(one.html, /href="https:\/\/evil/);
    const released = await root.submit({}, `/admin/held/${first}/release`);
    assert.equal(released.location, '/admin/held?done=held_released&n=1');
    assert.ok(t.wakes.includes('filer'));
    await get(`/admin/held/${second}`);
    assert.equal((await root.submit({}, `/admin/held/${second}/discard`)).status, 303);
    assert.match((await get(`/admin/held/${second}`)).text, /Nothing of its content is kept/);
    assert.deepEqual(await audited(), [`held.released ${first}`, `held.discarded ${second}`]);
    assert.deepEqual(await t.fileAll(), ['stored logged']);
  });

  test('B4: of several, what needs an author to be named is left; and what is lost is asked about first', async () => {
    const forward = { ...offer, to: 'log@log.crm.example', subject: 'Fwd: Question', text: 'See below.' };
    await t.logMail(forward, { ...offer, subject: 'One', proof: 'unproven' });
    await get('/admin/held');
    const waiting = await ids('intake_spool', `state = 'held'`);
    const fields = new URLSearchParams(waiting.map((id): [string, string] => ['id', id]));
    const form = /name="form_token" value="([^"]+)"/.exec((await get('/admin/held')).html)?.[1] ?? '';
    const post = (more: Record<string, string>) =>
      t.app.request(`${publicUrl}/admin/held/review`, {
        method: 'POST',
        headers: { cookie: [...root.cookies()].map(([name, value]) => `${name}=${value}`).join('; ') },
        body: `${fields.toString()}&${new URLSearchParams({ form_token: form, ...more }).toString()}`,
      });
    const asked = await (await post({ verdict: 'discard' })).text();
    assert.match(asked, /Discard 2 mails for good/);
    assert.deepEqual(await ids('intake_spool', `state = 'held'`), waiting, 'not before it is sure');
    const released = await post({ verdict: 'release' });
    assert.equal(released.headers.get('location'), '/admin/held?done=held_left&n=1');
    const [left = ''] = await ids('intake_spool', `state = 'held'`);
    await get(`/admin/held/${left}`);
    const wrong = await root.submit({ address: 'no address', name: 'Kim' }, `/admin/held/${left}/release`);
    assert.equal(wrong.status, 422);
    assert.match(wrong.html, /value="no address"[\s\S]*This is no e-mail address/);
    assert.match(wrong.html, /value="Kim"/, 'what was typed is kept');
    const none = await root.submit({ address: '' }, `/admin/held/${left}/release`);
    assert.match(none.text, /name the address/);
    await root.submit({ address: 'kim@other.example', name: 'Kim' }, `/admin/held/${left}/release`);
    assert.deepEqual(await t.fileAll(), ['stored logged', 'stored logged']);
  });

  test('D5, D6: a send tells of its tries in the server’s words, and is cancelled until it is sent', async () => {
    const failed = await t.accept(evil, 'nobody@customer.example');
    await t.send(failed);
    const queued = await t.accept('Later');
    for (const query of [
      '',
      '?state=failed',
      '?sub_account=acme',
      '?sub_account=acme&user=bob&state=failed',
    ]) {
      const list = await get(`/admin/sends${query}`);
      assertHarmless(list);
      assert.match(list.text, /nobody@customer\.example/, query);
      assert.equal(list.text.includes('Later'), !query.includes('failed'), query);
    }
    for (const query of ['?state=bounced', '?sub_account=north', '?sub_account=acme&user=ann'])
      assert.match((await get(`/admin/sends${query}`)).text, /There is no such message/, query);
    assert.match((await get('/admin/sends?user=bob')).text, /Name the sub-account too/);
    const one = await get(`/admin/sends/${failed}`);
    assertHarmless(one);
    assert.ok(one.text.includes('The provider knows no such recipient.'), one.text);
    assert.ok(one.html.includes(refusal.replaceAll('<', '&lt;').replaceAll('>', '&gt;')));
    assert.doesNotMatch(one.text, /Cancel this message/, 'it is over');
    // The same words wherever it is met.
    const [message] = await rows<{ id: string; conversation: string }>(
      t.office.db,
      `select m.id, ct.conversation_id as conversation from sends s join messages m on m.id = s.message_id
         join conversation_threads ct on ct.thread_id = m.thread_id where s.id = :failed`,
      { failed },
    );
    for (const path of [`why/${message?.id}`, `conversations/${message?.conversation}`]) {
      const { text } = await get(`/admin/${path}`);
      assert.match(text, /Failed .*The provider knows no such recipient\./, path);
      assert.doesNotMatch(text, /unknown_recipient|: permanent/, path);
    }
    const bob = await t.person({ subAccountId: 'acme', userId: 'bob' });
    const theirs = await bob.get(`${publicUrl}/mailbox/mail`);
    assert.match(theirs.text, /Later Waits for its turn from the CRM .*Refused from the CRM/);
    assert.doesNotMatch(theirs.text, /Sent from the CRM/, 'what was not sent');
    const leaving = await bob.get(`${publicUrl}/mailbox/disconnect`);
    assert.match(leaving.text, /1 message that waits to be sent from there will fail\./);
    await get(`/admin/sends/${queued}`);
    const done = await root.submit({}, `/admin/sends/${queued}/cancel`);
    assert.equal(done.location, `/admin/sends/${queued}?done=send_cancelled&n=1`);
    assert.equal((await t.office.send(queued)).state, 'cancelled');
    assert.ok(t.wakes.includes('sender'));
    assert.equal((await audited()).at(-1), `send.cancelled ${queued}`);
  });

  test('W2: a webhook is made, shown without its secret, changed, paused and deleted', async () => {
    await get('/admin/webhooks/new');
    for (const [url, said] of [
      ['http://10.0.0.1/', 'allow it by TWOWAY_ALLOW_PRIVATE'],
      ['http://169.254.169.254/latest', 'allow it by TWOWAY_ALLOW_PRIVATE'],
      ['ftp://crm.example/', 'This is no address'],
      [`javascript:alert(1)`, 'This is no address'],
      [evil, 'This is no address'],
    ] as const) {
      const refused = await root.submit({ url, sub_account: 'nowhere' });
      assert.equal(refused.status, 422, url);
      assert.ok(refused.text.includes(said) && refused.text.includes('no such sub-account'), url);
      assertHarmless(refused);
    }
    const made = await root.submit({
      url: 'https://crm.example/a?key=1',
      sub_account: 'acme',
      type: 'send.sent',
    });
    assert.equal(made.status, 303);
    const shown = await get(String(made.location));
    const secret = /whsec_[\w+/=]+/.exec(shown.html)?.[0];
    assert.ok(secret !== undefined, 'it is shown once');
    assert.ok(!(await get(String(made.location))).html.includes('whsec_'), 'and not again');
    const id = String(made.location).split('/').at(-1) ?? '';
    await get(`/admin/webhooks/${id}/edit`);
    await root.submit({ url: 'https://crm.example/b', type: 'send.failed' });
    const here = `/admin/webhooks/${id}`;
    const after = await get(here);
    assert.ok(after.text.includes('https://crm.example/b') && after.text.includes('send.failed'));
    for (const [action, enabled] of [
      ['pause', false],
      ['resume', true],
    ] as const) {
      await get(here);
      await root.submit({}, `${here}/${action}`);
      const [row] = await t.sql<{ enabled: boolean }>(`select enabled from webhooks`);
      assert.equal(row?.enabled, enabled);
    }
    const other = await t.administrator('other@operator.example');
    await other.get(`${publicUrl}${here}`);
    await root.submit({}, `${here}/rotate`);
    const late = await other.submit({}, `${here}/rotate`);
    assert.match((await other.get(`${publicUrl}${late.location}`)).text, /somebody replaced the secret/);
    const rotated = /whsec_[\w+/=]+/.exec((await get(here)).html)?.[0];
    assert.ok(rotated !== undefined && rotated !== secret);
    await other.get(`${publicUrl}${here}`);
    const deleted = [await root.submit({}, `${here}/delete`), await other.submit({}, `${here}/delete`)];
    assert.deepEqual(
      deleted.map(({ status }) => status),
      [303, 404],
    );
    assert.deepEqual(await ids('webhooks'), []);
    assert.deepEqual(
      (await audited()).slice(-6).map((line) => line.split(' ')[0]),
      ['made', 'changed', 'paused', 'resumed', 'secret_replaced', 'deleted'].map((verb) => `webhook.${verb}`),
    );
  });

  test('W2: deliveries are listed by state, and tried again one by one and all that were given up', async () => {
    const id = await t.webhook();
    const here = `/admin/webhooks/${id}`;
    await t.accept('For the hook');
    await t.publish();
    await t.settle(id, 'parked');
    const delivered = await t.settle(id, 'delivered');
    assert.match((await get('/admin')).text, /One webhook has deliveries that were given up/);
    assert.match((await get(`${here}?state=parked`)).text, /Given up .*HTTP 500.* the endpoint answered 500/);
    assert.doesNotMatch((await get(`${here}?state=delivered`)).text, /HTTP 500/);
    await root.submit({}, `${here}/deliveries/${delivered?.id}/retry`);
    await get(here);
    const all = await root.submit({}, `${here}/retry-parked`);
    assert.equal(all.location, `${here}?done=delivery_retried&n=1`);
    assert.deepEqual(await ids('deliveries', `state <> 'pending'`), []);
    await run(t.office.db, 'delete from webhooks');
  });

  test('a long list is read in both directions, and nothing is shown twice or left out', async () => {
    for (let n = 0; n < 130; n += 1) await t.webhook({ url: `https://crm.example/${n}` });
    const urls = ({ html }: Shown) => [...html.matchAll(/crm\.example\/(\d+)</g)].map(([, n]) => Number(n));
    const to = ({ html }: Shown, label: string) =>
      new RegExp(`href="([^"]+)"[^>]*>${label}</a>`).exec(html)?.[1]?.replaceAll('&amp;', '&') ?? null;
    const first = await get('/admin/webhooks');
    const second = await get(String(to(first, 'Older')));
    const third = await get(String(to(second, 'Older')));
    assert.equal(to(third, 'Older'), null);
    assert.equal(to(first, 'Newer'), null);
    assert.deepEqual(
      [first, second, third].flatMap(urls),
      Array.from({ length: 130 }, (_, n) => 129 - n),
    );
    const back = await get(String(to(third, 'Newer')));
    assert.deepEqual(urls(back), urls(second));
    assert.deepEqual(urls(await get(String(to(back, 'Newer')))), urls(first));
    assert.equal(to(third, 'To the start'), '/admin/webhooks');
    assert.deepEqual(urls(await get('/admin/webhooks?older=drop+table')), urls(first), 'what is none');
    await run(t.office.db, 'delete from webhooks');
  });

  test('an open page is told what changes, once, until its session is over', async () => {
    const watcher = await t.administrator('eve@operator.example');
    const cookie = [...watcher.cookies()].map(([name, value]) => `${name}=${value}`).join('; ');
    const newest = (await ids('sends')).at(-1) ?? '';
    const response = await t.app.request(`${publicUrl}/admin/live?part=sends&newest=${newest}`, {
      headers: { cookie },
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    let said = '';
    const reading = (async () => {
      for await (const chunk of response.body ?? []) said += Buffer.from(chunk as Uint8Array).toString();
    })();
    await waitFor('the first parts', () => said.includes('id="count-sends"'));
    assert.doesNotMatch(said, /new entr/);
    await t.accept('New');
    await t.publish();
    await waitFor('the new row', () => said.includes('One new entry.'));
    assert.equal(said.split('One new entry.').length, 2, 'it is said once');
    await run(t.office.db, 'delete from console_sessions where id <> (select min(id) from console_sessions)');
    await t.accept('Newer');
    await t.publish();
    await reading;
    assert.match(said, /Your session is over[\s\S]*event: over/);
    assert.doesNotMatch(said, /2 new entries/);
  });

  test('a stream that comes back, as each browser’s does, does not keep a session alive', async () => {
    const left = await t.administrator('left@operator.example');
    const cookie = [...left.cookies()].map(([name, value]) => `${name}=${value}`).join('; ');
    const idle = `console_sessions s join administrators a on a.id = s.administrator_id
      where a.email = 'left@operator.example' and s.seen_at < now() - interval '49 minutes'`;
    await t.sql(`update console_sessions set seen_at = now() - interval '50 minutes'
      where administrator_id = (select id from administrators where email = 'left@operator.example')`);
    const response = await t.app.request(`${publicUrl}/admin/live?part=overview`, {
      headers: { cookie, accept: 'text/html, text/event-stream', 'hx-request': 'true' },
    });
    await response.body?.cancel();
    assert.equal(response.status, 200);
    assert.equal((await t.sql(`select 1 from ${idle}`)).length, 1);
  });

  test('in German, complete', async () => {
    const german = await t.administrator('root@operator.example', { language: 'de' });
    for (const [path, title] of [
      ['', 'Übersicht'],
      ['/held', 'Zurückgehaltene Mail'],
      ['/sends', 'Gesendetes'],
      ['/webhooks/new', 'Neuer Webhook'],
    ] as const)
      assert.equal((await german.get(`${publicUrl}/admin${path}`)).title, `${title} · Administration`);
  });
});

describe('every word that these pages may need is in the catalogue', () => {
  const has = (key: string) => assert.notEqual(findText(key), null, key);
  const words = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, word]) => word ?? '');

  test('B2, B4: why mail is held, and what makes a forward doubtful', () => {
    const held = words(source('filing/logged-rules.ts'), /hold\(\s*'(\w+)'/g);
    assert.ok(held.length >= 4);
    for (const reason of held) for (const key of [reason, `${reason}.more`]) has(`held_reason.${key}`);
    const union = /export type ForwardDoubt =([\s\S]*?);/.exec(source('message/forwarded.ts'))?.[1] ?? '';
    const doubts = words(union, /'(\w+)'/g);
    assert.ok(doubts.length > 8);
    for (const doubt of doubts) has(`doubt.${doubt}`);
  });

  test('D5: why a send is in its state', () => {
    const smtp = source('outbound/smtp-errors.ts');
    const causes = /cause:([\s\S]*?);\n\};/.exec(smtp)?.[1] ?? '';
    const found = new Set([
      ...words(smtp, /(?:retry\('\w+', |hold\(|fail\()'(\w+)'/g),
      ...words(smtp, /reason: '(\w+)'/g),
      ...words(causes, /'(\w+)'/g),
      ...words(source('outbound/attempt.ts'), /reason: '(\w+)'/g),
      ...words(source('outbound/sender.ts'), /reason: '(\w+)'/g),
      ...words(source('outbound/outcome.ts'), /(?:word: |reason: |withWords\(`?)'?(\w+)[':]/g),
      ...words(
        source('outbound/route.ts').replace(/[\s\S]*blockedStates = \[|\] as const[\s\S]*/g, ''),
        /'(\w+)'/g,
      ),
      ...words(source('outbound/server.ts'), /new Failure\('\w+', '(\w+)'/g),
      'gave_up',
      'recipients_refused',
    ]);
    for (const word of ['larger_than_announced', 'word', 'verdict', 'string', 'reply']) found.delete(word);
    assert.ok(found.size > 30, `${found.size}`);
    for (const word of found) has(`send_reason.${word}`);
  });

  test('what else is named by what it is', () => {
    const union = (name: string) =>
      words(
        new RegExp(`${name}[^=]*=([\\s\\S]*?);`).exec(source('store/public-send.ts'))?.[1] ?? '',
        /'(\w+)'/g,
      );
    const states = union('export type SendState');
    assert.equal(states.length, 8);
    for (const state of states) for (const key of [state, `${state}.more`]) has(`send_state.${key}`);
    for (const outcome of ['accepted', 'temporary', 'permanent', 'denied', 'uncertain', 'none'])
      has(`attempt.${outcome}`);
    for (const need of words(source('console/admin/work/overview.tsx'), /name: '(\w+)'/g)) {
      has(`needs.${need}.other`);
      has(`needs.${need}.next`);
    }
    const verbs = ['made', 'changed', 'paused', 'resumed', 'secret_replaced', 'deleted'];
    for (const action of ['held.released', 'held.discarded', 'send.cancelled', 'delivery.retried'])
      has(`audit.${action}`);
    for (const verb of verbs) has(`audit.webhook.${verb}`);
  });
});
