/** A small real task on disk: rows and templates, with parts replaced by a test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataError } from '../../src/errors.ts';

export const templateYaml = `dataset: trade
cluster: closed_book_qa
description: Somebody's trade.
columns: [name, trade, options]
options: {column: options}
answer: {column: trade}
metric: accuracy
templates:
  - id: plain
    split: train
    input: |
      What is {name}'s trade?
      {options_}
    target: "{trade}"
  - id: who
    split: train
    kind: inverted
    input: "Name a {trade}."
    target: "{name}"
  - id: other
    split: unseen
    input: "{name} works as a"
    target: "{trade}"
`;

export const rowsJsonl = [
  { id: 'a', split: 'train', name: 'Ada', trade: 'baker', options: ['baker', 'miller'] },
  { id: 'b', split: 'train', name: 'Bo', trade: 'miller', options: ['baker', 'miller'] },
  { id: 'c', split: 'test', name: 'Cy', trade: 'baker', options: ['miller', 'baker'] },
]
  .map((row) => JSON.stringify(row))
  .join('\n');

export interface SampleFolder {
  tables: string;
  templates: string;
  path(name: string): string;
  write(name: string, text: string): string;
  /** The message of what a function throws, without the folder's name; fails for errors that are not meant for people. */
  message(act: () => unknown): string;
  remove(): void;
}

export function sampleFolder(yaml = templateYaml, rows = rowsJsonl): SampleFolder {
  const root = mkdtempSync(join(tmpdir(), 'task-'));
  const tables = join(root, 'seed');
  const templates = join(root, 'templates');
  mkdirSync(tables);
  mkdirSync(templates);
  writeFileSync(join(templates, 'trade.yaml'), yaml);
  writeFileSync(join(tables, 'trade.jsonl'), rows);
  return {
    tables,
    templates,
    path: (name) => join(root, name),
    write: (name, text) => {
      writeFileSync(join(root, name), text);
      return join(root, name);
    },
    message: (act) => {
      try {
        act();
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        return error.message.replaceAll(`${root}/`, '');
      }
      return 'no error';
    },
    remove: () => rmSync(root, { recursive: true }),
  };
}
