import type { Hono } from 'hono';
import { hrefOf } from '../page.tsx';
import { endSession } from '../session.ts';
import { withAdminForm } from './app.tsx';
import type { AdminPages } from './app.tsx';
import { addAccount } from './account.tsx';
import { addAdministrators } from './administrators.tsx';
import { addAudit } from './audit.tsx';
import { addIdentity } from './identity.tsx';
import { addKeys } from './keys.tsx';
import { createPasswords } from './passwords.ts';
import { addConnections } from './reading/connections.tsx';
import { addConversations } from './reading/conversations.tsx';
import { addWhy } from './reading/why.tsx';
import { addSecondFactor } from './second-factor.tsx';
import { addSettings } from './settings.tsx';
import { addSetup } from './setup.tsx';
import { addSignIn } from './sign-in.tsx';
import { addWelcome } from './welcome.tsx';
import { addWork } from './work/app.tsx';

/** `/admin`: the pages of who runs the gateway. */
export function addAdmin(app: Hono, pages: AdminPages): void {
  app.get('/', (c) => c.redirect(hrefOf(pages.site, '/admin'), 303));
  app.post('/admin/sign-out', (c) =>
    withAdminForm(c, pages, async (session) => {
      await endSession(c, pages, session);
      return c.redirect(hrefOf(pages.site, '/admin/sign-in'), 303);
    }),
  );
  const signInPages = { ...pages, passwords: createPasswords() };
  addSignIn(app, signInPages);
  addIdentity(app, pages);
  addWelcome(app, signInPages);
  addAccount(app, signInPages);
  addSecondFactor(app, signInPages);
  addAdministrators(app, pages);
  addKeys(app, pages);
  addSettings(app, pages);
  addSetup(app, pages);
  addAudit(app, pages);
  addConnections(app, pages);
  addConversations(app, pages);
  addWhy(app, pages);
  addWork(app, pages);
}
