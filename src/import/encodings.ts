/** Encodings of text: code pages, and encodings of several bytes. What has no meaning in one is found, never guessed. */

import { isUtf8 } from 'node:buffer';

const codePages = [
  'latin-1',
  'windows-1250',
  'windows-1251',
  'windows-1252',
  'windows-1253',
  'windows-1254',
  'windows-1255',
  'windows-1256',
  'windows-1257',
  'windows-1258',
  'windows-874',
  'iso-8859-2',
  'iso-8859-3',
  'iso-8859-4',
  'iso-8859-5',
  'iso-8859-6',
  'iso-8859-7',
  'iso-8859-8',
  'iso-8859-10',
  'iso-8859-13',
  'iso-8859-14',
  'iso-8859-15',
  'koi8-r',
  'koi8-u',
  'ibm866',
  'macintosh',
] as const;
/** Of several bytes a sign; a byte below 0x40 is always the sign that it is in ASCII, so lines can be cut before decoding. */
const multiByte = ['shift_jis', 'euc-jp', 'iso-2022-jp', 'gbk', 'gb18030', 'big5', 'euc-kr'] as const;
const wide = ['utf-16le', 'utf-16be'] as const;

/** How text is stored. */
export const encodings = ['utf-8', ...wide, ...codePages, ...multiByte] as const;
export type Encoding = (typeof encodings)[number];
export type WideEncoding = (typeof wide)[number];

/** True for UTF-16. */
export const isWide = (encoding: Encoding): encoding is WideEncoding => wide.some((name) => name === encoding);
/** True for an encoding of one byte a sign. */
export const isCodePage = (encoding: Encoding): boolean => codePages.some((name) => name === encoding);

/** Bytes that have no meaning. */
export interface Fault {
  /** Where, from 0 on. */
  at: number;
  /** What, and what was expected. */
  problem: string;
}

/**
 * Bytes as text. They begin and end with a sign, as lines do in every encoding but UTF-16.
 *
 * decodeExact(<93>, 'windows-1252')  ->  '“';  decodeExact(<93>, 'latin-1')  ->  a fault at 0: a control character
 */
export function decodeExact(bytes: Buffer, encoding: Encoding): string | Fault {
  if (encoding === 'utf-8') {
    if (isUtf8(bytes)) return bytes.toString('utf8');
    const at = firstInvalid(bytes, 'utf-8');
    return { at, problem: `${hex(bytes[at])} is not UTF-8; expected it, or another encoding, perhaps windows-1252` };
  }
  if (isCodePage(encoding)) return decodePage(bytes, encoding);
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  try {
    const text = decoder.decode(bytes);
    if (!controls.test(text)) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  const at = firstInvalid(bytes, encoding);
  return { at, problem: `${hex(bytes[at])} has no meaning in ${encoding}; expected another encoding` };
}

/** Bytes as text, with U+FFFD for what has no meaning. */
export function decodeLossy(bytes: Buffer, encoding: Encoding): string {
  if (!isCodePage(encoding)) {
    const text = new TextDecoder(encoding, { ignoreBOM: true }).decode(bytes);
    return encoding === 'utf-8' ? text : text.replace(allControls, '\ufffd');
  }
  const table = pageTable(encoding);
  return bytes.toString('latin1').replace(/[\u0080-\u00ff]/g, (sign) => table[sign.charCodeAt(0) - 128] ?? '\ufffd');
}

const hex = (byte = 0): string => `byte 0x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
/** What code pages leave to control characters: nothing that a text holds. */
const controls = /[\u0080-\u009f\ufffd]/;
const allControls = /[\u0080-\u009f]/g;

function decodePage(bytes: Buffer, encoding: Encoding): string | Fault {
  const table = pageTable(encoding);
  const at = bytes.findIndex((byte) => byte > 127 && table[byte - 128] === undefined);
  if (at === -1) return decodeLossy(bytes, encoding);
  const byte = hex(bytes[at]);
  const problem =
    encoding === 'latin-1' ? `${byte} is a control character in latin-1` : `${byte} has no meaning in ${encoding}`;
  const remedy = encoding === 'latin-1' ? 'encoding: windows-1252' : 'another encoding';
  return { at, problem: `${problem}; expected ${remedy}` };
}

// Node 20 decodes windows-1252 as latin-1. @see https://encoding.spec.whatwg.org/index-windows-1252.txt
const windows1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';
const tables = new Map<Encoding, readonly (string | undefined)[]>();

/** Bytes that Node gives a sign though their code page has none. */
function isUnassigned(encoding: Encoding, byte: number): boolean {
  if (encoding === 'windows-874') return (byte >= 0xdb && byte <= 0xde) || byte >= 0xfc;
  return encoding === 'windows-1253' && byte === 0xaa;
}

/** The signs of bytes 128 to 255 in a code page; undefined where there is none. */
function pageTable(encoding: Encoding): readonly (string | undefined)[] {
  const known = tables.get(encoding);
  if (known !== undefined) return known;
  const decoder = new TextDecoder(encoding === 'latin-1' ? 'windows-1252' : encoding);
  const table = Array.from({ length: 128 }, (_, i) => {
    const byte = 128 + i;
    if (byte < 0xa0 && encoding === 'windows-1252') return windows1252[i] === ' ' ? undefined : windows1252[i];
    if (byte < 0xa0 && encoding === 'latin-1') return undefined;
    const sign = decoder.decode(Uint8Array.of(byte));
    return controls.test(sign) || isUnassigned(encoding, byte) ? undefined : sign;
  });
  tables.set(encoding, table);
  return table;
}

/** The position of the first byte at which a decoder fails or yields a control character. */
function firstInvalid(bytes: Buffer, encoding: Encoding): number {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  let start = 0;
  for (let at = 0; at < bytes.length; at++) {
    try {
      const text = decoder.decode(bytes.subarray(at, at + 1), { stream: true });
      if (encoding !== 'utf-8' && controls.test(text)) return start;
      if (text !== '') start = at + 1;
    } catch {
      return start;
    }
  }
  return start;
}
