/**
 * Exports Arrow files as a folder for `datasets.load_from_disk` in Python: one file as a Dataset, several as a
 * DatasetDict whose splits are named after the files.
 *
 *   Run     node --import tsx scripts/export-dataset.ts data/runs/tiny/preferences/{train,held-out}.arrow data/build/preferences
 *   Reads   Arrow files in `file` or stream format
 *   Writes  the folder, whole or not at all: stream-format shards, state.json and dataset_info.json
 */
import { readdirSync, renameSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DataError, hasCode, UserError } from '../src/errors.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { hashFile } from '../src/files/hash.ts';
import { copyShards } from '../src/import/arrow-shards.ts';
import { runMain } from '../src/run/program.ts';

/** One dataset of an exported folder. */
export interface ExportedSplit {
  name: string;
  rows: number;
  shards: number;
}

// What `datasets` itself writes at most into one file.
const defaultShardBytes = 500e6;

/**
 * Writes a folder that `datasets.load_from_disk` opens; an earlier export at the same place is replaced. Record batches
 * are copied as they are, one at a time, so files of any length take little memory.
 *
 *   await exportDataset(['run/preferences/train.arrow', 'run/preferences/held-out.arrow'], 'exported');
 *
 * The layout is that of huggingface/datasets, src/datasets/arrow_dataset.py, `save_to_disk`.
 *
 * @param shardBytes a new shard is begun once one holds this much
 * @throws DataError where a file is missing or damaged, two files would be the same split, or the folder holds something else
 */
export async function exportDataset(
  files: readonly string[],
  folder: string,
  shardBytes: number = defaultShardBytes,
): Promise<ExportedSplit[]> {
  const splits = files.map((path) => ({ path, name: splitName(path) }));
  const problems = [...splits.flatMap(({ path }) => fileProblems(path)), ...repeatedNames(splits)];
  problems.push(...folderProblems(folder));
  if (problems.length > 0) throw new DataError(problems);
  return atomicFolder(folder, async (temporary) => {
    const [only] = splits;
    if (splits.length === 1 && only !== undefined) {
      return [await writeDataset(only.path, temporary, only.name, null, shardBytes)];
    }
    const written: ExportedSplit[] = [];
    for (const { path, name } of splits) {
      await mkdir(join(temporary, name));
      written.push(await writeDataset(path, join(temporary, name), name, name, shardBytes));
    }
    await writeJson(join(temporary, 'dataset_dict.json'), { splits: splits.map(({ name }) => name) });
    return written;
  });
}

/** `datasets` allows letters, digits, _ and . in the name of a split. */
function splitName(path: string): string {
  return basename(path, '.arrow').replace(/[^A-Za-z0-9_.]/g, '_');
}

function fileProblems(path: string): string[] {
  try {
    if (statSync(path).isFile()) return [];
    return [`${path}: not a file; expected an Arrow file. Name the .arrow file in it.`];
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [`${path}: the file is missing; expected an Arrow file. Correct the path.`];
    throw error;
  }
}

function repeatedNames(splits: readonly { path: string; name: string }[]): string[] {
  return splits.flatMap(({ path, name }, index) => {
    const first = splits.slice(0, index).find((earlier) => earlier.name === name);
    if (first === undefined) return [];
    return [`${path}: split "${name}" is taken by ${first.path}; expected another file name. Rename one of them.`];
  });
}

/** An export replaces the folder, so it must not hold anything else. */
function folderProblems(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    if (hasCode(error, 'ENOTDIR')) return [`${folder}: a file; expected a folder to write. Choose another name.`];
    throw error;
  }
  if (names.length === 0 || names.includes('state.json') || names.includes('dataset_dict.json')) return [];
  return [
    `${folder}: holds other files; expected a new folder or an earlier export, received ${names.length} entries. ` +
      'Choose another folder.',
  ];
}

/** Shards, state.json and dataset_info.json of one dataset. */
async function writeDataset(
  path: string,
  folder: string,
  name: string,
  split: string | null,
  shardBytes: number,
): Promise<ExportedSplit> {
  const { metadata, rows, shards } = copyShards(path, folder, shardBytes);
  const names = Array.from({ length: shards }, (_, index) => {
    const final = `data-${fiveDigits(index)}-of-${fiveDigits(shards)}.arrow`;
    renameSync(join(folder, `shard-${index}`), join(folder, final));
    return final;
  });
  const fingerprint = (await hashFile(path)).slice('sha256:'.length, 'sha256:'.length + 16);
  // All seven keys are required by the reader.
  await writeJson(join(folder, 'state.json'), {
    _data_files: names.map((filename) => ({ filename })),
    _fingerprint: fingerprint,
    _format_columns: null,
    _format_kwargs: {},
    _format_type: null,
    _output_all_columns: false,
    _split: split,
  });
  const features = featuresOf(path, metadata.get('huggingface'));
  await writeJson(join(folder, 'dataset_info.json'), {
    citation: '',
    description: '',
    ...(features === undefined ? {} : { features }),
    homepage: '',
    license: '',
  });
  return { name, rows, shards };
}

const fiveDigits = (count: number): string => String(count).padStart(5, '0');

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, null, 2)}\n`);

/** The columns as `datasets` knows them; without them it takes them from the Arrow schema. */
function featuresOf(path: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as { info?: { features?: unknown } }).info?.features;
  } catch (error) {
    throw new DataError(
      `${path}: its metadata "huggingface" is not JSON; expected {"info": {"features": …}}. Write the file again.`,
      { cause: error },
    );
  }
}

/** Files and folder from the command line. @throws UserError where there are fewer than two arguments */
export function exportArguments(argv: readonly string[]): { files: string[]; folder: string } {
  const folder = argv.at(-1);
  if (folder === undefined || argv.length < 2) {
    throw new UserError(
      `export-dataset: expected Arrow files and a folder, received ${argv.length} arguments. ` +
        'Run node --import tsx scripts/export-dataset.ts file.arrow… folder.',
    );
  }
  return { files: argv.slice(0, -1), folder };
}

await runMain(import.meta.url, async (argv) => {
  const { files, folder } = exportArguments(argv);
  for (const { name, rows, shards } of await exportDataset(files, folder)) {
    console.log(`${name}: ${rows} rows in ${shards} ${shards === 1 ? 'file' : 'files'}`);
  }
  console.log(`wrote ${folder}; in Python: datasets.load_from_disk("${folder}")`);
});
