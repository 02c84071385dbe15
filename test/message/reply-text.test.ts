import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { replyText } from '../../src/message/reply-text.ts';
import { replies } from '../fixtures/message/replies.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

describe('the reply text', () => {
  for (const { name, text, html, reply } of replies) {
    test(name, () => assert.equal(replyText({ text, html }), reply));
  }

  test('is never empty when there is something new', () => {
    const word = fc.stringMatching(/^[a-z]{1,10}( [a-z]{1,10}){0,5}$/);
    const noise = fc.constantFrom(
      '',
      '> quoted',
      '-- ',
      'Sent from my iPhone',
      '________________________________',
      'From: x',
      '--',
    );
    fc.assert(
      fc.property(fc.array(noise), word, fc.array(noise), (above, own, below) => {
        const reply = replyText({ text: [...above, own, ...below].join('\n'), html: null });
        assert.notEqual(reply, '');
      }),
    );
  });

  test('never throws and adds no words', () => {
    const piece = fc.constantFrom(
      '<div>',
      '</div>',
      '<blockquote type=cite>',
      '</blockquote>',
      '<p',
      '>',
      'wrote:',
      'On ',
      '2024 ',
      '\n',
      '&gt;',
      '"',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
        const body = pieces.join('');
        assert.ok(replyText({ text: body, html: null }).length <= body.length * 3);
        assert.ok(replyText({ text: body, html: body }).length <= body.length * 3 + 10);
      }),
    );
  });

  const size = 400_000;
  const plain = [
    '\n',
    '-',
    '--\n',
    '-- \n',
    ' ',
    '\t \u00a0',
    '>',
    '> ',
    '>\n',
    '>\na\n',
    'a:\n',
    'From: a\n',
    '_',
    '*',
    '\r',
    'a',
    'Subject: a\n',
  ];
  plain.push(
    'On 3 June 2024 10:00 x wrote:\n',
    'On wrote: ',
    'wrote:\n>\n',
    '_____________________\n',
    'Sent from my iPhone\n',
    'a\n-- \n',
  );
  plain.push(
    `${'-'.repeat(199)}\n`,
    `sent from ${'iphone '.repeat(20)}x\n`,
    `sent from iphone ${'1234567890 '.repeat(14)} x\n`,
    '2024-01-01 a <a>:\n',
    'De : a\nDe : b\n',
  );
  const markup = [
    '<div>',
    '<b>',
    '<',
    '<a ',
    '<a b="',
    '<blockquote>',
    '<blockquote type=cite>a',
    '</div>',
    '<div><p>',
    '&',
    '&#x41;',
    'a<b>',
    '<p>',
  ];
  markup.push(
    '<style>',
    '<!--',
    '<a x="">',
    '<pre>\n>',
    '<li>',
    '<td>',
    '<style></style>',
    '<div class="gmail_quote">',
    '<br>',
    '&gt;<br>',
    '</',
    "<a b='",
  );
  markup.push(
    '<div>On 3 June 2024 10:00 x wrote:</div><blockquote>',
    '<div id=x_divRplyFwdMsg>',
    '<hr>\n',
    '<table><tr>',
    `<div ${'a=b '.repeat(500)}>`,
  );

  const filled = (unit: string, length: number) => unit.repeat(Math.ceil(length / unit.length));

  test('takes linear time for anything', () => {
    for (const unit of plain) {
      assertInProportion(JSON.stringify(unit), size, (length) =>
        replyText({ text: filled(unit, length), html: null }),
      );
      assertInProportion(`<pre>${JSON.stringify(unit)}`, size, (length) =>
        replyText({ text: '', html: `<pre>${filled(unit, length)}` }),
      );
    }
    for (const unit of markup) {
      assertInProportion(JSON.stringify(unit), size, (length) =>
        replyText({ text: '', html: filled(unit, length) }),
      );
    }
  });

  test('takes linear time for any mixture of them', () => {
    const unit = fc.array(fc.constantFrom(...plain, ...markup), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(unit, (units) => {
        for (const html of [false, true]) {
          assertInProportion(JSON.stringify(units), size, (length) => {
            const text = filled(units.join(''), length);
            return replyText({ text, html: html ? text : null });
          });
        }
      }),
      { numRuns: 40 },
    );
  });
});
