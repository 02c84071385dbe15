import { cancelSend } from '../outbound/cancel.ts';
import type { SendId } from '../lib/id.ts';
import { readSends } from '../store/public-send.ts';
import type { PublicSend } from '../store/public-send.ts';
import { ApiError, notFound } from './errors.ts';
import { gatewayId, subAccountParam } from './fields.ts';
import { sendSchema } from './message-shapes.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/sub-accounts/{sid}/sends/{id}`: what became of a message, and taking it back (D6). */
export function addSends(api: Api, deps: ApiDeps): void {
  addRoute(api, getRoute, async (c) => {
    const { sid, id } = c.req.valid('param');
    return c.json(await sendOf(deps, sid, id as SendId), 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const done = await cancelSend(deps.db, sid, id as SendId);
      if (done === 'not_found') throw notFound('send');
      const send = await sendOf(deps, sid, id as SendId);
      if (done === 'too_late') {
        throw new ApiError('too_late', `It is ${send.state}.`, { members: { state: send.state } });
      }
      deps.wakePublisher();
      // What waited behind it in its thread can go.
      deps.wakeSender();
      return c.json(send, 200);
    },
    ['too_late'],
  );
}

async function sendOf(deps: ApiDeps, sid: string, id: SendId): Promise<PublicSend> {
  const [send] = await readSends(deps.db, sid, [id]);
  if (send === undefined) throw notFound('send');
  return send;
}

const tags = ['Sends'];
const path = '/v1/sub-accounts/{sid}/sends/{id}';
const params = subAccountParam.extend({ id: gatewayId.describe('`snd_…`') });

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Show a send',
  request: { params },
  responses: { 200: jsonResponse(sendSchema, 'The send, with every try.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Cancel a send',
  description:
    'Takes back a message that is `queued` or `held`. The message stays, and says so. One that was taken for some of its ' +
    'recipients stays `sent`, and goes no more to those who were put off (`refused`).',
  request: { params },
  responses: { 200: jsonResponse(sendSchema, 'It is cancelled, now or already.') },
});
