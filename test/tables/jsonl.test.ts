import { afterAll, expect, it } from 'vitest';
import { readJsonLines } from '../../src/tables/jsonl.ts';
import { sampleFolder } from '../tasks/sample-task.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());

it('reads rows with the line each stands on, passing over blank lines', () => {
  const path = folder.write('good.jsonl', '{"a": 1}\r\n\n{"a": "é"}\n');
  expect(readJsonLines(path, '')).toEqual([
    { where: `${path}:1`, fields: { a: 1 } },
    { where: `${path}:3`, fields: { a: 'é' } },
  ]);
});

it('names every line that is not an object', () => {
  const path = folder.write('bad.jsonl', '{"a": 1}\n[1]\n{"a": \n');
  const lines = folder.message(() => readJsonLines(path, '')).split('\n');
  expect(lines[0]).toBe('bad.jsonl:2: not an object; expected {"name": value, …}, received [1]. Mend the line.');
  expect(lines[1]).toMatch(/^bad\.jsonl:3: not JSON \(.*\); expected one object on the line\. Mend the line\.$/);
  expect(lines.length).toBe(2);
});

it('says when the file is missing or has no rows', () => {
  expect(folder.message(() => readJsonLines(folder.path('no.jsonl'), 'the script'))).toBe(
    'no.jsonl: the file is missing; expected a JSONL file. Run the script.',
  );
  expect(folder.message(() => readJsonLines(folder.write('empty.jsonl', '\n'), 'the script'))).toBe(
    'empty.jsonl: the file has no rows; expected at least one. Run the script.',
  );
});
