import assert from 'node:assert/strict';
import { createConsole } from '../../src/console/app.tsx';
import type { ConsoleDeps } from '../../src/console/app.tsx';
import { lookedAt } from '../support/chromium.ts';

/** What a browser gets that is no page to be looked at. */
const noPages: Readonly<Record<string, string>> = {
  '/': 'leads on',
  '/assets/:name': 'a file',
  '/connect/callback': 'leads on, or ends as other pages do',
  '/connect/:token/waiting': 'a part of a page',
  '/connect/:token/confirm/:login/look': 'a part of a page',
  '/mailbox/state': 'a part of a page',
  '/mailbox/older/:id/progress': 'a part of a page',
  '/mailbox/logging-address.vcf': 'a file',
  '/admin/live': 'a stream',
  '/admin/sign-in/identity': 'leads on',
  '/admin/sign-in/callback': 'leads on',
  '/admin/messages/:id/html': 'a stranger’s mail',
  '/admin/messages/:id/attachments/:n{[0-9]{1,6}}': 'a file',
  '/admin/messages/:id/raw': 'a file',
  '/admin/messages/:id/pictures/:n{[0-9]{1,6}}': 'a file',
};

/** The pages that there are, those first that are named in full. */
function pagePaths(): string[] {
  const deps = { publicUrl: () => '', crmOrigins: [], operator: { httpProxies: [], identity: null } };
  const { routes } = createConsole(deps as unknown as ConsoleDeps);
  const paths = routes.filter(({ method }) => method === 'GET').map(({ path }) => path);
  const parameters = (path: string) => path.split(':').length;
  return [...new Set(paths)].toSorted((one, other) => parameters(one) - parameters(other));
}

/** Fails where a page below one of these paths was not looked at (assertGoodToRead) in this process. */
export function assertAllLookedAt(below: RegExp): void {
  const paths = pagePaths();
  const patternOf = (path: string) => new RegExp(`^${path.replaceAll(/:\w+(?:\{[^/]*\})?/g, '[^/]+')}$`);
  const seen = new Set([...lookedAt].map((at) => paths.find((path) => patternOf(path).test(at))));
  const missing = paths.filter((path) => below.test(path) && !seen.has(path) && noPages[path] === undefined);
  assert.deepEqual(missing, []);
}
