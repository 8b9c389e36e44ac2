/** Templates against jinja2 as transformers sets it up: texts to the letter, and errors where Python has them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTemplate } from '../../src/jinja/template.ts';
import { TemplateError } from '../../src/jinja/template-error.ts';
import { chatTemplate } from '../../src/tokenizer/chat-template.ts';
import { fixture } from '../helpers/fixtures.ts';

interface Golden {
  messages: { role: string; content: string }[];
  special: Record<string, string>;
  /** Template and text; null where Python raises an error. */
  cases: [string, string | null][];
}

const golden = fixture<Golden>('jinja.json');

describe('templates', () => {
  it('of idioms, expressions and statements render to the letter, or are refused where Python refuses them', () => {
    const found = golden.cases.map(([template]) => {
      try {
        return [template, chatTemplate(template, golden.special, 'tiny')(golden.messages, true)];
      } catch (error) {
        if (!(error instanceof Error) || !error.message.includes('chat_template: ')) throw error;
        return [template, null];
      }
    });
    expect(found).toEqual(golden.cases);
  });

  it('say where they are wrong, by line', () => {
    const located = (source: string): string => {
      try {
        return readTemplate(source).render({ x: null });
      } catch (error) {
        return error instanceof TemplateError ? error.located : String(error);
      }
    };
    expect(located('a\n{{ x.y.z }}')).toBe("line 2: 'None' has no attribute 'y'");
    expect(located('a\n\n{% if %}')).toBe('line 3: expected an expression');
    expect(located('{% for a in b %}\n')).toBe('line 1: expected {% endfor %} or {% else %}, received the end');
    expect(located("\n{{ 'a' + 1 }}")).toBe('line 2: can only concatenate str (not "int") to str');
    expect(located('{{ [1] | map("upper") }}')).toContain('a generator is printed');
    expect(located("{{ raise_exception('no') }}")).toBe('line 1: no');
    expect(located('{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}')).toContain('too deep or too large');
    expect(located("{{ 'a' * 10 ** 12 }}")).toContain('too deep or too large');
  });

  it('take a long run of spaces within a text, and within themselves, in their stride', () => {
    // Looked at again from each of its places it would take minutes: the limit of the test is for that.
    const spaces = ' '.repeat(400_000);
    const template = readTemplate(
      `{{ x.strip() | length }}{{ x | trim | length }}{{ x.rstrip() | length }}${spaces}.{%- if 1 %}{% endif %}`,
    );
    expect(template.render({ x: ` a${spaces}b ` })).toBe(`400002400002400003${spaces}.`);
  });

  it('are refused when they are read where they use what is not supported, with every name', () => {
    const source = "{% if false %}{{ 'a' | urlize }}\n{{ x.encode('utf-8') }}{{ lipsum() }}{% endif %}";
    expect(() => readTemplate(source)).toThrow(
      'line 1: the filter urlize is not supported; line 2: the method encode is not supported; ' +
        'line 2: the name lipsum is not supported',
    );
    expect(() => readTemplate("{% include 'x' %}")).toThrow('the tag {% include %} is not supported');
    expect(() => readTemplate('{{ 1 | nosuch }}')).toThrow('there is no filter "nosuch"');
    expect(() => readTemplate('{{ 1 is nosuch }}')).toThrow('there is no test "nosuch"');
    expect(() => readTemplate('{% for a in b %}{% set c %}{% break %}{% endset %}{% endfor %}')).toThrow('{% break %}');
  });

  it('print any JSON value, and write it as JSON, so that it can be read back', () => {
    const json = readTemplate('{{ value | tojson }}');
    const printed = readTemplate('{{ value }}');
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value: unknown = JSON.parse(text);
        expect(JSON.parse(json.render({ value }))).toEqual(value);
        if (typeof value === 'string') expect(printed.render({ value })).toBe(value);
      }),
      { seed: 1 },
    );
  });
});
