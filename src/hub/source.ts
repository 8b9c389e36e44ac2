/** Which model is asked for, and of whom: "org/name@revision", and a server that speaks the Hugging Face Hub's API. */

import { ConfigError } from '../errors.ts';

/** A model of a hub. */
export interface ModelName {
  /** "org/name", or "name" alone for the oldest ones. */
  readonly repository: string;
  /** A branch, a tag, a commit or "refs/pr/1". */
  readonly revision: string;
}

/** A hub and who asks it. */
export interface Hub {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint only, never to where it redirects. */
  readonly token: string | undefined;
  /** Milliseconds between attempts; one attempt more than there are waits. */
  readonly waits: readonly number[];
  /** Milliseconds without a byte after which an attempt is given up. */
  readonly stall: number;
  /** The variable of the environment that names another server. */
  readonly variable: 'HF_ENDPOINT' | 'PIP_INDEX_URL';
}

/** How long servers are asked. */
export const PATIENCE = { waits: [1000, 3000, 8000], stall: 60_000 };

const PUBLIC_ENDPOINT = 'https://huggingface.co';

/** The Hub's own rule: up to 96 letters, digits, "_", "-" and ".", the last two not at either end. */
const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$/;

/**
 * Reads "org/name" or "org/name@revision".
 * @throws ConfigError where no repository can have that name
 */
export function parseModelName(text: string): ModelName {
  const at = text.indexOf('@');
  const repository = at === -1 ? text : text.slice(0, at);
  const revision = at === -1 ? 'main' : text.slice(at + 1);
  const parts = repository.split('/');
  const isName = parts.length <= 2 && parts.every((part) => PART.test(part)) && !/--|\.\.|\.git$/.test(repository);
  const problems: string[] = [];
  if (!isName) {
    problems.push(
      `model ${JSON.stringify(repository)}: is no name of a repository; expected org/name, e.g. HuggingFaceTB/SmolLM2-135M.`,
    );
  }
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes('..')) {
    problems.push(
      `revision ${JSON.stringify(revision)}: expected a branch, a tag, a commit or refs/pr/<number> after the "@".`,
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { repository, revision };
}

/**
 * The hub that the environment names: HF_ENDPOINT (a mirror) and HF_TOKEN (for private and gated models).
 * @throws ConfigError where either cannot be one
 */
export function hubFrom(environment: NodeJS.ProcessEnv): Hub {
  const problems: string[] = [];
  const endpoint = (environment.HF_ENDPOINT?.trim() || PUBLIC_ENDPOINT).replace(/\/+$/, '');
  if (!/^https?:$/.test(protocolOf(endpoint))) {
    problems.push(`HF_ENDPOINT: expected an address such as ${PUBLIC_ENDPOINT}, received ${JSON.stringify(endpoint)}.`);
  }
  const token = environment.HF_TOKEN?.trim() || undefined;
  // The token itself is never shown.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    problems.push('HF_TOKEN: holds characters that no token has. Copy it again from the settings of your account.');
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { endpoint, token, ...PATIENCE, variable: 'HF_ENDPOINT' };
}

function protocolOf(address: string): string {
  try {
    return new URL(address).protocol;
  } catch {
    return '';
  }
}
