/** The tokenizer files of a folder that other programs will read. */
import { PLAIN_TEMPLATE, PLAIN_TEMPLATE_WITHOUT_BOS } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import type { TokenizerConfig } from './tokenizer-json.ts';

/**
 * A tokenizer's files with the format it was trained in as a chat template, so that `AutoTokenizer.apply_chat_template` gives
 * the ids that our stages give; a chat model's own template stays. Loading them gives the same tokenizer, hash included.
 */
export function filesForExport({ bosId, chat, files }: Tokenizer): TokenizerFiles {
  if (chat !== null) return files;
  const config = JSON.parse(files['tokenizer_config.json']) as TokenizerConfig;
  const template = bosId === null ? PLAIN_TEMPLATE_WITHOUT_BOS : PLAIN_TEMPLATE;
  if (config.chat_template === template) return files;
  return { ...files, 'tokenizer_config.json': `${JSON.stringify({ ...config, chat_template: template }, null, 2)}\n` };
}
