import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { loggedRules } from '../../../../src/filing/logged-rules.ts';
import { findText } from '../../../../src/console/texts/texts.ts';
import { reasonCodes, rules } from '../../../../src/filing/rules.ts';
import { run } from '../../../../src/store/database.ts';
import { publicUrl } from '../../pages.ts';
import type { Browser } from '../../pages.ts';
import { nastyText } from './nasty.ts';
import { startReading } from './world.ts';
import type { ReadingWorld } from './world.ts';

const page = `${publicUrl}/admin/why`;

describe('T1: the page that says why', () => {
  let w: ReadingWorld;
  let root: Browser;
  const ask = (what: string, sub = '') =>
    root.get(`${page}?${new URLSearchParams({ q: what, sub_account: sub }).toString()}`);

  before(async () => {
    w = await startReading();
    await w.ann.see('inbox', {
      id: 'q1@customer.example',
      from: 'rita@customer.example',
      subject: 'A question',
    });
    await w.ann.see('inbox', {
      id: 'p1@private.example',
      from: 'Sam <sam@private.example>',
      subject: 'Top secret',
      text: 'Very private',
    });
    await w.zoe.see('inbox', {
      id: 'p1@private.example',
      from: 'Sam <sam@private.example>',
      subject: 'Top secret',
      text: 'Very private',
    });
    root = await w.t.administrator();
  });
  after(() => w.t.close());

  test('nothing asked: what can be asked', async () => {
    const { status, text } = await root.get(page);
    assert.equal(status, 200);
    assert.match(text, /Ask by its Message-ID, by an address/);
    assert.doesNotMatch(text, /Nothing is known/);
  });

  for (const [name, what] of [
    ['a Message-ID', 'q1@customer.example'],
    ['a Message-ID in brackets', '<q1@customer.example>'],
    ['an address', 'rita@customer.example'],
    ['an address in capitals', 'RITA@customer.example'],
    ['an address with its name', 'Rita <rita@customer.example>'],
  ] as const) {
    test(`by ${name}: the verdict, the rule, where and when, and the way to the whole story`, async () => {
      const { text, html } = await ask(what);
      assert.match(text, /Stored A contact wrote it\./);
      assert.match(text, /S2 Did a contact write it\? its author is contact rita/);
      assert.match(text, /folder inbox, UID 1 \(of UIDVALIDITY 1\)/);
      assert.match(text, /Rules that were asked before, and had no answer S14 .* S12 .* S7 .* S4 /);
      assert.match(
        text,
        /What the rules looked at .*Kind of folder inbox .*Not so, or none .*Somebody is on a never-log list/,
      );
      assert.match(html, new RegExp(`/admin/why/${await w.messageOf('A question')}`));
    });
  }

  test('S5: of private mail nothing is shown but what its decision keeps', async () => {
    const { text } = await ask('p1@private.example');
    assert.match(text, /Left out No rule asks for it: it stays private\./);
    assert.match(text, /S5 Otherwise it stays private: its author and recipients are no contacts/);
    const shown = text.slice(text.indexOf('Left out'));
    assert.doesNotMatch(shown, /Top secret|Very private|Sam|sam@/);
    assert.equal([...text.matchAll(/Left out No rule/g)].length, 2);
  });

  test('W3: it is narrowed to one sub-account', async () => {
    const acme = await ask('sam@private.example', 'acme');
    assert.equal([...acme.text.matchAll(/Left out No rule/g)].length, 1);
    assert.match(
      (await ask('sam@private.example', 'nobody')).text,
      /Nothing is known of sam@private\.example/,
    );
  });

  for (const what of [
    'nobody@nowhere.example',
    '<no@id.example>',
    'ann@mail.example',
    nastyText,
    'msg_1 x',
  ]) {
    test(`not known, and what that can mean: ${what}`, async () => {
      const { text, html } = await ask(what);
      assert.match(
        text,
        /Nothing is known of .*may not be connected.*older than the connection.*written whole/,
      );
      assert.doesNotMatch(html, /<img|<script>/);
    });
  }

  test('the whole story of a stored message: seen, decided, its thread, what the CRM was told', async () => {
    const id = await w.messageOf('A question');
    const asked = await ask(id);
    assert.equal(asked.location, `/admin/why/${id}`);
    const { text, html } = await root.get(`${page}/${id}`);
    const parts = [
      'Known as q1@customer.example',
      'Where it was seen',
      'ann@mail.example · inbox, UID 1',
      'What was decided Stored A contact wrote it.',
      'Its thread Subject A question Opened by A contact wrote it.',
      'Live: its next messages sync',
      'What the CRM was told',
      'message.created not published yet',
    ].map((part) => text.indexOf(part));
    assert.ok(!parts.includes(-1), `${parts.join()} ${text}`);
    assert.deepEqual(
      parts,
      parts.toSorted((a, b) => a - b),
    );
    assert.match(html, new RegExp(`/admin/conversations/${await w.conversationWith('rita')}`));
    for (const unknown of ['msg_0', 'dec_0', '%3Cb%3E'])
      assert.equal((await root.get(`${page}/${unknown}`)).status, 404);
  });

  test('T3: what was judged again shows its earlier decisions, that hold no longer', async () => {
    await w.ann.see('inbox', { id: 'p2@late.example', from: 'late@customer.example', subject: 'Late' });
    await w.world.addContact('acme', 'late', ['late@customer.example']);
    const [row] = await w.t.sql<{ uid: string }>(
      `select max(uid) as uid from decisions where reason = 'no_match'`,
    );
    await w.ann.seeAgain('inbox', [Number(row?.uid)], { sub: 'acme' });
    const { text } = await ask('p2@late.example');
    assert.match(text, /Left out No rule asks for it.*holds no longer.*Stored A contact wrote it/);
  });

  test('T4: facts that are no longer kept are said to be so', async () => {
    await run(w.t.db, `update decisions set facts = null where reason = 'from_contact'`);
    assert.match((await ask('q1@customer.example')).text, /What the rules looked at is no longer kept/);
  });

  test('C7: of an erased message, that it was', async () => {
    const id = await w.messageOf('Late');
    await run(
      w.t.db,
      `insert into tombstones (sub_account_id, hash, message_id) values ('acme', '\\x00112233445566778899aabbccddeeff', 'msg_gone')`,
    );
    const { text, status } = await root.get(`${page}/msg_gone`);
    assert.equal(status, 200);
    assert.match(text, /The message was erased\. Nothing of its content is kept/);
    assert.ok(id);
    await run(w.t.db, `delete from tombstones`);
  });

  test('nobody else asks', async () => {
    const person = await w.t.person({ subAccountId: 'acme', userId: 'ann' });
    for (const url of [page, `${page}?q=sam%40private.example`, `${page}/${await w.messageOf('A question')}`])
      for (const who of [person, w.t.browser()])
        assert.match((await who.get(url)).location ?? '', /^\/admin\/sign-in\?to=/, url);
  });

  test('each reason, rule and fact has its words', async () => {
    for (const reason of Object.keys(reasonCodes))
      assert.notEqual(findText(`why.reason.${reason}`), null, reason);
    for (const id of [...[...rules, ...loggedRules].map((rule) => rule.id), 'S1', 'D2', 'L1', 'T3'])
      assert.notEqual(findText(`why.rule.${id}`), null, id);
    const kept = await w.t.sql<{ facts: object }>(`select facts from decisions where facts is not null`);
    assert.ok(kept.length > 0);
    for (const { facts } of kept)
      for (const name of [...Object.keys(facts), 'logged'])
        assert.notEqual(findText(`why.fact.${name}`), null, name);
  });

  test('in German', async () => {
    const german = await w.t.administrator('root@operator.example', { language: 'de' });
    const { text } = await german.get(`${page}?q=sam%40private.example`);
    assert.match(text, /Ausgelassen Keine Regel verlangt sie: Sie bleibt privat\./);
    assert.match(text, /S5 Sonst bleibt sie privat: weder der Absender noch ein Empfänger ist ein Kontakt/);
    const stored = await german.get(`${page}?q=q1%40customer.example`);
    assert.match(stored.text, /S2 Hat ein Kontakt sie geschrieben\? der Kontakt rita hat sie geschrieben/);
    for (const read of [text, stored.text]) assert.doesNotMatch(read, /its author|does not apply/);
  });
});
