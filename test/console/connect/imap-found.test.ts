import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { html } from 'hono/html';
import { emptyForm } from '../../../src/console/connect/imap-form.tsx';
import { Failed } from '../../../src/console/connect/imap-found.tsx';
import type { LoginProblem } from '../../../src/mailbox/prove.ts';
import type { ConnectLink } from '../../../src/store/connect-links.ts';

describe('C3: a login that was refused, where the host is known', () => {
  for (const [name, server, failedAt, said] of [
    ['Yahoo wants another password', 'imap.mail.yahoo.com', 'login', 'Yahoo wants an app password here'],
    ['GMX has IMAP switched off', 'IMAP.gmx.net', 'login', 'At GMX you must first allow IMAP'],
    ['a server of nobody known', 'imap.company.example', 'login', null],
    ['a host without anything to know', 'posteo.de', 'login', null],
    ['Yahoo was not reached', 'imap.mail.yahoo.com', 'connect', null],
  ] as const)
    test(name, async () => {
      const typed = { ...emptyForm({ current: null } as ConnectLink), imap_host: server };
      const problem = { step: 'imap', code: 'imap_login_refused', failedAt } as LoginProblem;
      const shown = (await html`${Failed({ problem, typed })}`).toString();
      const text = shown.replaceAll(/<[^>]+>/g, '');
      assert.match(text, /refused the login/);
      if (said === null) assert.doesNotMatch(text, /app password here|must first allow/);
      else assert.ok(text.includes(said), text);
    });
});
