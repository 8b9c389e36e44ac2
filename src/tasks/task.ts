/** A task: a dataset's rows with its templates. */
import type { TaskRow } from './task-rows.ts';
import type { TemplateFile } from './template-file.ts';

/** A dataset with its templates. */
export interface Task {
  readonly name: string;
  readonly cluster: string;
  readonly description: string;
  readonly metric: TemplateFile['metric'];
  /** Path of the rows. */
  readonly path: string;
  readonly templates: TemplateFile;
  readonly rows: readonly TaskRow[];
}

/** The rows of one split. */
export function rowsOf(task: Task, split: string): TaskRow[] {
  return task.rows.filter((row) => row.split === split);
}
