/** P3. Never silently slower: the receipt names the path and why, and what is not allowed is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { lendBlocks, lendRandom, openPair, openSide, pullOf, type Side } from "../agent/agent.test.kit.ts"
import type { PathPolicy } from "../agent/rank-paths.ts"
import { KvError } from "../errors/kv-error.ts"
import type { TransferReceipt } from "../receipt/receipt.ts"
import type { Connection } from "../transport/transport.ts"
import { withEndpoints } from "./changed-endpoint.test.kit.ts"
import { transports } from "./transports.test.kit.ts"

const names = transports.map(({ name }) => name)
const policyOf = (allowed: readonly string[], more: Partial<PathPolicy> = {}): PathPolicy => ({
  allowed,
  known: names,
  refused: [],
  ...more,
})

async function pullFrom(source: Side, target: Side, address: string): Promise<TransferReceipt> {
  const { lease } = lendRandom(source, 40)
  const peer = await target.agent.connect(address, 5000)
  return target.agent.pull(peer, pullOf(lease, 40, target)).receipt
}

const refused =
  (code: string, ...texts: RegExp[]) =>
  (error: unknown) => {
    assert.ok(error instanceof KvError && error.code === code, String(error))
    for (const text of texts) assert.match(error.message, text)
    return true
  }

for (const [place, transport] of transports.entries()) {
  test(`the first allowed path that reaches the peer is taken, and the receipt says so: ${transport.name}`, async () => {
    const order = [transport, ...transports.filter((other) => other !== transport)]
    await using pair = await openPair([...transports], {
      target: { transports: [...order], policy: policyOf(order.map(({ name }) => name)) },
    })
    const { path, state } = await pullFrom(pair.source, pair.target, pair.address)
    assert.equal(state, "delivered")
    assert.equal(path.transport, transport.name)
    assert.match(path.why, new RegExp(`^${transport.name}: .*\\(first allowed path\\)$`))
    assert.ok(place >= 0 && path.rails.length > 0)
  })

  test(`--require ${transport.name} refuses every other path, with the reasons, and takes this one`, async () => {
    const other = transports.filter(({ name }) => name !== transport.name)
    await using source = await openSide({ transports: [...other] })
    const { port } = await source.agent.listen("127.0.0.1", 0)
    const order = [transport.name, ...other.map(({ name }) => name)]
    const policy = policyOf(order, { required: [transport.name] })
    await using target = await openSide({ transports: [...transports], policy })
    await assert.rejects(
      target.agent.connect(`127.0.0.1:${port}`, 5000),
      refused(
        "KV_TRANSPORT_UNAVAILABLE",
        new RegExp(`not reached over ${transport.name}`),
        new RegExp(`the peer offers no ${transport.name}`),
      ),
    )
    await using right = await openSide({ transports: [...transports] })
    const listening = await right.agent.listen("127.0.0.1", 0)
    const { path } = await pullFrom(right, target, `127.0.0.1:${listening.port}`)
    assert.equal(path.transport, transport.name)
  })
}

test("a path that looks good and does not connect leaves its place to the next, and the receipt names its error", async () => {
  const [first, second] = [transports[0]!, transports[1]!]
  const broken = withEndpoints(first, () => ({
    connect: () =>
      Promise.reject(new KvError("KV_PEER_UNREACHABLE", { what: "a firewall dropped it", why: "test" })),
  }))
  await using pair = await openPair([first, second], { target: { transports: [broken, second] } })
  const { path, state } = await pullFrom(pair.source, pair.target, pair.address)
  assert.equal(state, "delivered")
  assert.equal(path.transport, second.name)
  assert.match(path.why, /after loopback: it did not connect: a firewall dropped it \(test\)/)
  const policy = policyOf(names, { required: [first.name] })
  await using strict = await openSide({ transports: [broken, second], policy })
  await assert.rejects(
    strict.agent.connect(pair.address, 5000),
    refused("KV_TRANSPORT_UNAVAILABLE", /a firewall dropped it/),
  )
})

test("what has nothing to do with the path ends the connection: no other path is tried behind it", async () => {
  const [first, second] = [transports[0]!, transports[1]!]
  for (const code of ["KV_PEER_UNTRUSTED", "KV_PEER_REFUSED", "KV_DEADLINE", "KV_LIMIT"] as const) {
    const refusing = withEndpoints(first, () => ({
      connect: () => Promise.reject(new KvError(code, { what: "not you" })),
    }))
    await using pair = await openPair([first, second], { target: { transports: [refusing, second] } })
    await assert.rejects(pair.target.agent.connect(pair.address, 5000), refused(code, /not you/))
  }
})

test("what a path had to send again is in the receipt", async () => {
  const again = withEndpoints(transports[0]!, (inner) => ({
    connect: async (...how) => sendingAgain(await inner.connect(...how), 3),
  }))
  const offers = { read: true, write: true }
  await using pair = await openPair([again], { source: { offers }, target: { offers } })
  assert.equal((await pullFrom(pair.source, pair.target, pair.address)).retries, 3)
  const held = await pair.target.agent.claim(
    await pair.target.agent.connect(pair.address, 5000),
    lendBlocks(pair.source, 40).lease,
    { deadline: performance.now() + 5000 },
  )
  const into = pair.target.pool.allocator.allocate(3)
  await using read = pair.target.agent.prepareRead({ lease: held, into })
  for (let post = 0; post < 3; post++)
    assert.equal((await read.post().receipt).retries, 3, "of each post alone")
  const { lease } = lendBlocks(pair.source, 40, { access: "write" })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const from = pair.target.pool.allocator.allocate(3)
  const { state, retries } = await pair.target.agent.push(peer, { lease, from, tokens: 40 }).receipt
  assert.deepEqual([state, retries], ["delivered", 3])
})

/** A connection that says of each move that so many of its pieces were sent again. */
function sendingAgain(inner: Connection, retries: number): Connection {
  return {
    transport: inner.transport,
    lost: inner.lost,
    move: async (request) => ({ ...(await inner.move(request)), retries }),
    prepare: (request) => {
      const prepared = inner.prepare(request)
      return {
        post: async (options) => ({ ...(await prepared.post(options)), retries }),
        [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
      }
    },
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

test("a path that is there and not allowed is not taken, though nothing else is left", async () => {
  await using pair = await openPair([...transports])
  await using target = await openSide({ transports: [transports[1]!], policy: policyOf([]) })
  await assert.rejects(target.agent.connect(pair.address, 5000), refused("KV_TRANSPORT_UNAVAILABLE"))
})

test("every receipt accounts for its bytes: rails add up to the payload", async () => {
  for (const transport of transports) {
    await using pair = await openPair([transport])
    const receipt = await pullFrom(pair.source, pair.target, pair.address)
    const sum = receipt.path.rails.reduce((bytes, rail) => bytes + rail.bytes, 0)
    assert.deepEqual([sum, receipt.bytes], [40 * 3 * 2 * 2 * 8 * 4, sum], transport.name)
    assert.ok(receipt.bytesPerSecond > 0 && receipt.retries === 0)
  }
})
