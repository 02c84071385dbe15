import { newId } from '../lib/id.ts';
import type { MailboxId, ProvenLoginId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';
import type { NetGuard } from '../lib/net-guard.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { Grant, OAuthClient } from '../provider/oauth.ts';
import type { Provider, ProviderName } from '../provider/providers.ts';
import { findConnectLink } from '../store/connect-links.ts';
import type { Db } from '../store/database.ts';
import {
  endConnection,
  findActiveConnection,
  findActiveMembers,
  inLifecycle,
  lockMembership,
  lockWhose,
  openWaitingConnection,
} from '../store/lifecycle.ts';
import type { ActiveConnection, Member, Whose } from '../store/lifecycle.ts';
import { lockProvenLogin, provenCredentialContext, settleProvenLogin } from '../store/proven-logins.ts';
import type { ProvenLogin } from '../store/proven-logins.ts';
import { addRevocation } from '../store/revocations.ts';
import { proveLogin } from './prove.ts';
import type { PasswordLogin, ProveSmtpLogin } from './prove.ts';
import { proofOfGrant, proofOfLogin, proofOfPassword, settle } from './settle.ts';
import type { ConnectRequest, ConnectResult, Proof, Settled } from './settle.ts';

/** A provider that people can connect at; `oauth` null: by password. */
export type OfferedProvider = { provider: Provider; oauth: OAuthClient | null };

export type ConnectDeps = {
  db: Db;
  secretBox: SecretBox;
  log: Log;
  /** Those that are configured, in the order in which the page shows them. */
  offered: ReadonlyMap<ProviderName, OfferedProvider>;
  netGuard: NetGuard;
  proveSmtpLogin: ProveSmtpLogin;
  /** The supervisor's: a mailbox was connected, renewed or left. */
  wakeMailbox(mailboxId: MailboxId): void;
  /** There are events to publish. */
  wakePublisher(): void;
  /** There may be grants to revoke. */
  wakeRevoker(): void;
};

/** What a consent that lacks something came to. */
type Waiting = 'waits' | 'not_a_member' | 'link_used';

/** Connecting and disconnecting (C): each one transaction; what is left to do outside follows its commit. */
export type Connecting = {
  /** With what a consent gave. */
  connectWithGrant(
    request: ConnectRequest & { provider: ProviderName; grant: Grant },
  ): Promise<ConnectResult>;
  /** A generic mailbox, after its login is proven at both servers. Rejects with LoginProblem. */
  connectWithPassword(
    request: ConnectRequest & { address: string; login: PasswordLogin },
  ): Promise<ConnectResult>;
  /** The person's word on a login that was kept: connects, as if it were proven now. Null when it is settled, or has run out. */
  confirm(id: ProvenLoginId): Promise<ConnectResult | null>;
  /** The person does not want it: the grant is revoked at the provider, a password forgotten. */
  decline(id: ProvenLoginId): Promise<void>;
  /** Microsoft wants an administrator first: the connection waits for that, in its own state (C1). */
  waitForAdministrator(request: ConnectRequest & { provider: ProviderName }): Promise<Waiting>;
  /** C7. How many connections were ended: of a user, of a sub-account, or of a user in one. `also` is done with each. */
  disconnect(which: Whose, also?: (tx: Db) => Promise<void>): Promise<number>;
  /**
   * Disconnects, and runs `remove` in a transaction in which nobody of them can connect: a consent
   * that comes back at that moment is ended like the others, or finds no member any more.
   */
  disconnectBefore<T>(which: Whose, remove: (tx: Db) => Promise<T>): Promise<T>;
};

export function createConnecting(deps: ConnectDeps): Connecting {
  const { db, log } = deps;

  /** After the commit: the publisher, the listeners, and the grant of a mailbox that nobody uses any more. */
  const followUp = (mailboxes: readonly MailboxId[]) => {
    deps.wakePublisher();
    for (const id of mailboxes) deps.wakeMailbox(id);
    deps.wakeRevoker();
  };

  const followUpEnd = ({ mailboxId }: End) => followUp(mailboxId === null ? [] : [mailboxId]);

  const connect = async (request: ConnectRequest, proof: Proof): Promise<ConnectResult> => {
    const { result, mailboxes } = await inLifecycle(db, (tx) => settle(deps.secretBox, tx, request, proof));
    log.info({ outcome: result.outcome, provider: proof.mailbox.provider }, 'a mailbox was to be connected');
    if (result.outcome === 'connected') followUp(mailboxes);
    return result;
  };

  const disconnect: Connecting['disconnect'] = async (which, also) => {
    // Nobody named would mean everybody.
    if (which.subAccountId === undefined && which.userId === undefined) throw new Error('disconnect whom?');
    let ended = 0;
    for (const member of await findActiveMembers(db, which)) {
      const done = await inLifecycle(db, async (tx) => {
        const ended = await end(tx, member);
        if (ended !== null) await also?.(tx);
        return ended;
      });
      if (done === null) continue;
      ended += 1;
      followUpEnd(done);
    }
    return ended;
  };

  return {
    async connectWithGrant(request) {
      let result: ConnectResult | undefined;
      try {
        result = await takeGrant(deps, connect, request);
        return result;
      } finally {
        // Nobody is going to use it: a consent that came to nothing, or could not be stored, must not live
        // on at the provider. Where a commit succeeded without a word, the revoker finds the grant in use.
        if (result?.outcome !== 'connected' && result?.outcome !== 'to_confirm')
          await leaveToRevoke(deps, request);
      }
    },
    async connectWithPassword(request) {
      const ends = await proveLogin(deps, request.login);
      return connect(request, proofOfPassword(request.address, request.login, ends));
    },
    ...confirmingOf(deps, followUp),
    waitForAdministrator: (request) =>
      wait(deps, request, { provider: request.provider, state: 'admin_consent_required', reason: null }),
    disconnect,
    async disconnectBefore(which, remove) {
      // First one by one: what is locked below is held for the few that came in between, and no longer.
      await disconnect(which);
      const { result, ends } = await inLifecycle(db, async (tx) => {
        const ends = await endLast(tx, which);
        return { result: await remove(tx), ends };
      });
      for (const done of ends) followUpEnd(done);
      return result;
    },
  };
}

/** Those of the calls that settle a login which was kept. */
function confirmingOf(
  deps: ConnectDeps,
  followUp: (mailboxes: readonly MailboxId[]) => void,
): Pick<Connecting, 'confirm' | 'decline'> {
  const { db, log } = deps;
  return {
    async confirm(id) {
      const settled = await inLifecycle(db, (tx) => confirm(deps, tx, id));
      if (settled === null) return null;
      log.info({ outcome: settled.result.outcome }, 'a mailbox was confirmed');
      followUp(settled.mailboxes);
      return settled.result;
    },
    async decline(id) {
      await db.transaction(async (tx) => {
        const login = await lockProvenLogin(tx, id);
        if (login !== null) await giveUp(tx, login);
      });
      deps.wakeRevoker();
    },
  };
}

/** Null when it is settled, or has run out. What comes to nothing is over, too: its page has no second try. */
async function confirm(deps: ConnectDeps, tx: Db, id: ProvenLoginId): Promise<Settled | null> {
  const login = await lockProvenLogin(tx, id);
  if (login === null) return null;
  const link = await findConnectLink(tx, { id: login.linkId });
  const settled: Settled =
    link === null
      ? { result: { outcome: 'not_a_member' }, mailboxes: [] }
      : await settle(
          deps.secretBox,
          tx,
          { subAccountId: link.subAccountId, userId: link.userId, replace: link.replace, linkId: link.id },
          proofOfLogin(deps.secretBox, login),
        );
  if (settled.result.outcome === 'connected') await settleProvenLogin(tx, id, 'connected');
  else await giveUp(tx, login);
  return settled;
}

/** The grant goes on as it is sealed: it must be revoked also when its key is lost. */
async function giveUp(tx: Db, login: ProvenLogin & { credentialSealed: string }): Promise<void> {
  const { id, mailbox, credentialSealed: tokenSealed } = login;
  await settleProvenLogin(tx, id, 'declined');
  const { provider, identityKey } = mailbox;
  if (identityKey === null) return;
  const sealedFor = provenCredentialContext(id);
  await addRevocation(tx, { id: newId('rvk'), provider, identityKey, tokenSealed, sealedFor });
}

async function leaveToRevoke(
  deps: ConnectDeps,
  { provider, grant }: { provider: ProviderName; grant: Grant },
): Promise<void> {
  const id = newId('rvk');
  const sealedFor = `revocations.token ${id}`;
  const tokenSealed = deps.secretBox.seal(grant.refreshToken, sealedFor);
  const { identityKey } = grant;
  await addRevocation(deps.db, { id, provider, identityKey, tokenSealed, sealedFor });
  deps.wakeRevoker();
}

/** A grant that lacks a scope makes the connection wait (C1); any other connects, or is refused. */
async function takeGrant(
  deps: ConnectDeps,
  connect: (request: ConnectRequest, proof: Proof) => Promise<ConnectResult>,
  request: ConnectRequest & { provider: ProviderName; grant: Grant },
): Promise<ConnectResult> {
  const { provider, grant } = request;
  if (grant.missingScopes.length === 0) return connect(request, proofOfGrant(provider, grant));
  const reason = grant.missingScopes.join(' ');
  const waiting = await wait(deps, request, { provider, state: 'permission_missing', reason });
  return waiting === 'waits'
    ? { outcome: 'permission_missing', scopes: grant.missingScopes }
    : { outcome: waiting };
}

/**
 * A consent that lacks something. A connection that works goes on untouched (C6); one that waits
 * already, or has lost its consent, says what is wanted now; otherwise there is a new one that waits.
 */
async function wait(
  deps: ConnectDeps,
  request: ConnectRequest,
  for_: {
    provider: ProviderName;
    state: 'admin_consent_required' | 'permission_missing';
    reason: string | null;
  },
): Promise<Waiting> {
  const waiting = await inLifecycle(deps.db, async (tx): Promise<Waiting> => {
    if (!(await lockMembership(tx, request))) return 'not_a_member';
    const link = request.linkId === null ? null : await findConnectLink(tx, { id: request.linkId });
    if (link?.status === 'used') return 'link_used';
    const active = await findActiveConnection(tx, request);
    if (active === null || mayWait(active, request, for_.provider)) {
      const { subAccountId, userId } = request;
      await openWaitingConnection(tx, { subAccountId, userId, ...for_, active });
    }
    return 'waits';
  });
  deps.wakePublisher();
  return waiting;
}

function mayWait(active: ActiveConnection, request: ConnectRequest, provider: ProviderName): boolean {
  if (active.mailboxId === null) return true;
  const isStopped = ['reauth_required', 'admin_consent_required', 'permission_missing'].includes(
    active.state,
  );
  return isStopped && active.provider === provider && !request.replace;
}

/** Ends what was connected in the last moment, in the transaction in which nobody connects any more. */
async function endLast(tx: Db, which: Whose): Promise<End[]> {
  await lockWhose(tx, which);
  const ends: End[] = [];
  for (const member of await findActiveMembers(tx, which)) {
    const done = await end(tx, member);
    if (done !== null) ends.push(done);
  }
  return ends;
}

type End = { mailboxId: MailboxId | null };

/** Ends the connection of a user here; null when there is none any more. */
async function end(tx: Db, member: Member): Promise<End | null> {
  await lockMembership(tx, member);
  const active = await findActiveConnection(tx, member);
  if (active === null) return null;
  await endConnection(tx, active.id, 'disconnected');
  return { mailboxId: active.mailboxId };
}
