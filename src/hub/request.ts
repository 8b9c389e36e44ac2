/** One request to a hub, and patience with those that fail for reasons that pass. */

import { setTimeout as sleep } from 'node:timers/promises';
import { CheckpointError, errorMessage, UserError } from '../errors.ts';
import type { Hub, ModelName } from './source.ts';

/** The hub cannot be reached, or answers nothing useful, however often it is asked. */
export class UnreachableError extends UserError {}

/** A request with a limit on silence. */
export interface Answer {
  readonly response: Response;
  /** The body in pieces; throws where nothing comes for too long. */
  pieces(): AsyncGenerator<Uint8Array>;
}

/**
 * Makes one attempt and hands the answer to `read`; what is not read of it is dropped.
 * @param path after the endpoint, encoded
 * @throws UserError where asking again would not help; any other error where it may
 */
export async function ask<T>(
  { hub, model, signal }: Asking,
  path: string,
  headers: Readonly<Record<string, string>>,
  read: (answer: Answer) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`nothing came for ${hub.stall / 1000} s`)), hub.stall);
  const authorization = hub.token === undefined ? {} : { authorization: `Bearer ${hub.token}` };
  try {
    const response = await fetch(`${hub.endpoint}${path}`, {
      // Sizes and hashes are those of the file, not of a compressed form of it.
      headers: { 'accept-encoding': 'identity', ...authorization, ...headers },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.status >= 400 && response.status !== 416) refuse(response, hub, model);
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of response.body ?? []) {
        timer.refresh();
        yield piece;
      }
    };
    return await read({ response, pieces });
  } finally {
    clearTimeout(timer);
    // Ends the connection of a body that was not read to its end.
    silence.abort();
  }
}

/** Who asks whom for what. */
export interface Asking {
  readonly hub: Hub;
  readonly model: ModelName;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Repeats `attempt` after the hub's waits while it fails with anything but a UserError. An attempt that says through
 * `progressed` that it got something starts the count anew, so a download over a bad line ends.
 * @throws UnreachableError when patience is at its end; the signal's reason where it was aborted
 */
export async function patiently<T>(
  { hub, signal, say }: Asking,
  what: string,
  attempt: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      const wait = hub.waits[failures];
      if (wait === undefined) {
        const problem = `${hub.endpoint}: ${what} could not be had (${reasonOf(error)}).`;
        throw new UnreachableError(`${problem} Run this again later: what came so far is kept.`, { cause: error });
      }
      failures += 1;
      const seconds = Math.max(wait, error instanceof BusyError ? error.seconds * 1000 : 0) / 1000;
      say(`${what}: ${reasonOf(error)}; trying again in ${seconds} s`);
      await sleep(seconds * 1000, undefined, { signal });
    }
  }
}

/** The server asks for patience. */
class BusyError extends Error {
  readonly seconds: number;
  constructor(message: string, seconds: number) {
    super(message);
    this.seconds = seconds;
  }
}

/** What went wrong beneath fetch's "fetch failed". */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code ?? (cause === undefined ? errorMessage(error) : errorMessage(cause));
}

/** Says what an error status means. The Hub names the reason in a header. */
function refuse(response: Response, hub: Hub, { repository, revision }: ModelName): never {
  const { status } = response;
  const code = response.headers.get('x-error-code') ?? '';
  const page = `${hub.endpoint}/${repository}`;
  if (status === 408 || status === 429 || status >= 500) {
    const asked = Number(response.headers.get('retry-after') ?? 0);
    throw new BusyError(`the server answered ${status}`, Number.isFinite(asked) ? Math.min(Math.max(asked, 0), 60) : 0);
  }
  if (hub.variable === 'PIP_INDEX_URL') {
    throw new CheckpointError(`${repository}: ${response.url} answered ${status}. Check PIP_INDEX_URL, or unset it.`);
  }
  throw new CheckpointError(`${repository}: ${problemOf()}`);

  function problemOf(): string {
    const token = 'make a token in the settings of your account and set HF_TOKEN to it';
    if (code === 'GatedRepo') {
      const next = hub.token === undefined ? `Then ${token}.` : 'HF_TOKEN must belong to the account that did.';
      return `is gated (${status}): its owners ask you to accept their terms on ${page} first. ${next}`;
    }
    if (code === 'RevisionNotFound') {
      return `has no revision "${revision}". Look for branches and tags on ${page}/tree/main.`;
    }
    if (code === 'EntryNotFound') return `lists a file that it does not have (${new URL(response.url).pathname}).`;
    if (status === 401 && hub.token === undefined) {
      return `does not exist on ${hub.endpoint}, or is private (401). Check the name; where it is private, ${token}.`;
    }
    if (status === 401) return 'the token in HF_TOKEN is not accepted (401). Make a new one, or unset HF_TOKEN.';
    if (status === 403) {
      return hub.token === undefined
        ? `may not be read without a token (403). Where you have access to it, ${token}.`
        : `the token in HF_TOKEN may not read it (403). Ask for access on ${page}, or allow the token to read it.`;
    }
    if (status === 404) {
      return `does not exist on ${hub.endpoint} (404). Check the name; capitals count. A private model needs HF_TOKEN.`;
    }
    return `the server answered ${status} (${response.headers.get('x-error-message') ?? response.statusText}).`;
  }
}
