import assert from "node:assert/strict"
import { truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { openSafetensors } from "./safetensors.ts"
import { temporaryFolder } from "./support-for-tests.ts"

interface Tensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

/** The bytes of a safetensors file, right or wrong. */
function encode(header: unknown, data: Uint8Array, headerLength?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + text.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true)
  file.set(text, 8)
  file.set(data, 8 + text.length)
  return file
}

test("tensors of fp32, fp16 and bf16 are read as fp32", (t) => {
  const path = join(temporaryFolder(t), "a.safetensors")
  const data = new Uint8Array([
    ...new Uint8Array(Float32Array.of(1.5, -2, 3, 1e-40).buffer),
    ...new Uint8Array(Uint16Array.of(0x3c00, 0xc000).buffer),
    ...new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer),
  ])
  const header = {
    __metadata__: { format: "pt" },
    halves: { dtype: "F16", shape: [2], data_offsets: [16, 20] },
    matrix: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] },
    brains: { dtype: "BF16", shape: [2, 1], data_offsets: [20, 24] },
    nothing: { dtype: "F32", shape: [0, 7], data_offsets: [24, 24] },
  }
  writeFileSync(path, encode(header, data))
  const file = openSafetensors(path)
  assert.deepEqual(file.read("matrix", [2, 2]), Float32Array.of(1.5, -2, 3, 1e-40))
  assert.deepEqual(file.read("halves", [2]), Float32Array.of(1, -2))
  assert.deepEqual(file.read("brains", [2, 1]), Float32Array.of(1, -2))
  assert.deepEqual(file.read("nothing", [0, 7]), new Float32Array(0))
  file.close()
})

const data = new Uint8Array(16)
const whole: Tensor = { dtype: "F32", shape: [4], data_offsets: [0, 16] }
const broken: readonly { readonly name: string; readonly bytes: Uint8Array; readonly says: RegExp }[] = [
  { name: "an empty file", bytes: new Uint8Array(0), says: /has 0 bytes/ },
  { name: "a file of 7 bytes", bytes: new Uint8Array(7), says: /has 7 bytes/ },
  {
    name: "a header longer than the file",
    bytes: encode({}, data, 1000),
    says: /header of 1000 bytes.*has 26 bytes/,
  },
  {
    name: "a header of 2^63 bytes",
    bytes: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 128]),
    says: /9223372036854775808/,
  },
  { name: "a header that is not JSON", bytes: encode('{"a":', data), says: /header of .* is not JSON/ },
  { name: "a header that is a list", bytes: encode([], data), says: /a list of 0 where an object/ },
  { name: "a tensor that is a number", bytes: encode({ a: 5 }, data), says: /tensor a .* described by 5/ },
  {
    name: "an unknown dtype",
    bytes: encode({ a: { ...whole, dtype: "F4" } }, data),
    says: /dtype "F4".*known are/,
  },
  {
    name: "a missing dtype",
    bytes: encode({ a: { ...whole, dtype: undefined } }, data),
    says: /dtype nothing/,
  },
  {
    name: "a negative size",
    bytes: encode({ a: { ...whole, shape: [-4] } }, data),
    says: /no usable shape: \[-4\]/,
  },
  {
    name: "a missing shape",
    bytes: encode({ a: { ...whole, shape: undefined } }, data),
    says: /no usable shape/,
  },
  {
    name: "one offset",
    bytes: encode({ a: { ...whole, data_offsets: [0] } }, data),
    says: /no usable data_offsets/,
  },
  {
    name: "offsets that run back",
    bytes: encode({ a: { ...whole, data_offsets: [16, 0] } }, data),
    says: /data_offsets/,
  },
  {
    name: "a size that is not shape x dtype",
    bytes: encode({ a: { ...whole, shape: [5] } }, data),
    says: /has 16 bytes; shape \[5\] of F32 needs 20/,
  },
  {
    name: "a shape whose product overflows",
    bytes: encode({ a: { ...whole, shape: [2 ** 40, 2 ** 40] } }, data),
    says: /needs/,
  },
  {
    name: "an offset beyond the file",
    bytes: encode({ a: { ...whole, shape: [5], data_offsets: [0, 20] } }, data),
    says: /takes bytes \d+ to \d+, but the file has/,
  },
  {
    name: "a file cut short",
    bytes: encode({ a: whole }, data.subarray(0, 15)),
    says: /but the file has \d+ bytes/,
  },
  {
    name: "a byte too many",
    bytes: encode({ a: whole }, new Uint8Array(17)),
    says: /its tensors end at byte/,
  },
  {
    name: "overlapping tensors",
    bytes: encode({ a: whole, b: { ...whole, shape: [2], data_offsets: [8, 16] } }, data),
    says: /tensor b .* but tensor a ends at byte \d+: they overlap/,
  },
  {
    name: "a hole between tensors",
    bytes: encode(
      {
        a: { ...whole, shape: [1], data_offsets: [0, 4] },
        b: { ...whole, shape: [2], data_offsets: [8, 16] },
      },
      data,
    ),
    says: /a hole/,
  },
]

for (const { name, bytes, says } of broken) {
  test(`${name} is refused with its numbers`, (t) => {
    const path = join(temporaryFolder(t), "broken.safetensors")
    writeFileSync(path, bytes)
    refuses(() => openSafetensors(path), says)
    refuses(() => openSafetensors(path), /broken\.safetensors/)
  })
}

test("a tensor that is missing, of another shape or of whole numbers is refused when asked for", (t) => {
  const path = join(temporaryFolder(t), "a.safetensors")
  writeFileSync(
    path,
    encode({ a: whole, ids: { dtype: "I64", shape: [1], data_offsets: [16, 24] } }, new Uint8Array(24)),
  )
  const file = openSafetensors(path)
  refuses(() => file.read("b", [4]), /tensor b is missing in .*a\.safetensors, which holds 2 tensors/)
  refuses(() => file.read("a", [2, 2]), /has shape \[4\]; config\.json asks for \[2, 2\]/)
  refuses(() => file.read("ids", [1]), /is I64/)
  truncateSync(path, 100)
  refuses(() => file.read("a", [4]), /ended at byte 100|became shorter/)
  file.close()
})

test("a missing file is refused by name", (t) => {
  refuses(
    () => openSafetensors(join(temporaryFolder(t), "gone.safetensors")),
    /gone\.safetensors cannot be opened/,
  )
})

test("no damage to a header gets past the checks unnoticed", (t) => {
  const path = join(temporaryFolder(t), "a.safetensors")
  const right = encode({ a: whole }, data)
  fc.assert(
    fc.property(fc.nat(right.length - 17), fc.integer({ min: 1, max: 255 }), (position, change) => {
      const bytes = right.slice()
      bytes[position]! ^= change
      writeFileSync(path, bytes)
      try {
        const file = openSafetensors(path)
        // What still opens describes the same bytes under another name or in another shape.
        const [entry] = [...file.tensors.values()]
        assert.equal(entry === undefined ? 16 : entry.bytes, 16)
        file.close()
      } catch (error) {
        assert.ok(error instanceof KvError && error.code === "KV_MODEL_INVALID", String(error))
      }
    }),
  )
})

function refuses(act: () => unknown, says: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof KvError && error.code === "KV_MODEL_INVALID", String(error))
    assert.match(error.message, says)
    assert.ok(error.next !== undefined)
    return true
  })
}
