/** Which files of a repository make a model: settings, tokenizer and safetensors weights; never pickles. */

import { CheckpointError } from '../errors.ts';
import { isShardName, readWeightMap } from '../files/shard-index.ts';
import type { HubFile, Listing } from './listing.ts';
import type { ModelName } from './source.ts';

/** Files that are taken where a repository has them. */
const OPTIONAL = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.json',
  'merges.txt',
  'added_tokens.json',
  'chat_template.jinja',
] as const;

const SINGLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

/** What to fetch first: all but the weights. */
export interface ChosenFiles {
  readonly small: readonly HubFile[];
  /** The one weight file; undefined where an index among the small ones names them. */
  readonly weights: HubFile | undefined;
}

/**
 * Chooses the files of a model.
 * @param page the repository's address, for messages
 * @throws CheckpointError listing what the repository lacks and what to do about it
 */
export function chooseFiles({ files }: Listing, { repository, revision }: ModelName, page: string): ChosenFiles {
  const problems: string[] = [];
  const isAdapter = files.has('adapter_config.json') && !files.has('config.json');
  const hasTokenizer = files.has('tokenizer.json') || (files.has('vocab.json') && files.has('merges.txt'));
  if (isAdapter) {
    problems.push(`${repository}: holds an adapter, not a model. Take the model that its adapter_config.json names.`);
  } else if (!files.has('config.json')) {
    problems.push(`${repository}: has no config.json at ${revision}; expected a transformers model.`);
  }
  if (!isAdapter && !files.has(SINGLE) && !files.has(INDEX)) problems.push(noWeights(files, repository, page));
  if (!isAdapter && !hasTokenizer) {
    const received = files.has('tokenizer.model') ? 'a SentencePiece tokenizer.model only' : 'neither';
    problems.push(
      `${repository}: expected tokenizer.json, or vocab.json and merges.txt, received ${received}. ` +
        'Load the tokenizer with transformers (AutoTokenizer) and save it: that writes tokenizer.json.',
    );
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  const names = ['config.json', ...OPTIONAL, ...(files.has(SINGLE) ? [] : [INDEX])];
  return { small: names.flatMap((name) => files.get(name) ?? []), weights: files.get(SINGLE) };
}

function noWeights(files: ReadonlyMap<string, HubFile>, repository: string, page: string): string {
  const pickle = [...files.keys()].find((name) => /^pytorch_model.*\.(bin|bin\.index\.json)$/.test(name));
  if (pickle === undefined) return `${repository}: has no ${SINGLE} and no ${INDEX}; expected a model's weights.`;
  return (
    `${repository}: has its weights as ${pickle} only. Such files can run code when they are read, so they are not taken. ` +
    `Look at ${page}/discussions for a pull request that adds ${SINGLE} and name it (${repository}@refs/pr/<number>), ` +
    'or save the model as safetensors with transformers (from_pretrained, then save_pretrained).'
  );
}

/**
 * The weight files that an index names, in the order of their names.
 * @param text the index
 * @throws CheckpointError where it is none, or names what the repository lacks or no repository should hold
 */
export function shardsOf(text: string, { files }: Listing, repository: string): HubFile[] {
  const map = readWeightMap(text, `${repository}: ${INDEX}`);
  const problems: string[] = [];
  const shards = [...new Set<unknown>(Object.values(map))].flatMap((name) => {
    if (!isShardName(name)) {
      problems.push(`${repository}: ${INDEX} names ${JSON.stringify(name)}, which is no safetensors file beside it.`);
      return [];
    }
    const file = files.get(name);
    if (file === undefined) problems.push(`${repository}: ${INDEX} names ${name}, which the repository lacks.`);
    return file ?? [];
  });
  if (problems.length > 0) throw new CheckpointError([...problems.slice(0, 10), 'Take another revision or model.']);
  return shards.sort((a, b) => (a.name < b.name ? -1 : 1));
}
