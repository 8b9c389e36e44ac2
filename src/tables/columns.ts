/** Describing a table: the name, type and meaning of every column. Knows nothing of Arrow's memory. */

/** The column types in use. Strings are plain Utf8, never dictionaries; token columns are list<int32>. */
export type ColumnKind =
  | 'utf8'
  | 'int32'
  | 'float32'
  | 'float64'
  | 'bool'
  | 'list<int32>'
  | 'list<float32>'
  | 'list<utf8>'
  | 'list<struct>';

/** One column. `value` is never set: it carries the value's type for the type checker. */
export interface Column<Value> {
  readonly kind: ColumnKind;
  readonly description: string;
  readonly nullable: boolean;
  /** The fields of a list of structs: columns of scalars. */
  readonly fields?: Columns;
  readonly value?: Value;
}

/** The columns of a table by name, in order. */
export type Columns = Readonly<Record<string, Column<unknown>>>;

/** The row type that columns describe. */
export type Row<C extends Columns> = { [Name in keyof C]: C[Name] extends Column<infer Value> ? Value : never };

function column<Value>(kind: ColumnKind, description: string): Column<Value> {
  return { kind, description, nullable: false };
}

/** A string column. */
export const utf8 = (description: string): Column<string> => column('utf8', description);
/** A whole-number column. */
export const int32 = (description: string): Column<number> => column('int32', description);
/** A column of numbers with 24 bits of precision. */
export const float32 = (description: string): Column<number> => column('float32', description);
/** A column of numbers with 53 bits of precision. */
export const float64 = (description: string): Column<number> => column('float64', description);
/** A column of true and false. */
export const bool = (description: string): Column<boolean> => column('bool', description);
/** A column of whole-number lists: token ids and masks. Values read back are views into the file's memory. */
export const int32List = (description: string): Column<Int32Array> => column('list<int32>', description);
/** A column of lists of 24-bit numbers. Values read back are views into the file's memory. */
export const float32List = (description: string): Column<Float32Array> => column('list<float32>', description);
/** A column of string lists. */
export const utf8List = (description: string): Column<readonly string[]> => column('list<utf8>', description);

/** A column of lists of rows with fields of their own, such as the messages of a conversation. */
export function structList<Fields extends Columns>(
  description: string,
  fields: Fields,
): Column<readonly Row<Fields>[]> {
  return { kind: 'list<struct>', description, nullable: false, fields };
}

/** The same column, where a value may be missing (null). For scalars only: a list with nothing in it is empty. */
export function nullable<Value extends number | string | boolean>(scalar: Column<Value>): Column<Value | null> {
  return { kind: scalar.kind, description: scalar.description, nullable: true };
}

/** The kind of a list's items, or null for scalar columns. */
export function itemKind(kind: ColumnKind): 'int32' | 'float32' | 'utf8' | 'struct' | null {
  switch (kind) {
    case 'list<int32>':
      return 'int32';
    case 'list<float32>':
      return 'float32';
    case 'list<utf8>':
      return 'utf8';
    case 'list<struct>':
      return 'struct';
    default:
      return null;
  }
}

const dtypes = { utf8: 'string', int32: 'int32', float32: 'float32', float64: 'float64', bool: 'bool' } as const;

/**
 * Schema metadata that the `datasets` library reads: {"info": {"features": …}}.
 * Lists are spelt the older way ("Sequence", length −1), which every version loads; "List" fails before 4.0.
 */
export function huggingFaceFeatures(columns: Columns): string {
  return JSON.stringify({ info: { features: featuresOf(columns) } });
}

function featuresOf(columns: Columns): Record<string, unknown> {
  const features = Object.entries(columns).map(([name, { kind, fields }]) => {
    // A list of structs is a list of one in every version; "Sequence" of them would be a struct of lists.
    if (fields !== undefined) return [name, [featuresOf(fields)]];
    const item = itemKind(kind);
    const value = { dtype: dtypes[(item ?? kind) as keyof typeof dtypes], _type: 'Value' };
    return [name, item === null ? value : { feature: value, length: -1, _type: 'Sequence' }];
  });
  return Object.fromEntries(features);
}

/** What is wrong with a value for a column ("expected …, received …"), or null. */
export function checkValue({ kind, nullable, fields }: Column<unknown>, value: unknown): string | null {
  if (value === null && nullable) return null;
  const item = itemKind(kind);
  const expected = `expected ${kind}${nullable ? ' or null' : ''}, received `;
  if (item === null) return isScalar(kind, value) ? null : expected + show(value);
  if (value instanceof Int32Array || value instanceof Float32Array) {
    const fits = item === 'float32' || (item === 'int32' && value instanceof Int32Array);
    return fits ? null : `${expected}a ${value.constructor.name}`;
  }
  if (!Array.isArray(value)) return expected + show(value);
  if (fields !== undefined)
    return value.map((entry) => checkStruct(fields, entry)).find((problem) => problem !== null) ?? null;
  const bad = value.findIndex((entry) => !isScalar(item, entry));
  return bad === -1 ? null : `${expected}a list with ${show(value[bad])}`;
}

function checkStruct(fields: Columns, value: unknown): string | null {
  if (typeof value !== 'object' || value === null)
    return `expected a list of structs, received one with ${show(value)}`;
  for (const [name, column] of Object.entries(fields)) {
    const problem = checkValue(column, (value as Readonly<Record<string, unknown>>)[name]);
    if (problem !== null) return `field "${name}" of an entry: ${problem}`;
  }
  return null;
}

function isScalar(kind: string, value: unknown): boolean {
  if (kind === 'utf8') return typeof value === 'string';
  if (kind === 'bool') return typeof value === 'boolean';
  return typeof value === 'number' && (kind !== 'int32' || (value | 0) === value);
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
