/** The rows that instruction tuning reads, in the manifest of its run. */
import type { FileTask } from '../examples/file-tasks.ts';
import type { RunFolder } from './run-folder.ts';

/** Where the rows come from. */
interface DataPaths {
  readonly tables?: string | undefined;
  readonly templates?: string | undefined;
  /** A word, or a file. */
  readonly template: string;
}

/**
 * Records tables and templates, files with their weights, and the length of sequences, which the rows may have decided.
 *
 * @throws CheckpointError where a resumed run began with others
 */
export async function recordData(
  folder: RunFolder,
  data: DataPaths,
  files: readonly FileTask[],
  length: number,
): Promise<void> {
  for (const role of ['tables', 'templates'] as const) {
    const path = data[role];
    if (path !== undefined) await folder.recordInput(role, path);
  }
  if (data.template.endsWith('.jinja')) await folder.recordInput('template', data.template);
  const inputs = files.flatMap((file) => file.inputs);
  for (const path of inputs) await folder.recordInput(inputs.length === 1 ? 'file' : `file ${path}`, path);
  if (files.length === 0) return;
  const weights = files.map(({ weight }) => weight);
  await folder.settle('data.file weight', weights);
  await folder.settle('sequence.length', length);
}
