/** Jinja templates as transformers sets jinja2 up for chat templates: a text, read once and rendered often. */
import { integerArgument, required, take } from './arguments.ts';
import { dictOf } from './evaluate.ts';
import { parseTemplate } from './parse-template.ts';
import { show } from './printing.ts';
import { type Output, render } from './render.ts';
import { openScope } from './scope.ts';
import { TemplateError } from './template-error.ts';
import {
  type Arguments,
  type Dict,
  elementsOf,
  fromJson,
  functionValue,
  isDict,
  iterate,
  textOf,
  undefinedValue,
  type Value,
} from './values.ts';

/** A function that templates may call with texts: what it returns is printed. */
export type TextFunction = (...texts: string[]) => string;

/** A template that was read. */
export interface Template {
  /**
   * @param variables JSON values by name; those that are undefined stay undefined in the template
   * @throws TemplateError where Python raises an error, or the template itself raises one
   */
  render(variables: Readonly<Record<string, unknown>>): string;
  /** The same text, with what of it an assistant wrote. */
  generate(variables: Readonly<Record<string, unknown>>): Generated;
}

/** A rendered text. */
export interface Generated {
  readonly text: string;
  /** Beginning and end of what stands in {% generation %}, in UTF-16 units: what an assistant wrote. */
  readonly spans: readonly (readonly [number, number])[];
}

/**
 * Reads a template as `ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)` with loop controls,
 * transformers' `{% generation %}`, `tojson` and `raise_exception` does.
 * @param functions more that the template may call
 * @throws TemplateError where it is no template; or, with every line, what it uses that is not supported here
 */
export function readTemplate(source: string, functions: Readonly<Record<string, TextFunction>> = {}): Template {
  const { body, refused } = parseTemplate(source);
  if (refused.length > 0) throw new TemplateError(refused.map((one) => one.located).join('; '));
  const known = [
    ...Object.entries(GLOBALS),
    ...Object.entries(functions).map(([name, of]) => [name, textual(name, of)] as const),
  ];
  const generate = (variables: Readonly<Record<string, unknown>>): Generated => {
    const given = Object.entries(variables).filter(([, value]) => value !== undefined);
    const around = openScope(undefined, [...known, ...given.map(([name, value]) => [name, fromJson(value)] as const)]);
    const out: Output = [];
    const generated = new Set<number>();
    out.generated = generated;
    try {
      render(body, openScope(around), out);
      return { text: out.join(''), spans: spansOf(out, generated) };
    } catch (error) {
      // A macro that calls itself without end, a text or number that is too large.
      if (!(error instanceof RangeError)) throw error;
      throw new TemplateError(`too deep or too large: ${error.message}`);
    }
  };
  return { generate, render: (variables) => generate(variables).text };
}

function spansOf(pieces: readonly string[], generated: ReadonlySet<number>): [number, number][] {
  let at = 0;
  return pieces.flatMap((piece, i): [number, number][] => {
    const start = at;
    at += piece.length;
    return generated.has(i) ? [[start, at]] : [];
  });
}

function textual(name: string, of: TextFunction): Value {
  return functionValue(name, ({ positional, named }) => of(...[...positional, ...named.values()].map(show)));
}

/** The largest range that the sandbox gives out. */
const MAX_RANGE = 100_000;

function range(args: Arguments): Value {
  const [first, second, third] = take('range', ['start', 'stop', 'step'], args);
  const start = BigInt(second === undefined ? 0 : integerArgument('range', first, 0));
  const stop = BigInt(integerArgument('range', required('range', 'stop', second ?? first), 0));
  const step = BigInt(integerArgument('range', third, 1));
  if (step === 0n) throw new TemplateError('range() arg 3 must not be zero');
  const span = step > 0n ? stop - start : start - stop;
  const size = step > 0n ? step : -step;
  const length = span <= 0n ? 0 : Number((span + size - 1n) / size);
  if (length > MAX_RANGE)
    throw new TemplateError(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`);
  return { kind: 'range', start, stop, step, length };
}

/** dict(...) and namespace(...): a dict or pairs, and names. */
function dict({ positional, named }: Arguments): Dict {
  const [first] = positional;
  const pairs: (readonly [Value, Value])[] = [];
  if (first !== undefined && isDict(first)) pairs.push(...first);
  else if (first !== undefined) {
    for (const pair of iterate(first)) {
      const [key, value, ...more] = elementsOf(pair) ?? [];
      if (key === undefined || value === undefined || more.length > 0)
        throw new TemplateError('dict(): expected pairs');
      pairs.push([key, value]);
    }
  }
  return dictOf([...pairs, ...named]);
}

function namespace(args: Arguments): Value {
  const fields = new Map([...dict(args)].map(([name, value]) => [textOf(name) ?? show(name), value]));
  const bad = [...fields.keys()].find((name) => name.startsWith('_'));
  if (bad !== undefined) throw new TemplateError(`a namespace cannot have an attribute ${JSON.stringify(bad)}`);
  return { kind: 'namespace', fields };
}

function joiner(args: Arguments): Value {
  const [separator = ', '] = take('joiner', ['sep'], args);
  let isUsed = false;
  const call = (): Value => {
    const text = isUsed ? show(separator) : '';
    isUsed = true;
    return text;
  };
  return { kind: 'object', type: 'Joiner', get: () => undefined, call };
}

function cycler({ positional }: Arguments): Value {
  if (positional.length === 0) throw new TemplateError('at least one item has to be provided');
  let at = 0;
  const methods: Readonly<Record<string, () => Value>> = {
    next: () => positional[at++ % positional.length] as Value,
    reset: () => {
      at = 0;
      return null;
    },
  };
  const get = (name: string): Value | undefined => {
    if (name === 'current') return positional[at % positional.length];
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    return method === undefined ? undefined : functionValue(name, method);
  };
  return { kind: 'object', type: 'Cycler', get };
}

const GLOBALS: Readonly<Record<string, Value>> = {
  range: functionValue('range', range),
  dict: functionValue('dict', dict),
  namespace: functionValue('namespace', namespace),
  joiner: functionValue('joiner', joiner),
  cycler: functionValue('cycler', cycler),
  raise_exception: functionValue('raise_exception', (args) => {
    const [message] = take('raise_exception', ['message'], args);
    throw new TemplateError(show(message ?? undefinedValue('')));
  }),
};
