/** Which pairs go into an update together. */
import { expect, it } from 'vitest';
import type { PreferencePair } from '../../src/examples/preference.ts';
import { groupPairs, pairData } from '../../src/run/prepare-pairs.ts';

const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected }) as PreferencePair;

const told = (groups: readonly (readonly PreferencePair[])[]): string[] =>
  groups.map((group) => group.map(({ chosen, rejected }) => `${chosen}>${rejected}`).join(' '));

it('keeps the comparisons of one prompt together where they share an answer, wherever they stand, and no others', () => {
  const pairs = [
    pair('p', 'a', 'b'),
    pair('p', 'c', 'a'),
    pair('p', 'c', 'b'),
    // Another prompt, the same words.
    pair('q', 'a', 'b'),
    // One prompt stands for all, as in rated texts: nothing is shared.
    pair('q', 'd', 'e'),
    pair('q', 'f', 'g'),
    pair('p', 'h', 'b'),
  ];
  expect(told(groupPairs(pairs, 6).groups)).toEqual(['a>b c>a c>b h>b', 'a>b', 'd>e', 'f>g']);
});

it('parts what would be too large for an update', () => {
  const many = Array.from({ length: 14 }, (_, i) => pair('p', 'best', String(i)));
  expect(groupPairs(many, 6).groups.map((group) => group.length)).toEqual([6, 6, 2]);
});

it('fills an update with as many pairs as it is told, on average, and loses none', () => {
  const three = (prompt: string) => [pair(prompt, 'a', 'b'), pair(prompt, 'c', 'a'), pair(prompt, 'c', 'b')];
  const pairs = ['p', 'q', 'r', 's'].flatMap(three);
  const data = pairData(groupPairs(pairs, 6), 4, (part) => part.length);
  expect([data.count, data.perStep]).toEqual([4, 2]);
  expect(data.read([3, 0])).toEqual([4, 2]);
  const alone = ['p', 'q', 'r'].map((prompt) => pair(prompt, 'a', 'b'));
  const single = pairData(groupPairs(alone, 2), null, (part) => part);
  expect([single.count, single.perStep]).toEqual([3, 2]);
  const whole = pairData(groupPairs(pairs, 5), null, (part) => part.length);
  expect(whole.read([1, 2])).toEqual([6]);
});
