/** Rows as Arrow record batches: the schema of a table and the memory of a few of its rows. */
import { RecordBatch, Schema, Struct } from 'apache-arrow';
import { arrowFields, encodeStructs } from './arrow-columns.ts';
import { type Columns, checkValue, huggingFaceFeatures, type Row } from './columns.ts';

/** Facts about a whole table, stored in its schema: tokenizer hash, counts, how it was made. */
export type TableMetadata = Readonly<Record<string, string>>;

// Readers load one record batch at a time; a thousand rows of a few hundred tokens are about a megabyte.
export const batchRows = 1000;

/** The Arrow schema of columns, with their descriptions, the `datasets` library's features and the given metadata. */
export function arrowSchema(columns: Columns, metadata: TableMetadata): Schema {
  return new Schema(
    arrowFields(columns),
    new Map([['huggingface', huggingFaceFeatures(columns)], ...Object.entries(metadata)]),
  );
}

/** One record batch of rows that `rowProblems` let through. */
export function arrowBatch<C extends Columns>(schema: Schema, columns: C, rows: readonly Row<C>[]): RecordBatch {
  return new RecordBatch(schema, encodeStructs(columns, new Struct(schema.fields), rows));
}

/** What does not fit its column in one row, for people; empty where all is well. */
export function rowProblems<C extends Columns>(where: string, columns: C, row: Row<C>, index: number): string[] {
  return Object.entries(columns).flatMap(([name, column]) => {
    const problem = checkValue(column, row[name]);
    return problem === null ? [] : [`${where}: row ${index}, column "${name}": ${problem}. Not written.`];
  });
}
