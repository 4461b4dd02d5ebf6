/** What a peer says after the handshake, whatever it is: no crash, no hang, and no memory that grows with its words. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { encodeFrame, frameLimits } from "../wire/control-frame.ts"
import type { ControlMessage } from "../wire/control-messages.ts"
import { anyMessage } from "../wire/messages.test.kit.ts"
import { clusterSecret, lendBlocks } from "./agent.test.kit.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { greetAsCaller } from "./greet.ts"
import { delivered, type PipeEnd } from "./in-memory.test.kit.ts"
import { openQuiet, type Quiet } from "./quiet-agents.test.kit.ts"
import { leaseA, openPeer } from "./scripted.test.kit.ts"

const anyFrame = (lease: string) =>
  fc.oneof(
    { weight: 5, arbitrary: anyMessage },
    // Calls that name a lease which is really there.
    {
      weight: 5,
      arbitrary: fc.oneof(
        fc.record({ type: fc.constantFrom("claim", "seals"), call: fc.nat(), lease: fc.constant(lease) }),
        fc.record({ type: fc.constant("renew"), call: fc.nat(), leases: fc.constant([lease, leaseA]) }),
        fc.record({
          type: fc.constant("landed"),
          call: fc.nat(),
          lease: fc.constant(lease),
          tokens: fc.constantFrom(0, 1, 40, 2 ** 31),
          level: fc.constantFrom("none", "epoch", "sampled", "full"),
        }),
        fc.record({
          type: fc.constant("ask-grant"),
          call: fc.nat(),
          direction: fc.constantFrom("read", "write"),
        }),
      ),
    },
    { weight: 1, arbitrary: fc.jsonValue() },
  )

const anyAttachment = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined })

/** Somebody who got in, and now says what it likes. */
async function intrude(quiet: Quiet) {
  const end = (await quiet.network.connect("memory", 1)) as PipeEnd
  /** What was said lately, as the bytes that it was sealed into; they are kept back when the test cuts them itself. */
  const sealed: Uint8Array[] = []
  let kept = false
  const channel = new MessageChannel({
    peer: end.peer,
    peerHost: end.peerHost,
    send: (bytes) => (kept ? void sealed.push(bytes) : end.send(bytes)),
    onBytes: (listener) => end.onBytes(listener),
    onClose: (listener) => end.onClose(listener),
    close: () => end.close(),
  })
  await greetAsCaller(channel, {
    card: { ...cardOf("intruder"), layout: quiet.source.agent.card.layout },
    credentials: { secret: clusterSecret },
    clock: quiet.clock,
    timeoutMillis: 1000,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
  })
  channel.listen(
    () => {},
    () => {},
  )
  const say = (body: unknown, attachment?: Uint8Array): void =>
    channel.send(body as ControlMessage, attachment)
  /** The sealed bytes of messages, which are not sent. */
  const seal = (bodies: readonly unknown[]): Uint8Array[] => {
    kept = true
    for (const body of bodies) say(body)
    kept = false
    return sealed.splice(0)
  }
  return { end, say, seal }
}

test("a listener survives every message of a peer that got in, and serves the next one", async () => {
  await using quiet = await openQuiet({ source: { offers: { read: true, write: true } } })
  const access = fc.constantFrom("read", "write")
  await fc.assert(
    fc.asyncProperty(access, fc.gen(), async (of, gen) => {
      const { lease, ends } = lendBlocks(quiet.source, 40, { access: of })
      const { end, say } = await intrude(quiet)
      for (let said = 0; said < 25 && !end.closed; said++) {
        const body = gen(anyFrame, lease)
        const attachment = gen(() => anyAttachment)
        say(body, attachment)
        await delivered()
      }
      end.close()
      await quiet.settle()
      quiet.source.agent.withdraw(lease)
      await quiet.settle()
      assert.equal(ends.length, 1)
      assert.deepEqual(
        [quiet.source.agent.connections.callers, quiet.sessions.size, quiet.source.agent.openLeases],
        [0, 0, 0],
      )
      assert.equal(quiet.source.pool.allocator.free, 32)
    }),
    { numRuns: 60 },
  )
  await quiet.target.agent.connect(quiet.address, 5000)
})

test("a listener survives bytes that are no frames, among good ones that come in any pieces", async () => {
  await using quiet = await openQuiet()
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyMessage, { maxLength: 6 }),
      fc.option(fc.tuple(fc.nat({ max: 6 }), fc.uint8Array({ minLength: 1, maxLength: 300 })), {
        nil: undefined,
      }),
      fc.infiniteStream(fc.integer({ min: 1, max: 200 })),
      async (messages, garbage, cuts) => {
        const { end, seal } = await intrude(quiet)
        const chunks = seal(messages)
        if (garbage !== undefined) chunks.splice(garbage[0], 0, garbage[1])
        const all = Buffer.concat(chunks)
        for (let at = 0; at < all.byteLength; ) {
          const cut = cuts.next().value as number
          end.send(all.subarray(at, at + cut))
          at += cut
        }
        await quiet.settle()
        end.close()
        await quiet.settle()
        assert.deepEqual([quiet.source.agent.connections.callers, quiet.sessions.size], [0, 0])
      },
    ),
    { numRuns: 80 },
  )
})

test("a frame that names gigabytes is refused at its header: nothing is kept for it", async () => {
  await using quiet = await openQuiet()
  for (const [body, attachment] of [
    [frameLimits.body + 1, 0],
    [2 ** 32 - 1, 0],
    [16, frameLimits.attachment + 1],
    [16, 2 ** 32 - 1],
  ] as const) {
    const { end } = await intrude(quiet)
    const header = new DataView(encodeFrame({ body: {} }).slice(0, 16).buffer)
    header.setUint32(8, body, true)
    header.setUint32(12, attachment, true)
    end.send(new Uint8Array(header.buffer))
    await quiet.settle()
    assert.equal(end.closed, true)
  }
})

test("a caller survives every message of its peer: each question has an end, and nothing waits when the peer is gone", async () => {
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const { peer, clock, say } = openPeer()
      const deadline = clock.now() + 500
      const questions = [
        peer.claim(leaseA, { deadline }),
        peer.seals(leaseA, { deadline }),
        peer.release(leaseA, { deadline }),
        peer.landed(leaseA, { tokens: 1, level: "full", hashes: new BigUint64Array(3) }, { deadline }),
        peer.writer({ deadline }),
      ].map((asked) => asked.then(() => {}).catch(() => {}))
      for (let said = 0; said < 12 && peer.lost === undefined; said++) {
        // As if for a question that waits, more often than not.
        const message = gen(() => anyMessage)
        const call = gen(() => fc.integer({ min: 0, max: 7 }))
        await say(
          "call" in message && gen(() => fc.boolean()) ? ({ ...message, call } as ControlMessage) : message,
        )
      }
      clock.advance(500)
      await Promise.all(questions)
      peer.close()
      await delivered()
      assert.equal(clock.waiting, 0)
    }),
    { numRuns: 200 },
  )
})
