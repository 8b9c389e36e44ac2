/** Reads a YAML file into plain data that remembers where each value stands; knows nothing of schemas. */

import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml';
import { ConfigError, errorMessage, hasCode, UserError } from '../errors.ts';
import { readText } from '../files/text-file.ts';

/** Plain data with the position of every part of it. */
export interface Source {
  readonly data: unknown;
  /** "file:line:column" of the value at a path, or of the nearest section above it that is written down. */
  locate(path: readonly PropertyKey[]): string;
  /** "file:line:column" of the key itself; as `locate` where it is not written down. */
  locateKey(path: readonly PropertyKey[]): string;
}

/**
 * Reads and parses one YAML file (an empty file is an empty map).
 * @throws ConfigError for a missing or unreadable file, every YAML mistake at once, or a file that is not a map
 */
export function readYaml(file: string): Source {
  let text: string;
  try {
    text = readText(file);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      throw new ConfigError(`${file}: there is no such file. Name an existing configuration, e.g. one under configs/.`);
    }
    if (error instanceof UserError) throw new ConfigError(error.problems, { cause: error });
    throw new ConfigError(`${file}: cannot be read (${errorMessage(error)}). Name a readable YAML file.`, {
      cause: error,
    });
  }
  return parseYaml(text, file);
}

/** As `readYaml`, from text; `file` is only the name used in messages. */
export function parseYaml(text: string, file: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => `${at(error.pos[0])} ${yamlMistake(error.code, error.message)}`),
    );
  }
  if (document.contents !== null && !isMap(document.contents)) {
    const isEmpty = isScalar(document.contents) && document.contents.value === null;
    if (!isEmpty) {
      throw new ConfigError(`${file}:1:1 expected keys and values at the top level ("run:", "optimizer:", …).`);
    }
  }
  const locate = (path: readonly PropertyKey[]): string => {
    const node = document.getIn(path, true);
    if (isNode(node) && node.range) return at(node.range[0]);
    return path.length === 0 ? `${file}:1:1` : locateKey(path);
  };
  const locateKey = (path: readonly PropertyKey[]): string => {
    if (path.length === 0) return `${file}:1:1`;
    const offset = keyOffset(document, path);
    return offset === undefined ? locateKey(path.slice(0, -1)) : at(offset);
  };
  return { data: document.toJS() ?? {}, locate, locateKey };
}

function keyOffset(document: Document.Parsed, path: readonly PropertyKey[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const key = String(path.at(-1));
  const pair = parent.items.find(
    (item) => isPair(item) && String(isScalar(item.key) ? item.key.value : item.key) === key,
  );
  return isNode(pair?.key) && pair.key.range ? pair.key.range[0] : undefined;
}

function yamlMistake(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this key stands twice in its section. Keep one of them.';
  if (code === 'TAB_AS_INDENT') return 'a tab is used for indentation. Use spaces.';
  return `is not valid YAML: ${message.trim().replace(/\.$/, '')}.`;
}
