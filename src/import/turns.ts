/** The order of turns in a conversation: one system text at most, then user, assistant, user, …; tools answer the assistant. */
import type { Message, Role } from '../message.ts';
import { type Note, RowProblem } from './source-row.ts';

/**
 * What may be mended in a conversation, where it is asked for. same_role: turns of one role in a row are joined by a
 * blank line, but for tools and what calls them. assistant_first: turns of the assistant before the first of the user are left out. user_last: turns after
 * the last of the assistant are left out. empty_turn: turns without text are left out.
 */
export const turnOddities = ['same_role', 'assistant_first', 'user_last', 'empty_turn'] as const;
export type TurnOddity = (typeof turnOddities)[number];

/** Which irregularities are repaired, and the receiver of notes on them. */
export interface TurnRule {
  accept: readonly TurnOddity[];
  note: Note;
}

/**
 * The messages in the order that tables hold. What `accept` names is mended and noted; empty system texts are left out
 * and noted in any case.
 *
 * user "a", user "b", assistant "c" with accept [same_role]  ->  user "a\n\nb", assistant "c"
 *
 * @param name the field they come from, for errors
 * @throws RowProblem for what is not accepted, naming the roles and the setting that would accept them
 */
export function orderTurns(name: string, messages: readonly Message[], { accept, note }: TurnRule): Message[] {
  let turns = withText(name, messages, { accept, note });
  if (accept.includes('same_role')) turns = joined(name, turns, note);
  const [system, spoken] = turns[0]?.role === 'system' ? [turns.slice(0, 1), turns.slice(1)] : [[], turns];
  if (accept.includes('assistant_first')) {
    leaveOut(spoken, 'shift', 'assistant', () => note('turn of the assistant before any of the user, left out', name));
  }
  if (accept.includes('user_last') && spoken.some(({ role }) => role === 'assistant')) {
    leaveOut(spoken, 'pop', 'user', () => note('turn of the user after the last answer, left out', name));
  }
  checkOrder(name, spoken, turns);
  return [...system, ...spoken];
}

function withText(name: string, messages: readonly Message[], { accept, note }: TurnRule): Message[] {
  return messages.filter(({ role, content, tool_calls }, i) => {
    // A call needs no words, and a tool may have nothing to say.
    if (content.trim() !== '' || role === 'tool' || (tool_calls ?? '') !== '') return true;
    const where = `${name}[${i}]`;
    if (role !== 'system' && !accept.includes('empty_turn')) {
      const problem = `"${where}": expected text, received ${content === '' ? 'none' : 'only spaces'}; messages.accept: [empty_turn] of npm run import leaves such turns out`;
      throw new RowProblem('empty text', problem);
    }
    note(role === 'system' ? 'empty system text, left out' : 'empty turn, left out', where);
    return false;
  });
}

function joined(name: string, turns: readonly Message[], note: Note): Message[] {
  const result: Message[] = [];
  for (const turn of turns) {
    const last = result.at(-1);
    if (last === undefined || !canJoin(last, turn)) result.push(turn);
    else {
      note('turns of one role in a row, joined by a blank line', name);
      const isLearned = last.learned !== false && turn.learned !== false;
      const joined = { ...last, content: `${last.content}\n\n${turn.content}` };
      result[result.length - 1] = isLearned ? joined : { ...joined, learned: false };
    }
  }
  return result;
}

/** Texts alone can be joined: calls and what was thought stand at the beginning or the end of their own message. */
function canJoin(last: Message, turn: Message): boolean {
  const isBare = turn.tool_calls === undefined && turn.reasoning === undefined && last.tool_calls === undefined;
  return last.role === turn.role && turn.role !== 'tool' && isBare;
}

/** Removes turns of a role from one end of `turns`. */
function leaveOut(turns: Message[], take: 'shift' | 'pop', role: Role, tell: () => void): void {
  while ((take === 'shift' ? turns[0] : turns.at(-1))?.role === role) {
    turns[take]();
    tell();
  }
}

function checkOrder(name: string, spoken: readonly Message[], all: readonly Message[]): void {
  const wrong = spoken.findIndex(({ role }, i) => !mayFollow(spoken[i - 1]?.role, role));
  if (wrong === -1 && spoken.length > 0) return;
  const { reason, remedy } = oddityAt(spoken, wrong);
  const received = all.length === 0 ? 'none' : rolesOf(all);
  const rule =
    'the rule is one system text at most, then user, assistant, … (tools answer the assistant), the assistant last';
  const problem = `"${name}": expected user and assistant in turn, received ${received}; ${rule}${remedy}`;
  throw new RowProblem(reason, problem);
}

/** Whether a role may speak after another, or first. */
function mayFollow(before: Role | undefined, role: Role): boolean {
  if (role === 'user') return before === undefined || before === 'assistant';
  if (role === 'assistant') return before === 'user' || before === 'tool';
  return role === 'tool' && (before === 'assistant' || before === 'tool');
}

function oddityAt(spoken: readonly Message[], wrong: number): { reason: string; remedy: string } {
  const role = spoken[wrong]?.role;
  if (role === undefined) return { reason: 'no turns', remedy: '' };
  if (role === 'system') return { reason: 'system text after the first turn', remedy: '' };
  if (role === 'tool') return { reason: 'tool without a call', remedy: '' };
  if (wrong === 0) {
    return {
      reason: 'assistant first',
      remedy: '; messages.accept: [assistant_first] of npm run import leaves its first turn out',
    };
  }
  return {
    reason: 'two turns of one role',
    remedy: '; messages.accept: [same_role] of npm run import joins turns of one role',
  };
}

/** Roles in words, for errors. */
export function rolesOf(messages: readonly Message[]): string {
  const roles = messages.map(({ role }) => role).join(', ');
  return roles.length > 60 ? `${roles.slice(0, 60)}…` : roles;
}
