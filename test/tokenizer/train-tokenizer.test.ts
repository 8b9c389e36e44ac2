import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { trainTokenizer } from '../../scripts/train-tokenizer.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { type SampleFolder, sampleFolder } from '../tasks/sample-task.ts';

function sample(): { folder: SampleFolder; options: Parameters<typeof trainTokenizer>[0] } {
  const folder = sampleFolder();
  onTestFinished(() => folder.remove());
  const corpus = folder.write('corpus.jsonl', '{"text": "The miller met the baker. The baker met the miller."}');
  const { tables, templates } = folder;
  return {
    folder,
    options: { corpus, tables, templates, out: folder.path('base'), vocabSize: 275, contextLength: 64, force: false },
  };
}

it('writes a tokenizer that knows the words of corpus and tasks', async () => {
  const { options } = sample();
  expect(await trainTokenizer(options)).toMatch(
    /base: 275 tokens from 1 documents and 4 examples; \d\.\d\d words per token; sha256:/,
  );
  const tokenizer = loadTokenizer(options.out);
  expect(tokenizer.vocabSize).toBe(275);
  expect(tokenizer.encode('miller').length).toBeLessThan(6);
  expect(JSON.parse(tokenizer.files['tokenizer_config.json']).model_max_length).toBe(64);
});

it('makes the same files again from the same texts', async () => {
  const { options, folder } = sample();
  await trainTokenizer(options);
  await trainTokenizer({ ...options, out: folder.path('again') });
  expect(loadTokenizer(folder.path('again')).files).toEqual(loadTokenizer(options.out).files);
});

it('keeps the tokenizer of a folder that holds a model, unless forced', async () => {
  const { options } = sample();
  await trainTokenizer(options);
  writeFileSync(join(options.out, 'model.safetensors'), '');
  await expect(trainTokenizer(options)).rejects.toThrow(
    /base: holds a model that was trained with its tokenizer; another one would make it useless\. Choose another --out, or pass --force/,
  );
  await trainTokenizer({ ...options, force: true });
});
