/** What a fabric's rails are put through in the lab: lost packets, a rail that dies, and every rail dead. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { test } from "node:test"
import type { Moved } from "../transport.ts"
import {
  assertLeftAlone,
  assertRight,
  failure,
  move,
  pause,
  type Rig,
  soon,
  words,
  wrongWordsThere,
} from "./two-processes.test.kit.ts"

/** The lab's program for links. */
export const labWire = (...args: readonly string[]): void =>
  void execFileSync("lab-wire", args, { stdio: "pipe" })

/** Two rails that can be taken down one by one. */
export interface TwoRails {
  readonly near: readonly [string, string]
  readonly far: readonly [string, string]
  /** The links that they stand on; to take one down is its rail's death. */
  readonly links: readonly [string, string]
}

/** Rails of one device each with itself: no packet leaves them. */
export const ownRails: TwoRails = { near: ["rxe0", "rxe1"], far: ["rxe0", "rxe1"], links: ["rail0", "rail1"] }
/** Rails over two wires, from one device to another one. */
export const wiredRails: TwoRails = { near: ["rxw0", "rxw2"], far: ["rxw1", "rxw3"], links: ["w0", "w2"] }

/** Devices that reach one other device each, and not themselves. */
export const wireEnds: readonly string[] = [...wiredRails.near, ...wiredRails.far]

/**
 * Makes the devices of these rails anew: their connection manager does not survive that a link was down, in Linux 6.1. Call it
 * before anything of this process has opened a device.
 */
export function renew({ near, far }: TwoRails): void {
  for (const device of new Set([...near, ...far])) labWire("renew", device)
}

/** Why there are no wired rails here; false when there are. */
export const noWires = existsSync("/sys/class/infiniband/rxw3")
  ? false
  : "there are no two wires here: npm run lab -- --wires 2"

/** How often a device has sent again. */
const sentAgain = (device: string): number =>
  Number(execFileSync("cat", [`/sys/class/infiniband/${device}/ports/1/hw_counters/completer_retry_err`]))

/** Registers the test of lost packets; the rails are two wires. */
export function lossTest(title: string, open: (rails: TwoRails) => Promise<Rig>, skip: string | false): void {
  const ends = ["w0", "w1", "w2", "w3"]
  test(`${title}: over two wires that lose 1 % of their packets every byte is right, both ways`, {
    skip,
  }, async () => {
    await using rig = await open(wiredRails)
    const devices = [...wiredRails.near, ...wiredRails.far]
    const before = devices.map(sentAgain)
    for (const end of ends) labWire("netem", end, "loss", "1%")
    try {
      const read = await move(rig, "read", { deadline: soon(60_000) })
      assertRight(rig)
      assert.ok(
        read.rails.every(({ bytes }) => bytes > 0),
        JSON.stringify(read),
      )
      words(rig).fill(0)
      await move(rig, "write", { deadline: soon(60_000) })
      assert.equal(await wrongWordsThere(rig), rig.span.byteLength / 4)
    } finally {
      for (const end of ends) labWire("clear", end)
    }
    assert.ok(
      devices.some((device, i) => sentAgain(device) > before[i]!),
      "packets were lost and sent again",
    )
  })
}

/** Registers the test of a rail that dies. @param comesBack that it is used again when its link is up again. */
export function railDeathTest(
  title: string,
  open: () => Promise<Rig>,
  { links }: TwoRails,
  { comesBack, skip = false }: { readonly comesBack: boolean; readonly skip?: string | false },
): void {
  const then = comesBack ? ", and comes back" : ""
  test(`${title}: a rail that dies in mid-move leaves its pieces to the other${then}`, { skip }, async () => {
    await using rig = await open()
    let downAt = 0
    setTimeout(() => {
      labWire("down", links[1])
      downAt = performance.now()
    }, 50)
    const ends: Moved[] = []
    try {
      // Until a move has begun and ended on one rail.
      for (let i = 0; i < 200 && (downAt === 0 || ends.at(-1)!.rails[1]!.bytes > 0); i++) {
        words(rig).fill(0)
        ends.push(await move(rig, "read"))
        assertRight(rig)
      }
    } finally {
      labWire("up", links[1])
    }
    assert.deepEqual(
      ends.at(-1)!.rails.map(({ bytes }) => bytes),
      [rig.span.byteLength, 0],
    )
    assert.ok(
      ends.some(({ retries }) => retries > 0),
      JSON.stringify(ends),
    )
    if (comesBack) await untilMended(rig)
  })
}

/**
 * Registers the test of a rail whose wire swallows every packet while both of its ports stay up.
 *
 * @param reported false where the fabric asks its NIC to try for ever: then the deadline is what ends the move.
 */
export function blackHoleTest(
  title: string,
  open: (rails: TwoRails) => Promise<Rig>,
  { reported, skip }: { readonly reported: boolean; readonly skip: string | false },
): void {
  const ends = ["w2", "w3"]
  const cost = reported ? "leaves its pieces to the other" : "costs the deadline"
  test(`${title}: a rail whose wire swallows everything ${cost}, and comes back`, { skip }, async () => {
    await using rig = await open(wiredRails)
    await move(rig, "read")
    words(rig).fill(0)
    for (const end of ends) labWire("netem", end, "loss", "100%")
    try {
      const started = performance.now()
      const moving = move(rig, "read", { deadline: soon(reported ? 20_000 : 1500) })
      if (reported) {
        const moved = await moving
        assertRight(rig)
        assert.ok(moved.retries > 0 && moved.rails[1]!.bytes === 0, JSON.stringify(moved))
      } else {
        assert.equal((await failure(moving)).code, "KV_DEADLINE")
        await assertLeftAlone(rig)
      }
      assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`)
    } finally {
      for (const end of ends) labWire("clear", end)
    }
    await untilMended(rig)
  })
}

/** Moves until both rails carry something again. */
async function untilMended(rig: Rig): Promise<void> {
  const until = soon(10_000)
  let mended: Moved
  do {
    await pause(100)
    mended = await move(rig, "read")
  } while (mended.rails[1]!.bytes === 0 && performance.now() < until)
  assert.ok(mended.rails[1]!.bytes > 0, "the lane was mended")
  assertRight(rig)
}

/** Registers the test of a peer none of whose rails is left. @param lastWords what the error must say. */
export function noRailTest(
  title: string,
  open: () => Promise<Rig>,
  { links }: TwoRails,
  { lastWords, skip = false }: { readonly lastWords: RegExp; readonly skip?: string | false },
): void {
  test(`${title}: when every rail is down the move ends by itself, soon, and says why`, {
    skip,
  }, async () => {
    await using rig = await open()
    await move(rig, "read")
    for (const link of links) labWire("down", link)
    try {
      const started = performance.now()
      const error = await failure(move(rig, "read"))
      assert.equal(error.code, "KV_PEER_LOST", error.message)
      assert.match(error.message, lastWords)
      assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`)
      await assertLeftAlone(rig)
    } finally {
      for (const link of links) labWire("up", link)
    }
  })
}
