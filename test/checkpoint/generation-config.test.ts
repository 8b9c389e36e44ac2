import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { unusedGenerationSettings } from '../../src/checkpoint/generation-config.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();
const unused = (content: unknown): string => {
  writeFileSync(inFolder('generation_config.json'), typeof content === 'string' ? content : JSON.stringify(content));
  return unusedGenerationSettings(inFolder());
};

describe('settings of generation_config.json that no program takes over', () => {
  it('are named, ids and what changes nothing left out', () => {
    // As Qwen2.5-Instruct and Llama 3.2 have them.
    const qwen = { bos_token_id: 1, pad_token_id: 1, do_sample: true, eos_token_id: [2, 1], repetition_penalty: 1.1 };
    expect(unused({ ...qwen, temperature: 0.7, top_p: 0.8, top_k: 20, transformers_version: '4.37.0' })).toBe(
      'repetition_penalty 1.1, temperature 0.7, top_p 0.8, top_k 20',
    );
    expect(unused({ suppress_tokens: [5], max_new_tokens: 8, forced_eos_token_id: 2 })).toBe(
      'suppress_tokens [5], max_new_tokens 8, forced_eos_token_id 2',
    );
    expect(unused({ _from_model_config: true, bos_token_id: 1, eos_token_id: 2, temperature: 1, top_p: null })).toBe(
      '',
    );
  });

  it('are none without the file, and one that is no JSON object is refused', async () => {
    expect(unusedGenerationSettings(inFolder())).toBe('');
    for (const bad of ['{', '[1]']) {
      expect(await problemsOf(() => unused(bad), inFolder())).toEqual([
        expect.stringMatching(/^generation_config\.json: .*Copy/),
      ]);
    }
  });
});
