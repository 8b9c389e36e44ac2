/** Another chat template for a tokenizer than the one its model came with: a base model has none. */
import { readText } from '../files/text-file.ts';
import { findTemplate } from './chat-template.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';
import { parseObject, withSpecialTokens } from './tokenizer-folder.ts';

/** Templates that go by a word: the model's own, none, ChatML; anything else is a file. */
export const templateWords = ['model', 'plain', 'chatml'] as const;

const CHATML_TOKENS = ['<|im_start|>', '<|im_end|>'] as const;
/** As TRL's `setup_chat_format` writes it. */
const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * The tokenizer with the template that is asked for, and a line where that is not the one it came with. A model that is
 * written with it has the template in its files. ChatML's tokens are added where the vocabulary lacks them, and
 * `<|im_end|>` is EOS, as TRL's `setup_chat_format` has it.
 *
 * @param choice a word, or a file with a Jinja template
 * @param where  names the tokenizer in errors
 * @throws DataError where the file is missing, or the template is not one to train with
 */
export function withTemplate(
  tokenizer: Tokenizer,
  choice: string,
  where: string,
): { tokenizer: Tokenizer; lines: string[] } {
  if (choice === 'model') return { tokenizer, lines: [] };
  const { files, addedPad, spareTokens } = tokenizer;
  const { chat_template: _, ...config } = parseObject(files['tokenizer_config.json'], where);
  const isChatml = choice === 'chatml';
  const text = isChatml ? CHATML : choice === 'plain' ? null : readText(choice);
  const changed = {
    ...config,
    ...(isChatml && { eos_token: CHATML_TOKENS[1] }),
    ...(text !== null && { chat_template: text }),
  };
  const known = new Set(Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.token(id)));
  const missing = isChatml ? CHATML_TOKENS.filter((token) => !known.has(token)) : [];
  const added = missing.length === 0 ? null : withSpecialTokens(parseObject(files['tokenizer.json'], where), missing);
  const texts = {
    'tokenizer.json': added?.text ?? files['tokenizer.json'],
    'tokenizer_config.json': `${JSON.stringify(changed, null, 2)}\n`,
  };
  const made = createTokenizer(texts, text === null || isChatml ? where : choice);
  const stopIds = [...new Set([...made.stopIds, ...tokenizer.stopIds])].filter((id) => id !== made.padId);
  const own = findTemplate(parseObject(files['tokenizer_config.json'], where), where);
  const instead = own === null || own === text ? '' : ', not the template that the model came with';
  const newTokens = added?.ids ?? [];
  // What the files have to spare is in front of what was added.
  const kept = { addedPad, newTokens, spareTokens: added === null ? made.spareTokens : spareTokens };
  const line = `template  ${choice}${instead} (data.template)${addedText(missing, newTokens)}`;
  return { tokenizer: { ...made, ...kept, stopIds }, lines: [line, ...piecesLines(text, choice, known, isChatml)] };
}

function addedText(tokens: readonly string[], [first, ...more]: readonly number[]): string {
  if (first === undefined) return '';
  const rows = more.length === 0 ? `row ${first}` : `rows ${first}–${more.at(-1)}`;
  return `: ${tokens.length} ${tokens.length === 1 ? 'token' : 'tokens'} added to the vocabulary (${tokens.join(', ')}), ${rows}, trained (with LoRA beside the adapters)`;
}

/** A template of one's own may mean tokens that are none: they would be read as the plain text they are. */
function piecesLines(text: string | null, choice: string, known: ReadonlySet<string>, isChatml: boolean): string[] {
  const meant = isChatml ? [] : (text?.match(/<\|[\w-]+\|>/g) ?? []);
  const unknown = [...new Set(meant)].filter((token) => !known.has(token));
  if (unknown.length === 0) return [];
  return [`template  ${choice}: no tokens of the vocabulary, so they are read in pieces: ${unknown.join(', ')}`];
}
