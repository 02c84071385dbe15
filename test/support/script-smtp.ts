import { secretOf, type ClientLine, type Session } from './script-session.ts';

/** A message that an SMTP peer took, as it was sent (or as Outlook would keep it: `@ store as`). */
export type Taken = { from: string; to: string[]; raw: Buffer };

/** The peer's own SMTP server on one connection. */
export type SmtpAnswers = {
  /** Answers a command; the message comes as one line `.` with its content. False: it does not know that one. */
  answer(line: ClientLine): Promise<boolean>;
  /** Keeps the sender, the recipient or the content that the line names, whoever answers it. */
  note(line: ClientLine): void;
  /** The script itself refused the line noted last. */
  noteRefusal(): void;
  /** The message just sent is taken, under a new Message-ID where one is given. */
  store(newId?: string): void;
};

/** Starts the answers of one connection; what is taken goes to `taken`. */
export function smtpAnswers(session: Session, taken: Taken[]): SmtpAnswers {
  let message: Taken = { from: '', to: [], raw: Buffer.alloc(0) };
  let last = '';
  const store = (newId?: string) => taken.push(newId === undefined ? message : renamed(message, newId));
  const answer = async (line: ClientLine): Promise<boolean> => {
    switch ((/^\S+/.exec(line.text)?.[0] ?? '').toUpperCase()) {
      case 'EHLO':
      case 'HELO': {
        const all = session.script.ehlo.length === 0 ? ['script.test'] : session.script.ehlo;
        const lines = all.filter((text) => text !== 'STARTTLS' || session.offersStartTls());
        lines.forEach((text, index) => session.send(`250${index === lines.length - 1 ? ' ' : '-'}${text}`));
        return true;
      }
      case 'AUTH':
        await authenticate(session, line);
        return true;
      case 'MAIL':
        session.send('250 2.1.0 Sender OK');
        return true;
      case 'RCPT':
        session.send('250 2.1.5 Recipient OK');
        return true;
      case 'DATA':
        // A client that sends RCPT and DATA at once does not know yet that nobody is left.
        session.send(message.to.length === 0 ? '554 5.5.1 No valid recipients' : '354 Go ahead');
        return true;
      case '.':
        store();
        session.send('250 2.0.0 OK');
        return true;
      case 'RSET':
      case 'NOOP':
        session.send('250 2.0.0 OK');
        return true;
      case 'STARTTLS':
        session.send('220 2.0.0 Go ahead');
        session.startTls();
        return true;
      case 'QUIT':
        session.send('221 2.0.0 Bye');
        session.close();
        return true;
      default:
        return false;
    }
  };
  return {
    answer,
    note(line) {
      last = line.text;
      const sender = /^MAIL FROM:<([^>]*)>/i.exec(line.text);
      if (sender !== null) message = { from: sender[1] ?? '', to: [], raw: Buffer.alloc(0) };
      const recipient = /^RCPT TO:<([^>]*)>/i.exec(line.text);
      if (recipient !== null) message.to.push(recipient[1] ?? '');
      const [content] = line.literals;
      if (line.text === '.' && content !== undefined) message = { ...message, raw: content };
    },
    noteRefusal() {
      if (/^RCPT /i.test(last)) message.to.pop();
    },
    store,
  };
}

async function authenticate(session: Session, line: ClientLine): Promise<void> {
  const [, mechanism = '', initial] = line.text.split(' ');
  const ask = async (challenge: string) => {
    session.send(`334 ${challenge}`);
    return (await session.nextLine()).text;
  };
  let secret: string;
  if (mechanism.toUpperCase() === 'LOGIN') {
    if (initial === undefined) await ask('VXNlcm5hbWU6');
    secret = Buffer.from(await ask('UGFzc3dvcmQ6'), 'base64').toString();
  } else secret = secretOf(initial ?? (await ask('')));
  if (session.mayEnter(secret)) session.send('235 2.7.0 Accepted');
  else if (!(await session.playRefusal())) session.send('535 5.7.8 Authentication failed');
}

/** Outlook's way with a submitted message: another Message-ID, the one it came with in a field of its own. */
function renamed(message: Taken, newId: string): Taken {
  const text = message.raw.toString('latin1');
  const cut = text.indexOf('\r\n\r\n') + 2;
  const header = text
    .slice(0, cut)
    .replace(
      /^Message-ID: *(.*)\r\n/im,
      (_line, oldId: string) => `Message-ID: ${newId}\r\nX-Microsoft-Original-Message-ID: ${oldId}\r\n`,
    );
  return { ...message, raw: Buffer.from(header + text.slice(cut), 'latin1') };
}
