import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newId } from '../../src/lib/id.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { sanitiseHtml } from '../../src/message/html.ts';
import { clickPath, openPath } from '../../src/message/tracking-links.ts';
import { untracked } from '../../src/message/untracked.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const box = createSecretBox([Buffer.alloc(32, 1)]);
const sendId = newId('snd');
const url = 'https://shop.example/?a=1&b="2"#c';
const link = `https://go.crm.example/mail${clickPath(box, { sendId, n: 1, url })}`;
const picture = `https://go.crm.example/mail${openPath(box, sendId)}`;
const forged = `${link.slice(0, -1)}${link.endsWith('A') ? 'B' : 'A'}`;

const shown = (html: string) => untracked(box, { text: '', replyText: '', html: sanitiseHtml(html) }).html;
const text = (given: string) => untracked(box, { text: given, replyText: '', html: null }).text;

describe('D7: our own tracking in mail that comes back', () => {
  test('links lead where they lead in the end, and pictures are gone', () => {
    assert.equal(
      shown(
        `<blockquote><p><a title="x" href="${link}">a &gt; b</a></p><img width="1" src="${picture}" alt="">c</blockquote>`,
      ),
      shown(
        `<blockquote><p><a title="x" href="${url.replaceAll('"', '&quot;')}">a &gt; b</a></p>c</blockquote>`,
      ),
    );
  });

  test('in texts, too', () => {
    const both = untracked(box, { text: `our offer <${link}>.\n> (${link})`, replyText: link, html: null });
    assert.deepEqual(both, { text: `our offer <${url}>.\n> (${url})`, replyText: url, html: null });
  });

  const others: [name: string, html: string][] = [
    ['what was signed by somebody else', `<a href="${forged}">a</a>`],
    ['another picture', `<img src="https://go.crm.example/t/o/${'x'.repeat(42)}">`],
    [
      'another picture beside a link',
      '<img src="https://a.example/t/x.png"><a href="https://a.example/t/c/x">a</a>',
    ],
    ['a link to a picture of ours', `<a href="${picture}">a</a>`],
    [
      'what is behind another address',
      `<a href="https://safe.example/?url=${encodeURIComponent(link)}">a</a>`,
    ],
  ];
  for (const [name, html] of others) {
    test(`${name} stays`, () => assert.equal(shown(html), sanitiseHtml(html)));
  }
  test('what was signed by somebody else stays in a text', () => assert.equal(text(forged), forged));

  test('takes time in proportion to the length', () => {
    for (const part of [
      'http://',
      'https://a/t/c/',
      '<img src="https://x/t/o/',
      '<img ',
      `${link} `,
      '/t/c/',
    ])
      assertInProportion(part, 400_000, (length) => {
        const long = part.repeat(length / part.length) + '/t/c/';
        return untracked(box, { text: long, replyText: '', html: long });
      });
  });
});
