import type { MessageId } from '../lib/id.ts';
import type { Decision, MessageHistory } from '../store/decisions.ts';
import type { PublicThread } from '../store/public-conversation.ts';
import type { PublicMessage } from '../store/public-message.ts';
import type { PublicSend } from '../store/public-send.ts';
import { becauseOf } from './because.ts';
import { reasonCodes } from './rules.ts';

/** Everything that explain tells from; all of it stored. */
export type Told = {
  message: Pick<
    PublicMessage,
    'id' | 'direction' | 'via' | 'conversation_ids' | 'partial' | 'automatic' | 'answers'
  >;
  thread: PublicThread;
  send: PublicSend | null;
  history: MessageHistory;
};

/** Why a message is where it is, in sentences, in the order in which it happened (T1). Pure. */
export function explainMessage(told: Told): string[] {
  const { message, thread, send, history } = told;
  return [
    `${message.id} is ${message.direction}, and came by ${message.via.join(' and ')}.`,
    ...history.decisions.flatMap(explainDecision),
    ...history.sightings.map(
      (sighting) =>
        `${sighting.seen_at} seen in ${sighting.mailbox}, folder ${sighting.folder}, as UID ${sighting.uid} of ${sighting.uid_validity}` +
        (sighting.gone_at === null ? '.' : `; gone from there since ${sighting.gone_at}.`),
    ),
    ...(history.keys.length > 1
      ? [`It is known by ${history.keys.length} names: ${history.keys.join(', ')}.`]
      : []),
    explainThread(thread),
    `It shows in ${message.conversation_ids.length === 0 ? 'no conversation' : message.conversation_ids.join(', ')}.`,
    ...(message.answers === null ? [] : [`It answers ${message.answers}.`]),
    ...(message.partial === null ? [] : [`Its body is not whole: ${message.partial}.`]),
    ...(message.automatic === null ? [] : [`No person wrote it: ${message.automatic}.`]),
    ...(send === null ? [] : explainSend(send)),
    ...history.events.flatMap(explainEvent),
  ];
}

/** What is left to tell of a message that was erased (C7). Pure. */
export function explainErased(told: { id: MessageId; erasedAt: string; history: MessageHistory }): string[] {
  const { id, erasedAt, history } = told;
  return [
    `${id} was erased at ${erasedAt}. Nothing of its content is kept, and a tombstone keeps it from coming back.`,
    ...history.decisions.flatMap(explainDecision),
    ...history.events.flatMap(explainEvent),
  ];
}

/** One decision, with the rules that were asked for it. Pure. */
export function explainDecision(decision: Decision): string[] {
  const { place } = decision;
  const where =
    place === null
      ? decision.intake_id === null
        ? ''
        : ` for what came to a logging address (${decision.intake_id})`
      : ` for ${place.folder ?? place.folder_id}, UID ${place.uid} of ${place.uid_validity}`;
  const meaning =
    decision.reason in reasonCodes
      ? reasonCodes[decision.reason as keyof typeof reasonCodes]
      : decision.reason;
  const answered = decision.steps.at(-1);
  const asked = decision.steps.slice(0, -1).map((step) => step.rule);
  return [
    `${decision.decided_at} ${decision.outcome}${where}: ${decision.reason} (${meaning}).`,
    ...(decision.errand_id === null ? [] : [`  It was judged again: ${decision.errand_id}.`]),
    ...(decision.replaced_by === null
      ? []
      : [`  It holds no longer: ${decision.replaced_by} took its place.`]),
    ...(answered === undefined ? [] : [`  Rule ${answered.rule}: ${becauseOf(answered.because)}.`]),
    ...(asked.length === 0 ? [] : [`  Asked before, without an answer: ${asked.join(', ')}.`]),
  ];
}

function explainThread(thread: PublicThread): string {
  const lives = thread.mailbox === null ? '' : ` in ${thread.mailbox.address}`;
  const state =
    thread.state === 'live'
      ? `live${lives}`
      : `unlinked${lives}: ${thread.reason ?? 'it never lived in a mailbox'}`;
  return `Its thread ${thread.id}, opened by ${thread.opened_by}, is ${state}.`;
}

const copyMeanings: Readonly<Record<NonNullable<PublicSend['sent_copy']>['state'], string>> = {
  awaited: 'Unless one shows up, the gateway puts it into Sent',
  appended: 'The gateway put it into Sent',
  not_appended: 'The gateway puts none into Sent',
};

const refusedMeanings: Readonly<Record<PublicSend['refused'][number]['state'], string>> = {
  deferred: 'A recipient was put off, and is tried again',
  refused: 'A recipient was refused for good',
  given_up: 'A recipient was put off for too long, and given up',
  uncertain: 'Nobody can tell whether it was taken for a recipient who had been put off',
  cancelled: 'A recipient was put off, and the CRM took it back',
};

function explainSend(send: PublicSend): string[] {
  const reason = send.reason === null ? '' : ` (${send.reason})`;
  const copy = send.copy_seen
    ? "The mailbox's own Sent copy was seen."
    : "The mailbox's own Sent copy was not seen yet.";
  const words = send.sent_copy?.reason == null ? '' : ` (${send.sent_copy.reason})`;
  const appended = send.sent_copy === null ? '' : ` ${copyMeanings[send.sent_copy.state]}${words}.`;
  return [
    `Its send ${send.id} goes through the ${send.route.through} because ${send.route.because}. ${send.state_since} ${send.state}${reason}. ${copy}${appended}`,
    ...send.attempts.map(
      (attempt) =>
        `  Attempt ${attempt.n} at ${attempt.started_at}: ${attempt.outcome ?? 'no answer yet'}${attempt.reply === null ? '' : `, "${attempt.reply}"`}.`,
    ),
    ...send.refused.map(
      ({ address, state, reply }) => `  ${refusedMeanings[state]}: ${address}, "${reply}".`,
    ),
    ...send.reports.map(({ at, address, action, ...how }) => {
      const codes = [how.class, how.status].filter((word) => word !== null).join(', ');
      return `  ${at} reported: ${action} for ${address}${codes === '' ? '' : ` (${codes})`}${how.words === null ? '' : `, "${how.words}"`}.`;
    }),
    ...answeredBy(send.answered, 'answered'),
    ...answeredBy(send.auto_replied, 'answered by a program'),
  ];
}

function answeredBy(first: PublicSend['answered'], how: string): string[] {
  return first === null ? [] : [`  ${first.at} ${how} for the first time: ${first.message_id}.`];
}

function explainEvent(event: MessageHistory['events'][number]): string[] {
  const number = event.sequence === null ? 'not published yet' : `number ${event.sequence}`;
  return [
    `${event.created_at} told as ${event.type} (${event.id}, ${number}).`,
    ...event.deliveries.map((delivery) => {
      const answer =
        delivery.last_error ??
        (delivery.last_status === null ? 'not tried yet' : `answered ${delivery.last_status}`);
      return `  To ${delivery.webhook_id}: ${delivery.state} after ${delivery.attempts} tries, ${answer}.`;
    }),
  ];
}
