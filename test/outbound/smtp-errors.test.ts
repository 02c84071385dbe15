import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeSmtp, parseReply } from '../../src/outbound/smtp-errors.ts';
import type { SmtpPhase, SmtpProblem, SmtpVerdict } from '../../src/outbound/smtp-errors.ts';

/** The verdict in a word: `retry day daily_limit`, `hold …`, `fail …`. */
function word(verdict: SmtpVerdict): string {
  return [verdict.verdict, 'pause' in verdict ? verdict.pause : '', verdict.reason].filter(Boolean).join(' ');
}

describe('D5: what a reply of a provider means', () => {
  const table: [name: string, phase: SmtpPhase, reply: string, expected: string][] = [
    // providers.md A.6, Gmail
    [
      'Gmail is busy',
      'connect',
      '421 4.3.0 Temporary System Problem. Try again later - gsmtp',
      'retry normal server_refuses_connections',
    ],
    [
      'Gmail 421 4.4.5 at MAIL',
      'envelope',
      '421 4.4.5 Server busy, try again later. - gsmtp',
      'retry normal refused_for_now',
    ],
    [
      'Gmail 421 4.7.0 at MAIL',
      'envelope',
      '421 4.7.0 Try again later, closing connection. - gsmtp',
      'retry normal refused_for_now',
    ],
    [
      'Gmail, too fast',
      'envelope',
      '450 4.2.1 The user is receiving mail too quickly - gsmtp',
      'retry slow rate_limited',
    ],
    [
      'Gmail 451 4.3.0',
      'handed_over',
      '451 4.3.0 Mail server temporarily rejected message - gsmtp',
      'retry normal refused_for_now',
    ],
    [
      'recipient is full for now',
      'envelope',
      "452 4.2.2 The recipient's mailbox is over quota - gsmtp",
      'retry normal refused_for_now',
    ],
    [
      'Gmail, too many recipients',
      'envelope',
      '452 4.5.3 Your message has too many recipients - gsmtp',
      'retry normal refused_for_now',
    ],
    [
      'Gmail cannot check tokens',
      'login',
      '454 4.7.0 Cannot authenticate due to temporary system problem - gsmtp',
      'retry normal login_unavailable',
    ],
    [
      'Gmail refuses the token',
      'login',
      '535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials - gsmtp',
      'renew_token reauth_required',
    ],
    [
      'Gmail leaves it at a challenge',
      'login',
      '334 eyJzdGF0dXMiOiI0MDAifQ==',
      'renew_token reauth_required',
    ],
    [
      'Gmail, daily limit',
      'handed_over',
      '550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n550 5.4.5 https://support.google.com/a/answer/166852 - gsmtp',
      'retry day daily_limit',
    ],
    [
      'Gmail, too big',
      'handed_over',
      "552 5.2.3 Your message exceeded Google's message size limits - gsmtp",
      'fail message_too_large',
    ],
    ['too big by 5.3.4', 'envelope', '552 5.3.4 Message size exceeds fixed limit', 'fail message_too_large'],
    [
      'Gmail, blocked attachment',
      'handed_over',
      '552 5.7.0 This message was blocked because its content presents a potential security issue - gsmtp',
      'fail attachment_blocked',
    ],
    // providers.md B.6, Microsoft
    [
      'Exchange, sessions at AUTH',
      'login',
      '432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending',
      'retry seconds too_many_sessions',
    ],
    [
      'Exchange, sessions after DATA',
      'handed_over',
      '432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded',
      'retry seconds too_many_sessions',
    ],
    [
      'SMTP AUTH off for the tenant',
      'login',
      '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.',
      'hold smtp_auth_disabled',
    ],
    [
      'SMTP AUTH off for the mailbox',
      'login',
      '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.',
      'hold smtp_auth_disabled',
    ],
    [
      'a policy of the tenant forbids SMTP AUTH',
      'login',
      '535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.',
      'hold smtp_auth_disabled',
    ],
    [
      'Microsoft refuses a password under the same code',
      'login',
      '535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [AM0PR01CA0001.eurprd01.prod.outlook.com]',
      'renew_token reauth_required',
    ],
    [
      'SMTP AUTH not offered',
      'login',
      '504 5.7.4 Unrecognized authentication type',
      'hold smtp_auth_disabled',
    ],
    [
      'basic authentication off',
      'login',
      '535 5.7.3 Authentication unsuccessful, basic authentication is disabled.',
      'hold smtp_auth_disabled',
    ],
    [
      'Microsoft refuses the token',
      'login',
      '535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.outlook.com]',
      'renew_token reauth_required',
    ],
    [
      'not authenticated at MAIL',
      'envelope',
      '530 5.7.57 Client not authenticated to send mail.',
      'renew_token reauth_required',
    ],
    [
      'Exchange, 10,000 a day',
      'handed_over',
      '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message',
      'retry day daily_limit',
    ],
    [
      'the sender is full',
      'handed_over',
      '554 5.2.2 STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded',
      'hold mailbox_full',
    ],
    ['the recipient is full', 'envelope', '552 5.2.2 Mailbox full, QuotaExceeded', 'fail refused'],
    [
      'tenant limit',
      'handed_over',
      '550 5.7.233 Your message can’t be sent because your tenant exceeded its daily limit',
      'retry day tenant_limit',
    ],
    [
      'no Send As by 5.7.60',
      'handed_over',
      '550 5.7.60 SMTP; Client does not have permissions to send as this sender',
      'hold send_as_denied',
    ],
    [
      'no Send As by 5.2.252',
      'handed_over',
      '554 5.2.252 SendAsDenied; user@company.example not allowed to send as sales@company.example',
      'hold send_as_denied',
    ],
    [
      'no Send As by its words',
      'handed_over',
      '554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied',
      'hold send_as_denied',
    ],
    [
      'Exchange is busy',
      'envelope',
      '451 4.7.500 Server busy. Please try again later',
      'retry normal refused_for_now',
    ],
    // anybody
    [
      'greylisting',
      'envelope',
      '451 4.7.1 Greylisted, please come back in a minute',
      'retry normal refused_for_now',
    ],
    [
      'unknown recipient',
      'envelope',
      '550 5.1.1 The account you tried to reach does not exist',
      'fail unknown_recipient',
    ],
    ['a code without enhanced', 'envelope', '550 No such user', 'fail refused'],
    ['a 4xx without enhanced', 'handed_over', '421', 'retry normal refused_for_now'],
    ['552 without enhanced', 'handed_over', '552 Too much mail data', 'fail message_too_large'],
    ['policy', 'handed_over', '554 5.7.1 Message refused by policy', 'fail refused'],
    ['no SMTP at all at the greeting', 'connect', 'HTTP/1.1 400 Bad Request', 'retry normal protocol_error'],
    ['no SMTP at all after the message', 'handed_over', 'OK then', 'uncertain no_answer'],
    ['bad sequence', 'envelope', '503 5.5.1 Bad sequence of commands', 'retry normal protocol_error'],
    [
      'the enhanced code outweighs the first digit',
      'handed_over',
      '550 4.7.1 Come back later',
      'retry normal refused_for_now',
    ],
    [
      'refused at the greeting',
      'connect',
      '554 5.7.1 No SMTP service for you',
      'retry normal server_refuses_connections',
    ],
  ];
  for (const [name, phase, reply, expected] of table) {
    test(`${name}: ${expected}`, () => {
      assert.equal(word(judgeSmtp({ phase, reply, cause: 'unknown' })), expected);
    });
  }
});

describe('D5: what a broken connection means', () => {
  const table: [SmtpPhase, SmtpProblem['cause'], string][] = [
    ['connect', 'unreachable', 'retry normal unreachable'],
    ['connect', 'tls_failed', 'retry normal tls_failed'],
    ['login', 'timed_out', 'retry normal timed_out'],
    ['envelope', 'connection_lost', 'retry normal connection_lost'],
    ['envelope', 'larger_than_announced', 'fail message_too_large'],
    ['data', 'connection_lost', 'retry normal connection_lost'],
    ['data', 'stopped', 'retry none stopped'],
    ['handed_over', 'connection_lost', 'uncertain no_answer'],
    ['handed_over', 'timed_out', 'uncertain no_answer'],
    ['handed_over', 'stopped', 'uncertain no_answer'],
  ];
  for (const [phase, cause, expected] of table) {
    test(`${cause} in ${phase}: ${expected}`, () => {
      assert.equal(word(judgeSmtp({ phase, reply: null, cause })), expected);
    });
  }
});

test('a reply is taken apart: code, enhanced code, text of all lines', () => {
  assert.deepEqual(parseReply('550-5.4.5 Daily limit.\r\n550 5.4.5 See there'), {
    code: 550,
    enhanced: '5.4.5',
    text: 'Daily limit. See there',
  });
  assert.deepEqual(parseReply('421'), { code: 421, enhanced: null, text: '' });
  assert.deepEqual(parseReply('nonsense'), { code: 0, enhanced: null, text: 'nonsense' });
  assert.equal(parseReply('250 2.0.0').enhanced, '2.0.0');
});
