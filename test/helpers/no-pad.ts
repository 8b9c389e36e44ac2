/** Published models have no PAD of their own: a folder of ours, made like one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Takes the PAD out of the tokenizer of a model folder: PAD is then EOS, as GPT-2, Llama and Mistral have it. */
export function takePadAway(folder: string): void {
  const rewrite = (name: string, change: (text: string) => string): void => {
    const path = join(folder, name);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  };
  rewrite('tokenizer.json', (text) => text.replaceAll('<|pad|>', '<|unused|>'));
  rewrite('tokenizer_config.json', (text) => {
    const config = JSON.parse(text.replaceAll('<|pad|>', '<|unused|>')) as { eos_token: string };
    return JSON.stringify({ ...config, pad_token: config.eos_token });
  });
}
