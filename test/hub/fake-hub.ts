/** A server that answers as the Hugging Face Hub does (huggingface_hub 1.x: hf_api.py, utils/_http.py), and can fail. */

import { createHash } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Hub } from '../../src/hub/source.ts';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/** A running server. */
export interface FakeHub {
  readonly hub: Hub;
  /** Path, range and authorization of every request; those to the store of large files begin with "/store". */
  readonly requests: { path: string; range: string | undefined; authorization: string | undefined }[];
  /** Answers a request instead of the server; true where it did. */
  intercept: (path: string, response: ServerResponse, request: IncomingMessage) => boolean;
  /** Changes the answer to a request for the list of files. */
  listing: (answer: { sha: unknown; siblings: Record<string, unknown>[] }) => unknown;
  close(): Promise<void>;
}

/** Serves files of "org/tiny" at `COMMIT`; *.safetensors as large files, by a redirect to another server. */
export async function fakeHub(files: ReadonlyMap<string, Buffer>): Promise<FakeHub> {
  const fake: { -readonly [Key in keyof FakeHub]: FakeHub[Key] } = {
    ...{ hub: { endpoint: '', token: undefined, waits: [], stall: 0, variable: 'HF_ENDPOINT' }, requests: [] },
    ...{ intercept: () => false, listing: (answer: object) => answer, close: async () => {} },
  };
  const store = await listen((request, response) => {
    note('/store', request);
    const name = (request.url ?? '').slice(1);
    if (!fake.intercept(`/store/${name}`, response, request)) send(request, response, files.get(name) as Buffer);
  });
  const main = await listen((request, response) => {
    note('', request);
    const path = decodeURIComponent(request.url ?? '');
    if (fake.intercept(path, response, request)) return;
    const name = path.replace(`/org/tiny/resolve/${COMMIT}/`, '');
    if (path === '/api/models/org/tiny/revision/main?blobs=true') {
      response.end(JSON.stringify(fake.listing({ sha: COMMIT, siblings: [...files].map(sibling) })));
    } else if (!files.has(name)) {
      response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}');
    } else if (name.endsWith('.safetensors')) {
      response.writeHead(302, { location: `${address(store)}/${name}` }).end();
    } else send(request, response, files.get(name) as Buffer);
  });
  function note(prefix: string, { url, headers }: IncomingMessage): void {
    fake.requests.push({ path: prefix + url, range: headers.range, authorization: headers.authorization });
  }
  fake.hub = { endpoint: address(main), token: undefined, waits: [1, 1], stall: 5000, variable: 'HF_ENDPOINT' };
  fake.close = async () => {
    for (const server of [main, store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  };
  return fake;
}

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function address(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sibling([name, bytes]: [string, Buffer]): Record<string, unknown> {
  const git = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const lfs = name.endsWith('.safetensors') ? { lfs: { sha256, size: bytes.length, pointerSize: 134 } } : {};
  return { rfilename: name, size: bytes.length, blobId: git, ...lfs };
}

/** A file, or the part of it that is asked for. */
function send({ headers }: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  const range =
    headers.range === undefined ? {} : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(headers.range === undefined ? 200 : 206, { ...range, 'content-length': bytes.length - from });
  response.end(bytes.subarray(from));
}
