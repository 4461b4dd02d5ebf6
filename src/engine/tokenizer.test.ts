import assert from "node:assert/strict"
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { fixturePath, repositoryPath, temporaryFolder } from "./support-for-tests.ts"
import { readTokenizer, type Tokenizer } from "./tokenizer.ts"

interface Expected {
  readonly texts: readonly { text: string; tokens: number[]; plain: number[]; decoded: string }[]
  readonly decodes: readonly { tokens: number[]; decoded: string }[]
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
  const tokenizer = readTokenizer(model)
  const file = join(fixturePath(expected), "expected.json")
  const { texts, decodes } = JSON.parse(readFileSync(file, "utf8")) as Expected

  test(`${name}: texts become the tokens that the Rust tokenizers find, and come back`, () => {
    for (const { text, tokens, plain, decoded } of texts) {
      assert.deepEqual([...tokenizer.encode(text)], tokens, text)
      assert.deepEqual([...tokenizer.encode(text, { addSpecialTokens: false })], plain, text)
      assert.equal(tokenizer.decode(plain), decoded)
      assert.equal(tokenizer.decode(tokens), decoded)
    }
    for (const { tokens, decoded } of decodes) assert.equal(tokenizer.decode(tokens), decoded)
  })

  test(`${name}: a growing answer joins up to the decoded whole`, () => {
    for (const { tokens } of [...texts, ...decodes]) {
      assert.equal(pieces(tokenizer, tokens).join(""), tokenizer.decode(tokens))
    }
    const answer = fc.array(fc.integer({ min: 0, max: 319 }), { maxLength: 60 })
    if (name !== "byte-fallback") {
      fc.assert(
        fc.property(answer, (tokens) => {
          assert.equal(pieces(tokenizer, tokens).join(""), tokenizer.decode(tokens))
        }),
      )
    }
  })

  test(`${name}: a growing answer never shows half of a character`, () => {
    for (const { text } of texts.filter(({ text }) => !text.includes("\ufffd"))) {
      const shown = pieces(tokenizer, tokenizer.encode(text))
      assert.ok(shown.every((piece) => !/\p{Surrogate}|\ufffd/u.test(piece)))
    }
  })

  test(`${name}: any text survives encoding and decoding`, () => {
    // Spelled-out special tokens are left out by design, and U+2581 means a space to tokenizers of this family.
    const text = fc.string({ unit: "grapheme" }).filter((value) => !/[<|\u2581]/.test(value))
    fc.assert(
      fc.property(text, (value) => {
        assert.equal(tokenizer.decode(tokenizer.encode(value)), value)
      }),
    )
  })
}

test("an answer that ends inside a character ends with U+FFFD", () => {
  const tokenizer = readTokenizer(fixturePath("tokenizers/byte-level"))
  const tokens = tokenizer.encode("ok 🚢")
  const decoder = tokenizer.openDecoder()
  const shown = [...tokens.subarray(0, -1)].map((token) => decoder.push(token)).join("")
  assert.equal(shown, "ok ")
  assert.equal(decoder.end(), "\ufffd")
  assert.equal(decoder.end(), "")
})

test("a token outside the vocabulary does not stop decoding", () => {
  const tokenizer = readTokenizer(fixturePath("tokenizers/byte-fallback"))
  assert.equal(typeof tokenizer.decode([70_000]), "string")
})

test("what the vocabulary cannot express is left out, as the Rust tokenizers do", (t) => {
  const folder = brokenCopy(t, "byte-level", (description) => {
    Object.assign((description as { model: object }).model, { vocab: { a: 2, b: 3 }, merges: [] })
  })
  assert.deepEqual([...readTokenizer(folder).encode("acb")], [0, 2, 3])
})

test("a special token without an id is an error, not token 0", (t) => {
  const folder = brokenCopy(t, "byte-level", (description) => {
    Object.assign(description, { added_tokens: [] })
    Reflect.deleteProperty((description as { model: { vocab: object } }).model.vocab, "<|begin|>")
  })
  assert.throws(
    () => readTokenizer(folder).encode("a"),
    (error) =>
      error instanceof KvError && error.code === "KV_MODEL_INVALID" && /<\|begin\|>/.test(error.message),
  )
})

test("a tokenizer that is missing, cut short or of an unknown kind is refused by name", (t) => {
  const cut = brokenCopy(t, "byte-level", () => {})
  writeFileSync(join(cut, "tokenizer.json"), '{"model": ')
  const list = brokenCopy(t, "byte-level", () => {})
  writeFileSync(join(list, "tokenizer.json"), "[1]")
  const broken = [
    { folder: temporaryFolder(t), says: /tokenizer\.json cannot be read/ },
    { folder: cut, says: /tokenizer\.json is not JSON/ },
    { folder: list, says: /tokenizer\.json holds a list of 1/ },
    { folder: brokenCopy(t, "byte-level", (it) => Reflect.deleteProperty(it, "model")), says: /model/ },
    {
      folder: brokenCopy(t, "byte-level", (it) => Object.assign(it, { decoder: { type: "Odd" } })),
      says: /Odd/,
    },
  ]
  for (const { folder, says } of broken) {
    assert.throws(
      () => readTokenizer(folder),
      (error) => error instanceof KvError && error.code === "KV_MODEL_INVALID" && says.test(error.message),
    )
  }
})

function pieces(tokenizer: Tokenizer, tokens: Iterable<number>): string[] {
  const decoder = tokenizer.openDecoder()
  return [...Array.from(tokens, (token) => decoder.push(token)), decoder.end()]
}

/** A copy of a fixture whose tokenizer.json has been changed. */
function brokenCopy(
  t: { after(done: () => void): void },
  name: string,
  change: (description: object) => void,
): string {
  const folder = temporaryFolder(t)
  cpSync(fixturePath(`tokenizers/${name}`), folder, { recursive: true })
  const path = join(folder, "tokenizer.json")
  const description = JSON.parse(readFileSync(path, "utf8")) as object
  change(description)
  rmSync(path)
  writeFileSync(path, JSON.stringify(description))
  return folder
}
