/** Reads the value of a `key=value` argument: text as it was typed, or YAML where the key takes something else. */

import { isMap, isScalar, isSeq, parseDocument } from 'yaml';

/** Plain scalars of YAML's core schema that are no text. */
const PLAIN =
  /^(true|True|TRUE|false|False|FALSE|[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+|0x[\da-fA-F]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$/;
const NULL = ['', 'null', 'Null', 'NULL', '~'];

/**
 * The value, null for one that takes the key out, or what is wrong with it. Nothing in text is syntax: "#", ": ", "*", "&",
 * "!", "%" and "@" stand for themselves, and "~" of a path is the home folder. Quotes around all of it are left out.
 */
export function readArgumentValue(
  typed: string,
  kind: 'text' | 'path' | 'other',
): { readonly value: unknown } | { readonly problem: string } {
  const trimmed = typed.trim();
  if (NULL.includes(trimmed) && !(kind === 'path' && trimmed === '~')) return { value: null };
  const isQuoted = /^(".*"|'.*')$/s.test(trimmed);
  if (kind !== 'other') return { value: isQuoted ? (unquoted(trimmed) ?? typed) : typed };
  if (/^["'[{]/.test(trimmed)) return readYamlValue(trimmed);
  return { value: PLAIN.test(trimmed) ? (parseDocument(trimmed).toJS() as unknown) : typed };
}

function unquoted(text: string): string | undefined {
  const document = parseDocument(text);
  return document.errors.length === 0 && isScalar(document.contents) && typeof document.contents.value === 'string'
    ? document.contents.value
    : undefined;
}

function readYamlValue(text: string): { readonly value: unknown } | { readonly problem: string } {
  const document = parseDocument(text);
  const { contents, errors } = document;
  if (errors.length > 0) return { problem: 'the value is not valid YAML. Quote it,' };
  const isWhole = isScalar(contents) || isSeq(contents) || isMap(contents);
  const comment = [document.comment, document.commentBefore, contents?.comment].find((found) => found);
  if (!isWhole || comment) return { problem: `what stands after # in the value would be left out. Quote it,` };
  return { value: document.toJS() as unknown };
}
