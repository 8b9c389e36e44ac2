/** The split indicated by the name of a file or folder, by the keywords of Hugging Face's `datasets`. */

import { DataError } from '../errors.ts';

const splitOfWord: Readonly<Record<string, string>> = {
  train: 'train',
  training: 'train',
  validation: 'validation',
  valid: 'validation',
  val: 'validation',
  dev: 'validation',
  test: 'test',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
};

/**
 * The splits that the words of a name indicate. Words end at anything but letters, or where a capital follows a small
 * letter; "set" may be part of them.
 *
 * splitsInName('banking_val-00000-of-00002')  ->  ['validation'];  splitsInName('contest')  ->  []
 *
 * @see data_files.py of https://github.com/huggingface/datasets, SPLIT_KEYWORDS
 */
export function splitsInName(name: string): string[] {
  const words = name
    .replace(/(\p{Ll})(?=\p{Lu})/gu, '$1 ')
    .toLowerCase()
    .split(/[^\p{L}]+/u);
  return [...new Set(words.flatMap((word) => splitOfWordAlone(word) ?? []))];
}

/** The split that is named by one word and nothing else: "Test" -> "test", "devset" -> "validation"; null otherwise. */
export function splitOfWordAlone(text: string): string | null {
  const word = text.toLowerCase().replace(/(?<=.)(set|split)$/, '');
  return Object.hasOwn(splitOfWord, word) ? (splitOfWord[word] ?? null) : null;
}

/**
 * The split that a path indicates: its file's name, else the nearest of its folders; null where none does.
 *
 * @param inside  the path below the folder that is imported, without the file's endings; a folder in front of that is
 *   left out unless its whole name is the word: people keep data in folders such as "test-data"
 * @throws DataError where one name indicates two splits
 */
export function splitOfPath(path: string, inside: string, folder: string): string | null {
  for (const name of inside.split(/[\\/]/).reverse()) {
    const [split, other] = splitsInName(name);
    if (other !== undefined) {
      throw new DataError(
        `${path}: its name tells of two splits (${split}, ${other}); expected one. Rename it, or set split.name, or split under input.files, of npm run import.`,
      );
    }
    if (split !== undefined) return split;
  }
  return splitOfWordAlone(folder);
}
