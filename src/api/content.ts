import type { Context } from 'hono';
import type { BlobStore } from '../store/blobs.ts';
import { openDownload } from '../store/download.ts';
import type { Content } from '../store/download.ts';
import { ApiError, notFound } from './errors.ts';
import type { ApiEnv } from './route.ts';

/** Sends a blob as a download, or the problem that there is with it: see store/download.ts. */
export async function sendContent(c: Context<ApiEnv>, blobs: BlobStore, content: Content): Promise<Response> {
  const download = await openDownload(blobs, content, {
    method: c.req.method,
    header: (name) => c.req.header(name),
  });
  switch (download.outcome) {
    case 'found':
      return download.body === null
        ? c.body(null, download.status, download.headers)
        : c.body(download.body, download.status, download.headers);
    case 'unchanged':
      return c.body(null, 304, download.headers);
    case 'not_found':
      throw notFound('content');
    case 'unsatisfiable':
      c.header('Content-Range', `bytes */${download.size}`);
      throw new ApiError('range_not_satisfiable', `There are ${download.size} bytes.`);
    default:
      return download satisfies never;
  }
}
