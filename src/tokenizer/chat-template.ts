/** A tokenizer's chat template: a conversation as the one text that a chat model was trained on. */
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { DataError, errorMessage } from '../errors.ts';
import type { TokenizerConfig } from './tokenizer-json.ts';

/** One message, as templates know it. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What a template may ask for beside the messages. */
export interface TemplateVariables {
  readonly bosToken: string;
  readonly eosToken: string;
  /** What `strftime_now` reads. */
  readonly now?: Date;
}

/** Writes messages as text; with `ask` also the words that ask for the next answer. */
export type RenderChat = (messages: readonly ChatMessage[], ask: boolean) => string;

/**
 * The date that templates are told, as some write today's into every prompt: then the same run would see other tokens
 * tomorrow. It is the one that Llama 3's template itself takes where there is no clock.
 */
export const TEMPLATE_DATE: Date = new Date(Date.UTC(2024, 6, 26));

const TURNS =
  "{% for message in messages %}{% if message['role'] == 'user' %}{{ message['content'] + '\\n' }}" +
  "{% elif message['role'] == 'assistant' %}{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}" +
  "{% else %}{{ raise_exception('This model knows the roles user and assistant only.') }}{% endif %}{% endfor %}";

/**
 * The format of `src/data/instruction.ts` as a template, for programs that read exported folders: BOS, then for each turn
 * prompt, line break, space + answer, EOS. A folder with exactly this template (or the one for tokenizers that begin without
 * BOS) has no chat format of its own.
 */
export const PLAIN_TEMPLATE: string = `{{ bos_token }}${TURNS}`;
export const PLAIN_TEMPLATE_WITHOUT_BOS: string = TURNS;

/**
 * The template that tokenizer_config.json holds: a text, or of several that have names the one called "default".
 * @returns null where there is none, or it is the plain format
 * @throws DataError where `chat_template` is neither
 */
export function findTemplate(config: TokenizerConfig, where: string): string | null {
  const { chat_template: value } = config;
  if (value === undefined || value === null) return null;
  const text = Array.isArray(value) ? defaultOf(value) : value;
  if (typeof text !== 'string') {
    throw new DataError(
      `${where}: chat_template: expected a text, or a list with a template named "default", received ` +
        `${Array.isArray(value) ? `names ${value.map((one) => JSON.stringify((one as Named).name)).join(', ')}` : typeof value}. ` +
        'Keep the template that conversations were written with, as a text.',
    );
  }
  return text === PLAIN_TEMPLATE || text === PLAIN_TEMPLATE_WITHOUT_BOS ? null : text;
}

interface Named {
  readonly name?: unknown;
  readonly template?: unknown;
}

function defaultOf(list: readonly unknown[]): unknown {
  return (list as readonly Named[]).find(({ name }) => name === 'default')?.template;
}

/** What every template knows. */
const GLOBALS = {
  ...{ false: false, true: true, none: null, False: false, True: true, None: null },
  range: (first: number, stop?: number, step = 1): number[] => {
    const [from, to] = stop === undefined ? [0, first] : [first, stop];
    return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
  },
  raise_exception: (text: string): never => {
    throw new Error(text);
  },
};

/**
 * Reads a template as transformers' `apply_chat_template` does (Jinja with trimmed blocks, `raise_exception`,
 * `strftime_now`; `{% generation %}` is passed over).
 * @param where names the tokenizer in errors
 * @throws DataError where the template is not Jinja; the function it returns, where a conversation is refused
 */
export function chatTemplate(source: string, variables: TemplateVariables, where: string): RenderChat {
  const { bosToken, eosToken, now = TEMPLATE_DATE } = variables;
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    throw new DataError(
      `${where}: chat_template: not readable; expected a Jinja template (${errorMessage(error)}). Copy the file again.`,
      { cause: error },
    );
  }
  return (messages, ask) => {
    try {
      const known = {
        ...GLOBALS,
        messages,
        bos_token: bosToken,
        eos_token: eosToken,
        add_generation_prompt: ask,
        strftime_now: (format: string) => strftime(now, format),
      };
      // `Template.render` would bring a clock of its own.
      const environment = new Environment();
      for (const [name, value] of Object.entries(known)) environment.set(name, value);
      return String(new Interpreter(environment).run(template.parsed).value);
    } catch (error) {
      const roles = messages.map(({ role }) => role).join(', ');
      throw new DataError(
        `${where}: chat_template: refuses a conversation of ${roles || 'no messages'} (${errorMessage(error)}). ` +
          'Bring the messages into the order that the model was trained on.',
        { cause: error },
      );
    }
  };
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = 'January February March April May June July August September October November December'.split(' ');

/** Python's strftime in the C locale, of the letters that templates use; others stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const [day = '', month = ''] = [DAYS[date.getUTCDay()], MONTHS[date.getUTCMonth()]];
  const year = String(date.getUTCFullYear());
  const values: Record<string, string> = {
    ...{ Y: year, y: year.slice(-2), m: two(date.getUTCMonth() + 1), d: two(date.getUTCDate()) },
    ...{ B: month, b: month.slice(0, 3), A: day, a: day.slice(0, 3), '%': '%' },
    ...{ H: two(date.getUTCHours()), M: two(date.getUTCMinutes()), S: two(date.getUTCSeconds()) },
  };
  return format.replace(/%([a-zA-Z%])/g, (whole, letter: string) => values[letter] ?? whole);
}
