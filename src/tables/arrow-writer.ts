/** Tables written row by row: an Arrow IPC file of any length in constant memory, whole or not at all. */
import { AsyncByteQueue, RecordBatchFileWriter } from 'apache-arrow';
import { DataError } from '../errors.ts';
import { openAtomicFile } from '../files/atomic-file.ts';
import { arrowBatch, arrowSchema, batchRows, rowProblems, type TableMetadata } from './arrow-batch.ts';
import type { Columns, Row } from './columns.ts';

/** A table that is being written. */
export interface TableWriter<R> {
  /**
   * Adds a row; every thousandth call writes a record batch.
   * @throws DataError where a value does not fit its column. Discard the table then.
   */
  append(row: R): void;
  /** Writes what is left and gives the file its name; `facts` are added to the table's metadata. */
  close(facts?: TableMetadata): Promise<void>;
  /** Removes what was written, so that the path keeps its old content; does nothing after `close`. */
  discard(): void;
}

/** Arrow's writer puts its bytes here; they go to the file at once instead of into a queue. */
class FileSink extends AsyncByteQueue {
  readonly #write: (bytes: Uint8Array) => void;
  constructor(write: (bytes: Uint8Array) => void) {
    super();
    this.#write = write;
  }
  override write(value: Uint8Array): void {
    this.#write(value);
  }
}

/**
 * Opens an `.arrow` file to be written row by row.
 *
 *   const table = await openTableWriter('pairs.arrow', columns);
 *   try { for (…) table.append(row); await table.close(); } finally { table.discard(); }
 *
 * @throws UserError where the file cannot be written
 */
export async function openTableWriter<C extends Columns>(
  path: string,
  columns: C,
  metadata: TableMetadata = {},
): Promise<TableWriter<Row<C>>> {
  const file = await openAtomicFile(path);
  const schema = arrowSchema(columns, metadata);
  // Without autoDestroy the writer keeps its schema to the end, so an empty table has one too.
  const writer = new RecordBatchFileWriter({ autoDestroy: false });
  let rows: Row<C>[] = [];
  let count = 0;
  const flush = (): void => {
    writer.write(arrowBatch(schema, columns, rows));
    rows = [];
  };
  try {
    writer.reset(new FileSink(file.write), schema);
  } catch (error) {
    file.discard();
    throw error;
  }
  return {
    append: (row) => {
      const problems = rowProblems(path, columns, row, count);
      if (problems.length > 0) throw new DataError(problems);
      rows.push(row);
      count++;
      if (rows.length === batchRows) flush();
    },
    close: async (facts = {}) => {
      if (rows.length > 0 || count === 0) flush();
      // Readers of the file format take the schema from the footer, which is encoded last.
      for (const [key, value] of Object.entries(facts)) schema.metadata.set(key, value);
      writer.reset(undefined, null);
      await file.commit();
    },
    discard: file.discard,
  };
}
