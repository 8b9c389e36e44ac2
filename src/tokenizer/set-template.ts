/** Another chat template for a tokenizer than the one its model came with: a base model has none. */
import { DataError } from '../errors.ts';
import { readText } from '../files/text-file.ts';
import { findTemplate } from './chat-template.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';
import { parseObject } from './tokenizer-folder.ts';

/** Templates that go by a word: the model's own, none, ChatML; anything else is a file. */
export const templateWords = ['model', 'plain', 'chatml'] as const;

const CHATML_TOKENS = ['<|im_start|>', '<|im_end|>'] as const;
/** As TRL's `setup_chat_format` writes it. */
const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * The tokenizer with the template that is asked for, and a line where that is not the one it came with. A model that is
 * written with it has the template in its files.
 *
 * @param choice a word, or a file with a Jinja template
 * @param where  names the tokenizer in errors
 * @throws DataError where the vocabulary lacks ChatML's tokens, the file is missing, or the template is not one to train with
 */
export function withTemplate(
  tokenizer: Tokenizer,
  choice: string,
  where: string,
): { tokenizer: Tokenizer; lines: string[] } {
  if (choice === 'model') return { tokenizer, lines: [] };
  const { files, addedPad } = tokenizer;
  const { chat_template: _, ...config } = parseObject(files['tokenizer_config.json'], where);
  const text = templateText(tokenizer, choice, where);
  const changed = text === null ? config : { ...config, chat_template: text };
  const texts = { ...files, 'tokenizer_config.json': `${JSON.stringify(changed, null, 2)}\n` };
  const made = createTokenizer(texts, text === null || choice === 'chatml' ? where : choice);
  const stopIds = [...new Set([...made.stopIds, ...tokenizer.stopIds])].filter((id) => id !== made.padId);
  const own = findTemplate(parseObject(files['tokenizer_config.json'], where), where);
  const instead = own === null || own === text ? '' : ', not the template that the model came with';
  return { tokenizer: { ...made, addedPad, stopIds }, lines: [`template  ${choice}${instead} (data.template)`] };
}

/** The text of a template; null for the plain format. */
function templateText(tokenizer: Tokenizer, choice: string, where: string): string | null {
  if (choice === 'plain') return null;
  if (choice !== 'chatml') return readText(choice);
  const known = new Set(Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.token(id)));
  const missing = CHATML_TOKENS.filter((token) => !known.has(token));
  if (missing.length === 0) return CHATML;
  throw new DataError(
    `${where}: data.template chatml: the vocabulary has no ${missing.join(' and ')}, and no rows are added to the model for new tokens; ` +
      'expected a tokenizer that has them. Use data.template=plain, or a .jinja file that ends answers with a token that there is.',
  );
}
