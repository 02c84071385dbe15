import type { Credential, TokenStore } from '../provider/tokens.ts';
import type { MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { tokenLine } from './connection-log.ts';
import { rows, run } from './database.ts';
import type { Db } from './database.ts';
import { credentialContext } from './mailboxes.ts';

/** What a mailbox's sealed access token is bound to. */
export function accessTokenContext(mailboxId: MailboxId): string {
  return `mailboxes.access_token ${mailboxId}`;
}

/** Consents and tokens in the mailboxes table, sealed; shared by all nodes. */
export function createTokenStore(db: Db, secretBox: SecretBox): TokenStore {
  return {
    async readCredential(mailboxId) {
      const [row] = await rows<{
        provider: Credential['provider'];
        login: string;
        credential_sealed: string;
        access_token_sealed: string | null;
        access_token_expires_at: Date | null;
        token_version: string;
      }>(
        db,
        `select provider, login, credential_sealed, access_token_sealed, access_token_expires_at, token_version
           from mailboxes where id = :mailboxId and credential_kind = 'oauth' and credential_sealed is not null`,
        { mailboxId },
      );
      if (row === undefined) return null;
      return {
        provider: row.provider,
        login: row.login,
        refreshToken: secretBox.open(row.credential_sealed, credentialContext(mailboxId)),
        accessToken:
          row.access_token_sealed === null
            ? null
            : secretBox.open(row.access_token_sealed, accessTokenContext(mailboxId)),
        accessTokenExpiresAt: row.access_token_expires_at?.getTime() ?? null,
        version: Number(row.token_version),
      };
    },
    async tryLockRefresh(mailboxId, owner, leaseMs) {
      const locked = await run(
        db,
        `update mailboxes set refresh_lease_owner = :owner, refresh_lease_until = now() + :leaseMs * interval '1 ms'
          where id = :mailboxId and (refresh_lease_until is null or refresh_lease_until < now() or refresh_lease_owner = :owner)`,
        { mailboxId, owner, leaseMs },
      );
      return locked > 0;
    },
    async saveTokens(mailboxId, expectedVersion, tokens) {
      const saved = await run(
        db,
        `with renewed as (
           update mailboxes set credential_sealed = :credential, access_token_sealed = :accessToken,
                  access_token_expires_at = :expiresAt, token_version = token_version + 1
            where id = :mailboxId and token_version = :expectedVersion and credential_sealed is not null
           returning id)
         ${tokenLine('renewed')}`,
        {
          mailboxId,
          expectedVersion,
          credential: secretBox.seal(tokens.refreshToken, credentialContext(mailboxId)),
          accessToken: secretBox.seal(tokens.accessToken, accessTokenContext(mailboxId)),
          expiresAt: new Date(tokens.accessTokenExpiresAt),
        },
      );
      return saved > 0;
    },
    async unlockRefresh(mailboxId, owner) {
      await run(
        db,
        `update mailboxes set refresh_lease_owner = null, refresh_lease_until = null
          where id = :mailboxId and refresh_lease_owner = :owner`,
        { mailboxId, owner },
      );
    },
  };
}
