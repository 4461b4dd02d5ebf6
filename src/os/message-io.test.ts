import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ControlMemory } from "./control-memory.ts"
import { MessageIo } from "./message-io.ts"
import { closeSocket, openSocketPair } from "./socket-pair.ts"

const arenaBytes = 4096

/** Gaps and lengths of places, one behind the other in one arena. */
const layouts = fc.array(fc.tuple(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 60 })), {
  minLength: 1,
  maxLength: 40,
})

interface Place {
  readonly offset: number
  readonly length: number
}

function placesOf(layout: readonly (readonly [gap: number, length: number])[]): Place[] {
  let at = 0
  return layout.map(([gap, length]) => {
    const offset = at + gap
    at = offset + length
    return { offset, length }
  })
}

/** What the arena holds when the bytes of `source` fill the places in turn, from the first on. */
function filled(places: readonly Place[], source: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(arenaBytes).fill(0xee)
  let taken = 0
  for (const { offset, length } of places) {
    const part = Math.min(length, count - taken)
    bytes.set(source.subarray(taken, taken + part), offset)
    taken += part
  }
  return bytes
}

test("scatter() fills the listed places in order, as far as the bytes reach, and touches nothing else", () => {
  using memory = new ControlMemory(MessageIo.controlBytes + 2 * arenaBytes)
  const io = new MessageIo(memory)
  const [arena, source] = [memory.take(arenaBytes), memory.take(arenaBytes)]
  for (let i = 0; i < arenaBytes; i++) source.u8[i] = (i * 7 + 1) % 251
  fc.assert(
    fc.property(layouts, fc.double({ min: 0, max: 1, noNaN: true }), (layout, share) => {
      const places = placesOf(layout)
      const total = places.reduce((sum, { length }) => sum + length, 0)
      const count = Math.round(total * share)
      arena.u8.fill(0xee)
      io.clear()
      for (const { offset, length } of places) io.add(arena.address + offset, length)
      assert.equal(io.bytes, total)
      io.scatter(source.address, count)
      assert.deepEqual(Buffer.from(arena.u8), Buffer.from(filled(places, source.u8, count)))
    }),
  )
})

test("what send() gathers from one list of places, receive() puts into another, byte for byte", () => {
  using memory = new ControlMemory(MessageIo.controlBytes + 2 * arenaBytes)
  const io = new MessageIo(memory)
  const [from, to] = [memory.take(arenaBytes), memory.take(arenaBytes)]
  for (let i = 0; i < arenaBytes; i++) from.u8[i] = (i * 7 + 1) % 251
  const [near, far] = openSocketPair()
  try {
    fc.assert(
      fc.property(layouts, (layout) => {
        const places = placesOf(layout)
        to.u8.fill(0xee)
        io.clear()
        for (const { offset, length } of places) io.add(from.address + offset, length)
        assert.equal(io.send(near), io.bytes)
        const sent = places.map(({ offset, length }) => from.u8.slice(offset, offset + length))
        const target = placesOf([...layout].reverse())
        io.clear()
        for (const { offset, length } of target) io.add(to.address + offset, length)
        assert.equal(io.receive(far), io.bytes)
        assert.deepEqual(Buffer.from(to.u8), Buffer.from(filled(target, Buffer.concat(sent), io.bytes)))
      }),
    )
    assert.equal(io.receive(far), -11)
  } finally {
    closeSocket(near)
    closeSocket(far)
  }
})
