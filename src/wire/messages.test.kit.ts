import fc from "fast-check"
import { errorCodes, type KvErrorCode } from "../errors/codes.ts"
import { integrityLevels } from "../receipt/receipt.ts"
import { type Card, cardVersion } from "./card.ts"
import type { ControlMessage } from "./control-messages.ts"
import { type Grant, grantVersion } from "./grant.ts"
import type { CredentialKind, Proof } from "./handshake-messages.ts"
import { formatPublicKey } from "./public-key.ts"

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((raw) => Buffer.from(raw).toString("hex"))
const text = (max: number): fc.Arbitrary<string> => fc.string({ maxLength: max, unit: "binary" })
const label = (max: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength: max })
    .map((codes) => String.fromCharCode(...codes))
const call = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const uint32 = fc.nat({ max: 2 ** 32 - 1 })
const direction = fc.constantFrom("read", "write")
const credential = fc.constantFrom<CredentialKind>("secret", "key", "both")
const publicKey = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((raw) => formatPublicKey(Uint8Array.of(0x20, ...raw.subarray(1))))

/** Whatever a card may say. */
export const anyCard: fc.Arbitrary<Card> = fc.record(
  {
    version: fc.constant(cardVersion),
    agentId: label(128),
    bootId: hex(16),
    pid: fc.nat(),
    software: label(64),
    model: label(128),
    layout: fc.record({
      shape: fc.record({
        layers: fc.integer({ min: 1, max: 1024 }),
        kvHeads: fc.constant(8),
        headDim: fc.integer({ min: 1, max: 256 }),
        elementBytes: fc.integer({ min: 1, max: 8 }),
      }),
      order: fc.constantFrom("head-major", "token-major"),
      blockTokens: fc.integer({ min: 1, max: 1024 }),
      blocks: fc.integer({ min: 1, max: 2 ** 20 }),
      firstHead: fc.integer({ min: 0, max: 4 }),
      heads: fc.integer({ min: 1, max: 4 }),
    }),
    transports: fc.array(label(32), { maxLength: 4 }),
    epochs: fc.record({ region: uint32 }),
  },
  {
    requiredKeys: ["version", "agentId", "bootId", "pid", "software", "model", "layout", "transports"],
  },
)

/** Whatever a grant may say. */
export const anyGrant: fc.Arbitrary<Grant> = fc
  .uniqueArray(uint32, { minLength: 1, maxLength: 5 })
  .chain((regions) =>
    fc.record({
      version: fc.constant(grantVersion),
      bootId: hex(16),
      direction,
      regions: fc.constant(regions),
      expiresMillis: fc.integer({ min: 1, max: 86_400_000 }),
      endpoints: fc.array(
        fc.record({
          address: fc.record({
            transport: label(32),
            host: text(60),
            ports: fc.array(uint32, { maxLength: 4 }),
          }),
          regions: fc.tuple(
            ...regions.map((region) =>
              fc.record({
                region: fc.constant(region),
                length: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
                rkeys: fc.array(uint32, { minLength: 1, maxLength: 4 }),
                iova: fc.nat(),
              }),
            ),
          ),
        }),
        { maxLength: 3 },
      ),
    }),
  )

const proof: fc.Arbitrary<Proof> = fc.oneof(
  fc.record({ mac: hex(32) }),
  fc.record({ signature: hex(64) }),
  fc.record({ mac: hex(32), signature: hex(64) }),
)
const error = fc.record(
  {
    code: fc.constantFrom(...(Object.keys(errorCodes) as KvErrorCode[])),
    what: text(2000),
    why: text(2000),
    next: text(2000),
  },
  { requiredKeys: ["code", "what"] },
)
const granted = fc
  .array(fc.tuple(uint32, uint32), { maxLength: 50 })
  .map((pairs) => ({ blocks: pairs.map(([block]) => block), epochs: pairs.map(([, epoch]) => epoch) }))
const leases = fc.array(hex(16), { maxLength: 5 })
const type = <T extends ControlMessage["type"]>(name: T): fc.Arbitrary<T> => fc.constant(name)
const opening = { credential, nonce: hex(32), ephemeral: hex(32) }

/** Whatever one agent may say to another, by its type: a type without an entry does not compile. */
const byType: { readonly [T in ControlMessage["type"]]: fc.Arbitrary<ControlMessage> } = {
  hello: fc.record({
    type: type("hello"),
    versions: fc.array(fc.nat({ max: 65_535 }), { maxLength: 15 }).map((more) => [2, ...more]),
    ...opening,
    agentId: label(128),
    bootId: hex(16),
  }),
  challenge: fc.record(
    { type: type("challenge"), version: fc.constant(2), ...opening, publicKey },
    { requiredKeys: ["type", "version", "credential", "nonce", "ephemeral"] },
  ),
  proof: fc.record({ type: type("proof"), publicKey, proof }, { requiredKeys: ["type", "proof"] }),
  welcome: fc.record({ type: type("welcome"), proof, card: anyCard }),
  present: fc.record({ type: type("present"), seal: hex(32), card: anyCard }),
  "ask-grant": fc.record({ type: type("ask-grant"), call, direction }),
  grant: fc.record({ type: type("grant"), call, grant: anyGrant }),
  claim: fc.record({ type: type("claim"), call, lease: hex(16) }),
  granted: fc
    .tuple(call, fc.nat({ max: 2 ** 31 }), granted, direction, fc.nat({ max: 86_400_000 }))
    .map(([number, tokens, table, access, holdMillis]) => ({
      type: "granted",
      call: number,
      tokens,
      ...table,
      access,
      holdMillis,
    })),
  seals: fc.record({ type: type("seals"), call, lease: hex(16) }),
  sealed: fc.record({ type: type("sealed"), call, unitTokens: uint32 }),
  landed: fc.record(
    {
      type: type("landed"),
      call,
      lease: hex(16),
      tokens: fc.nat({ max: 2 ** 31 }),
      level: fc.constantFrom(...integrityLevels),
      note: text(4096),
    },
    { requiredKeys: ["type", "call", "lease", "tokens", "level"] },
  ),
  proven: fc.record({ type: type("proven"), call, checked: fc.nat() }),
  renew: fc.record({ type: type("renew"), call, leases }),
  renewed: fc.record({ type: type("renewed"), call, ended: leases }),
  release: fc.record(
    { type: type("release"), call, lease: hex(16), note: text(4096) },
    { requiredKeys: ["type", "call", "lease"] },
  ),
  released: fc.record({ type: type("released"), call }),
  notify: fc.record({ type: type("notify"), text: text(4096) }),
  refused: fc.record({ type: type("refused"), call, error }),
}

/** Whatever one agent may say to another. */
export const anyMessage: fc.Arbitrary<ControlMessage> = fc.oneof(...Object.values(byType))

/** Fields that may be left out, by the name alone. */
const optional = new Set(["why", "next", "publicKey", "mac", "signature", "note", "epochs"])

/** Paths to every field that must be there; fields of an address are the fabric's business. */
export function requiredPaths(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, field]) => {
    const here = [...path, name]
    const free = optional.has(name) || (path.at(-1) === "address" && name !== "transport")
    return [...(free || Array.isArray(value) ? [] : [here]), ...requiredPaths(field, here)]
  })
}

/** A copy of a JSON value with one field changed. */
export function withField(
  value: unknown,
  path: readonly string[],
  change: (holder: Record<string, unknown>, name: string) => void,
): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(value))
  let holder = copy as Record<string, unknown>
  for (const name of path.slice(0, -1)) holder = holder[name] as Record<string, unknown>
  change(holder, path.at(-1)!)
  return copy
}
