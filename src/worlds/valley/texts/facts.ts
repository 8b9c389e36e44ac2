/** The facts of the valley: towns, trades, goods and people. Everything else in the world's texts follows from these tables. */

import { DataError } from '../../../errors.ts';

export interface Town {
  readonly name: string;
  readonly landmark: string;
  readonly weather: string;
  readonly marketDay: string;
}

export interface Trade {
  readonly name: string;
  readonly workplace: string;
}

export interface Good {
  readonly name: string;
  readonly plural: string;
  readonly price: number;
  readonly seller: string;
}

export interface Person {
  readonly name: string;
  readonly pronoun: 'she' | 'he';
  readonly town: string;
  readonly trade: string;
  readonly pet: string;
  readonly food: string;
  readonly children: number;
}

const town = (name: string, landmark: string, weather: string, marketDay: string): Town => ({
  name,
  landmark,
  weather,
  marketDay,
});

export const towns: readonly Town[] = [
  town('Alder', 'old mill', 'sunny', 'Monday'),
  town('Brook', 'stone bridge', 'rainy', 'Tuesday'),
  town('Cove', 'lighthouse', 'foggy', 'Wednesday'),
  town('Dale', 'red barn', 'warm', 'Thursday'),
  town('Fern', 'tall tower', 'cloudy', 'Friday'),
  town('Glen', 'round lake', 'cold', 'Saturday'),
  town('Holm', 'castle', 'snowy', 'Sunday'),
  town('Moss', 'deep well', 'stormy', 'Monday'),
  town('Thorn', 'big clock', 'windy', 'Friday'),
];

const trade = (name: string, workplace: string): Trade => ({ name, workplace });

export const trades: readonly Trade[] = [
  trade('baker', 'bakery'),
  trade('smith', 'forge'),
  trade('weaver', 'cottage'),
  trade('potter', 'shed'),
  trade('fisher', 'harbor'),
  trade('farmer', 'farm'),
  trade('tailor', 'shop'),
  trade('cobbler', 'stall'),
  trade('carpenter', 'workshop'),
  trade('printer', 'hall'),
  trade('painter', 'studio'),
  trade('gardener', 'garden'),
];

const good = (name: string, price: number, seller: string, plural = `${name}s`): Good => ({
  name,
  plural,
  price,
  seller,
});

export const goods: readonly Good[] = [
  good('loaf', 3, 'baker', 'loaves'),
  good('cake', 8, 'baker'),
  good('pie', 5, 'baker'),
  good('knife', 9, 'smith', 'knives'),
  good('hammer', 10, 'smith'),
  good('bell', 7, 'smith'),
  good('blanket', 11, 'weaver'),
  good('rug', 12, 'weaver'),
  good('bowl', 4, 'potter'),
  good('jug', 6, 'potter'),
  good('cup', 2, 'potter'),
  good('trout', 5, 'fisher', 'trout'),
  good('net', 8, 'fisher'),
  good('egg', 1, 'farmer'),
  good('cheese', 6, 'farmer'),
  good('coat', 12, 'tailor'),
  good('hat', 7, 'tailor'),
  good('shirt', 9, 'tailor'),
  good('belt', 4, 'cobbler'),
  good('bag', 10, 'cobbler'),
  good('chair', 11, 'carpenter'),
  good('table', 12, 'carpenter'),
  good('box', 3, 'carpenter', 'boxes'),
  good('book', 10, 'printer'),
  good('map', 6, 'printer'),
  good('picture', 11, 'painter'),
  good('sign', 8, 'painter'),
  good('rose', 2, 'gardener'),
  good('apple', 1, 'gardener'),
  good('basket', 4, 'gardener'),
];

const person = (
  name: string,
  pronoun: 'she' | 'he',
  home: string,
  work: string,
  pet: string,
  food: string,
  children: number,
): Person => ({ name, pronoun, town: home, trade: work, pet, food, children });

/** Nobody shares both town and trade, so "the baker of Alder" names one person. */
export const people: readonly Person[] = [
  person('Ada', 'she', 'Fern', 'fisher', 'hen', 'bread', 3),
  person('Ben', 'he', 'Alder', 'printer', 'dog', 'soup', 3),
  person('Cora', 'she', 'Holm', 'fisher', 'dog', 'honey', 3),
  person('Dan', 'he', 'Brook', 'painter', 'goat', 'soup', 0),
  person('Elsa', 'she', 'Fern', 'tailor', 'duck', 'bread', 0),
  person('Finn', 'he', 'Thorn', 'smith', 'dog', 'beans', 1),
  person('Greta', 'she', 'Moss', 'potter', 'goat', 'fish', 3),
  person('Hugo', 'he', 'Moss', 'painter', 'goat', 'beans', 3),
  person('Ida', 'she', 'Alder', 'gardener', 'cat', 'beans', 0),
  person('Jack', 'he', 'Dale', 'weaver', 'horse', 'honey', 0),
  person('Kate', 'she', 'Glen', 'potter', 'goat', 'nuts', 2),
  person('Leo', 'he', 'Cove', 'farmer', 'hen', 'soup', 3),
  person('Mara', 'she', 'Alder', 'carpenter', 'hen', 'honey', 2),
  person('Nils', 'he', 'Moss', 'printer', 'cat', 'corn', 3),
  person('Olga', 'she', 'Brook', 'carpenter', 'hen', 'beans', 1),
  person('Paul', 'he', 'Glen', 'gardener', 'duck', 'corn', 1),
  person('Rosa', 'she', 'Holm', 'cobbler', 'hen', 'plums', 2),
  person('Sam', 'he', 'Glen', 'baker', 'horse', 'fish', 2),
  person('Tilda', 'she', 'Brook', 'potter', 'dog', 'nuts', 1),
  person('Otto', 'he', 'Brook', 'weaver', 'horse', 'honey', 3),
  person('Vera', 'she', 'Cove', 'weaver', 'duck', 'stew', 1),
  person('Tom', 'he', 'Dale', 'cobbler', 'cat', 'fish', 1),
  person('Yara', 'she', 'Dale', 'gardener', 'dog', 'corn', 2),
  person('Zoe', 'she', 'Fern', 'cobbler', 'duck', 'plums', 1),
  person('Anna', 'she', 'Fern', 'smith', 'cat', 'fish', 0),
  person('Bruno', 'he', 'Dale', 'carpenter', 'duck', 'stew', 3),
  person('Clara', 'she', 'Holm', 'printer', 'duck', 'stew', 2),
  person('Dora', 'she', 'Thorn', 'baker', 'horse', 'plums', 0),
  person('Emil', 'he', 'Thorn', 'tailor', 'hen', 'nuts', 2),
  person('Frida', 'she', 'Cove', 'tailor', 'goat', 'nuts', 2),
  person('Gus', 'he', 'Glen', 'smith', 'cat', 'corn', 2),
  person('Hanna', 'she', 'Cove', 'painter', 'cat', 'bread', 0),
  person('Ivan', 'he', 'Thorn', 'farmer', 'goat', 'stew', 0),
  person('Jonas', 'he', 'Holm', 'farmer', 'horse', 'soup', 1),
  person('Karl', 'he', 'Alder', 'fisher', 'dog', 'bread', 0),
  person('Lena', 'she', 'Moss', 'baker', 'horse', 'plums', 1),
];

export const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const;
export const weathers: readonly string[] = towns.map((each) => each.weather);
export const pets: readonly string[] = [...new Set(people.map((each) => each.pet))].sort();
export const foods: readonly string[] = [...new Set(people.map((each) => each.food))].sort();

const townByName = new Map(towns.map((each) => [each.name, each]));
const tradeByName = new Map(trades.map((each) => [each.name, each]));

function found<T>(kind: string, table: ReadonlyMap<string, T>, name: string): T {
  const value = table.get(name);
  if (value === undefined)
    throw new DataError(
      `src/worlds/valley/texts/facts.ts: no ${kind} is named "${name}"; expected one of ${[...table.keys()].join(', ')}. Add it or correct the name.`,
    );
  return value;
}

/** The town of that name. @throws DataError where there is none */
export const townNamed = (name: string): Town => found('town', townByName, name);
/** The trade of that name. @throws DataError where there is none */
export const tradeNamed = (name: string): Trade => found('trade', tradeByName, name);
/** The goods a trade makes and sells. */
export const goodsOf = (seller: string): Good[] => goods.filter((each) => each.seller === seller);
/** "her" or "his". */
export const possessive = (who: Person): string => (who.pronoun === 'she' ? 'her' : 'his');
/** "her" or "him". */
export const objectForm = (who: Person): string => (who.pronoun === 'she' ? 'her' : 'him');
