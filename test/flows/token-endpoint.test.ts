import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deliver } from '../support/mail.ts';
import type { Fault } from '../support/identity-state.ts';
import { waitFor } from '../support/wait.ts';
import { openNodes } from './nodes-world.ts';
import type { NodesWorld, Pair } from './nodes-world.ts';

/*
 * Microsoft gives another refresh token with each access token, so these are mailboxes of Outlook. One node listens to
 * them, another one sends from them: whatever both need of the token endpoint they need of each other.
 */
describe('a token endpoint on a hard day', () => {
  const cases: {
    user: string;
    day: string;
    fault: Omit<Fault, 'login'>;
    told: { state: string; reason?: string }[];
  }[] = [
    {
      user: 'cut',
      day: 'is down',
      fault: { kind: 'reset', times: 2 },
      told: [{ state: 'degraded', reason: 'token_endpoint_unreachable' }, { state: 'live' }],
    },
    {
      user: 'html',
      day: 'answers 503 with a page',
      fault: { kind: 'unavailable', times: 2 },
      told: [{ state: 'degraded', reason: 'token_endpoint_unavailable' }, { state: 'live' }],
    },
    {
      user: 'many',
      day: 'answers 429 with Retry-After',
      fault: { kind: 'throttled', times: 2, retryAfterSeconds: 3 },
      told: [{ state: 'rate_limited', reason: 'token_endpoint_throttled' }, { state: 'live' }],
    },
    {
      user: 'slow',
      day: 'takes 30 s',
      // Its answer, with the next refresh token in it, comes when nobody waits any more.
      fault: { kind: 'slow', times: 1, delayMs: 30_000 },
      told: [{ state: 'degraded', reason: 'token_endpoint_unreachable' }, { state: 'live' }],
    },
  ];
  const both = 'both';
  let world: NodesWorld;

  before(async () => {
    world = await openNodes({
      name: 'tokens',
      provider: 'outlook',
      environments: [{ TWOWAY_ROLES: 'api,mailbox,webhook' }, { TWOWAY_ROLES: 'outbound' }],
      people: [...cases.map(({ user }) => user), both],
    });
  });
  after(() => world.end());

  const pairOf = (user: string): Pair => world.pairs.find((pair) => pair.user === user) ?? assert.fail(user);
  const refreshes = async (user: string) =>
    (await world.servers.identity.counts(pairOf(user).mailbox)).refresh;

  /** The next session needs another token than the one that is stored, and begins now. */
  async function endSession(user: string): Promise<void> {
    const { mailbox } = pairOf(user);
    await world.servers.identity.expireAccessTokens(mailbox);
    await world.servers.doveadm('kick', mailbox);
  }

  async function mailComes(user: string, subject: string): Promise<void> {
    const { customer, mailbox } = pairOf(user);
    await deliver(world.servers, { from: customer, to: mailbox, subject, text: 'x' });
    await world.receiver.waitForEvent(
      subject,
      ({ type, data }) => type === 'message.created' && data['subject'] === subject,
      60_000,
    );
  }

  const statesOf = (user: string) =>
    world.receiver.events
      .filter(({ type, data }) => type === 'connection.state_changed' && data['user_id'] === user)
      .map(({ data }) => ({ state: data['state'], reason: data['reason'] }));

  // At the same time: each is a mailbox of its own, and one has to wait.
  describe('mail goes on, no consent is lost', { concurrency: true }, () => {
    for (const { user, day, fault, told } of cases) {
      test(`C5: it ${day}`, async () => {
        const before = { calls: await refreshes(user), told: statesOf(user).length };
        const startedAt = Date.now();
        await world.servers.identity.fault({ ...fault, login: pairOf(user).mailbox });
        await endSession(user);
        await mailComes(user, `While it ${day}`);
        const calls = (await refreshes(user)) - before.calls;
        assert.equal(calls, (fault.times ?? 1) + 1, 'asked once for each failure and once for the token');
        const waitedMs = (fault.retryAfterSeconds ?? 0) * 1_000 * (fault.times ?? 1);
        assert.ok(Date.now() - startedAt >= waitedMs, 'no sooner than it asked for');
        const states = await waitFor('the state to be told', () => {
          const since = statesOf(user).slice(before.told);
          return since.length >= told.length ? since : null;
        });
        assert.deepEqual(
          states.map(({ state }) => state),
          told.map(({ state }) => state),
        );
        assert.equal(states[0]?.reason, told[0]?.reason);
      });
    }

    test('two processes need a token of one mailbox at once: it is fetched once, and both have it', async () => {
      const before = await refreshes(both);
      const { mailbox, contact } = pairOf(both);
      await world.servers.identity.fault({ kind: 'slow', delayMs: 2_000, login: mailbox });
      await endSession(both);
      const [api] = world.nodes;
      const subject = `From ${both}`;
      const sent = await api?.must<{ message: { id: string } }>('POST', `${world.sub}/messages`, {
        kind: 'individual',
        user_id: both,
        contact_id: contact,
        subject,
        text: 'x',
      });
      await Promise.all([
        mailComes(both, `To ${both}`),
        world.receiver.waitForEvent(
          subject,
          ({ type, data }) => type === 'send.sent' && data['message_id'] === sent?.message.id,
          60_000,
        ),
      ]);
      assert.equal((await refreshes(both)) - before, 1);
      await endSession(both);
      await mailComes(both, `Again to ${both}`);
      assert.equal((await refreshes(both)) - before, 2, 'by the refresh token that came with it');
    });
  });

  test('nobody was asked to consent again', () => {
    const asked = world.receiver.events.filter(
      ({ type, data }) => type === 'connection.state_changed' && data['state'] === 'reauth_required',
    );
    assert.deepEqual(asked, []);
  });
});
