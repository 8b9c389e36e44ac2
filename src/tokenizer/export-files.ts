/** The tokenizer files of a folder that other programs will read. */
import { PLAIN_TEMPLATE, PLAIN_TEMPLATE_WITHOUT_BOS } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import type { TokenizerConfig } from './tokenizer-json.ts';

/** The class that reads tokenizer.json as it stands. */
const GENERAL_CLASS = 'PreTrainedTokenizerFast';

/**
 * A tokenizer's files with the format it was trained in as a chat template, so that `AutoTokenizer.apply_chat_template` gives
 * the ids that our stages give; a chat model's own template stays. Loading them gives the same tokenizer, hash included.
 *
 * `tokenizer_class` becomes the general one: transformers 5.23 builds LlamaTokenizer and GPT2Tokenizer anew from the
 * vocabulary and then gives other ids than tokenizer.json does (Llama 2 after special tokens, the digits of SmolLM2).
 */
export function filesForExport({ bosId, chat, files }: Tokenizer): TokenizerFiles {
  const config = JSON.parse(files['tokenizer_config.json']) as TokenizerConfig;
  const plain = bosId === null ? PLAIN_TEMPLATE_WITHOUT_BOS : PLAIN_TEMPLATE;
  const template = chat === null ? plain : config.chat_template;
  if (config.chat_template === template && config.tokenizer_class === GENERAL_CLASS) return files;
  const changed = { ...config, tokenizer_class: GENERAL_CLASS, chat_template: template };
  return { ...files, 'tokenizer_config.json': `${JSON.stringify(changed, null, 2)}\n` };
}
