/** A coreference task: whom "she" or "he" means, told by the sense of the sentence or by the names alone. */

import type { Random } from '../../../random.ts';
import type { Person } from './facts.ts';
import { goods, people, towns, weathers } from './facts.ts';
import { pickSome, say, vary, withArticle } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows } from './task-rows.ts';

/** Twin beginnings to one ending: after the first it is about the first person (A), after the second about the second (B). */
interface Twins {
  readonly first: string;
  readonly second: string;
  readonly ending: string;
}

/** The twins follow the Winograd schemas (Levesque, Davis and Morgenstern 2012): one changed word changes whom the pronoun means. */
const twins: readonly Twins[] = [
  { first: 'A asked B for [bread|soup|stew]', second: 'A gave B [bread|soup|stew]', ending: 'PRONOUN was hungry' },
  { first: 'A asked B for help', second: 'A helped B', ending: 'PRONOUN was [ill|weak|hurt]' },
  { first: 'A took coins from B', second: 'A gave coins to B', ending: 'PRONOUN had sold GOOD' },
  { first: 'A borrowed a blanket from B', second: 'A gave B a blanket', ending: 'PRONOUN was cold' },
  { first: 'A shouted at B', second: 'A said sorry to B', ending: 'PRONOUN was angry' },
  { first: 'A asked B for thanks', second: 'A thanked B', ending: 'PRONOUN had mended the roof' },
  { first: 'A came to B for help', second: 'A came to help B', ending: 'PRONOUN had lost GOOD' },
];

/** Two people of whom "she" or "he" fits both, and a reason. */
function byReason(random: Random, index: number): { sentence: string; pronoun: string; pair: readonly Person[] } {
  const pronoun = byTurns(['she', 'he'] as const, index >> 1);
  const pair = pickSome(
    random,
    people.filter((each) => each.pronoun === pronoun),
    2,
  ) as [Person, Person];
  const { first, second, ending } = random.pick(twins);
  const beginning = index % 2 === 0 ? first : second;
  const pattern = `[|in ${random.pick(towns).name} ]${beginning}, because ${ending}.`
    .replace(/\bA\b/, pair[0].name)
    .replace(/\bB\b/, pair[1].name)
    .replace('PRONOUN', pronoun)
    .replace('GOOD', withArticle(random.pick(goods).name));
  return { sentence: say(random, pattern), pronoun, pair };
}

/** A woman and a man; the pronoun fits one of them. */
function byName(random: Random, index: number): { sentence: string; pronoun: string; pair: readonly Person[] } {
  const woman = random.pick(people.filter((each) => each.pronoun === 'she'));
  const man = random.pick(people.filter((each) => each.pronoun === 'he'));
  const pair = random.integer(2) === 0 ? [woman, man] : [man, woman];
  const { pronoun } = byTurns(pair, index) as Person;
  const thing = withArticle(random.pick(goods).name);
  const meeting = `${pair[0]?.name} [met|saw|talked with|walked with] ${pair[1]?.name} in ${random.pick(towns).name}`;
  const deed = vary(random, `[${pronoun} had|${pronoun} carried|${pronoun} wanted] ${thing}`);
  const sentence = say(random, `${meeting}[ on a ${random.pick(weathers)} day|]. ${deed}.`);
  return { sentence: sentence.replace('. she', '. She').replace('. he', '. He'), pronoun, pair };
}

/** Coreference: whom the pronoun means; it is as often the one named first as the one named second. */
export function whoIsIt(random: Random): TaskRow[] {
  const draw = (index: number) => {
    // Two thirds by reason; halving the index by three keeps first and second in turns within both kinds.
    const turn = Math.floor(index / 3) * 2 + (index % 3);
    const { sentence, pronoun, pair } = index % 3 < 2 ? byReason(random, turn) : byName(random, Math.floor(index / 3));
    const answer = index % 3 < 2 ? byTurns(pair, turn) : pair.find((each) => each.pronoun === pronoun);
    const options = random.shuffle(pair.map((each) => each.name));
    return { key: sentence, fields: { sentence, pronoun, answer: answer?.name ?? '', options } };
  };
  return drawRows(random, 'who_is_it', { train: 360, validation: 42, test: 60 }, (_, index) => draw(index));
}
