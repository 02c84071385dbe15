import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sanitiseHtml } from '../../src/message/html.ts';
import { shownHtml } from '../../src/message/shown-html.ts';
import type { ShownOptions } from '../../src/message/shown-html.ts';
import { nastyHtml } from '../console/admin/reading/nasty.ts';

const options: ShownOptions = {
  inlineImage: (contentId) => (contentId === 'logo@mail.example' ? '/picture?a=1&b=2' : null),
  remoteImages: false,
  quoteLabel: 'Quoted <text>',
};
const shown = (html: string, more: Partial<ShownOptions> = {}) => shownHtml(html, { ...options, ...more });

describe('HTML of a mail, for a frame whose policy takes nothing inline', () => {
  for (const [name, html, expected] of [
    ['text and marks stay', '<p>a &amp; b &lt;c&gt;</p>', '<p>a &amp; b &lt;c&gt;</p>'],
    [
      'attributes of looks stay',
      '<td bgcolor="#fff" width="3">x</td>',
      '<td bgcolor="#fff" width="3">x</td>',
    ],
    [
      'a link keeps where it leads',
      '<a href="https://x.example/?a=1&amp;b=2" target="_blank" rel="noopener">x</a>',
      '<a target="_blank" rel="noopener" href="https://x.example/?a=1&amp;b=2">x</a>',
    ],
    ['a link that is none leads nowhere', '<a href="javascript:x">x</a>', '<a>x</a>'],
    [
      'a picture from elsewhere has no address',
      '<img src="https://x.example/a.png" alt="A" />',
      '<img alt="A">',
    ],
    [
      'a picture of the mail is ours',
      '<img src="cid:logo%40mail.example" />',
      '<img src="/picture?a=1&amp;b=2">',
    ],
    ['a picture that is not there has no address', '<img src="cid:100%" />', '<img>'],
    [
      'an embedded picture stays',
      '<img src="data:image/png;base64,AA==" />',
      '<img src="data:image/png;base64,AA==">',
    ],
    ['an embedded document does not', '<img src="data:image/svg+xml;base64,AA==" />', '<img>'],
    ['elements that nobody lets through go', '<p>a<script>b</script></p><svg>c</svg>', '<p>a</p>c'],
    [
      'a quote is folded, the outermost alone',
      '<p>a</p><blockquote>b<blockquote>c</blockquote>d</blockquote>e',
      '<p>a</p><details><summary>Quoted &lt;text&gt;</summary><blockquote>b<blockquote>c</blockquote>d</blockquote></details>e',
    ],
    [
      "Gmail's quote is folded with the line above it",
      '<div>a</div><div class="gmail_quote"><div class="gmail_attr">On …</div><blockquote>b</blockquote></div>',
      '<div>a</div><details><summary>Quoted &lt;text&gt;</summary><div><div>On …</div><blockquote>b</blockquote></div></details>',
    ],
  ] as const) {
    test(name, () => assert.deepEqual(shown(html), { html: expected, css: '' }));
  }

  test('pictures from elsewhere are shown when they are asked for', () => {
    const html = '<img src="https://x.example/a.png" /><img src="ftp://x.example/b.png" />';
    assert.equal(shown(html, { remoteImages: true }).html, '<img src="https://x.example/a.png"><img>');
  });

  test('styles become rules, one for each that there is', () => {
    const html = `<b style="color:red;font-family:'Segoe UI',Arial">a</b><i style="color:rgb(1, 2, 3)">b</i><u style="color:red;font-family:&quot;Segoe UI&quot;,Arial">c</u>`;
    assert.deepEqual(shown(html), {
      html: '<b class="s0">a</b><i class="s1">b</i><u class="s0">c</u>',
      css: '.s0{color:red;font-family:Segoe UI,Arial}\n.s1{color:rgb(1, 2, 3)}',
    });
  });

  for (const style of [
    'color:red}body{display:none',
    'background:url(https://evil.example/)',
    'color:r\\65 d',
    '@import x',
    'color:</style><script>',
    'width:expression(1)',
    'color:red/*',
    'x:y:z',
  ]) {
    test(`no style can end its rule or load anything: ${style}`, () => {
      const { css } = shown(`<p style="${style.replaceAll('<', '&lt;')}">x</p>`);
      assert.doesNotMatch(css, /[<@\\]|url|expression|\/\*|\}.+\}/s, css);
    });
  }

  test('whatever a stranger writes, what comes out has nothing that runs or loads', () => {
    for (const html of nastyHtml) {
      for (const input of [html, sanitiseHtml(html)]) {
        const out = shown(input);
        const tags = out.html.replaceAll(/="[^"]*"/g, '=');
        assert.doesNotMatch(
          tags,
          /<(?:script|style|svg|math|iframe|object|embed|meta|base|link|form|input|video)/i,
        );
        assert.doesNotMatch(tags, /<[^>]*\s(?:on\w+|style|srcset|background|action|ping)=/i, html);
        assert.doesNotMatch(out.html, /<[^>]* (?:src|href)="(?!https:\/\/customer\.example\/)/i, html);
        assert.doesNotMatch(out.css, /evil|[<@\\]/, html);
      }
      assert.doesNotMatch(shown(sanitiseHtml(html)).css, /position/, html);
    }
  });
});
