import type { Cast, Fault, Step } from './steps.ts';

/** Ann, in two sub-accounts, and one contact of each. */
export const smallCast: Cast = {
  subs: ['north', 'south'].map((id) => ({ id, settings: {}, neverLog: [] })),
  boxes: [{ name: 'ann', address: 'ann@mail.example', provider: 'outlook', allMail: false }],
  users: [{ id: 'ann', email: 'ann@crm.example', subs: ['north', 'south'] }],
  contacts: ['north', 'south'].map((sub) => ({
    sub,
    id: `${sub}-carla`,
    emails: ['carla@customer.example'],
    assigned: null,
  })),
};

export const connectAnn: Step = { do: 'connect', sub: 'north', user: 'ann', box: 'ann' };
const carlaWrites: Step & { do: 'write' } = {
  do: 'write',
  mail: {
    n: 1,
    from: 'carla@customer.example',
    to: ['ann@mail.example'],
    cc: [],
    answers: null,
    cites: 'all',
    forward: false,
    kind: 'person',
    id: 'own',
  },
};
const arrives: Step = { do: 'arrive', n: 1, box: 'ann', folder: 'INBOX' };
const lookFrom = (node: number, fault: Fault | null = null): Step => ({
  do: 'look',
  node,
  box: 'ann',
  how: 'start',
  fault,
});

/** Mail that is nobody's business, and is left out. */
export const strangerWrites: Step[] = [
  { do: 'write', mail: { ...carlaWrites.mail, from: 'stan@stranger.example' } },
  arrives,
  lookFrom(0),
];

export const crmSends = (n: number, contact: string, replyTo: number | null): Step => ({
  do: 'crm_send',
  n,
  sub: 'north',
  user: 'ann',
  contact,
  replyTo,
  cc: [],
  crashAt: null,
});

/** The shortest histories of defects that this simulation found. */
export const found: [what: string, steps: Step[]][] = [
  [
    'a node that looked for the start of a folder put the cursor back behind what another had judged meanwhile',
    [connectAnn, carlaWrites, arrives, lookFrom(1, { at: 5, what: 'meanwhile', steps: [lookFrom(0)] })],
  ],
  [
    'an answer from the CRM that names another contact than it goes to, who has a conversation, was a failure',
    [
      connectAnn,
      { do: 'contact', contact: { sub: 'north', id: 'egon', emails: ['egon@shop.example'], assigned: null } },
      crmSends(2, 'egon', null),
      crmSends(3, 'north-carla', null),
      crmSends(4, 'egon', 3),
    ],
  ],
];
