import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { notFound, problems } from './errors.ts';
import type { Api } from './route.ts';

/** `/openapi.json`, and `/docs`, which shows it with files of our own and nothing from elsewhere; `/` leads there. */
export function addOpenApi(api: Api): void {
  let document: string | undefined;
  api.openAPIRegistry.registerComponent('securitySchemes', 'key', {
    type: 'http',
    scheme: 'bearer',
    description: 'A key of `/v1/keys`, beginning with `tw_`.',
  });
  api.get('/openapi.json', (c) => {
    document ??= JSON.stringify(openApiDocument(api));
    return c.body(document, 200, { 'Content-Type': 'application/json' });
  });
  api.get('/', (c) => c.html(frontPage, 200, { 'Content-Security-Policy': contentSecurityPolicy }));
  api.get('/docs', (c) => c.html(page, 200, { 'Content-Security-Policy': contentSecurityPolicy }));
  api.get('/docs/', (c) => c.redirect('/docs', 301));
  api.get('/docs/init.js', (c) => c.body(script, 200, headersOf('text/javascript; charset=utf-8')));
  api.get('/docs/:file', async (c) => {
    const file = files.get(c.req.param('file'));
    if (file === undefined) throw notFound('file');
    file.content ??= readFile(join(pageDirectory(), c.req.param('file')));
    return c.body(new Uint8Array(await file.content), 200, headersOf(file.type));
  });
}

/** The OpenAPI 3.1 document of every route that was added so far. */
export function openApiDocument(api: Api) {
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Twoway', version: '1', description, license: { name: 'MIT' } },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags,
  });
}

function pageDirectory(): string {
  return dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));
}

const description = `
Two-way e-mail sync for a CRM: people connect their mailboxes, and what they exchange with the CRM's contacts
appears in the CRM's conversations; everything else stays private.

**Ids.** Sub-accounts, users and contacts carry the CRM's own ids (1 to 128 characters of \`A-Z a-z 0-9 . _ : -\`);
everything else has the gateway's: a prefix and a UUIDv7. **Times** are RFC 3339 in UTC.
**PUT** creates or replaces: 201 when it was made, 200 otherwise; the same call twice changes nothing.
**Lists** are \`{ "data", "next_cursor" }\`; pass \`next_cursor\` as \`cursor\` until it is null.

**Keys** are for one sub-account or for all of them. With a key of one sub-account every other is not there: what
belongs to another answers as if it did not exist. Users are shared between sub-accounts: such a key sees those
that are members of its own, and changes those that are members of no other.

**Errors** are \`application/problem+json\` (RFC 9457). \`code\` is one of:

| code | status | |
| --- | --- | --- |
${Object.entries(problems)
  .map(([code, { status, title }]) => `| \`${code}\` | ${status} | ${title} |`)
  .join('\n')}
`.trim();

const tags = [
  { name: 'Sub-accounts', description: 'Tenants of the CRM, with their settings.' },
  { name: 'Users', description: 'People who work in the CRM, and where they are members.' },
  { name: 'Contacts', description: 'Customers, in one sub-account.' },
  { name: 'Never-log lists', description: 'Addresses and domains that are never stored (S15).' },
  { name: 'Logging address', description: 'Where a mail is copied or forwarded to, to have it logged (B).' },
  { name: 'Connections', description: "Users' links to their mailboxes." },
  { name: 'Conversations', description: 'What was exchanged with each contact, in threads of messages.' },
  { name: 'Sends', description: 'What the CRM sends, and what became of it.' },
  { name: 'Decisions', description: 'Why a message is here, and why another is not.' },
  { name: 'Webhooks', description: 'Where events go, and what became of them.' },
  { name: 'Events', description: 'What happened, in order.' },
  { name: 'Keys', description: 'Who may call this API.' },
  { name: 'Health', description: 'For whatever watches the gateway.' },
];

/** The files that are served, by name, each read when it is first asked for. */
const files = new Map<string, { type: string; content?: Promise<Buffer> }>([
  ['swagger-ui.css', { type: 'text/css; charset=utf-8' }],
  ['swagger-ui-bundle.js', { type: 'text/javascript; charset=utf-8' }],
  ['favicon-32x32.png', { type: 'image/png' }],
]);

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  // The style sheet draws its arrows by data addresses.
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Twoway API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
`;

const frontPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Twoway</title>
<link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
<h1>Twoway</h1>
<p>A gateway between a CRM and its users' mailboxes. It is running.</p>
<ul>
<li><a href="/docs">Documentation of the API</a></li>
<li><a href="/openapi.json">The same as an OpenAPI document</a></li>
</ul>
</body>
</html>
`;

/** The validator badge would send the document to a public service. */
const script = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', validatorUrl: null, deepLinking: true });\n`;

function headersOf(type: string): Record<string, string> {
  return {
    'Content-Type': type,
    'Cache-Control': 'public, max-age=3600',
    'X-Content-Type-Options': 'nosniff',
  };
}
