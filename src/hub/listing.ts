/** What a repository holds: names, sizes and hashes of its files at one commit, checked before any is trusted. */

import { CheckpointError, errorMessage } from '../errors.ts';
import { type Asking, ask, patiently } from './request.ts';

/** A file of a repository. */
export interface HubFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly hash: FileHash;
}

/** Large files have the SHA-256 of their bytes, the others git's SHA-1 of "blob <size>\0" and their bytes. */
export interface FileHash {
  readonly kind: 'sha256' | 'git-sha1';
  /** Hex digits. */
  readonly digits: string;
}

/** The files at a commit. */
export interface Listing {
  readonly commit: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

/** The largest answer that is read: repositories have some thousand files at most. */
const MAX_BYTES = 2 ** 26;

/**
 * Asks for the files of a model at a revision.
 * https://huggingface.co/docs/hub/api: GET /api/models/{repo}/revision/{revision}?blobs=true
 * @throws CheckpointError where there is no such model or the answer is not a listing; UnreachableError
 */
export async function listModel(asking: Asking): Promise<Listing> {
  const { repository, revision } = asking.model;
  const path = `/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const text = await patiently(asking, `the list of files of ${repository}`, () =>
    ask(asking, path, { accept: 'application/json' }, async ({ pieces }) => {
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const piece of pieces()) {
        size += piece.length;
        if (size > MAX_BYTES) throw new CheckpointError(`${asking.hub.endpoint}: sends a list of files without end.`);
        parts.push(piece);
      }
      return Buffer.concat(parts).toString('utf8');
    }),
  );
  return readListing(text, `${asking.hub.endpoint}: the list of files of ${repository}`);
}

/**
 * Checks the text of an answer.
 * @param where names it in messages
 * @throws CheckpointError listing everything that is wrong
 */
export function readListing(text: string, where: string): Listing {
  let answer: { sha?: unknown; siblings?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch (error) {
    const remedy = 'Check HF_ENDPOINT, and whether a proxy or a login page answers in its place.';
    throw new CheckpointError(`${where}: is not JSON (${errorMessage(error)}). ${remedy}`, { cause: error });
  }
  const problems: string[] = [];
  const commit = answer?.sha;
  if (typeof commit !== 'string' || !/^[0-9a-f]{40}$/.test(commit)) {
    problems.push(`${where}: sha: expected the 40 hex digits of a commit, received ${show(commit)}.`);
  }
  const siblings = answer?.siblings;
  if (!Array.isArray(siblings)) problems.push(`${where}: siblings: expected a list, received ${show(siblings)}.`);
  const files = new Map<string, HubFile>();
  for (const sibling of Array.isArray(siblings) ? siblings : []) {
    const file = readSibling(sibling);
    if (typeof file === 'string') problems.push(`${where}: ${file}`);
    else if (files.has(file.name)) problems.push(`${where}: names ${show(file.name)} twice.`);
    else files.set(file.name, file);
  }
  if (problems.length > 0) {
    throw new CheckpointError([...problems.slice(0, 10), 'Do not trust this server, or check HF_ENDPOINT.']);
  }
  return { commit: commit as string, files };
}

/** A file of the answer, or what is wrong with it. */
function readSibling(sibling: unknown): HubFile | string {
  const { rfilename: name, size, blobId, lfs } = (sibling ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || !isInside(name)) return `${show(name)} is no name of a file in a repository.`;
  const large = lfs as { sha256?: unknown; size?: unknown } | null | undefined;
  const digits = large?.sha256 ?? blobId;
  const kind = large?.sha256 === undefined ? 'git-sha1' : 'sha256';
  const bytes = large?.size ?? size;
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) {
    return `${show(name)}: size: expected a number of bytes, received ${show(bytes)}.`;
  }
  const length = kind === 'sha256' ? 64 : 40;
  if (typeof digits !== 'string' || digits.length !== length || !/^[0-9a-f]+$/.test(digits)) {
    return `${show(name)}: ${kind}: expected ${length} hex digits, received ${show(digits)}.`;
  }
  return { name, size: bytes as number, hash: { kind, digits } };
}

/** True for "a.json" and "onnx/a.json"; false for what would leave the folder on any system. */
function isInside(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return !/[\\\x00-\x1f]|^[A-Za-z]:/.test(name) && name.split('/').every((part) => !['', '.', '..'].includes(part));
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
