import assert from "node:assert/strict"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import type { KvErrorCode } from "../errors/codes.ts"
import { KvError } from "../errors/kv-error.ts"
import { type ChatMessage, readChatTemplate } from "./chat-template.ts"
import { fixturePath, repositoryPath, temporaryFolder } from "./support-for-tests.ts"
import { readTokenizer } from "./tokenizer.ts"

interface Expected {
  readonly chats: readonly { messages: ChatMessage[]; rendered: string }[]
}

const cases = [
  { name: "byte-level", model: fixturePath("tokenizers/byte-level"), expected: "tokenizers/byte-level" },
  {
    name: "byte-fallback",
    model: fixturePath("tokenizers/byte-fallback"),
    expected: "tokenizers/byte-fallback",
  },
  { name: "ferry-tiny", model: repositoryPath("models", "ferry-tiny"), expected: "ferry-tiny" },
].filter(({ expected }) => existsSync(fixturePath(expected)))

for (const { name, model, expected } of cases) {
  test(`${name}: conversations are rendered as transformers renders them`, () => {
    const template = readChatTemplate(model)
    const file = join(fixturePath(expected), "expected.json")
    const { chats } = JSON.parse(readFileSync(file, "utf8")) as Expected
    assert.ok(template.exists)
    for (const { messages, rendered } of chats) assert.equal(template.render(messages), rendered)
  })
}

test("a rendered conversation is encoded with one BOS, its own", () => {
  const folder = fixturePath("tokenizers/byte-level")
  const text = readChatTemplate(folder).render([{ role: "user", content: "Hello" }])
  const tokens = readTokenizer(folder).encode(text, { addSpecialTokens: false })
  assert.deepEqual([tokens[0], tokens.indexOf(0, 1)], [0, -1])
})

test("a template that refuses the messages says why", () => {
  const byRole = readChatTemplate(fixturePath("tokenizers/byte-level"))
  const byOrder = readChatTemplate(fixturePath("tokenizers/byte-fallback"))
  refuses(
    () => byRole.render([{ role: "pirate", content: "Arr" }]),
    "KV_REQUEST_INVALID",
    /unknown role pirate/,
  )
  refuses(
    () => byOrder.render([{ role: "assistant", content: "Hi" }]),
    "KV_REQUEST_INVALID",
    /must alternate/,
  )
})

test("a model without a template refuses conversations and says what to do", (t) => {
  const template = readChatTemplate(temporaryFolder(t))
  assert.equal(template.exists, false)
  refuses(() => template.render([{ role: "user", content: "Hi" }]), "KV_REQUEST_INVALID", /no chat template/)
})

test("of named templates the default is taken, and the file goes before the configuration", (t) => {
  const folder = temporaryFolder(t)
  const message = [{ role: "user", content: "Hi" }]
  const named = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "{{ bos_token }}{{ messages[0].content }}" },
  ]
  writeConfig(folder, { chat_template: named, bos_token: { content: "<s>" } })
  assert.equal(readChatTemplate(folder).render(message), "<s>Hi")
  writeFileSync(join(folder, "chat_template.jinja"), "from the file")
  assert.equal(readChatTemplate(folder).render(message), "from the file")
})

test("a template that is no template is refused when the model is read", (t) => {
  const folder = temporaryFolder(t)
  for (const [source, says] of [
    ["{% if %}", /not Jinja/],
    ["{{ open", /not Jinja/],
    [7, /7 as chat_template/],
    [[{ name: "rag", template: "" }], /an entry named default/],
  ] as const) {
    writeConfig(folder, { chat_template: source })
    refuses(() => readChatTemplate(folder), "KV_MODEL_INVALID", says)
  }
})

function writeConfig(folder: string, config: object): void {
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config))
}

function refuses(act: () => unknown, code: KvErrorCode, says: RegExp): void {
  assert.throws(act, (error) => error instanceof KvError && error.code === code && says.test(error.message))
}
