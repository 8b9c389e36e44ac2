/** The words of the valley, which the gold scorer knows. */

import { DataError, errorMessage, hasCode } from '../../errors.ts';
import { readText } from '../../files/text-file.ts';

/** The words of the world, what texts can name by kind, and the forms of a word: "hats" → hat, hats; "took" → take, took, taken. */
export interface Lexicon {
  readonly words: ReadonlySet<string>;
  readonly kinds: Readonly<Record<string, readonly string[]>>;
  readonly forms: ReadonlyMap<string, readonly string[]>;
}

/** Whether a value of JSON is a list of texts. */
export function isListOfStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/**
 * Reads lexicon.json.
 * @throws DataError when there is no such file, or as `parseLexicon`
 */
export function readLexicon(path: string): Lexicon {
  try {
    return parseLexicon(readText(path), path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new DataError(
      `${path}: there is no such file; expected the words of the world. Run node --import tsx scripts/build-seed.ts.`,
    );
  }
}

/**
 * Reads the text of data/seed/lexicon.json.
 * @param where path of the file, for errors
 * @throws DataError when it is not {"words": [...], "kinds": {"town": [...], ...}, "forms": [[...], ...]}
 */
export function parseLexicon(text: string, where: string): Lexicon {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(`${where}: not JSON (${errorMessage(error)}). Run node --import tsx scripts/build-seed.ts.`, {
      cause: error,
    });
  }
  const { words, kinds, forms } = (value ?? {}) as { words?: unknown; kinds?: unknown; forms?: unknown };
  const isRight =
    isListOfStrings(words) &&
    typeof kinds === 'object' &&
    kinds !== null &&
    Object.values(kinds).every(isListOfStrings) &&
    Array.isArray(forms) &&
    forms.every(isListOfStrings);
  if (isRight) {
    const formsOf = new Map(forms.flatMap((all) => all.map((form) => [form, all] as const)));
    return { words: new Set(words), kinds: kinds as Record<string, string[]>, forms: formsOf };
  }
  throw new DataError(
    `${where}: expected {"words": [text, …], "kinds": {name: [text, …], …}, "forms": [[text, …], …]}, received ${text.slice(0, 60)}. ` +
      'Run node --import tsx scripts/build-seed.ts.',
  );
}
