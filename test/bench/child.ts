import { fork } from 'node:child_process';
import { once } from 'node:events';

/** A process of the bench's own: what is measured in it is not mixed with what measures. */
export type Child = {
  /** Asks it something; resolves with its answer. One question at a time. */
  ask<Answer>(question: unknown): Promise<Answer>;
  /** Tells it something that has no answer. */
  tell(news: unknown): void;
  stop(): Promise<void>;
};

/** Starts a module, with the options of this process. It answers every question with one message, and ends when disconnected. */
export function startChild(
  file: URL,
  given: readonly string[] = [],
  nodeOptions: readonly string[] = [],
): Child {
  const child = fork(file, given, {
    execArgv: [...process.execArgv, ...nodeOptions],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${file.pathname} ended in the middle`);
  });
  ended.catch(() => undefined);
  return {
    ask: async <Answer>(question: unknown) => {
      const answered = once(child, 'message');
      child.send({ question });
      const [answer] = (await Promise.race([answered, ended])) as [Answer];
      return answer;
    },
    tell: (news) => void child.send({ news }),
    stop: async () => {
      if (child.connected) child.disconnect();
      await ended.catch(() => undefined);
    },
  };
}

/** The other side: `answer` to each question, `hear` of what is only told. */
export function serveParent(
  answer: (question: unknown) => unknown,
  hear: (news: unknown) => void = () => undefined,
): void {
  process.on('message', (message: { question: unknown } | { news: unknown }) => {
    if ('news' in message) return hear(message.news);
    void Promise.resolve(answer(message.question)).then((said) => process.send?.(said ?? null));
  });
  process.once('disconnect', () => process.exit());
}

/** Milliseconds since the epoch with fractions: the same in every process of this machine. */
export function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}
