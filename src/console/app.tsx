import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { addCallback } from './connect-callback.tsx';
import { addStart } from './connect-start.tsx';
import type { ConsoleDeps } from './connect-start.tsx';
import { outcomePage } from './outcome-pages.tsx';
import { commonHeaders, sendPage } from './page.tsx';
import type { Site } from './page.tsx';

/** No form of the pages is larger. */
const formBytesMax = 64 * 1024;

/** The pages that people see, under `/connect/` and `/assets/`, as a Hono app beside the API. */
export function createConsole(deps: ConsoleDeps): Hono {
  const styleSheet = readFileSync(new URL('./console.css', import.meta.url), 'utf8');
  const styleVersion = createHash('sha256').update(styleSheet).digest('hex').slice(0, 12);
  const site: Site = { url: deps.publicUrl, styleVersion };
  const nowhere = { link: null, retryUrl: null };

  const app = new Hono();
  app.use(commonHeaders);
  app.use(
    bodyLimit({
      maxSize: formBytesMax,
      onError: (c) => sendPage(c, site, outcomePage('too_large', nowhere)),
    }),
  );
  app.onError((error, c) => {
    // Only the kind of it: a database's message can quote the values of a row.
    deps.log.error({ error: error.name, at: firstFrame(error) }, 'a page failed');
    return sendPage(c, site, outcomePage('internal', nowhere));
  });
  app.notFound((c) => sendPage(c, site, outcomePage('not_found', nowhere)));
  app.get('/assets/console.css', (c) =>
    c.body(styleSheet, 200, {
      'Content-Type': 'text/css; charset=utf-8',
      // Its address changes with its content.
      'Cache-Control': 'public, max-age=31536000, immutable',
    }),
  );
  // Before the start page, whose token it could be taken for.
  addCallback(app, { ...deps, site });
  addStart(app, { ...deps, site });
  return app;
}

function firstFrame(error: Error): string {
  return (
    error.stack
      ?.split('\n')
      .find((line) => line.startsWith('    at '))
      ?.trim() ?? ''
  );
}
