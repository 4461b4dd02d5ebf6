import { join } from "node:path"
import { Template } from "@huggingface/jinja"
import { KvError } from "../errors/kv-error.ts"
import { isJsonObject, type JsonObject, kindOf, readJsonObjectIfAny, readTextIfAny } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"

/** One turn of a conversation. */
export interface ChatMessage {
  /** Mostly `system`, `user` or `assistant`; the template decides. */
  readonly role: string
  readonly content: string
}

/** Turns a conversation into the text that the model was trained to continue. */
export interface ChatTemplate {
  /** False when the model has none: `render` then always throws. */
  readonly exists: boolean
  /**
   * The prompt for `messages`, ending where the assistant speaks next. It holds its special tokens as text:
   * encode it with `addSpecialTokens: false`.
   * @throws KvError KV_REQUEST_INVALID when the template refuses the messages, or the model has no template.
   */
  render(messages: readonly ChatMessage[]): string
}

const configFile = "tokenizer_config.json"
const templateFile = "chat_template.jinja"

/**
 * Reads the chat template of a model folder: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json`.
 * Of a list of named templates it takes the one called `default`.
 * @throws KvError KV_MODEL_INVALID when a file cannot be read or the template is not Jinja.
 */
export function readChatTemplate(directory: string): ChatTemplate {
  const configPath = join(directory, configFile)
  const config = readJsonObjectIfAny(configPath) ?? {}
  const templatePath = join(directory, templateFile)
  const own = readTextIfAny(templatePath)
  if (own !== undefined) return chatTemplate(own, config, templatePath)
  const source = config["chat_template"] ?? undefined
  if (source === undefined) return { exists: false, render: () => refuse(directory) }
  return chatTemplate(templateText(source, configPath), config, configPath)
}

function templateText(source: unknown, path: string): string {
  if (typeof source === "string") return source
  const named: readonly unknown[] = Array.isArray(source) ? source : []
  const chosen = named.find(
    (entry): entry is JsonObject => isJsonObject(entry) && entry["name"] === "default",
  )
  if (typeof chosen?.["template"] === "string") return chosen["template"]
  throw modelInvalid(
    `${path} has ${kindOf(source)} as chat_template`,
    "it must be a text, or a list with an entry named default",
  )
}

function chatTemplate(text: string, config: JsonObject, path: string): ChatTemplate {
  const template = parsed(text, path)
  const variables = {
    ...specialTokens(config),
    add_generation_prompt: true,
  }
  return {
    exists: true,
    render: (messages) => {
      try {
        return template.render({ ...variables, messages: messages.map((message) => ({ ...message })) })
      } catch (error) {
        throw notRendered(error, path)
      }
    },
  }
}

function parsed(text: string, path: string): Template {
  try {
    return new Template(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw modelInvalid(`the chat template in ${path} is not Jinja that can be used`, why, undefined, error)
  }
}

/** `bos_token` and its kin: a text, or an object that describes one. */
function specialTokens(config: JsonObject): Readonly<Record<string, string>> {
  const tokens: Record<string, string> = {}
  for (const [name, value] of Object.entries(config)) {
    const content = isJsonObject(value) ? value["content"] : value
    if (name.endsWith("_token") && typeof content === "string") tokens[name] = content
  }
  return tokens
}

function notRendered(error: unknown, path: string): KvError {
  const why = error instanceof Error ? error.message : String(error)
  return new KvError("KV_REQUEST_INVALID", {
    // A template refuses by raising an exception, and Jinja raises the same kind for its own errors.
    what: "the chat template does not accept these messages",
    why,
    next: `change the messages; ${path} shows which roles and orders the model knows`,
    cause: error,
  })
}

function refuse(directory: string): never {
  throw new KvError("KV_REQUEST_INVALID", {
    what: "this model has no chat template",
    why: `${directory} has neither ${templateFile} nor a chat_template in ${configFile}`,
    next: "send a plain prompt to /v1/completions, or add a template to the model's folder",
  })
}
