/** The lines of PPO in a chain's report: the policy before and after it, on the prompts and tasks of the evaluation. */
import type { ChainNumbers, Figure } from '../run/declaration.ts';

/** Lines on right answers stand there where the judge of the prompts tells which are. */
export function ppoFigures({ of, told }: ChainNumbers): readonly Figure[] {
  const [rightBefore, rightAfter] = [told('instruct', 'right'), told('ppo', 'right')];
  const right: Figure[] =
    rightBefore === null || rightAfter === null
      ? []
      : [{ measure: 'right answers', shown: 'percent', before: { rightBefore }, after: { rightAfter } }];
  const gold = { before: { goldBefore: of('instruct', 'gold') }, after: { goldAfter: of('ppo', 'gold') } };
  const proxy = { before: { proxyBefore: of('instruct', 'reward') }, after: { proxyAfter: of('ppo', 'reward') } };
  return [
    ...right,
    { measure: 'gold score (hidden)', shown: 3, ...gold },
    { measure: 'its standard deviation over prompts', shown: 3, before: { goldSdBefore: of('instruct', 'gold_sd') } },
    { measure: 'reward-model score', shown: 2, ...proxy },
    { measure: 'KL a response, nats', shown: 2, before: 0, after: { klPerResponse: of('ppo', 'kl') } },
    { measure: 'win rate by gold', shown: 'percent', before: 0.5, after: { winRate: of('ppo', 'win_rate') } },
    {
      measure: 'accuracy on unseen rows',
      shown: 'percent',
      before: of('instruct', 'accuracy'),
      after: { accuracyAfter: of('ppo', 'accuracy') },
    },
  ];
}
