/**
 * Measures the way of data on one core: import of JSONL, rendering and tokenizing, and reading a batch back at random.
 *
 *   Run   node --import tsx scripts/bench/data.ts [--megabytes 50]
 */
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { planInstruct, prepareInstruct } from '../../src/examples/instruct-dataset.ts';
import { openPacked } from '../../src/examples/tokenized-packed.ts';
import { seededRandom } from '../../src/random.ts';
import { formatTable } from '../../src/report/table.ts';
import { runMain } from '../../src/run/program.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { ImportConfig } from '../import.config.ts';
import { runImport } from '../import.ts';

const template = `dataset: notes
cluster: notes
description: Which kind of text this is.
columns: [text, kind]
answer: {column: kind}
metric: exact_match
templates:
  - {id: plain, split: train, input: "{text}\\nWhat kind of text is this?", target: "{kind}"}
  - {id: first, split: train, input: "Name the kind of this text.\\n{text}", target: "{kind}"}
`;

/** Texts of the valley with a number each, so that no two lines are equal; about `megabytes` of JSONL. */
function writeLines(path: string, megabytes: number): number {
  const documents = readFileSync('data/corpus/corpus.jsonl', 'utf8').trim().split('\n');
  const parsed = documents.map((line) => JSON.parse(line) as { kind: string; text: string });
  const file = openSync(path, 'w');
  let rows = 0;
  for (let bytes = 0; bytes < megabytes * 1e6; rows++) {
    const { kind, text } = parsed[rows % parsed.length] as { kind: string; text: string };
    const line = `${JSON.stringify({ kind, text: `${rows}. ${text}` })}\n`;
    writeSync(file, line);
    bytes += line.length;
  }
  return rows;
}

async function timed<T>(work: () => Promise<T> | T): Promise<{ result: T; seconds: number }> {
  const began = performance.now();
  const result = await work();
  return { result, seconds: (performance.now() - began) / 1000 };
}

/** Imports generated lines into `<folder>/notes.arrow`. */
function importLines(folder: string, lines: string): ReturnType<typeof runImport> {
  const settings = {
    input: { path: lines },
    shape: 'task' as const,
    columns: { text: 'text', kind: 'kind' },
    split: { name: 'train' },
    provenance: { source: 'generated', licence: 'none' },
    output: join(folder, 'notes.arrow'),
  };
  return runImport(checkConfig(ImportConfig, settings, 'bench'));
}

/** Renders and tokenizes up to 100,000 of the imported rows, as stage 1 does. */
function prepare(folder: string, rows: number, tokenizer: Tokenizer): ReturnType<typeof prepareInstruct> {
  mkdirSync(join(folder, 'templates'));
  writeFileSync(join(folder, 'templates', 'notes.yaml'), template);
  const settings = {
    run: { folder },
    model: 'data/base',
    data: { tables: folder, templates: join(folder, 'templates'), cache: join(folder, 'cache') },
    mixture: { examples: Math.min(rows, 100_000) },
  };
  const config = checkConfig(InstructConfig, settings, 'bench');
  const fit = { maxLength: 256, overlong: 'drop', learn: 'all' } as const;
  return prepareInstruct(config, planInstruct(config), tokenizer, { cache: config.data.cache, seed: 1, fit });
}

/** Reads 500 batches of 16 packed rows in random order; milliseconds a batch. */
function readBatches(path: string, tokenizer: Tokenizer): number {
  const data = openPacked(path, tokenizer, 256, 16);
  const random = seededRandom(1, 'bench data');
  const batches = 500;
  const began = performance.now();
  for (let i = 0; i < batches; i++) data.take(Array.from({ length: 16 }, () => random.integer(data.units)));
  data.close();
  return (performance.now() - began) / batches;
}

await runMain(import.meta.url, async (argv) => {
  const { values } = parseArgs({ args: [...argv], options: { megabytes: { type: 'string', default: '50' } } });
  const folder = mkdtempSync(join(tmpdir(), 'bench-data-'));
  try {
    const lines = join(folder, 'notes.jsonl');
    const rows = writeLines(lines, Number(values.megabytes));
    const imported = await timed(() => importLines(folder, lines));
    rmSync(lines);
    const tokenizer = loadTokenizer('data/base');
    const { result, seconds } = await timed(() => prepare(folder, rows, tokenizer));
    const { tokens, examples } = result.statistics;
    const batch = readBatches(join(result.path, 'instruct.arrow'), tokenizer);
    const size = Math.round(statSync(join(folder, 'notes.arrow')).size / 1e6);
    const megabytesPerSecond = (Number(values.megabytes) / imported.seconds).toFixed(0);
    const together = Math.round(tokens / (seconds + (imported.seconds * examples) / rows));
    const table = [
      ['import', `${rows} rows, ${values.megabytes} MB of JSONL`, `${megabytesPerSecond} MB/s`],
      ['render + tokenize', `${examples} examples, ${tokens} tokens`, `${Math.round(tokens / seconds)} tokens/s`],
      ['import + render + tokenize', 'the same rows', `${together} tokens/s`],
      ['random batch of 16 × 256', `from ${examples} examples on disk`, `${batch.toFixed(2)} ms`],
      ['peak memory of the process', `table of ${size} MB`, `${Math.round(process.resourceUsage().maxRSS / 1024)} MB`],
    ];
    for (const line of formatTable(['measure', 'of', 'result'], table)) console.log(line);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
