import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createRandom } from '../sim/random.ts';
import { nastyTexts, worstTexts } from '../support/nasty.ts';
import { openOwnPages } from './mailbox/own.ts';
import type { OwnPages } from './mailbox/own.ts';
import { publicUrl } from './pages.ts';
import type { Browser } from './pages.ts';

/** Of the values that are not always tried each place gets this many, by this seed. */
const [picked, fromSeed] = [2, 1];
const random = createRandom(fromSeed);
const texts = () =>
  [...worstTexts, ...random.shuffled(nastyTexts).slice(0, picked)].map((text) => text.toWellFormed());

/** The names that any page asks its address, or its form, for. */
const directory = new URL('../../src/console/', import.meta.url);
const sources = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => readFileSync(new URL(file, directory), 'utf8'))
  .join('\n');
const named = (pattern: RegExp) => [...new Set([...sources.matchAll(pattern)].map(([, name = '']) => name))];
const queryNames = [
  ...named(/c\.req\.query\('(\w+)'\)/g),
  ...named(/asked\('(\w+)'\)/g),
  'older',
  'newer',
  'sub_account',
  'user',
  'state',
  'done',
];
const fieldNames = named(/form\.get(?:All)?\('(\w+)'\)/g).filter((name) => name !== 'form_token');

describe('no page fails, whatever its address and its form hold', () => {
  let o: OwnPages;
  let root: Browser;
  let ids: string[];
  before(async () => {
    o = await openOwnPages();
    await o.mailbox.see('inbox', { from: 'carla@customer.example', subject: 'A letter' });
    root = await o.t.administrator();
    const [decision] = await o.t.sql<{ id: string }>('select id from decisions');
    ids = [
      (await o.connectionOf('ann')).id,
      'north',
      decision?.id ?? '',
      (await o.world.messages('north'))[0]?.id ?? '',
    ];
  });
  after(() => o.close());

  const browserOf = (path: string) => (path.startsWith('/admin') ? root : o.ann);
  const tokens = new Map<Browser, string>();
  async function tokenOf(browser: Browser, path: string): Promise<string> {
    const known = tokens.get(browser);
    if (known !== undefined) return known;
    const { html } = await browser.get(
      `${publicUrl}${path.startsWith('/admin') ? '/admin/keys' : '/mailbox'}`,
    );
    const token = /name="form_token" value="([^"]+)"/.exec(html)?.[1] ?? '';
    tokens.set(browser, token);
    return token;
  }

  test(`each way to a page, and each form (seed ${fromSeed})`, async () => {
    const routes = o.t.app.routes.filter(
      ({ method, path }) => method !== 'ALL' && !/sign-out|live$|\*/.test(path),
    );
    assert.ok(routes.length > 60, 'the routes are known');
    const failed = new Set<string>();
    for (const { method, path } of routes) {
      const judge = async (to: string, fields?: Record<string, string>) => {
        const browser = browserOf(path);
        const shown =
          fields === undefined
            ? await browser.get(`${publicUrl}${to}`)
            : await browser.post(
                `${publicUrl}${to}`,
                { form_token: await tokenOf(browser, path), ...fields },
                { 'sec-fetch-site': 'same-origin' },
              );
        // Also one that was turned away for asking too often shows nothing.
        if (shown.status >= 500 || shown.status === 429)
          failed.add(
            `${method} ${path}: ${decodeURIComponent(to).slice(0, 120)} ${JSON.stringify(fields ?? {}).slice(0, 120)}`,
          );
      };
      const post = method === 'POST';
      const all = (names: readonly string[], value: string) =>
        Object.fromEntries(names.map((name) => [name, value]));
      for (const value of path.includes(':') ? texts() : [])
        await judge(path.replaceAll(/:\w+/g, encodeURIComponent(value)), post ? {} : undefined);
      for (const to of new Set(ids.map((id) => path.replaceAll(/:\w+/g, id))))
        for (const value of texts()) {
          if (post) await judge(to, all(fieldNames, value));
          else await judge(`${to}?${new URLSearchParams(all(queryNames, value)).toString()}`);
        }
    }
    assert.deepEqual([...failed], []);
  });

  test('U+0000 leads nowhere in a path, and is told where it was typed; nothing is done with it', async () => {
    assert.equal((await root.get(`${publicUrl}/admin/settings/a%00b`)).status, 404);
    assert.match(
      (await root.get(`${publicUrl}/admin/why?q=a%00b`)).text,
      /holds a character that no text has/,
    );
    const form = { form_token: await tokenOf(root, '/admin'), label: 'a\0b', scope: 'write' };
    const typed = await root.post(`${publicUrl}/admin/keys`, form, { 'sec-fetch-site': 'same-origin' });
    assert.deepEqual([typed.status, typed.title], [400, 'That cannot be read']);
    assert.deepEqual(await o.t.sql('select 1 from api_keys where position(chr(98) in label) = 2'), []);
  });
});
