import { newId } from '../lib/id.ts';
import type { ConnectionId, LinkId, MailboxId } from '../lib/id.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { Grant } from '../provider/oauth.ts';
import type { ProviderName } from '../provider/providers.ts';
import { findConnectLink, useConnectLink } from '../store/connect-links.ts';
import { setMailboxState } from '../store/connections.ts';
import type { Db } from '../store/database.ts';
import {
  endConnection,
  findActiveConnection,
  lockMembership,
  openConnection,
  renewConnection,
} from '../store/lifecycle.ts';
import type { ActiveConnection, Member } from '../store/lifecycle.ts';
import { beginAtEnds } from '../store/folders.ts';
import type { FolderEnd } from '../store/folders.ts';
import { credentialContext } from '../store/mailboxes.ts';
import { insertProvenLogin, provenCredentialContext, provenTokenContext } from '../store/proven-logins.ts';
import type { ProvenLogin } from '../store/proven-logins.ts';
import { lockMailboxes, saveCredential, saveMailbox } from '../store/proven-mailboxes.ts';
import type { ProvenMailbox } from '../store/proven-mailboxes.ts';
import { accessTokenContext } from '../store/tokens.ts';
import { meet } from './identity.ts';
import type { PasswordLogin } from './prove.ts';

/** Who connects, and how. */
export type ConnectRequest = Member & {
  /** Another mailbox takes the place of the connected one (C6). */
  replace: boolean;
  /** The link that this uses up; null: the CRM itself connects. */
  linkId: LinkId | null;
  /**
   * What is new waits until the person confirms it, on the page that is reached by a token with this SHA-256; an
   * account that is connected already goes on at once. Missing: all is connected at once.
   */
  confirmBy?: Buffer;
};

/** What came of it. Only `connected` changed anything, but that `permission_missing` may wait (C1). */
export type ConnectResult =
  | { outcome: 'connected'; connectionId: ConnectionId; address: string; created: boolean }
  /** It is kept until the person has confirmed it; the CRM has not been told of it. */
  | { outcome: 'to_confirm' }
  /** C2. */
  | { outcome: 'wrong_identity'; expected: string; given: string }
  /** The person unticked these scopes. */
  | { outcome: 'permission_missing'; scopes: string[] }
  | { outcome: 'not_a_member' }
  /** Another tab was first. */
  | { outcome: 'link_used' };

/** What a login brought: the mailbox that it opens, and the credential, not sealed yet. */
export type Proof = {
  mailbox: ProvenMailbox;
  credential: string;
  accessToken: { token: string; expiresAt: number } | null;
  /** Where folders ended just before: of those no mail is wanted that had come until then. */
  ends: readonly FolderEnd[];
};

export function proofOfGrant(provider: ProviderName, grant: Grant): Proof {
  const { email, login, identityKey, scopes } = grant;
  return {
    mailbox: { provider, address: email, login, identityKey, servers: null, credentialKind: 'oauth', scopes },
    credential: grant.refreshToken,
    accessToken: { token: grant.accessToken, expiresAt: grant.accessTokenExpiresAt },
    ends: [],
  };
}

export function proofOfPassword(address: string, login: PasswordLogin, ends: readonly FolderEnd[]): Proof {
  const { imap, smtp, user, password } = login;
  return {
    mailbox: {
      provider: 'imap',
      address,
      login: user,
      identityKey: null,
      servers: { imap, smtp },
      credentialKind: 'password',
      scopes: [],
    },
    credential: password,
    accessToken: null,
    ends,
  };
}

/** What a login brought that was kept. Throws where its key is lost. */
export function proofOfLogin(
  secretBox: SecretBox,
  login: ProvenLogin & { credentialSealed: string; ends?: readonly FolderEnd[] },
): Proof {
  const { id, mailbox, credentialSealed, accessTokenSealed: token, accessTokenExpiresAt: expiresAt } = login;
  return {
    mailbox,
    credential: secretBox.open(credentialSealed, provenCredentialContext(id)),
    accessToken:
      token === null || expiresAt === null
        ? null
        : { token: secretBox.open(token, provenTokenContext(id)), expiresAt },
    ends: login.ends ?? [],
  };
}

export type Settled = { result: ConnectResult; mailboxes: MailboxId[] };

/** A login is kept for so long until the person confirms it: a grant that nobody uses must not live on. */
const keptMs = 30 * 60_000;

/** The whole of a connect, in one transaction: all of it happens, or nothing. */
export async function settle(
  secretBox: SecretBox,
  tx: Db,
  request: ConnectRequest,
  proof: Proof,
): Promise<Settled> {
  const nothing = (result: ConnectResult): Settled => ({ result, mailboxes: [] });
  if (!(await lockMembership(tx, request))) return nothing({ outcome: 'not_a_member' });
  const active = await findActiveConnection(tx, request);
  const target = await lockMailboxes(tx, proof.mailbox, active);
  const meeting = meet({ current: currentOf(active), target, replace: request.replace });
  const { address, provider } = proof.mailbox;
  if (meeting.step === 'refuse') {
    return nothing({ outcome: 'wrong_identity', expected: meeting.expected, given: address });
  }
  if (request.confirmBy !== undefined && meeting.step !== 'renew')
    return nothing(await keep(secretBox, tx, request, { proof, tokenHash: request.confirmBy }));
  if (request.linkId !== null && !(await useConnectLink(tx, request.linkId)))
    return nothing({ outcome: 'link_used' });

  const supersedes = meeting.step === 'supersede' ? active : null;
  if (supersedes !== null) await endConnection(tx, supersedes.id, 'superseded');
  const mailboxId = await saveMailbox(tx, proof.mailbox, { target, startsAnew: meeting.startsAnew });
  await saveCredential(tx, mailboxId, sealed(secretBox, mailboxId, proof));
  // Everybody who is connected to it waited for this consent.
  if (target?.state === 'reauth_required') {
    await setMailboxState(tx, mailboxId, { state: 'connecting', reason: null, nextTryAt: null });
  }
  const left = supersedes?.mailboxId ?? mailboxId;
  const mailboxes = [...new Set([mailboxId, left])];
  if (meeting.step === 'renew' && active !== null) {
    await renewConnection(tx, { mailboxId, provider, connectionId: active.id });
    return {
      result: { outcome: 'connected', connectionId: active.id, address, created: false },
      mailboxes,
    };
  }
  const waiting = meeting.step === 'join' ? (active?.id ?? null) : null;
  const connectionId = await openConnection(tx, { ...request, mailboxId, provider, waiting });
  if (meeting.startsAnew) await beginAtEnds(tx, mailboxId, proof.ends);
  return { result: { outcome: 'connected', connectionId, address, created: true }, mailboxes };
}

/** Keeps a login for the person's word. */
async function keep(
  secretBox: SecretBox,
  tx: Db,
  { linkId }: ConnectRequest,
  { proof, tokenHash }: { proof: Proof; tokenHash: Buffer },
): Promise<ConnectResult> {
  const link = linkId === null ? null : await findConnectLink(tx, { id: linkId });
  if (link === null || link.status === 'used') return { outcome: 'link_used' };
  const id = newId('pvl');
  const { mailbox, credential, accessToken, ends } = proof;
  await insertProvenLogin(tx, {
    id,
    ends,
    tokenHash,
    linkId: link.id,
    mailbox,
    credentialSealed: secretBox.seal(credential, provenCredentialContext(id)),
    accessTokenSealed:
      accessToken === null ? null : secretBox.seal(accessToken.token, provenTokenContext(id)),
    accessTokenExpiresAt: accessToken?.expiresAt ?? null,
    lifeMs: keptMs,
  });
  return { outcome: 'to_confirm' };
}

function currentOf(active: ActiveConnection | null): { mailboxId: MailboxId; address: string } | null {
  return active?.mailboxId == null || active.address === null
    ? null
    : { mailboxId: active.mailboxId, address: active.address };
}

function sealed(secretBox: SecretBox, mailboxId: MailboxId, proof: Proof) {
  const { credential, accessToken } = proof;
  return {
    credential: secretBox.seal(credential, credentialContext(mailboxId)),
    accessToken:
      accessToken === null ? null : secretBox.seal(accessToken.token, accessTokenContext(mailboxId)),
    accessTokenExpiresAt: accessToken?.expiresAt ?? null,
  };
}
