import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Hono } from 'hono';

const { resolve } = createRequire(import.meta.url);
const own = (name: string) => new URL(`./assets/${name}`, import.meta.url).pathname;

/** What pages load, all of it from here: nobody else learns who reads them. */
const files = {
  'console.css': own('console.css'),
  'signed-in.css': own('signed-in.css'),
  'mailbox.css': own('mailbox.css'),
  'admin.css': ['gateway', 'reading', 'work'].map((part) => own(`admin-${part}.css`)),
  'console.js': own('console.js'),
  // One file: htmx (4.0.1) begins as soon as its own script has run, and does not wait for one that comes later.
  'htmx.js': [resolve('htmx.org/dist/htmx.min.js'), resolve('htmx.org/dist/ext/hx-sse.min.js')],
} as const;

export type AssetName = keyof typeof files;

const types = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' } as const;

const assets = new Map(
  Object.entries(files).map(([name, paths]) => {
    // A map of the source would be one more file that a browser asks for.
    const content = [paths]
      .flat()
      .map((path) => readFileSync(path, 'utf8').replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n'))
      .join('');
    const version = createHash('sha256').update(content).digest('hex').slice(0, 12);
    return [name, { content, version, type: types[name.endsWith('.css') ? 'css' : 'js'] }];
  }),
);

/** The path of a file, which changes with its content, so that browsers may keep it for ever. */
export function assetPath(name: AssetName): string {
  return `/assets/${name}?v=${assets.get(name)?.version}`;
}

/** `/assets/…` */
export function addAssets(app: Hono): void {
  app.get('/assets/:name', (c, next) => {
    const asset = assets.get(c.req.param('name'));
    if (asset === undefined) return next();
    return c.body(asset.content, 200, {
      'Content-Type': asset.type,
      'Cache-Control': 'public, max-age=31536000, immutable',
    });
  });
}
