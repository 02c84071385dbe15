import { counter, gauge, histogram } from './metrics.ts';
import type { Metric } from './metrics.ts';

/*
 * Every figure that /metrics has. The README lists them; a test compares the two. Times are in seconds. What is counted
 * in the database is of the whole installation, so that each node says the same of it; all else is of one process.
 */

/** Mail that the rules were asked about: each place where one was seen, once. */
export const messagesJudged = counter({
  name: 'twoway_messages_judged_total',
  help: 'Messages seen in mailboxes whose decisions were committed.',
});

export const messagesStored = counter({
  name: 'twoway_messages_stored_total',
  help: 'Messages of mailboxes that are new in the database, each sub-account by itself.',
});

export const decisions = counter({
  name: 'twoway_decisions_total',
  help: 'Decisions, by where the mail was seen (mailbox, logging_address), outcome and reason; one for each connection.',
  labels: ['source', 'outcome', 'reason'],
});

/**
 * - `looked`: from the notice of the provider until the headers of what it announced are here.
 * - `judged`: from then until the rules have answered for all of them, with what the database knows.
 * - `stored`: from then until all of it is committed, with the bodies of what is stored.
 * - `published`: from the commit of an event until it has its number; of each publication the oldest one.
 * - `delivered`: from an event until a webhook has taken it, by the clocks of the database and of this machine.
 */
export const steps = histogram({
  name: 'twoway_step_seconds',
  help: 'How long mail takes from the step before: looked, judged, stored, published, delivered.',
  labels: ['step'],
});

export const sessionsEnded = counter({
  name: 'twoway_sessions_ended_total',
  help: 'Sessions with mailboxes that ended, or did not come about, by cause.',
  labels: ['reason'],
});

export const tokenRefreshes = counter({
  name: 'twoway_token_refreshes_total',
  help: 'Refreshes of access tokens, by provider and outcome: refreshed, or the code of the failure.',
  labels: ['provider', 'outcome'],
});

export const tokenRefreshTime = histogram({
  name: 'twoway_token_refresh_seconds',
  help: 'How long refreshes of access tokens take.',
});

export const sendTries = counter({
  name: 'twoway_send_tries_total',
  help: 'Tries to send, by way (mailbox, provider) and outcome.',
  labels: ['through', 'outcome'],
});

export const sendTryTime = histogram({
  name: 'twoway_send_try_seconds',
  help: 'How long a try to send takes until the server answers, by way.',
  labels: ['through'],
});

export const deliveryTries = counter({
  name: 'twoway_delivery_tries_total',
  help: 'Requests to webhooks, by what became of the delivery: delivered, failed (to be tried again), parked.',
  labels: ['outcome'],
});

export const deliveryTime = histogram({
  name: 'twoway_delivery_request_seconds',
  help: 'How long webhooks take to answer.',
});

export const smtpAnswers = counter({
  name: 'twoway_smtp_answers_total',
  help: 'Answers to those who write to logging addresses, by command (rcpt, data) and code.',
  labels: ['command', 'code'],
});

export const httpRequests = counter({
  name: 'twoway_http_requests_total',
  help: 'Calls of the API, by method, route and status.',
  labels: ['method', 'route', 'status'],
});

export const httpTime = histogram({
  name: 'twoway_http_request_seconds',
  help: 'How long calls of the API take until their answer begins, by method.',
  labels: ['method'],
});

export const logLines = counter({
  name: 'twoway_log_lines_total',
  help: 'Warnings and errors in the log, by level.',
  labels: ['level'],
});

export const loopDelay = histogram({
  name: 'twoway_event_loop_delay_seconds',
  help: 'How much later than asked for a timer of 20 ms comes: how long all else waits.',
});

export const statements = counter({
  name: 'twoway_database_statements_total',
  help: 'Statements that were given to the database.',
});

/** What the database is asked for when somebody asks. A count of what may be very many is no higher than 10,000. */
export const stored = {
  up: gauge({
    name: 'twoway_database_up',
    help: '1 where the database answered; else 0, and what is counted there is left out.',
  }),
  answerTime: gauge({
    name: 'twoway_database_answer_seconds',
    help: 'How long the database took to count what is shown here.',
  }),
  mailboxes: gauge({
    name: 'twoway_mailboxes',
    help: 'Mailboxes with a credential, by provider and state.',
    labels: ['provider', 'state'],
  }),
  lag: gauge({
    name: 'twoway_mailbox_lag_seconds',
    help: 'How far the decisions are behind the time in the mailbox that is furthest behind, of those that are listened to.',
  }),
  behind: gauge({
    name: 'twoway_mailboxes_behind',
    help: 'Mailboxes that are listened to and whose decisions are behind by more than so many seconds.',
    labels: ['seconds'],
  }),
  backlog: gauge({
    name: 'twoway_mailbox_backlog',
    help: 'Messages that are known and not yet judged, in all mailboxes.',
  }),
  tokensOver: gauge({
    name: 'twoway_access_tokens_expired',
    help: 'Mailboxes that are listened to and whose access token is over and was not renewed.',
  }),
  connections: gauge({
    name: 'twoway_connections',
    help: 'Connections that are not over, by state; up to 10,000 of each.',
    labels: ['state'],
  }),
  sends: gauge({
    name: 'twoway_sends',
    help: 'Sends that wait, are under way, or cannot be told (uncertain), by state; up to 10,000 of each.',
    labels: ['state'],
  }),
  sendsOverdue: gauge({
    name: 'twoway_sends_overdue_seconds',
    help: 'Since when the send is due that is due longest and that nobody has taken up; 0 where there is none.',
  }),
  unpublished: gauge({
    name: 'twoway_events_unpublished_seconds',
    help: 'How old the oldest event is that has no number yet; 0 where there is none.',
  }),
  intakeWaiting: gauge({
    name: 'twoway_intake_waiting',
    help: 'Mail to logging addresses that is in the database and not filed yet; up to 10,000.',
  }),
  intakeAge: gauge({
    name: 'twoway_intake_oldest_seconds',
    help: 'How old the oldest of it is; 0 where there is none.',
  }),
  held: gauge({
    name: 'twoway_intake_held',
    help: 'Mail to logging addresses that waits for a person; up to 10,000.',
  }),
  deliveries: gauge({
    name: 'twoway_deliveries',
    help: 'Deliveries to webhooks that are still to be made (pending) or were given up (parked); up to 10,000 of each.',
    labels: ['state'],
  }),
  deliveryAge: gauge({
    name: 'twoway_delivery_oldest_seconds',
    help: 'How old the oldest pending delivery is; 0 where there is none.',
  }),
  webhooks: gauge({
    name: 'twoway_webhooks',
    help: 'Webhooks, by state: working, failing, disabled.',
    labels: ['state'],
  }),
  nodes: gauge({
    name: 'twoway_nodes',
    help: 'Nodes that listen to mailboxes (there), or did and were not heard of since (gone).',
    labels: ['state'],
  }),
} as const;

/** What the process knows of itself. The names without `twoway_` are those that dashboards for any program know. */
export const own = {
  listeners: gauge({ name: 'twoway_listeners', help: 'Mailboxes that this node listens to.' }),
  spoolMessages: gauge({
    name: 'twoway_spool_messages',
    help: 'Accepted mail on the disk of this node that is not in the database yet.',
  }),
  spoolBytes: gauge({ name: 'twoway_spool_bytes', help: 'How large that mail is.' }),
  pool: gauge({
    name: 'twoway_database_connections',
    help: 'Connections of this process to the database, by state: used, free.',
    labels: ['state'],
  }),
  poolWaiting: gauge({
    name: 'twoway_database_waiting',
    help: 'Who waits in this process for a connection to the database.',
  }),
  loopShare: gauge({
    name: 'twoway_event_loop_busy_seconds_total',
    help: 'For how long the event loop was busy since the start.',
    type: 'counter',
  }),
  cpu: gauge({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, of all its threads.',
    type: 'counter',
  }),
  resident: gauge({ name: 'process_resident_memory_bytes', help: 'Memory of the process.' }),
  heap: gauge({ name: 'nodejs_heap_size_used_bytes', help: "Memory in use on JavaScript's heap." }),
  external: gauge({
    name: 'nodejs_external_memory_bytes',
    help: 'Memory outside of it that belongs to objects on it.',
  }),
  openFiles: gauge({ name: 'process_open_fds', help: 'Open file descriptors; on Linux alone.' }),
  filesMax: gauge({
    name: 'process_max_fds',
    help: 'How many file descriptors may be open; on Linux alone.',
  }),
  startedAt: gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
  }),
} as const;

/** All of them, in the order in which they are shown. */
export const meters: readonly Metric[] = [
  messagesJudged,
  messagesStored,
  decisions,
  steps,
  ...Object.values(stored),
  sessionsEnded,
  tokenRefreshes,
  tokenRefreshTime,
  sendTries,
  sendTryTime,
  deliveryTries,
  deliveryTime,
  smtpAnswers,
  httpRequests,
  httpTime,
  logLines,
  statements,
  loopDelay,
  ...Object.values(own),
];
