import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exportGgufCommand } from '../../scripts/export-gguf.ts';
import { parseGguf } from '../gguf/parse-gguf.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const base = fileURLToPath(new URL('../../data/base', import.meta.url));
const path = useTemporaryFolder();

describe('npm run export-gguf', () => {
  it('writes the shipped base and says what', async () => {
    const lines: string[] = [];
    await exportGgufCommand([base, '--type', 'q8_0', '--to', path('base.gguf')], (line) => lines.push(line));
    expect(lines.at(-1)).toBe(`${base} → ${path('base.gguf')}: 38 tensors, 1.2 MB`);
    const { fields } = parseGguf(path('base.gguf'));
    expect(fields).toMatchObject({
      'general.name': 'base',
      'tokenizer.ggml.pre': 'gpt-2',
      'tokenizer.ggml.eos_token_id': 2,
    });
    expect(fields['tokenizer.chat_template']).toContain("message['content']");
  });

  it.each([
    [[], 'export-gguf: expected a checkpoint and --type.'],
    [[base], 'export-gguf: expected a checkpoint and --type.'],
    [[base, base, '--type', 'f16'], 'export-gguf: expected a checkpoint and --type.'],
    [[base, '--type', 'q4_k'], '--type'],
    [['nowhere', '--type', 'f16'], 'checkpoint nowhere: there is no such folder.'],
  ])('refuses %j', async (argv, problem) => {
    expect(await problemsOf(() => exportGgufCommand(argv, () => {}), '')).toEqual([expect.stringContaining(problem)]);
  });

  it('leaves a file that is there as it is', async () => {
    writeFileSync(path('base.gguf'), 'mine');
    const problems = await problemsOf(
      () => exportGgufCommand([base, '--type', 'f16', '--to', path('base.gguf')], () => {}),
      path(),
    );
    expect(problems).toEqual(['--to base.gguf: is there already; expected a new file. Choose another name.']);
    expect(readdirSync(path())).toEqual(['base.gguf']);
  });
});
