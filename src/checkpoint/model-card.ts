/** The README.md beside a checkpoint: what it is, how it was made, and how to use it. */
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { parameterCount } from '../model/parameter-table.ts';

/** Content of a card beyond the model itself. */
export interface CardFacts {
  /** "instruction tuning", "reward model", "PPO". */
  readonly made: string;
  /** Checkpoint it was made from, or the texts where there is none. */
  readonly base: string;
  /** Where data came from: role → path. */
  readonly data: Readonly<Record<string, string>>;
  /** Choices that decide how it behaves: name → value. */
  readonly decisions: Readonly<Record<string, unknown>>;
  /** Measured: name → number. */
  readonly results: Readonly<Record<string, unknown>>;
}

/** The text of a model card, with the YAML head that the Hugging Face Hub reads. */
export function modelCard(dimensions: ModelDimensions, head: HeadKind, dtype: string, facts: CardFacts): string {
  const { family, layers, heads, kvHeads, dModel, context, vocab } = dimensions;
  const kind = head === 'score' ? 'AutoModelForSequenceClassification' : 'AutoModelForCausalLM';
  const table = (rows: Readonly<Record<string, unknown>>): string[] =>
    Object.entries(rows).map(([name, value]) => {
      return `| ${cell(name)} | ${cell(typeof value === 'object' ? JSON.stringify(value) : String(value))} |`;
    });
  const section = (title: string, rows: Readonly<Record<string, unknown>>): string[] =>
    Object.keys(rows).length === 0 ? [] : ['', `## ${title}`, '', '| | |', '|---|---|', ...table(rows)];
  return `${[
    '---',
    'library_name: transformers',
    `pipeline_tag: ${head === 'score' ? 'text-classification' : 'text-generation'}`,
    'tags: [plumbline]',
    '---',
    '',
    `# ${facts.made}`,
    '',
    `Made by plumbline from \`${facts.base}\`: ${family}, ${parameterCount(dimensions, head).toLocaleString('en')} parameters ` +
      `(${layers} layers of width ${dModel}, ${heads} heads, ${kvHeads} for keys and values), context ${context}, ${vocab} tokens, ${dtype}.`,
    '',
    '```python',
    `from transformers import ${kind}, AutoTokenizer`,
    `model = ${kind}.from_pretrained(".")`,
    'tokenizer = AutoTokenizer.from_pretrained(".")',
    '```',
    ...section('Data', facts.data),
    ...section('Decisions', facts.decisions),
    ...section('Results', facts.results),
  ].join('\n')}\n`;
}

/** Text in a cell of a Markdown table: a bar would end the cell, a line break the row. */
function cell(text: string): string {
  return text.replace(/[\\|]/g, '\\$&').replace(/\s*[\r\n]+\s*/g, ' ');
}
