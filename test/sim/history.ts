import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import type { Cast, ContactSpec, Fault, History, MailSpec, SmtpAnswer, Step } from './steps.ts';

/** The history of a seed: who is there, and what happens in so many steps. The same for the same seed. */
export function historyOf(seed: number, steps: number): History {
  const random = createRandom(seed);
  const cast = castOf(random);
  const author = createAuthor(random, cast);
  const made: Step[] = [...author.opening()];
  while (made.length < steps) made.push(...author.next());
  return { cast, steps: made.slice(0, steps) };
}

const strangers = ['stan@stranger.example', 'lisa@lists.example', 'vera@private.example'];
const people = ['carla@customer.example', 'carla@home.example', 'dora@customer.example', 'egon@shop.example'];

function castOf(random: Random): Cast {
  const setting = <T>(share: number, name: string, value: T) =>
    random.chance(share) ? { [name]: value } : {};
  const provider = random.chance(0.5) ? ('gmail' as const) : ('outlook' as const);
  const boxOf = (name: string) => ({
    name,
    address: `${name}@mail.example`,
    provider,
    allMail: provider === 'gmail' && random.chance(0.5),
  });
  return {
    subs: ['north', 'south'].map((id) => ({
      id,
      settings: {
        ...setting(0.15, 'sync_sent_to_contacts', false),
        ...setting(0.3, 'assigned_contacts_only', random.pick(['always', 'never'])),
        ...setting(0.15, 'outlook_two_way_sync', false),
      },
      neverLog: random.chance(0.2) ? ['private.example', 'shop.example'] : [],
    })),
    boxes: [boxOf('ann'), boxOf('bob'), boxOf('ann2')],
    users: [
      { id: 'ann', email: 'ann@crm.example', subs: ['north', 'south'] },
      { id: 'bob', email: 'bob@crm.example', subs: ['north'] },
    ],
    contacts: ['north', 'south'].flatMap((sub) => contactsOf(random, sub)),
  };
}

function contactsOf(random: Random, sub: string): ContactSpec[] {
  const users = sub === 'north' ? ['ann', 'bob'] : ['ann'];
  const contact = (name: string, emails: string[]): ContactSpec => ({
    sub,
    id: `${sub}-${name}`,
    emails,
    assigned: random.chance(0.4) ? random.pick(users) : null,
  });
  return [
    contact('carla', random.chance(0.5) ? people.slice(0, 2) : people.slice(0, 1)),
    ...(random.chance(0.6) ? [contact('dora', people.slice(2, 3))] : []),
    ...(random.chance(0.4) ? [contact('egon', people.slice(3))] : []),
    // A colleague is somebody's contact too.
    ...(random.chance(0.1) ? [contact('bob', ['bob@mail.example'])] : []),
  ];
}

/** Who makes up what happens next. */
type Author = { opening(): Step[]; next(): Step[] };

/** What the author remembers: enough to make sense, not to be right. */
type Memory = {
  random: Random;
  cast: Cast;
  mails: MailSpec[];
  /** Deliveries that are still to come. */
  coming: (Step & { do: 'arrive' })[];
  hidden: { box: string; folder: string }[];
  contacts: number;
  /** Mails of the CRM. */
  sent: number[];
  reports: number;
};

function createAuthor(random: Random, cast: Cast): Author {
  const memory: Memory = {
    random,
    cast,
    mails: [],
    coming: [],
    hidden: [],
    contacts: 0,
    sent: [],
    reports: 0,
  };
  return {
    opening: () => {
      const connect = (sub: string, user: string): Step => ({ do: 'connect', sub, user, box: user });
      const some = [connect('north', 'ann'), connect('south', 'ann'), connect('north', 'bob')];
      // Older than the connections, some of it.
      const older = random.chance(0.3) ? [...received(memory), ...received(memory)] : [];
      return [...older, ...random.shuffled(some).slice(0, random.chance(0.7) ? 3 : 2), ...received(memory)];
    },
    next: () => random.weighted(ideas)(memory),
  };
}

const ideas: readonly (readonly [number, (memory: Memory) => Step[]])[] = [
  [4, received],
  [7, answered],
  [2, written],
  [5, fromCrm],
  [6, arrived],
  [8, looked],
  [3, sent],
  [1, () => [{ do: 'copies' }]],
  [1, bounced],
  [2, moved],
  [1, deleted],
  [2, flagged],
  [2, marked],
  [1, renumbered],
  [1, hidden],
  [1, troubled],
  [0.7, connected],
  [0.5, disconnected],
  [0.7, assigned],
  [0.4, contactAdded],
  [1, waited],
  [1, backfilled],
  [1, audited],
  [2, errands],
];

function number({ mails }: Memory): number {
  return mails.length + 1;
}

function writeStep(memory: Memory, mail: Omit<MailSpec, 'n'>): Step & { do: 'write' } {
  const spec: MailSpec = { n: number(memory), ...mail };
  memory.mails.push(spec);
  deliver(memory, spec);
  return { do: 'write', mail: spec };
}

/** Into the boxes of those of ours whom it names. */
function deliver({ random, cast, coming }: Memory, mail: MailSpec): void {
  for (const box of cast.boxes) {
    if (![...mail.to, ...mail.cc].includes(box.address)) continue;
    const folder = random.chance(0.8) ? 'INBOX' : random.pick(['Projects', 'Archive', 'Junk']);
    coming.push({ do: 'arrive', n: mail.n, box: box.name, folder });
    // A filter that leaves a copy in another folder.
    if (random.chance(0.1)) coming.push({ do: 'arrive', n: mail.n, box: box.name, folder: 'Projects' });
  }
}

const addresses = (memory: Memory) => memory.cast.boxes.map(({ address }) => address);

function kindOf({ random }: Memory): MailSpec['kind'] {
  return random.weighted([
    [10, 'person' as const],
    [1, 'auto_reply' as const],
    [1, 'list' as const],
  ]);
}

function received(memory: Memory): Step[] {
  const { random, mails } = memory;
  const from = random.weighted([
    [9, random.pick(people)],
    [2, random.pick(strangers)],
    [1, 'bob@mail.example'],
    [1, 'bob@crm.example'],
  ]);
  const to = random.chance(0.7) ? ['ann@mail.example'] : [random.pick(addresses(memory))];
  const others = [...people, ...strangers, ...addresses(memory)].filter(
    (address) => address !== from && !to.includes(address),
  );
  const reused = mails.filter((mail) => mail.from === from && mail.id === 'own').at(-1);
  // One of ours without an id would have other bytes in Sent than where it arrives, and so another name.
  const isNameless = random.chance(0.07) && !addresses(memory).includes(from);
  const id = random.chance(0.05) && reused !== undefined ? reused.n : isNameless ? 'none' : 'own';
  return withArrival(memory, [
    writeStep(memory, {
      from,
      to,
      cc: random.chance(0.4) ? [random.pick(others)] : [],
      answers: null,
      cites: 'all',
      forward: false,
      kind: kindOf(memory),
      id,
    }),
  ]);
}

/** Most often it arrives at once, and is seen soon. */
function withArrival(memory: Memory, steps: Step[]): Step[] {
  const { random } = memory;
  const arrival = random.chance(0.7) ? arrived(memory) : [];
  const box = arrival[0]?.do === 'arrive' ? arrival[0].box : null;
  return [...steps, ...arrival, ...(box !== null && random.chance(0.5) ? [lookAt(memory, box)] : [])];
}

/** Somebody who was on a mail answers it, or forwards it to somebody else. */
function answered(memory: Memory): Step[] {
  const { random, mails } = memory;
  if (mails.length === 0) return received(memory);
  const parent = random.pick(mails.slice(-6));
  const all = [...new Set([parent.from, ...parent.to, ...parent.cc])];
  const from = random.pick(all);
  const rest = all.filter((address) => address !== from);
  const outsider = random.pick([...people, ...strangers, ...addresses(memory)]);
  const forward = random.chance(0.1);
  const to = forward ? [outsider] : rest.slice(0, 1);
  if (to.length === 0 || to[0] === from) return received(memory);
  const cc = forward ? [] : [...rest.slice(1), ...(random.chance(0.15) ? [outsider] : [])];
  return withArrival(memory, [
    writeStep(memory, {
      from,
      to,
      cc: cc.filter((address) => address !== from && !to.includes(address)),
      answers: parent.n,
      cites: random.weighted([
        [8, 'all' as const],
        [2, 'in_reply_to' as const],
        [2, 'references' as const],
        [1, 'nothing' as const],
      ]),
      forward,
      kind: kindOf(memory),
      id: 'own',
    }),
  ]);
}

/** In the mail program. */
function written(memory: Memory): Step[] {
  const { random } = memory;
  const from = random.pick(addresses(memory));
  const to = random.pick([...people, ...people, ...strangers, ...addresses(memory)]);
  const cc = random.chance(0.3) ? [random.pick([...people, ...strangers, ...addresses(memory)])] : [];
  const mail = { from, to: [to], cc: cc.filter((address) => address !== to), answers: null };
  return [writeStep(memory, { ...mail, cites: 'all', forward: false, kind: 'person', id: 'own' })];
}

function fromCrm(memory: Memory): Step[] {
  const { random, cast, mails } = memory;
  const user = random.chance(0.7) ? 'ann' : 'bob';
  const sub = user === 'bob' ? 'north' : random.pick(['north', 'south']);
  const replyTo = random.chance(0.6) && mails.length > 0 ? random.pick(mails.slice(-6)).n : null;
  const contact = random.pick(cast.contacts.filter((each) => each.sub === sub));
  const cc = random.chance(0.25) ? [random.pick([...people, ...strangers, 'bob@mail.example'])] : [];
  const n = number(memory);
  const from = cast.boxes.find((box) => box.name === user)?.address ?? '';
  const to = contact.emails.slice(0, 1);
  const spec = { n, from, to, cc, answers: replyTo, cites: 'all' as const, forward: false };
  const mail: MailSpec = { ...spec, kind: 'person', id: 'own' };
  mails.push(mail);
  memory.sent.push(n);
  deliver(memory, mail);
  const step: Step = {
    do: 'crm_send',
    n,
    sub,
    user,
    contact: replyTo === null || random.chance(0.3) ? contact.id : null,
    replyTo,
    cc,
    crashAt: random.chance(0.15) ? random.below(14) : null,
  };
  return random.chance(0.6) ? [step, ...sent(memory)] : [step];
}

function arrived({ random, coming }: Memory): Step[] {
  if (coming.length === 0) return [];
  const at = random.chance(0.7) ? 0 : random.below(coming.length);
  return coming.splice(at, 1);
}

const watchedBox = ({ random }: Memory) => random.pick(['ann', 'ann', 'ann', 'bob', 'ann2']);

function looked(memory: Memory): Step[] {
  return [lookAt(memory, watchedBox(memory))];
}

function lookAt(memory: Memory, box: string): Step {
  const { random } = memory;
  const how = random.weighted([
    [5, 'idle' as const],
    [3, 'net' as const],
    [1, 'start' as const],
  ]);
  const node = random.chance(0.75) ? 0 : 1;
  return { do: 'look', node, box, how, fault: faultOf(memory) };
}

/** One in three looks does not go as it should. */
function faultOf(memory: Memory): Fault | null {
  const { random } = memory;
  return random.weighted<Fault | null>([
    [14, null],
    [2, { at: random.below(12), what: 'drop' }],
    [2, { at: random.below(60), what: 'crash' }],
    [4, { at: random.below(10), what: 'meanwhile', steps: meanwhile(memory) }],
  ]);
}

function meanwhile(memory: Memory): Step[] {
  const { random } = memory;
  const how = random.chance(0.5) ? ('net' as const) : ('start' as const);
  const look = (node: number): Step[] => [{ do: 'look', node, box: watchedBox(memory), how, fault: null }];
  return random.weighted<() => Step[]>([
    [4, () => look(1)],
    [2, () => look(0)],
    [4, () => arrived(memory)],
    [3, () => fromCrm(memory)],
    [1, () => disconnected(memory)],
    [1, () => connected(memory)],
    [1, () => renumbered(memory)],
    [1, () => moved(memory)],
    [1, () => assigned(memory)],
    [1, () => [{ do: 'copies' }]],
  ])();
}

function sent(memory: Memory): Step[] {
  const { random } = memory;
  const answers = Array.from({ length: random.below(3) }, () =>
    random.weighted<SmtpAnswer>([
      [6, 'accepted'],
      [3, 'copy_late'],
      [1, 'no_copy'],
      [2, 'renamed'],
      [2, 'renamed_silently'],
      [1, 'busy'],
      [1, 'refused'],
      [1, 'taken_then_lost'],
      [1, 'lost'],
      [1, 'taken_then_crash'],
      [1, 'crash'],
    ]),
  );
  const fault = random.weighted<Fault | null>([
    [8, null],
    [1, { at: 1, what: 'meanwhile', steps: meanwhile(memory) }],
    [1, { at: random.below(30), what: 'crash' }],
  ]);
  // A provider that never makes the copy it promised, while we never hear its answer, cannot be helped.
  const isHelpless = (answer: SmtpAnswer) => fault?.what === 'crash' && answer === 'no_copy';
  return [
    { do: 'send', node: random.below(2), answers: answers.filter((answer) => !isHelpless(answer)), fault },
  ];
}

/** Reports have numbers of their own: nobody answers them. */
function bounced(memory: Memory): Step[] {
  const { random, sent: mails } = memory;
  if (mails.length === 0) return [];
  memory.reports += 1;
  return [{ do: 'bounce', n: 10_000 + memory.reports, of: random.pick(mails.slice(-3)) }];
}

const aFolder = ({ random }: Memory) => random.pick(['INBOX', 'INBOX', 'Sent', 'Archive', 'Projects']);

/** Gmail has one place for most of it. */
const aPlace = (memory: Memory) => {
  const box = watchedBox(memory);
  const { allMail = false } = memory.cast.boxes.find(({ name }) => name === box) ?? {};
  return { box, folder: allMail ? 'All Mail' : aFolder(memory) };
};

function moved(memory: Memory): Step[] {
  const { random } = memory;
  const to = random.pick(['INBOX', 'Archive', 'Projects', 'Trash', 'Junk']);
  const place = aPlace(memory);
  // Back out of Spam or Trash, too.
  const folder = random.chance(0.2) ? random.pick(['Trash', 'Junk']) : place.folder;
  return [{ do: 'move', ...place, folder, at: random.below(3), to }];
}

function deleted(memory: Memory): Step[] {
  return [{ do: 'delete', ...aPlace(memory), at: memory.random.below(3) }];
}

function flagged(memory: Memory): Step[] {
  const { random } = memory;
  return [{ do: 'flag', ...aPlace(memory), at: random.below(3), read: random.chance(0.7) }];
}

/** In the CRM; most often a mail of late, and one that is there. */
function marked({ random, mails }: Memory): Step[] {
  if (mails.length === 0) return [];
  const { n } = random.pick(mails.slice(-6));
  return [{ do: 'mark', sub: random.pick(['north', 'south']), n, read: random.chance(0.6) }];
}

function renumbered(memory: Memory): Step[] {
  return [{ do: 'renumber', ...aPlace(memory) }];
}

function hidden(memory: Memory): Step[] {
  const shown = memory.hidden.pop();
  if (shown !== undefined) return [{ do: 'show', ...shown }];
  const place = { box: watchedBox(memory), folder: memory.random.pick(['Sent', 'Projects', 'Archive']) };
  memory.hidden.push(place);
  return [{ do: 'hide', ...place }];
}

function troubled(memory: Memory): Step[] {
  const { random } = memory;
  const box = watchedBox(memory);
  const what = random.chance(0.7) ? 'expired' : 'revoked';
  return [{ do: 'token', box, what }];
}

function connected({ random }: Memory): Step[] {
  const user = random.chance(0.8) ? 'ann' : 'bob';
  const sub = user === 'bob' ? 'north' : random.pick(['north', 'south']);
  return [{ do: 'connect', sub, user, box: user === 'ann' && random.chance(0.4) ? 'ann2' : user }];
}

function disconnected({ random }: Memory): Step[] {
  const user = random.chance(0.8) ? 'ann' : 'bob';
  return [{ do: 'disconnect', user, sub: user === 'bob' ? 'north' : random.pick(['north', 'south']) }];
}

function backfilled(memory: Memory): Step[] {
  const { random, cast } = memory;
  const { sub, user } = someUser(memory);
  const contact = random.pick(cast.contacts.filter((each) => each.sub === sub)).id;
  const hours = random.pick([1, 48]);
  const step: Step = { do: 'backfill', sub, user, contact: random.chance(0.5) ? contact : null, hours };
  return random.chance(0.6) ? [step, ...errands(memory)] : [step];
}

function audited(memory: Memory): Step[] {
  const step: Step = { do: 'audit', ...someUser(memory), hole: memory.random.below(2) };
  return memory.random.chance(0.6) ? [step, ...errands(memory)] : [step];
}

function errands({ random }: Memory): Step[] {
  const fault = random.weighted<Fault | null>([
    [6, null],
    [1, { at: random.below(8), what: 'drop' }],
    [2, { at: random.below(60), what: 'crash' }],
  ]);
  return [{ do: 'errands', node: random.below(2), fault }];
}

function someUser({ random }: Memory): { sub: string; user: string } {
  const user = random.chance(0.8) ? 'ann' : 'bob';
  return { user, sub: user === 'bob' ? 'north' : random.pick(['north', 'south']) };
}

function assigned({ random, cast }: Memory): Step[] {
  const { sub, id } = random.pick(cast.contacts);
  const user = random.pick(sub === 'north' ? ['ann', 'bob', null] : ['ann', null]);
  return [{ do: 'assign', sub, contact: id, user }];
}

function contactAdded(memory: Memory): Step[] {
  const { random } = memory;
  memory.contacts += 1;
  const sub = random.pick(['north', 'south']);
  const id = `${sub}-new-${memory.contacts}`;
  const email = random.pick([...people, ...strangers]);
  const assigned = random.chance(0.3) ? 'ann' : null;
  return [{ do: 'contact', contact: { sub, id, emails: [email], assigned } }];
}

function waited({ random }: Memory): Step[] {
  return [{ do: 'wait', seconds: random.pick([5, 40, 90, 600, 4_000]) }];
}
