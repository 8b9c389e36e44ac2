/** A tokenizer's chat template: a conversation as the one text that a chat model was trained on. */
import { DataError } from '../errors.ts';
import { strftime } from '../jinja/strftime.ts';
import { type Generated, readTemplate, type Template } from '../jinja/template.ts';
import { TemplateError } from '../jinja/template-error.ts';
import type { TokenizerConfig } from './tokenizer-json.ts';

/** One message, as templates know it; other keys (`tool_calls`, `reasoning_content`) are handed on. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

/** The texts of a tokenizer's special tokens by name: bos_token, eos_token and so on, where it has them. */
export type SpecialTokensMap = Readonly<Record<string, string>>;

/** Variables of a template beside the messages: tools, documents, and settings of its own (`enable_thinking`). */
export interface TemplateInputs {
  readonly tools?: readonly object[] | null;
  readonly documents?: readonly object[] | null;
  readonly [setting: string]: unknown;
}

/** Writes messages as text; with `ask` also the words that ask for the next answer. */
export interface RenderChat {
  (messages: readonly ChatMessage[], ask: boolean, inputs?: TemplateInputs): string;
  /** The same text, with what stands in {% generation %}. */
  generate(messages: readonly ChatMessage[], ask: boolean, inputs?: TemplateInputs): Generated;
}

/**
 * The date that templates are told, as some write today's into every prompt: then the same run would see other tokens
 * tomorrow. It is the one that Llama 3's template itself takes where there is no clock.
 */
const TEMPLATE_DATE: Date = new Date(Date.UTC(2024, 6, 26));

const TURNS =
  "{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] + '\\n' }}" +
  "{% elif message['role'] == 'assistant' %}{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}" +
  "{% elif message['role'] == 'system' and loop.first %}{{ message['content'] + '\\n\\n' }}" +
  "{% else %}{{ raise_exception('This model knows user and assistant, after one system message at most.') }}{% endif %}{% endfor %}";

/** What was written before the plain format had a place for the system. */
const TURNS_BEFORE =
  "{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] + '\\n' }}" +
  "{% elif message['role'] == 'assistant' %}{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}" +
  "{% else %}{{ raise_exception('This model knows the roles user and assistant only.') }}{% endif %}{% endfor %}";

/**
 * The format of `src/examples/instruction.ts` as a template, for programs that read exported folders: BOS, what the system says
 * and a blank line, then for each turn prompt, line break, space + answer, EOS. A folder with exactly this template (or the one for tokenizers that begin without
 * BOS) has no chat format of its own.
 */
export const PLAIN_TEMPLATE: string = `{{ bos_token }}${TURNS}`;
export const PLAIN_TEMPLATE_WITHOUT_BOS: string = TURNS;
const PLAIN_TEMPLATES: readonly string[] = [
  PLAIN_TEMPLATE,
  PLAIN_TEMPLATE_WITHOUT_BOS,
  `{{ bos_token }}${TURNS_BEFORE}`,
  TURNS_BEFORE,
];

/**
 * The template that tokenizer_config.json holds: a text, or of several that have names (a list, or an object) the one
 * called "default".
 * @returns null where there is none, or it is the plain format
 * @throws DataError where `chat_template` is neither
 */
export function findTemplate(config: TokenizerConfig, where: string): string | null {
  const { chat_template: value } = config;
  if (value === undefined || value === null) return null;
  const named = namedTemplates(value);
  const text = named === undefined ? value : named.get('default');
  if (typeof text !== 'string') {
    const names = [...(named?.keys() ?? [])].map((name) => JSON.stringify(name));
    throw new DataError(
      `${where}: chat_template: expected a text, or several with one named "default", received ` +
        `${named === undefined ? typeof value : `names ${names.join(', ') || '(none)'}`}. ` +
        'Keep the template that conversations were written with, as a text.',
    );
  }
  return PLAIN_TEMPLATES.includes(text) ? null : text;
}

function namedTemplates(value: unknown): Map<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  return new Map(
    (value as { name?: unknown; template?: unknown }[]).map(({ name, template }) => [String(name), template]),
  );
}

/**
 * Reads a template and binds its names as transformers' `apply_chat_template` does: `tools` and `documents` are none where
 * there are none, special tokens stand under their names, and reasoning under each of the names that it goes by.
 * @param now   what `strftime_now` reads
 * @param where names the tokenizer in errors
 * @throws DataError where the template is not Jinja, or uses what is not supported; the function it returns, where a
 *   conversation is refused
 */
export function chatTemplate(
  source: string,
  special: SpecialTokensMap,
  where: string,
  now: Date = TEMPLATE_DATE,
): RenderChat {
  const template = read(source, now, where);
  const generate: RenderChat['generate'] = (messages, ask, inputs = {}) => {
    const { tools = null, documents = null, ...rest } = inputs;
    const known = { ...special, ...rest, tools, documents, add_generation_prompt: ask };
    try {
      return template.generate({ ...known, messages: messages.map(withReasoning) });
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const roles = messages.map(({ role }) => role).join(', ');
      throw new DataError(
        `${where}: chat_template: refuses a conversation of ${roles || 'no messages'} (${error.located}). ` +
          'Bring the messages into the order that the model was trained on.',
        { cause: error },
      );
    }
  };
  return Object.assign((...[messages, ask, inputs]: Parameters<RenderChat>) => generate(messages, ask, inputs).text, {
    generate,
  });
}

function read(source: string, now: Date, where: string): Template {
  try {
    return readTemplate(source, { strftime_now: (format = '') => strftime(now, format) });
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new DataError(
      `${where}: chat_template: not readable; expected a Jinja template as transformers reads it (${error.located}). ` +
        'Copy the file again, or write the template otherwise.',
      { cause: error },
    );
  }
}

const REASONING = ['reasoning_content', 'thinking', 'reasoning'];

/** Reasoning goes by several names; templates read one or another. */
function withReasoning(message: ChatMessage): ChatMessage {
  const found = REASONING.map((name) => message[name]).find((value) => value !== undefined && value !== null);
  return found === undefined ? message : { thinking: found, ...message, reasoning_content: found };
}
