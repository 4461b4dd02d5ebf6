import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import { formatPublicKey, parsePublicKey, publicKeyChars } from "./public-key.ts"

test("a key comes out as it went in", () => {
  for (let round = 0; round < 50; round++) {
    const raw = new Uint8Array(randomBytes(32))
    const written = formatPublicKey(raw)
    assert.equal(written.length, publicKeyChars)
    assert.deepEqual(parsePublicKey(written), raw)
  }
})

test("any text is refused, or is the one spelling of its key", () => {
  const almost = fc
    .tuple(fc.uint8Array({ minLength: 30, maxLength: 34 }), fc.constantFrom("", "=", " ", "\n", "A"))
    .map(([raw, tail]) => formatPublicKey(raw) + tail)
  fc.assert(
    fc.property(
      fc.oneof(
        almost,
        fc.string(),
        fc.string().map((text) => `ed25519:${text}`),
      ),
      (written) => {
        const raw = parsePublicKey(written)
        if (raw !== undefined) assert.equal(formatPublicKey(raw), written)
      },
    ),
  )
})

test("another spelling of the same bytes is refused", () => {
  const raw = new Uint8Array(32).fill(0xfb)
  const written = formatPublicKey(raw)
  const body = written.slice("ed25519:".length)
  const others = [
    body,
    `ED25519:${body}`,
    `ed25519:${Buffer.from(raw).toString("base64")}`,
    `ed25519:${Buffer.from(raw).toString("hex")}`,
    `${written}=`,
    ` ${written}`,
    // The last letter has two bits that carry nothing: 's' and 't' would decode to the same bytes.
    written.slice(0, -1) + String.fromCharCode(written.charCodeAt(written.length - 1) + 1),
  ]
  for (const other of others) assert.equal(parsePublicKey(other), undefined, other)
})

const p = 2n ** 255n - 19n
const mod = (value: bigint): bigint => ((value % p) + p) % p
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let [b, e] = [mod(base), exponent]; e > 0n; [b, e] = [mod(b * b), e >> 1n])
    if (e & 1n) result = mod(result * b)
  return result
}
const inverse = (value: bigint): bigint => power(value, p - 2n)
const d = mod(-121665n * inverse(121666n))
type Point = readonly [bigint, bigint]

/** A point of the curve for a y; undefined when there is none. RFC 8032, 5.1.3. */
function pointOf(y: bigint): Point | undefined {
  const xx = mod((y * y - 1n) * inverse(d * y * y + 1n))
  let x = power(xx, (p + 3n) / 8n)
  if (mod(x * x) !== xx) x = mod(x * power(2n, (p - 1n) / 4n))
  return mod(x * x) === xx ? [x, mod(y)] : undefined
}

function twice([x, y]: Point): Point {
  const dxxyy = d * x * x * y * y
  return [mod(2n * x * y * inverse(1n + dxxyy)), mod((y * y + x * x) * inverse(1n - dxxyy))]
}

const isSmall = (raw: Uint8Array): boolean => {
  const unsigned = [...raw].map((byte, at) => (at === 31 ? byte & 0x7f : byte))
  const y = BigInt(`0x${Buffer.from(unsigned.reverse()).toString("hex")}`)
  const point = pointOf(mod(y))
  if (point === undefined) return false
  const [x8, y8] = twice(twice(twice(point)))
  return x8 === 0n && y8 === 1n
}

const littleEndian = (value: bigint): Uint8Array =>
  new Uint8Array(Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse())

test("every point of small order is refused, in every spelling and with either sign; nothing else is", () => {
  // y of the points of order 8: the two roots of the doubling formula that lead to order 4.
  const order8 = ["26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"].map((digits) =>
    BigInt(`0x${Buffer.from(Buffer.from(digits, "hex")).reverse().toString("hex")}`),
  )
  const ys = [0n, 1n, p - 1n, ...order8, ...order8.map((y) => p - y)]
  const spellings = ys.flatMap((y) => (y + p < 2n ** 255n ? [y, y + p] : [y]))
  assert.equal(spellings.length, 7)
  for (const y of spellings) {
    for (const sign of [0, 0x80]) {
      const raw = littleEndian(y)
      raw[31]! |= sign
      assert.equal(isSmall(raw), true, `${y} has a small order`)
      assert.equal(parsePublicKey(formatPublicKey(raw)), undefined, `${y}`)
    }
  }
  for (const y of [2n, 3n, 4n, 5n, p - 2n, p + 2n, p + 18n]) {
    const raw = littleEndian(y)
    assert.equal(isSmall(raw), false)
    assert.notEqual(parsePublicKey(formatPublicKey(raw)), undefined, `${y}`)
  }
})
