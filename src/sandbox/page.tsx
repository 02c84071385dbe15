import type { Child } from 'hono/jsx';
import type { Response } from './http-server.ts';

/** The frame of each page: title, navigation, styles. Everything inside is escaped by JSX. */
export async function page(title: string, content: Child, status = 200): Promise<Response> {
  const document = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{title} · Sandbox</title>
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <main>
          <p class="note">Sandbox: a mail provider for trying things out. No mail leaves this machine.</p>
          <h1>{title}</h1>
          {content}
        </main>
      </body>
    </html>
  );
  const body = `<!doctype html>${(await document).toString()}`;
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body };
}

export const styleSheet: Response = {
  status: 200,
  headers: { 'content-type': 'text/css; charset=utf-8' },
  body: `
:root { color-scheme: light dark; --line: light-dark(#d5d9e0, #3a404b); --soft: light-dark(#5a6372, #a3acbb);
  --link: light-dark(#1a56b0, #8ab6ff); --panel: light-dark(#fff, #1d2128); }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; background: light-dark(#f3f5f8, #14171c); }
main { max-width: 44rem; margin: 0 auto; padding: 1.25rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: .75rem; }
h1 { margin: .25rem 0 1rem; font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.1rem; }
a { color: var(--link); }
.note, .quiet { margin: 0; color: var(--soft); font-size: .875rem; }
form, fieldset { display: grid; gap: .75rem; }
fieldset { margin: 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem; min-width: 0; }
label { display: grid; gap: .25rem; }
label.choice { display: flex; gap: .6rem; align-items: baseline; overflow-wrap: anywhere; }
input:not([type=radio], [type=checkbox]), textarea { width: 100%; padding: .5rem .6rem; font: inherit; color: inherit;
  background: light-dark(#fff, #14171c); border: 1px solid var(--line); border-radius: .4rem; }
textarea { min-height: 9rem; resize: vertical; }
button { padding: .6rem 1.2rem; font: inherit; font-weight: 600; border: 1px solid var(--link); border-radius: .4rem;
  background: none; color: var(--link); cursor: pointer; }
button.main { background: light-dark(#1a56b0, #8ab6ff); color: light-dark(#fff, #10131a); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
ul { margin: 0; padding: 0; list-style: none; }
li { padding: .5rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; }
`,
};
