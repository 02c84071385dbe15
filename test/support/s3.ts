import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

type Stored = { content: Buffer; modified: Date };

/** A request that was answered, as `PUT ab/cdef…`; of a list its prefix. */
export type S3Request = { method: string; key: string; range: string | null; status: number };

/**
 * As much of S3 as the gateway uses, in memory, by the REST API's description (2006-03-01): PUT with If-None-Match and a
 * checksum, GET with Range, DELETE, ListObjectsV2 in pages. It looks whether requests are signed, by which key, and
 * what of their body; not whether the signature is right.
 */
export type TestS3 = {
  endpoint: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  objects: Map<string, Stored>;
  requests: S3Request[];
  /** The next so many requests are told to slow down. */
  slowDown(times: number): void;
  /** The next so many answers with a body break off in the middle of it. */
  breakOff(times: number): void;
  stop(): Promise<void>;
};

/** Keys in a page of a list; Amazon's are 1,000. */
const pageMax = 7;

export async function startS3(): Promise<TestS3> {
  const objects = new Map<string, Stored>();
  const requests: S3Request[] = [];
  const faults = { slow: 0, broken: 0 };
  const bucket = 'twoway-blobs';
  const credentials = { accessKeyId: 'AKTEST', secretAccessKey: 'secret' };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://s3');
    const key = decodeURIComponent(url.pathname.slice(`/${bucket}/`.length));
    const body = await buffer(request);
    const answer = (
      status: number,
      headers: Record<string, string | number> = {},
      content: Buffer | string = '',
    ) => {
      const { range = null } = request.headers;
      const told = key === '' ? (url.searchParams.get('prefix') ?? '') : key;
      requests.push({ method: request.method ?? '', key: told, range, status });
      const bytes = Buffer.from(content);
      response.writeHead(status, { 'content-length': bytes.length, 'x-amz-request-id': '1', ...headers });
      if (request.method !== 'GET' || status >= 300 || faults.broken === 0 || key === '')
        return response.end(bytes);
      faults.broken -= 1;
      return response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => {
        // When what was sent has arrived: else it is lost with the connection.
        setTimeout(() => response.destroy(), 20);
      });
    };
    const refuse = (status: number, code: string) =>
      answer(
        status,
        { 'content-type': 'application/xml' },
        `<Error><Code>${code}</Code><Message>${code}</Message></Error>`,
      );
    if (faults.slow > 0) {
      faults.slow -= 1;
      return void refuse(503, 'SlowDown');
    }
    const { authorization = '' } = request.headers;
    if (!authorization.startsWith(`AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/`))
      return void refuse(403, 'InvalidAccessKeyId');
    if (!url.pathname.startsWith(`/${bucket}/`) && url.pathname !== `/${bucket}`)
      return void refuse(404, 'NoSuchBucket');
    const found = objects.get(key);
    switch (request.method ?? '') {
      case 'PUT': {
        const sum = createHash('sha256').update(body);
        const [hex, base64] = [sum.copy().digest('hex'), sum.digest('base64')];
        if (request.headers['x-amz-content-sha256'] !== hex)
          return void refuse(400, 'XAmzContentSHA256Mismatch');
        if ((request.headers['x-amz-checksum-sha256'] ?? base64) !== base64)
          return void refuse(400, 'BadDigest');
        if (request.headers['if-none-match'] === '*' && found !== undefined)
          return void refuse(412, 'PreconditionFailed');
        objects.set(key, { content: body, modified: new Date() });
        return void answer(200, { etag: `"${hex.slice(0, 32)}"` });
      }
      case 'GET': {
        if (key === '')
          return void answer(200, { 'content-type': 'application/xml' }, listed(objects, url.searchParams));
        if (found === undefined) return void refuse(404, 'NoSuchKey');
        const { content } = found;
        const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
        if (from === undefined) return void answer(200, {}, content);
        if (Number(from) >= content.length) return void refuse(416, 'InvalidRange');
        const end = to === '' ? content.length - 1 : Math.min(Number(to), content.length - 1);
        const range = `bytes ${from}-${end}/${content.length}`;
        return void answer(206, { 'content-range': range }, content.subarray(Number(from), end + 1));
      }
      case 'DELETE':
        objects.delete(key);
        return void answer(204);
      default:
        return void refuse(405, 'MethodNotAllowed');
    }
  };

  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    credentials,
    objects,
    requests,
    slowDown: (times) => void (faults.slow = times),
    breakOff: (times) => void (faults.broken = times),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** ListObjectsV2; the token of the next page is the last key of this one. */
function listed(objects: ReadonlyMap<string, Stored>, query: URLSearchParams): string {
  const [prefix, after] = [query.get('prefix') ?? '', query.get('continuation-token') ?? ''];
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, pageMax);
  const entries = page.map((key) => {
    const { content, modified } = objects.get(key) ?? { content: '', modified: new Date(0) };
    // Whole seconds, as Amazon lists them.
    const time = `${modified.toISOString().slice(0, 19)}.000Z`;
    return `<Contents><Key>${key}</Key><LastModified>${time}</LastModified><Size>${content.length}</Size></Contents>`;
  });
  const isCut = keys.length > page.length;
  const next = isCut ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
  return `<?xml version="1.0"?><ListBucketResult><IsTruncated>${isCut}</IsTruncated>${next}${entries.join('')}</ListBucketResult>`;
}
