/** Metrics of free text: exact match, token F1, ROUGE-L and chrF, each a number from 0 to 1 for one answer. */
import type { TaskMetric } from '../tasks/template-schema.ts';

export type TextMetric = Extract<TaskMetric, 'exact_match' | 'token_f1' | 'rouge_l' | 'chrf'>;

/** The score of an answer against the right one. */
export function textMetric(metric: TextMetric, prediction: string, target: string): number {
  switch (metric) {
    case 'exact_match':
      return prediction.trim() === target.trim() ? 1 : 0;
    case 'token_f1':
      return tokenF1(prediction, target);
    case 'rouge_l':
      return rougeL(prediction, target);
    case 'chrf':
      return chrf(prediction, target);
  }
}

/**
 * F1 over words, articles, punctuation and case left aside: the SQuAD script's definition (Rajpurkar et al. 2016,
 * arXiv:1606.05250 section 6.1). Two texts without words are equal.
 */
export function tokenF1(prediction: string, target: string): number {
  const own = squadWords(prediction);
  const right = squadWords(target);
  if (own.length === 0 || right.length === 0) return own.length === right.length ? 1 : 0;
  return fMeasure(overlap(counts(own), counts(right)), own.length, right.length, 1);
}

/**
 * F-measure of the longest common subsequence of words (Lin 2004, https://aclanthology.org/W04-1013). Words as in the
 * package rouge-score without stemming: lower case, runs of a–z and 0–9. The npm packages for it split sentences and words
 * in another way and give other numbers.
 */
export function rougeL(prediction: string, target: string): number {
  const own = prediction.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  const right = target.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  if (own.length === 0 || right.length === 0) return 0;
  return fMeasure(longestCommon(own, right), own.length, right.length, 1);
}

const chrfOrder = 6;
const chrfBeta = 2;

/**
 * Character n-gram F-score, n up to 6, recall counted twice (Popović 2015, https://aclanthology.org/W15-3049), white space
 * left aside; sacrebleu's defaults for one sentence with effective order, divided by 100.
 */
export function chrf(prediction: string, target: string): number {
  const own = [...prediction.replace(/\s/g, '')];
  const right = [...target.replace(/\s/g, '')];
  let precision = 0;
  let recall = 0;
  let orders = 0;
  for (let n = 1; n <= chrfOrder; n++) {
    const a = characterGrams(own, n);
    const b = characterGrams(right, n);
    const [ownCount, rightCount] = [sumOf(a), sumOf(b)];
    if (ownCount === 0 || rightCount === 0) continue;
    const shared = overlap(a, b);
    precision += shared / ownCount;
    recall += shared / rightCount;
    orders++;
  }
  if (orders === 0) return 0;
  const [p, r] = [precision / orders, recall / orders];
  return p + r === 0 ? 0 : ((1 + chrfBeta ** 2) * p * r) / (chrfBeta ** 2 * p + r);
}

/** `normalize_answer` of the SQuAD script. */
function squadWords(text: string): string[] {
  const plain = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '');
  // Not \b, which knows only ASCII letters here and would cut the "a" off "día".
  return plain.replace(/(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu, ' ').match(/\S+/g) ?? [];
}

function counts(items: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const item of items) found.set(item, (found.get(item) ?? 0) + 1);
  return found;
}

function characterGrams(characters: readonly string[], n: number): Map<string, number> {
  const grams = Array.from({ length: Math.max(0, characters.length - n + 1) }, (_, i) =>
    characters.slice(i, i + n).join(''),
  );
  return counts(grams);
}

function sumOf(found: ReadonlyMap<string, number>): number {
  return [...found.values()].reduce((sum, count) => sum + count, 0);
}

function overlap(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  return [...a].reduce((sum, [item, count]) => sum + Math.min(count, b.get(item) ?? 0), 0);
}

function fMeasure(shared: number, own: number, right: number, beta: number): number {
  if (shared === 0) return 0;
  const [precision, recall] = [shared / own, shared / right];
  return ((1 + beta ** 2) * precision * recall) / (beta ** 2 * precision + recall);
}

function longestCommon(a: readonly string[], b: readonly string[]): number {
  let previous = new Array<number>(b.length + 1).fill(0);
  for (const word of a) {
    const current = [0];
    for (let j = 1; j <= b.length; j++) {
      const best = Math.max(previous[j] ?? 0, current[j - 1] ?? 0);
      current.push(word === b[j - 1] ? (previous[j - 1] ?? 0) + 1 : best);
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
