/** What a template cannot say: special tokens within messages, and messages that it refuses or leaves out. */
import { DataError } from '../errors.ts';
import { TemplateError } from '../jinja/template-error.ts';
import { type Conversation, type Message, systemSays, userSays } from '../message.ts';
import { namesOfCalls, type Render } from './chat-pieces.ts';
import type { RenderedEncoder } from './rendered-text.ts';

const SYSTEM = 'plumbline-system';
const REASONING = 'plumbline-reasoning';
const NAME = 'plumbline-tool';
const asked = userSays('plumbline-question');

/**
 * A check of conversations, which throws DataError for those that the template cannot say.
 * @param marks texts that open and end a turn
 */
export function refusals(
  render: Render,
  encoder: RenderedEncoder,
  marks: readonly string[],
): (conversation: Conversation, where: string) => void {
  const faults = new Map<string, string>();
  const known = (what: string, fault: () => string): string => {
    const found = faults.get(what) ?? fault();
    faults.set(what, found);
    return found;
  };
  return (conversation, where) => {
    const { messages, tools } = conversation;
    refuseSpecial(messages, encoder, marks, where);
    const has = (key: keyof Message): boolean => messages.some((message) => Boolean(message[key]));
    const found: string[] = [];
    if (messages[0]?.role === 'system' && messages[0].content.trim() !== '') {
      found.push(known('system', () => faultOfSystem(render)));
    }
    if (has('reasoning')) found.push(known('reasoning', () => faultOfReasoning(render)));
    if (tools !== undefined && tools.length > 0) found.push(known('tools', () => faultOfTools(render)));
    if (has('tool_calls') || messages.some(({ role }) => role === 'tool'))
      found.push(faultOfCalls(render, conversation));
    const problems = found.filter((fault) => fault !== '');
    if (problems.length > 0) throw new DataError(problems.map((fault) => `${where}: chat_template: ${fault}`));
  };
}

/** A token that opens or ends a turn would, within a message, start a turn that is not in the conversation. */
function refuseSpecial(
  messages: readonly Message[],
  encoder: RenderedEncoder,
  marks: readonly string[],
  where: string,
): void {
  const problems = messages.flatMap(({ role, content, reasoning, tool_calls }, i) => {
    const text = [content, reasoning ?? '', tool_calls ?? ''].join('\n');
    const found = encoder.find(text)?.content ?? marks.find((mark) => text.includes(mark));
    if (found === undefined) return [];
    return [
      `${where}: message ${i + 1} (${role}) contains ${JSON.stringify(found)}, a special token of the tokenizer; expected plain text, as it ` +
        'would end or open a turn. Remove it, or write it otherwise.',
    ];
  });
  if (problems.length > 0) throw new DataError(problems);
}

/** What keeps the system's text out of what a model reads, in words; "" where nothing does. */
function faultOfSystem(render: Render): string {
  const remedy = "Take the system text out, or put it into the user's first message.";
  try {
    if (render({ messages: [...systemSays(SYSTEM), ...asked] }, true).text.includes(SYSTEM)) return '';
    return `leaves out what the system says, so that the model would never read it; expected a template that writes it. ${remedy}`;
  } catch (error) {
    if (!(error instanceof DataError && error.cause instanceof TemplateError)) throw error;
    return `refuses a message of the system (${error.cause.located}); expected user and assistant alone. ${remedy}`;
  }
}

function faultOfReasoning(render: Render): string {
  const answer: Message = { role: 'assistant', content: 'plumbline-answer', reasoning: REASONING };
  if (render({ messages: [...asked, answer] }, false).text.includes(REASONING)) return '';
  return 'leaves out what the assistant thought (reasoning); expected a template that writes it. Leave the reasoning out, or write it into the content.';
}

function faultOfTools(render: Render): string {
  const tools = [
    { type: 'function', function: { name: NAME, description: NAME, parameters: { type: 'object', properties: {} } } },
  ];
  if (render({ messages: asked, tools }, true).text.includes(NAME)) return '';
  return "leaves out the tools; expected a template that describes them. Leave the column tools out, or write them into the system's text.";
}

/** Calls and results, message by message, in what the template makes of the conversation. */
function faultOfCalls(render: Render, conversation: Conversation): string {
  const isAnswered = conversation.messages.at(-1)?.role === 'assistant';
  const { text } = render(conversation, !isAnswered);
  const isDropped = text === textWithoutCalls(render, conversation, !isAnswered);
  for (const [i, { role, content, tool_calls }] of conversation.messages.entries()) {
    const parts = [...namesOfCalls(tool_calls), ...(role === 'tool' ? [content.trim()] : [])];
    // Some templates write results as JSON text.
    const isLost = isDropped && Boolean(tool_calls);
    if (!isLost && parts.every((part) => text.includes(part) || text.includes(JSON.stringify(part).slice(1, -1))))
      continue;
    const what = role === 'tool' ? 'what a tool gave back' : 'calls of tools';
    return `leaves out ${what} (message ${i + 1}); expected a template that writes them. Use a model whose template knows tools, or leave the row out.`;
  }
  return '';
}

/** What the template makes of a conversation without its calls; null where there are none, or it misses them. */
function textWithoutCalls(render: Render, { messages, tools }: Conversation, ask: boolean): string | null {
  if (!messages.some(({ tool_calls }) => Boolean(tool_calls))) return null;
  try {
    return render({ messages: messages.map(({ tool_calls: _, ...message }) => message), tools }, ask).text;
  } catch (error) {
    if (!(error instanceof DataError && error.cause instanceof TemplateError)) throw error;
    return null;
  }
}
