/** What a file is, by its ending and its first bytes: data in a known format, something to refuse by name, or neither. */

import { DataError } from '../errors.ts';
import { isGzip, isZstd, readStart } from './bytes.ts';

export const formats = ['auto', 'jsonl', 'json', 'csv', 'tsv', 'parquet', 'arrow'] as const;
export type Format = (typeof formats)[number];
/** A format as it is read. */
export type FileFormat = Exclude<Format, 'auto'>;

const formatOfEnding: Readonly<Record<string, FileFormat>> = {
  jsonl: 'jsonl',
  jsonlines: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  parquet: 'parquet',
  arrow: 'arrow',
  arrows: 'arrow',
  feather: 'arrow',
  ipc: 'arrow',
};
const packedEnding = /\.(gz|gzip|zst|zstd)$/i;
/** Endings of a file that is data, but packed in a way that is not read here, or not all there. */
const unreadEnding = /\.(bz2|xz|lzma|lz4?|br|sz|snappy|z|zip|7z|rar|part|partial|incomplete|crdownload|download)$/i;

/** The format indicated by a file extension, "a.jsonl.zst" -> "jsonl"; null for an unknown one. */
export function formatOfName(name: string): FileFormat | null {
  const parts = name.replace(packedEnding, '').split('.');
  return parts.length < 2 ? null : (formatOfEnding[parts.at(-1)?.toLowerCase() ?? ''] ?? null);
}

/** True for the name of a data file that is packed in a way that is not read, or is a download cut short. */
export function isUnreadName(name: string): boolean {
  return unreadEnding.test(name) && formatOfName(name.replace(unreadEnding, '')) !== null;
}

/** A file's name without its endings: "train.jsonl.gz" -> "train". */
export function stemOfName(name: string): string {
  let stem = name.replace(packedEnding, '');
  for (;;) {
    const ending = /\.(\w+)$/.exec(stem)?.[1]?.toLowerCase();
    if (ending === undefined || !(ending in formatOfEnding || ending === 'txt')) return stem;
    stem = stem.slice(0, -ending.length - 1);
  }
}

const packed = 'expected gzip, zstd or plain';
/** First bytes of files that are no data here: what they are, and what to do. */
const refused: readonly (readonly [string, string])[] = [
  ...Array.from(
    '123456789',
    (level) => [`BZh${level}1AY&SY`, `packed by bzip2; ${packed}. Unpack it (bunzip2)`] as const,
  ),
  ['\xfd7zXZ\0', `packed by xz; ${packed}. Unpack it (unxz)`],
  ['\x04"M\x18', `packed by lz4; ${packed}. Unpack it (unlz4)`],
  ['LZIP', `packed by lzip; ${packed}. Unpack it`],
  ['\x1f\x9d', `packed by compress; ${packed}. Unpack it (uncompress)`],
  ['\xff\x06\0\0sNaPpY', `packed by snappy; ${packed}. Unpack it`],
  ['PK\x03\x04', 'a ZIP archive (or a spreadsheet); expected data. Unpack it (or save it as CSV)'],
  ['7z\xbc\xaf', 'a 7z archive; expected data. Unpack it'],
  ['Rar!\x1a', 'a RAR archive; expected data. Unpack it'],
  ['version https://git-lfs', 'a Git LFS pointer, not the data itself. Run git lfs pull'],
  ['SQLite format 3\0', 'an SQLite database; expected data. Export a table as CSV'],
  ['Obj\x01', 'an Avro file; expected data. Save it as Parquet'],
  ['\x89HDF', 'an HDF5 file; expected data. Save it as Parquet'],
  ['\x93NUMPY', 'a NumPy file; expected data. Save it as CSV or Parquet'],
  ['%PDF-', 'a PDF; expected data. Extract its text'],
];
const tarMark = { at: 257, text: 'ustar' };

function refusal(start: string): string | undefined {
  const known = refused.find(([magic]) => start.startsWith(magic));
  if (known !== undefined) return known[1];
  if (start.startsWith(tarMark.text, tarMark.at)) return 'a tar archive; expected data. Unpack it';
  return /^\s*<(!doctype html|html)/i.test(start) ? 'a web page; expected data. Fetch the file itself' : undefined;
}

/**
 * The format of a file: the one that is asked for, or by its first bytes and its ending.
 *
 * @throws DataError where neither tells, and where it is packed or written in a way that is not read here
 */
export function detectFormat(path: string, asked: Format = 'auto'): FileFormat {
  const magic = readStart(path, tarMark.at + tarMark.text.length).toString('latin1');
  const problem = refusal(magic);
  if (problem !== undefined) throw new DataError(`${path}: ${problem}.`);
  const format = asked === 'auto' ? (formatOfMagic(magic) ?? formatOfName(path)) : asked;
  if (format === null) {
    const known = formats.slice(1).join(', ');
    throw new DataError(
      `${path}: its ending names no format; expected one of ${known} as ending, or as input.format of npm run import.`,
    );
  }
  const isPacked = isGzip(magic) || isZstd(magic);
  if (isPacked && (format === 'parquet' || format === 'arrow')) {
    throw new DataError(`${path}: a packed ${format} file; it is read here and there, not from end to end. Unpack it.`);
  }
  return format;
}

function formatOfMagic(magic: string): FileFormat | null {
  if (magic.startsWith('PAR1')) return 'parquet';
  return magic.startsWith('ARROW1') || magic.startsWith('\xff\xff\xff\xff') ? 'arrow' : null;
}
