import { invalidParam } from "./api-error.ts"
import type { ChatMessage } from "./chat-renderer.ts"
import { isFields } from "./fields.ts"
import { printable } from "./printable.ts"

const roles: Readonly<Record<string, ChatMessage["role"]>> = {
  system: "system",
  user: "user",
  assistant: "assistant",
  // OpenAI's newer word for the same thing; chat templates know the older one.
  developer: "system",
}

/**
 * The messages of a chat request. Text parts of one message are joined by line feeds, as vLLM does.
 *
 * @throws ApiError 400 naming the message at fault
 */
export function chatMessages(value: unknown): readonly ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalidParam(
      "messages",
      `messages is ${printable(value)}; it must be an array of at least one message`,
    )
  }
  return value.map((message, index) => chatMessage(message, `messages[${index}]`))
}

function chatMessage(value: unknown, param: string): ChatMessage {
  if (!isFields(value)) {
    throw invalidParam(param, `${param} is ${printable(value)}; it must be an object with role and content`)
  }
  const { role, content } = value
  if (typeof role !== "string" || !Object.hasOwn(roles, role)) {
    const allowed = Object.keys(roles).join(", ")
    throw invalidParam(`${param}.role`, `${param}.role is ${printable(role)}; it must be one of ${allowed}`)
  }
  return { role: roles[role]!, content: contentText(content, `${param}.content`) }
}

function contentText(content: unknown, param: string): string {
  if (typeof content === "string") return content
  if (!Array.isArray(content) || content.length === 0) {
    throw invalidParam(
      param,
      `${param} is ${printable(content)}; it must be a string or an array of text parts`,
    )
  }
  return content.map((part, index) => partText(part, `${param}[${index}]`)).join("\n")
}

function partText(part: unknown, param: string): string {
  if (isFields(part) && part["type"] === "text" && typeof part["text"] === "string") return part["text"]
  const type = isFields(part) ? part["type"] : part
  throw invalidParam(
    param,
    `${param} is of type ${printable(type)}; only parts {"type":"text","text":"…"} are read`,
  )
}
