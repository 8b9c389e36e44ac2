/** What rows of judged answers are, by the names and values of their fields: pairs, ranked groups, ratings. */
import { unpacked } from './recognize.ts';
import { isRecord, show } from './source-row.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Names that people give to the parts of a row, in the order in which they are believed; capitals do not count. */
const pairParts = {
  prompt: ['prompt', 'messages', 'conversations', 'instruction', 'question', 'query', 'input'],
  input: ['input'],
  system: ['system', 'system_prompt', 'system_message'],
  tools: ['tools'],
  chosen: ['chosen', 'chosen_response', 'response_chosen'],
  rejected: ['rejected', 'rejected_response', 'response_rejected'],
  ranked: ['ranked_responses', 'ranked_answers', 'ranked_completions', 'ranked'],
  answers: ['responses', 'answers', 'completions', 'candidates'],
  scores: ['scores', 'ratings', 'rewards'],
  ranks: ['ranks', 'rankings', 'ranking'],
  answer: ['response', 'completion', 'answer', 'output'],
  rating: ['rating', 'score', 'reward', 'label'],
  margin: ['margin'],
} as const;
export type PairPart = keyof typeof pairParts;

/** Parts that a shape cannot do without, and those it reads where they are there. */
export const pairShapes = {
  pair: { needs: ['chosen', 'rejected'], may: ['prompt', 'input', 'system', 'tools', 'margin'] },
  ranked: { needs: ['prompt', 'ranked'], may: ['input', 'system', 'tools'] },
  group: { needs: ['prompt', 'answers'], may: ['scores', 'ranks', 'input', 'system', 'tools'] },
  rated: { needs: ['prompt', 'answer', 'rating'], may: ['input', 'system', 'tools'] },
} as const satisfies Readonly<Record<string, { needs: readonly PairPart[]; may: readonly PairPart[] }>>;
type PairShape = keyof typeof pairShapes;

/** What a file's rows are taken for: the shape, and the field of each part. */
export interface RecognizedPairs {
  readonly shape: PairShape;
  readonly fields: Readonly<Partial<Record<PairPart, string>>>;
}

/** The shapes for people, by what they are called in what is said. */
const described: Readonly<Record<PairShape, string>> = {
  pair: 'chosen and rejected: texts, lists of messages or transcripts (Human:, Assistant:), beside a prompt or beginning with one',
  ranked: 'prompt and ranked_responses: a list, the best first',
  group: 'prompt and responses, with scores (higher is better) or ranks (1 is best) of them, or within them',
  rated: 'prompt, response and rating (a number, or true and false): several rows a prompt',
};

/** "pairs (prompt, chosen, rejected)". */
export function namedPairs({ shape, fields }: RecognizedPairs): string {
  const names = {
    pair: 'pairs',
    ranked: 'ranked answers, the best first',
    group: 'groups of answers',
    rated: 'ratings',
  };
  return `${names[shape]} (${Object.values(fields).join(', ')})`;
}

/**
 * What most of the first rows of a file are taken for.
 *
 * {prompt, responses: [a, b], scores: [1, 2]}  ->  a group, of prompt, responses and scores
 *
 * @returns what is wrong, in words, where they are nothing that is known
 */
export function recognizePairs(rows: readonly Fields[]): RecognizedPairs | string {
  const counts = new Map<PairShape, { count: number; fields: Partial<Record<PairPart, string>> }>();
  for (const row of rows) {
    const shape = shapeOf(row);
    if (shape === undefined) continue;
    const entry = counts.get(shape) ?? { count: 0, fields: {} };
    counts.set(shape, { count: entry.count + 1, fields: { ...partsOf(row, shape), ...entry.fields } });
  }
  const [best] = [...counts].sort(([, a], [, b]) => b.count - a.count);
  if (best !== undefined) return { shape: best[0], fields: best[1].fields };
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !name.startsWith('$'));
  return `no judged answers are recognized in the fields ${names.slice(0, 12).join(', ') || 'it has: none'} (first row: ${show(rows[0])})`;
}

/** Names of the fields that are read. */
export function fieldsOfPairs({ fields }: RecognizedPairs): string[] {
  return [...Object.values(fields), ...pairParts.system, ...pairParts.tools];
}

/** The field of a part in one row, which may have a system text or tools where the first rows have none. */
export function fieldOfPair(row: Fields, part: PairPart, { fields }: RecognizedPairs): string | undefined {
  if (fields[part] !== undefined || (part !== 'system' && part !== 'tools')) return fields[part];
  const names: readonly string[] = pairParts[part];
  return Object.keys(row).find((name) => names.includes(name.toLowerCase()));
}

/** The shapes with the names of their fields, for errors. */
export function describePairShapes(): string[] {
  return ['The shapes that are known:', ...Object.values(described).map((shape) => `  ${shape}`)];
}

function shapeOf(row: Fields): PairShape | undefined {
  return (Object.keys(pairShapes) as PairShape[]).find((shape) => {
    const found = partsOf(row, shape);
    return pairShapes[shape].needs.every((part) => found[part] !== undefined);
  });
}

/** The fields of a row that can be the parts of a shape. */
function partsOf(row: Fields, shape: PairShape): Partial<Record<PairPart, string>> {
  const own = new Map(Object.keys(row).map((name) => [name.toLowerCase(), name]));
  const found: Partial<Record<PairPart, string>> = {};
  for (const part of [...pairShapes[shape].needs, ...pairShapes[shape].may]) {
    const field = pairParts[part]
      .map((name) => own.get(name))
      .find((name) => name !== undefined && fits(part, row[name]));
    if (field !== undefined && !Object.values(found).includes(field)) found[part] = field;
  }
  return found;
}

function fits(part: PairPart, value: unknown): boolean {
  if (value === undefined || value === null) return false;
  const isList = Array.isArray(unpacked(value));
  if (part === 'ranked' || part === 'answers' || part === 'scores' || part === 'ranks') return isList;
  return part === 'rating' || part === 'margin' ? !isList && !isRecord(value) : true;
}
