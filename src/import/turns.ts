/** The order of turns in a conversation: one system text at most, then user, assistant, user, …, assistant. */
import { type Note, RowProblem } from './source-row.ts';

export type Role = 'system' | 'user' | 'assistant';

export interface Message {
  role: Role;
  content: string;
  /** False where the source says that nothing is to be learned from the turn: weight 0. */
  learned: boolean;
}

/**
 * What may be mended in a conversation, where it is asked for. same_role: turns of one role in a row are joined by a
 * blank line. assistant_first: turns of the assistant before the first of the user are left out. user_last: turns after
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
  return messages.filter(({ role, content }, i) => {
    if (content.trim() !== '') return true;
    const where = `${name}[${i}]`;
    if (role !== 'system' && !accept.includes('empty_turn')) {
      const problem = `"${where}": expected text, received ${content === '' ? 'none' : 'only spaces'}; messages.accept: [empty_turn] leaves such turns out`;
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
    if (last?.role !== turn.role) result.push(turn);
    else {
      note('turns of one role in a row, joined by a blank line', name);
      const { role, content, learned } = turn;
      result[result.length - 1] = {
        role,
        content: `${last.content}\n\n${content}`,
        learned: last.learned && learned,
      };
    }
  }
  return result;
}

/** Removes turns of a role from one end of `turns`. */
function leaveOut(turns: Message[], take: 'shift' | 'pop', role: Role, tell: () => void): void {
  while ((take === 'shift' ? turns[0] : turns.at(-1))?.role === role) {
    turns[take]();
    tell();
  }
}

function checkOrder(name: string, spoken: readonly Message[], all: readonly Message[]): void {
  const wrong = spoken.findIndex(({ role }, i) => role !== (i % 2 === 0 ? 'user' : 'assistant'));
  if (wrong === -1 && spoken.length > 0) return;
  const { reason, remedy } = oddityAt(spoken, wrong);
  const received = all.length === 0 ? 'none' : rolesOf(all);
  const rule = 'the rule is one system text at most, then user, assistant, …, the assistant last';
  const problem = `"${name}": expected user and assistant in turn, received ${received}; ${rule}${remedy}`;
  throw new RowProblem(reason, problem);
}

function oddityAt(spoken: readonly Message[], wrong: number): { reason: string; remedy: string } {
  const role = spoken[wrong]?.role;
  if (role === undefined) return { reason: 'no turns', remedy: '' };
  if (role === 'system') return { reason: 'system text after the first turn', remedy: '' };
  if (wrong === 0) {
    return { reason: 'assistant first', remedy: '; messages.accept: [assistant_first] leaves its first turn out' };
  }
  return { reason: 'two turns of one role', remedy: '; messages.accept: [same_role] joins turns of one role' };
}

/** Roles in words, for errors. */
export function rolesOf(messages: readonly Message[]): string {
  const roles = messages.map(({ role }) => role).join(', ');
  return roles.length > 60 ? `${roles.slice(0, 60)}…` : roles;
}
