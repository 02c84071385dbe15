import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { messageOf } from '../../src/lib/failure.ts';
import { imapAnswers, openedFolder, type ImapAnswers } from './script-imap.ts';
import { changeMailbox, type Mailbox } from './script-mailbox.ts';
import type { ClientLine, Session } from './script-session.ts';
import { smtpAnswers, type SmtpAnswers, type Taken } from './script-smtp.ts';
import { durationMs, matchPattern, substitute } from './script-syntax.ts';
import type { Rule, Script, Section, Step } from './script-syntax.ts';
import { wordOf } from './script-tokens.ts';
import { openWire, type Garble, type Wire } from './script-wire.ts';

/** What all connections of one peer share. */
export type Play = {
  script: Script;
  mailbox: Mailbox;
  taken: Taken[];
  /** How many messages were sent, taken or not: `$n`. */
  messagesSent: number;
  sections: PlayedSection[];
  rules: PlayedRule[];
  wires: Wire[];
  /** How often each folder was opened. */
  opened: Map<string, number>;
  tls: SecureContext | undefined;
  garble: Garble | undefined;
  mayEnter(secret: string): boolean;
  advance(ms: number): Promise<void>;
  signal(name: string): void;
  wait(name: string): Promise<void>;
  /** Something happened: deadlines begin anew. */
  progress(): void;
  /** Why the play ended before its end. */
  failure: Error | undefined;
  /** Ends the play, unless it has ended. */
  fail(reason: string): void;
};

/** A rule of the whole script, or of one connection's section. */
export type PlayedRule = { rule: Rule; left: number | undefined; wire: Wire | undefined };

export type PlayedSection = {
  section: Section;
  wire: Wire | undefined;
  /** The step that is played or waited for. */
  at: number;
  /** The last `C:` that was matched. */
  matched: number;
  /** A line that matches the next `C:`; held until the script comes there. */
  held: Held | undefined;
  /** Wakes the script when a line is held. */
  wake: (() => void) | undefined;
  /** What came since the last match and was no match. */
  passed: string[];
  done: boolean;
};

type Held = {
  text: string;
  bound: Map<string, string>;
  claim: (scripted: boolean) => void;
  answered: Promise<void>;
};

type Live = {
  play: Play;
  wire: Wire;
  session: Session;
  answers: { imap?: ImapAnswers; smtp?: SmtpAnswers };
  playing: PlayedSection | undefined;
  bound: Map<string, string>;
};

/** Serves one connection until it ends. */
export function serveConnection(play: Play, socket: Socket): void {
  const ordinal = play.wires.length + 1;
  const wire = openWire(socket, {
    ordinal,
    protocol: play.script.protocol,
    tls: play.tls,
    garble: play.garble,
    onLine(text) {
      play.progress();
      const banned = play.script.forbidden.find(({ pattern }) => matchPattern(pattern, text, new Map()));
      if (banned === undefined) return;
      play.fail(
        `${play.script.name}:${banned.line}: must not be sent: ${banned.pattern}\nbut was\n  C: ${text}`,
      );
    },
    onClose: () => {
      live.answers.imap?.stop();
      play.progress();
    },
  });
  play.wires.push(wire);
  const live = createLive(play, wire);
  if (play.tls !== undefined && !mentionsStartTls(play.script)) wire.startTls();
  const waiting = play.sections.find(
    ({ section }) => section.folder === undefined && section.ordinal === ordinal,
  );
  const { greeting, protocol } = play.script;
  if (waiting?.section.steps[0]?.kind !== 'send') {
    live.session.send(greeting ?? (protocol === 'imap' ? '* OK ready' : '220 script.test'));
  }
  if (waiting !== undefined) claim(live, waiting);
  converse(live).catch((error: unknown) => play.fail(`connection ${ordinal}: ${messageOf(error)}`));
}

function createLive(play: Play, wire: Wire): Live {
  const session: Session = {
    script: play.script,
    mailbox: play.mailbox,
    send: (...lines) => lines.forEach((line) => wire.send(typeof line === 'string' ? [line] : line)),
    async nextLine() {
      return (await wire.next()) ?? { text: '', literals: [] };
    },
    mayEnter: (secret) => play.mayEnter(secret),
    async playRefusal() {
      if (play.script.refusal === undefined) return false;
      await playBlock(live, play.script.refusal);
      return true;
    },
    offersStartTls: () => play.tls !== undefined && !wire.isSecure(),
    startTls: () => wire.startTls(),
    close: () => wire.end('close'),
  };
  const answers =
    play.script.protocol === 'imap'
      ? { imap: imapAnswers(session) }
      : { smtp: smtpAnswers(session, play.taken) };
  const live: Live = { play, wire, session, answers, playing: undefined, bound: new Map() };
  return live;
}

function mentionsStartTls(script: Script): boolean {
  return /\bSTARTTLS\b/.test([script.capabilities, ...script.ehlo].join(' '));
}

async function converse(live: Live): Promise<void> {
  for (;;) {
    const line = await live.wire.next();
    if (line === undefined) return;
    await handle(live, line);
    live.play.progress();
  }
}

/** A line goes to the section's next `C:`, else to a rule, else to the peer's own answers. */
async function handle(live: Live, line: ClientLine): Promise<void> {
  const { play, answers } = live;
  answers.smtp?.note(line);
  if (line.text === '.' && answers.smtp !== undefined) live.bound.set('n', String(++play.messagesSent));
  if (play.script.protocol === 'imap') {
    // Not of DONE, nor of what is said inside an AUTHENTICATE.
    const tag = /^(\S+) [A-Z]/i.exec(line.text)?.[1];
    if (tag !== undefined) live.bound.set('tag', tag);
    const folder = openedFolder(line.text);
    if (folder !== undefined) claimByFolder(live, folder);
  }
  const handedOver = await hand(live, line);
  if (handedOver === 'scripted') return;
  const rule = play.rules.find(
    ({ rule: { pattern }, left, wire }) =>
      left !== 0 &&
      (wire === undefined || wire === live.wire) &&
      matchPattern(pattern, withoutTag(live, line), live.bound),
  );
  if (rule !== undefined) {
    if (rule.left !== undefined) rule.left -= 1;
    answers.imap?.note(line.text);
    await playBlock(live, rule.rule.steps);
  } else if (!(await (answers.imap ?? answers.smtp)?.answer(line))) {
    play.fail(
      `connection ${live.wire.ordinal} sent what neither the script nor the peer has an answer for: ${line.text}`,
    );
  }
  handedOver?.();
}

/** Offers a line to the section. `scripted`: it has its answer; a function: to be called once it has one. */
async function hand(live: Live, line: ClientLine): Promise<'scripted' | (() => void) | undefined> {
  const { playing } = live;
  if (playing === undefined) return undefined;
  const next = playing.section.steps.findIndex(
    (step, index) => index > playing.matched && step.kind === 'expect',
  );
  const step = playing.section.steps[next];
  const bound = step?.kind === 'expect' ? matchPattern(step.pattern, line.text, live.bound) : undefined;
  if (bound === undefined) {
    playing.passed.push(line.text);
    return undefined;
  }
  playing.matched = next;
  playing.passed = [];
  let answered = () => {};
  const scripted = await new Promise<boolean>((resolve) => {
    const wasAnswered = new Promise<void>((done) => (answered = done));
    playing.held = { text: line.text, bound, claim: resolve, answered: wasAnswered };
    playing.wake?.();
  });
  return scripted ? 'scripted' : answered;
}

function claim(live: Live, playing: PlayedSection): void {
  live.playing = playing;
  playing.wire = live.wire;
  playSection(live, playing).catch((error: unknown) => {
    const line = playing.section.steps[playing.at]?.line ?? playing.section.line;
    live.play.fail(`${live.play.script.name}:${line}: ${messageOf(error)}`);
  });
}

function claimByFolder(live: Live, folder: string): void {
  if (live.playing !== undefined) return;
  const ordinal = (live.play.opened.get(folder) ?? 0) + 1;
  live.play.opened.set(folder, ordinal);
  const waiting = live.play.sections.find(
    ({ section }) => section.folder === folder && section.ordinal === ordinal,
  );
  if (waiting !== undefined) claim(live, waiting);
}

async function playSection(live: Live, playing: PlayedSection): Promise<void> {
  const { steps } = playing.section;
  for (const [index, step] of steps.entries()) {
    playing.at = index;
    if (step.kind === 'expect') {
      while (playing.held === undefined) await new Promise<void>((resolve) => (playing.wake = resolve));
      const { text, bound, claim: take, answered } = playing.held;
      playing.held = undefined;
      for (const [name, value] of bound) live.bound.set(name, value);
      // SMTP clients send several commands at once (RFC 2920): their answers come after the last of them.
      const isAnswer = (after: Step) => live.play.script.protocol === 'imap' || after.kind !== 'expect';
      const next = steps.slice(index + 1).find(isAnswer);
      const scripted = next?.kind === 'send' || (next?.kind === 'end' && next.how !== 'silent');
      if (scripted) live.answers.imap?.note(text);
      take(scripted);
      if (!scripted) await answered;
    } else await perform(live, step);
    live.play.progress();
  }
  playing.done = true;
  live.play.progress();
}

/** Plays the lines of an `on` or `refusal:` block, where the next line of the client must be the one named. */
async function playBlock(live: Live, steps: Step[]): Promise<void> {
  for (const step of steps) {
    if (step.kind === 'expect') {
      const line = await live.wire.next();
      if (line === undefined) return;
      live.answers.smtp?.note(line);
      const bound = matchPattern(step.pattern, line.text, live.bound);
      if (bound === undefined) {
        const where = `${live.play.script.name}:${step.line}`;
        return live.play.fail(`${where}: expected\n  C: ${step.pattern}\nbut got\n  C: ${line.text}`);
      }
    } else await perform(live, step);
  }
}

async function perform(live: Live, step: Exclude<Step, { kind: 'expect' }>): Promise<void> {
  const { play, answers } = live;
  if (step.kind === 'send') {
    const line = substitute(step.parts, live.bound);
    if (/^[45]/.test(String(line[0]))) answers.smtp?.noteRefusal();
    live.session.send(line);
  } else if (step.kind === 'rule') play.rules.unshift(countRule(step.rule, live.wire));
  else if (step.kind === 'end') {
    if (step.how === 'silent') answers.imap?.silence();
    else live.wire.end(step.how);
  } else {
    const name = () => wordOf(step.args[0]);
    if (step.verb === 'advance') await play.advance(durationMs(name()));
    else if (step.verb === 'wait') await play.wait(name());
    else if (step.verb === 'signal') play.signal(name());
    else if (step.verb === 'store') {
      const [newId] = substitute(step.args.slice(1).map(wordOf), live.bound);
      answers.smtp?.store(newId?.toString());
    } else if (!changeMailbox(play.mailbox, step.verb, step.args, step.content)) {
      throw new Error(`there is no "@ ${step.verb}"`);
    }
  }
}

/** A rule that has not been used yet. */
export function countRule(rule: Rule, wire?: Wire): PlayedRule {
  return { rule, left: rule.times, wire };
}

/** A section that no connection plays yet. */
export function waitingSection(section: Section): PlayedSection {
  return {
    section,
    wire: undefined,
    at: 0,
    matched: -1,
    held: undefined,
    wake: undefined,
    passed: [],
    done: false,
  };
}

function withoutTag(live: Live, line: ClientLine): string {
  return live.play.script.protocol === 'imap' ? line.text.replace(/^\S+ /, '') : line.text;
}
