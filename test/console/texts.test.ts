import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { exampleEnvironment } from '../../src/config.ts';
import { catalogues, findText, pieces, settingMeanings, words } from '../../src/console/texts/texts.ts';

const source = (path: string) => readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8');

describe('the words of the pages', () => {
  for (const [language, catalogue] of Object.entries(catalogues)) {
    test(`each text has the same values, none is empty, and none is for nobody: ${language}`, () => {
      const values = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '').sort();
      assert.deepEqual(new Set(Object.keys(catalogue)), new Set(Object.keys(catalogues.en)));
      for (const [key, text] of Object.entries(catalogue)) {
        assert.notEqual(text.trim(), '', key);
        // A form for one may leave its number out.
        if (!key.endsWith('.one'))
          assert.deepEqual(values(text), values(catalogues.en[key as 'page.back']), key);
        if (key.endsWith('.one')) assert.ok(key.replace(/one$/, 'other') in catalogue, key);
      }
    });
  }

  for (const [language, meanings] of Object.entries(settingMeanings)) {
    test(`each setting of the gateway is explained, and nothing that is none: ${language}`, () => {
      const names = [...exampleEnvironment().matchAll(/^#(TWOWAY_\w+)=/gm)].map(([, name]) => name ?? '');
      assert.ok(names.length > 30);
      assert.deepEqual(Object.keys(meanings), names, 'in the order of config/example.env');
      for (const [name, meaning] of Object.entries(meanings)) assert.notEqual(meaning.trim(), '', name);
    });
  }

  test('values are set apart from our own words', () => {
    assert.deepEqual(pieces('page.back', { host: 'crm.example' }), [
      { text: 'Back to ', isValue: false },
      { text: 'crm.example', isValue: true },
    ]);
    assert.equal(words('page.back', { host: '{host}' }), 'Back to {host}', 'a value is no text');
  });

  test('a key that is none has no text', () => {
    assert.equal(findText('constructor'), null);
    assert.equal(findText('refused.nothing'), null);
  });

  test('every outcome has its three texts', () => {
    const table =
      /const outcomes = \{([\s\S]*?)\n\} as const/.exec(source('console/connect/outcome-pages.tsx'))?.[1] ??
      '';
    const names = [...table.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name ?? '');
    assert(names.length > 20);
    for (const name of names) {
      const title = name === 'same_address' ? 'wrong_identity' : name;
      for (const key of [`${title}.title`, `${name}.text`, `${name}.next`])
        assert.notEqual(findText(key), null, key);
    }
  });

  test('every way in which a login can fail has its text', () => {
    const union = /export type LoginProblemCode =([\s\S]*?);/.exec(source('mailbox/prove.ts'))?.[1] ?? '';
    const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code ?? '');
    assert.equal(codes.length, 7);
    for (const code of codes) {
      for (const step of /^(imap|smtp)_/.test(code) ? [''] : ['imap_', 'smtp_']) {
        assert.notEqual(findText(`problem.${step}${code}`), null, `${step}${code}`);
      }
    }
  });
});
