import { Failure } from './lib/failure.ts';
import type { SecretBox } from './lib/secret-box.ts';
import type { Login } from './mailbox/session.ts';
import type { TokenService } from './provider/tokens.ts';
import type { Db } from './store/database.ts';
import { readPassword } from './store/mailboxes.ts';
import type { Mailbox } from './store/mailboxes.ts';

/** How a mailbox is logged in to: by its password, or by an access token that is not the refused one. Rejects with a Failure. */
export async function logIn(
  parts: { db: Db; secretBox: SecretBox; tokens: TokenService },
  mailbox: Mailbox,
  refused: Login | null,
): Promise<Login> {
  if (mailbox.credentialKind === 'password') {
    const password = await readPassword(parts.db, parts.secretBox, mailbox.id);
    if (password === null) throw new Failure('denied', 'credential_missing', 'the password was erased');
    return { user: mailbox.login, password };
  }
  const refusedToken = refused !== null && 'accessToken' in refused ? { refused: refused.accessToken } : {};
  const { token, login } = await parts.tokens.accessToken(mailbox.id, refusedToken);
  return { user: login, accessToken: token };
}
