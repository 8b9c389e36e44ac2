/** Trains the byte-level BPE tokenizer of the base model on the corpus and the rendered training tasks. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DataError, errorMessage, UserError } from '../src/errors.ts';
import { readCorpus } from '../src/examples/corpus.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { messagesText } from '../src/message.ts';
import { rowsOf, type Task } from '../src/tasks/task.ts';
import { loadTasks } from '../src/tasks/tasks.ts';
import { renderTemplate } from '../src/tasks/template.ts';
import { trainBpe } from '../src/tokenizer/bpe-training.ts';
import { createTokenizer } from '../src/tokenizer/tokenizer.ts';
import { tokenizerFiles } from '../src/tokenizer/tokenizer-files.ts';

export interface TrainTokenizerOptions {
  corpus: string;
  tables: string;
  templates: string;
  out: string;
  vocabSize: number;
  contextLength: number;
  /** Leave the tasks out and learn from the corpus alone. */
  corpusOnly?: boolean;
  /** Replace the tokenizer of a folder that holds a model. */
  force: boolean;
}

/**
 * Trains a tokenizer and writes its two files.
 *
 * @returns a line on what was made
 * @throws DataError when data are missing or wrong, or the folder holds a model and `force` is off
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<string> {
  const { out, vocabSize, contextLength } = options;
  if (!options.force && existsSync(join(out, 'model.safetensors'))) {
    throw new DataError(
      `${out}: holds a model that was trained with its tokenizer; another one would make it useless. ` +
        'Choose another --out, or pass --force and pre-train again.',
    );
  }
  const documents = readCorpus(options.corpus).map(({ text }) => text);
  const tasks = options.corpusOnly === true ? [] : loadTasks(options.tables, options.templates);
  const examples = tasks.flatMap(renderTask);
  const files = tokenizerFiles(trainBpe([...documents, ...examples], vocabSize), contextLength);
  const tokenizer = createTokenizer(files, out);
  for (const [name, text] of Object.entries(files)) await atomicWrite(join(out, name), text);
  const sample = documents.slice(0, 500).join('\n');
  const wordsPerToken = (sample.match(/\S+/g)?.length ?? 0) / tokenizer.encode(sample).length;
  return (
    `${out}: ${tokenizer.vocabSize} tokens from ${documents.length} documents and ${examples.length} examples; ` +
    `${wordsPerToken.toFixed(2)} words per token; ${tokenizer.hash}`
  );
}

/** Every training row once, templates in turn, as the texts that will be encoded. */
function renderTask(task: Task): string[] {
  const templates = task.templates.templates.filter((template) => template.split === 'train');
  return rowsOf(task, 'train').flatMap((row, i) => {
    const template = templates[i % templates.length];
    if (template === undefined) return [];
    const { messages, target } = renderTemplate(task.templates, template, row);
    return [`${messagesText(messages)}\n`, ...(target === null ? [] : [target])];
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      corpus: { type: 'string', default: 'data/corpus/corpus.jsonl' },
      tables: { type: 'string', default: 'data/seed' },
      templates: { type: 'string', default: 'data/templates' },
      out: { type: 'string', default: 'data/base' },
      vocab: { type: 'string', default: '1536' },
      context: { type: 'string', default: '256' },
      'corpus-only': { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
    },
  });
  const { vocab, context, 'corpus-only': corpusOnly, ...rest } = values;
  console.log(await trainTokenizer({ ...rest, corpusOnly, vocabSize: Number(vocab), contextLength: Number(context) }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(errorMessage(error));
    process.exitCode = 1;
  }
}
