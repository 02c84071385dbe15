import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { showSettings, readConfig } from '../../../src/config.ts';
import type { Examined } from '../../../src/console/admin/operator.ts';
import { catalogues } from '../../../src/console/texts/texts.ts';
import { problem, ok, warning } from '../../../src/lib/finding.ts';
import { run } from '../../../src/store/database.ts';
import { hashOfKey } from '../../../src/store/keys.ts';
import { settingsSchema } from '../../../src/store/sub-accounts.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { Browser, PagesUnderTest } from '../pages.ts';

const hostile = '"><script>alert(1)</script>';
const config = readConfig({
  TWOWAY_DATABASE_URL: 'postgres://twoway:hunter2@db.example/twoway',
  TWOWAY_SECRET_KEYS: Buffer.alloc(32, 7).toString('base64'),
  TWOWAY_LOGGING_DOMAIN: 'log.crm.example',
  TWOWAY_OUTLOOK_ENDPOINTS: '{"tenant":"organizations"}',
  TWOWAY_ALLOW_PRIVATE: '10.0.0.0/8,crm.example',
});

describe('the gateway’s own pages', () => {
  let t: PagesUnderTest;
  let root: Browser;
  let examine: () => Promise<Examined[]>;
  before(async () => {
    examine = () => Promise.resolve([]);
    t = await startPages({
      operator: {
        settings: showSettings(config),
        loggingDomain: 'log.crm.example',
        examine: () => examine(),
      },
    });
    await t.member('acme', 'ann');
    root = await t.administrator();
  });
  after(() => t.close());

  const noScript = (html: string) => assert.ok(!html.includes('<script>alert'), 'nothing of it runs');
  const formToken = async () =>
    /name="form_token" value="([^"]+)"/.exec((await root.get(`${publicUrl}/admin/keys`)).html)?.[1] ?? '';

  for (const path of [
    'keys',
    'settings',
    'settings/acme',
    'configuration',
    'setup',
    'administrators',
    'audit',
  ]) {
    test(`/admin/${path} is for administrators alone`, async () => {
      const url = `${publicUrl}/admin/${path}`;
      assert.equal((await root.get(url)).status, 200);
      for (const browser of [t.browser(), await t.person({ subAccountId: 'acme', userId: 'ann' })]) {
        const shown = await browser.get(url);
        assert.deepEqual([shown.status, shown.html], [303, '']);
      }
    });
  }

  for (const path of [
    'keys',
    'keys/revoke',
    'settings/acme',
    'setup/examine',
    'administrators',
    'administrators/link',
    'administrators/remove',
  ]) {
    test(`CSRF: /admin/${path} takes no form from elsewhere`, async () => {
      const url = `${publicUrl}/admin/${path}`;
      const form = await formToken();
      assert.equal(
        (await root.post(url, { form_token: form }, { 'sec-fetch-site': 'cross-site' })).status,
        403,
      );
      assert.equal((await root.post(url, { form_token: 'x' })).status, 403);
      assert.equal((await root.post(url, {})).status, 403);
    });
  }

  test('W3: a key is made, shown once, opens what it should, and is revoked', async () => {
    await root.get(`${publicUrl}/admin/keys`);
    const wrong = await root.submit({ label: '', sub_account_id: hostile, scope: 'read' }, '/admin/keys');
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /Say what it is for/);
    assert.match(wrong.text, /no sub-account with this id/);
    noScript(wrong.html);
    const made = await root.submit({ label: hostile, sub_account_id: 'acme', scope: 'read' }, '/admin/keys');
    const key = /<code>(tw_[\w-]{43})<\/code>/.exec(made.html)?.[1] ?? '';
    const [row] = await t.sql<{ id: string; sub: string; scope: string; hash: Buffer }>(
      `select id, sub_account_id as sub, scope, hash from api_keys order by id desc limit 1`,
    );
    assert.deepEqual([row?.sub, row?.scope], ['acme', 'read']);
    assert.deepEqual(Buffer.from(row?.hash ?? []), hashOfKey(key));
    const list = await root.get(`${publicUrl}/admin/keys`);
    assert.ok(!list.html.includes(key), 'never again');
    assert.ok(list.text.includes(hostile));
    noScript(list.html);
    assert.equal((await root.submit({ id: row?.id ?? '' }, '/admin/keys/revoke')).status, 303);
    assert.match((await root.get(`${publicUrl}/admin/keys`)).text, /There are no keys/);
    assert.equal((await root.submit({ label: 'x', scope: 'write' }, '/admin/keys')).status, 200);
    await root.get(`${publicUrl}/admin/keys`);
    assert.equal((await root.submit({ id: row?.id ?? '' }, '/admin/keys/revoke')).status, 404, 'only once');
    const log = await root.get(`${publicUrl}/admin/audit?noun=key`);
    assert.match(log.text, /root@operator\.example Revoked a key .*scope: read · sub account id: acme key_/);
    noScript(log.html);
  });

  test('W3: keys are shown page by page', async () => {
    await run(
      t.db,
      `insert into api_keys (id, hash, scope, label)
       select 'key_' || lpad(n::text, 4, '0'), n::text::bytea, 'read', 'many ' || n from generate_series(1, 120) n`,
    );
    let seen = 0;
    let pages = 0;
    for (let path: string | undefined = '/admin/keys'; path !== undefined; pages += 1) {
      const { html } = await root.get(`${publicUrl}${path}`);
      seen += [...html.matchAll(/many \d+/g)].length;
      path = /href="([^"]+)" rel="next"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
    }
    assert.deepEqual([seen, pages], [120, 3]);
    await t.sql(`delete from api_keys where label like 'many%'`);
  });

  test('settings of a sub-account: each is explained, changed, and what changed is in the audit log', async () => {
    await t.sql(`update sub_accounts set name = '${hostile}' where id = 'acme'`);
    const list = await root.get(`${publicUrl}/admin/settings?id=ac`);
    assert.match(list.text, /acme .* As by default/);
    noScript(list.html);
    assert.match((await root.get(`${publicUrl}/admin/settings?id=zz`)).text, /No sub-account has such an id/);
    const page = await root.get(`${publicUrl}/admin/settings/acme`);
    noScript(page.html);
    assert.equal(
      [...page.html.matchAll(/<input type="radio"[^>]*checked/g)].length,
      5,
      'one of each is chosen',
    );
    const fields = {
      sync_sent_to_contacts: 'false',
      assigned_contacts_only: 'always',
      outlook_two_way_sync: 'true',
      fetch_thread_head: 'true',
      inbound_attachments: 'skip_message',
    };
    const saved = await root.submit(fields);
    assert.equal(saved.location, '/admin/settings/acme?saved=1');
    assert.match((await root.get(`${publicUrl}${saved.location}`)).text, /Saved/);
    assert.deepEqual(await t.sql(`select settings from sub_accounts where id = 'acme'`), [
      { settings: { sync_sent_to_contacts: false, assigned_contacts_only: 'always' } },
    ]);
    assert.match((await root.get(`${publicUrl}/admin/settings`)).text, /acme .* 2 changed/);
    const log = await root.get(`${publicUrl}/admin/audit?noun=settings`);
    assert.match(
      log.text,
      /sync sent to contacts: true → false · assigned contacts only: when_shared → always/,
    );
    await root.get(`${publicUrl}/admin/settings/acme`);
    assert.equal((await root.submit({ ...fields, assigned_contacts_only: 'sometimes' })).status, 422);
    assert.equal((await root.submit({ form_token: await formToken() }, '/admin/keys')).status, 422);
    assert.equal((await root.get(`${publicUrl}/admin/settings/nobody`)).status, 404);
  });

  test('settings that the CRM has changed since the page was opened are not overwritten: both are shown', async () => {
    const stored = async () =>
      (await t.sql<{ settings: object }>(`select settings from sub_accounts where id = 'acme'`))[0]?.settings;
    await t.sql(`update sub_accounts set settings = '{}' where id = 'acme'`);
    await root.get(`${publicUrl}/admin/settings/acme`);
    await t.sql(`update sub_accounts set settings = '{"fetch_thread_head": false}' where id = 'acme'`);
    const fields = {
      sync_sent_to_contacts: 'false',
      assigned_contacts_only: 'when_shared',
      outlook_two_way_sync: 'true',
      fetch_thread_head: 'true',
      inbound_attachments: 'skip_message',
    };
    const refused = await root.submit(fields);
    assert.equal(refused.status, 409);
    assert.match(refused.text, /Nothing was saved: somebody, perhaps the CRM/);
    assert.equal([...refused.text.matchAll(/Holds now/g)].length, 2, 'what differs is marked');
    assert.match(refused.html, /name="sync_sent_to_contacts" value="false" checked/, 'what was chosen stays');
    assert.deepEqual(await stored(), { fetch_thread_head: false });
    assert.equal((await root.submit(fields)).status, 303, 'who has seen both may go on');
    assert.deepEqual(await stored(), { sync_sent_to_contacts: false });
  });

  test('each setting and each of its values has words', () => {
    for (const [name, field] of Object.entries(settingsSchema.shape)) {
      const inner = field.unwrap();
      const values = 'options' in inner ? inner.options : ['true', 'false'];
      for (const key of [`setting.${name}`, ...values.map((value) => `setting.${name}.${value}`)])
        assert.ok(key in catalogues.en, key);
    }
  });

  test('the configuration is shown, and no secret of it', async () => {
    const { html, text } = await root.get(`${publicUrl}/admin/configuration`);
    assert.match(text, /TWOWAY_DATABASE_URL .* Set, and not shown/);
    assert.ok(!html.includes('hunter2') && !html.includes(config.SECRET_KEYS[0] ?? '?'));
    assert.match(text, /TWOWAY_LOGGING_DOMAIN .* log\.crm\.example/);
    assert.match(text, /10\.0\.0\.0\/8,crm\.example/);
    assert.match(text, /\{"tenant":"organizations"\}/);
    assert.match(text, /TWOWAY_HTTP_PORT Their port; 0 takes a free one\. 8080 By default/);
  });

  test('set-up: what to copy elsewhere, and what the doctor finds, worst first', async () => {
    const page = await root.get(`${publicUrl}/admin/setup`);
    assert.match(page.text, /http:\/\/gateway\.test\/connect\/callback/);
    assert.match(page.text, /openid email https:\/\/mail\.google\.com\//);
    assert.match(page.text, /log\.crm\.example\. 3600 IN MX 10 gateway\.test\./);
    assert.match(page.text, /http:\/\/gateway\.test\/admin\/sign-in\/callback/);
    assert.doesNotMatch(page.text, /There are no problems/);
    examine = () =>
      Promise.resolve([
        { name: 'check_disk', finding: ok({ say: 'disk_free', free: '100 GB', folder: '/data' }) },
        {
          name: 'check_spool',
          finding: warning(
            { say: 'spool_waits', size: '3 GB', folder: '/data/spool' },
            { say: 'see_it_runs', most: '4 GB' },
          ),
        },
        {
          name: 'check_mx_record',
          finding: problem(
            { say: 'dns_silent', question: { say: 'question_mx', name: hostile }, failure: hostile },
            { say: 'ask_again' },
          ),
        },
      ]);
    const shown = await root.submit();
    assert.match(
      shown.text,
      /There is one problem\. Problem MX record : DNS did not tell the MX records of .* Run this again.* Look at this spool : 3 GB in .* Good disk : 100 GB are free/,
    );
    noScript(shown.html);
    const part = await root.post(
      `${publicUrl}/admin/setup/examine`,
      { form_token: await formToken() },
      { 'hx-request': 'true', 'sec-fetch-site': 'same-origin' },
    );
    assert.match(part.html, /^<div id="findings"/);
    const german = await t.administrator('anna@operator.example', { language: 'de' });
    await german.get(`${publicUrl}/admin/setup`);
    const read = await german.submit();
    assert.match(
      read.text,
      /Problem MX-Eintrag : DNS gab keine Auskunft \(die MX-Einträge von .* Gut Platte : 100 GB/,
    );
    assert.doesNotMatch(read.text, /DNS did not|Run this|are free/);
  });

  test('set-up: a doctor who fails keeps nobody waiting', async () => {
    examine = () => Promise.reject(new Error('no'));
    await root.get(`${publicUrl}/admin/setup`);
    assert.match((await root.submit()).text, /could not be done/);
  });

  test('the audit log is filtered, goes on from page to page, and shows what is hostile as text', async () => {
    await run(
      t.db,
      `insert into audit (action, subject, details, client)
       select 'webhook.made', :hostile, jsonb_build_object('url', :hostile::text), '192.0.2.9' from generate_series(1, 60)`,
      { hostile },
    );
    await run(t.db, `insert into audit (action, subject) values ('unheard.of', :hostile)`, { hostile });
    const all = await root.get(`${publicUrl}/admin/audit`);
    noScript(all.html);
    assert.match(all.text, /unheard\.of/);
    const first = await root.get(`${publicUrl}/admin/audit?noun=webhook`);
    assert.equal([...first.html.matchAll(/<tr>/g)].length, 51);
    const next = /href="([^"]+)" rel="next"/.exec(first.html)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const second = await root.get(`${publicUrl}${next}`);
    assert.equal([...second.html.matchAll(/<tr>/g)].length, 11);
    for (const query of ['before=x', 'noun=nothing', `noun=${hostile}`, 'before=99999999999999999999'])
      assert.equal((await root.get(`${publicUrl}/admin/audit?${query}`)).status, 200, query);
    // Whatever is written down can be asked for by itself.
    for (const action of Object.keys(catalogues.en)) {
      const noun = /^audit\.(?!of_)(\w+)\.\w+$/.exec(action)?.[1];
      if (noun !== undefined) assert.ok(all.html.includes(`<option value="${noun}">`), action);
    }
    const nobody = await root.get(`${publicUrl}/admin/audit?administrator=adm_nobody`);
    assert.match(nobody.text, /Nothing of this kind was done/);
  });

  test('in German', async () => {
    for (const [path, title] of [
      ['keys', 'Schlüssel'],
      ['configuration', 'Konfiguration'],
      ['audit', 'Protokoll'],
    ] as const) {
      const browser = await t.administrator('anna@operator.example', { language: 'de' });
      assert.equal((await browser.get(`${publicUrl}/admin/${path}`)).title, `${title} · Administration`);
    }
    const browser = await t.administrator('anna@operator.example', { language: 'de' });
    const { text } = await browser.get(`${publicUrl}/admin/configuration`);
    assert.match(text, /TWOWAY_HTTP_PORT Deren Port; 0 nimmt einen freien\. 8080 Vorgabe/);
    assert.doesNotMatch(text, /Where the API|Its secret/);
    const log = await browser.get(`${publicUrl}/admin/audit?noun=key`);
    assert.match(log.text, /Umfang: read · Unterkonto: acme/);
  });
});

test('every action of the audit log has its words', () => {
  const root = new URL('../../../src/', import.meta.url);
  const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => readFileSync(new URL(file, root), 'utf8'))
    .filter((text) => text.includes('writeAudit('));
  const written = sources.flatMap((text) =>
    [...text.matchAll(/action:[^;]*?'([a-z_]+\.[a-z_]+)'(?:\s*:\s*'([a-z_]+\.[a-z_]+)')?/g)].flatMap(
      ([, one, two]) => (two === undefined ? [one] : [one, two]),
    ),
  );
  assert.ok(written.length > 12);
  for (const action of written) assert.ok(`audit.${action}` in catalogues.en, action);
});
