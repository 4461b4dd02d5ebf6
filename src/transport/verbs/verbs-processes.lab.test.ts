import assert from "node:assert/strict"
import { test } from "node:test"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { fillWords, wordsOf } from "../peer-orders.test.kit.ts"
import { newSession } from "../peer-process.test.kit.ts"
import {
  assertRight,
  both,
  failure,
  mib,
  move,
  ownRegion,
  peerRegion,
  soon,
  words,
  wrongWordsThere,
} from "../rdma/two-processes.test.kit.ts"
import { createVerbs } from "./verbs.ts"
import { bytes, openVerbsRig } from "./verbs-process.test.kit.ts"

test("two processes, two rails: every byte is right, both ways, and each rail carries its part", async () => {
  await using rig = await openVerbsRig(["rxe0", "rxe1"])
  const read = await move(rig, "read")
  assertRight(rig)
  assert.deepEqual(
    read.rails.map(({ bytes: moved }) => moved),
    [bytes / 2, bytes / 2],
  )
  assert.equal(read.retries, 0)
  // Backwards through the peer's memory and home again: its own words, written by us, are still right.
  const written = await move(rig, "write")
  assert.equal(written.bytes, bytes)
  assert.equal(await wrongWordsThere(rig), 0)
  words(rig).fill(0)
  await move(rig, "write")
  assert.equal(await wrongWordsThere(rig), bytes / 4)
})

test("the rails in words: GID and why, ordering and why, flags, and that this driver takes no dma-buf", async () => {
  await using rig = await openVerbsRig(["rxe0", "rxe1"])
  const rails = rig.endpoint.describe!()
  assert.equal(rails.length, 2)
  for (const [at, { rail, facts }] of rails.entries()) {
    assert.equal(rail, at)
    assert.match(facts["device"]!, new RegExp(`rxe${at} port 1`))
    assert.match(facts["gid"]!, /GID index 1 .*RoCE v2 with an IPv4 address/)
    assert.match(facts["ordering"]!, /ibv_reg_mr_iova2/)
    assert.match(
      facts["regions registered with"]!,
      /local write \| remote write \| remote read \| relaxed ordering/,
    )
    assert.match(
      facts["memory of other devices"]!,
      /not supported by this driver.*EOPNOTSUPP \(95\)|ENOTSUP \(95\)/,
    )
  }
})

test("a region that is longer than a registration has a key for each part, and pieces cross their borders", async () => {
  const options = { devices: "all", registrationBytes: mib + 4096, sliceBytes: 300_000, cpus: [0] } as const
  await using a = await createVerbs(options).open({ host: "127.0.0.1", rails: 1 })
  await using b = await createVerbs({ ...options, registrationBytes: 3 * mib }).open({
    host: "127.0.0.1",
    rails: 1,
  })
  using source = hostMemory.map(bytes, "verbs-parts-a")
  using target = hostMemory.map(bytes, "verbs-parts-b")
  const from = source.view(0, bytes)
  fillWords(wordsOf(source), 1)
  const remote = await a.register(peerRegion, source, both)
  const parts = Math.ceil(bytes / (mib + 4096))
  assert.equal(remote.rkeys.length, a.rails * parts)
  assert.equal(new Set(remote.rkeys).size, remote.rkeys.length)
  await b.register(ownRegion, target, both)
  const session = newSession()
  await a.admit(session, both)
  await using connection = await b.connect(session, a.address, { deadline: soon(), peerHost: "127.0.0.1" })
  const builder = new PlanBuilder(8)
  const piece = mib - 4
  for (let at = 0; at + piece <= bytes; at += piece)
    builder.add(peerRegion, at, ownRegion, bytes - at - piece, piece, 0)
  const plan = stripe(builder.finish(), b.rails)
  await connection.move({ direction: "read", plan, remote: [remote], deadline: soon() })
  const to = target.view(0, bytes)
  for (let at = 0; at + piece <= bytes; at += piece) {
    const place = bytes - at - piece
    assert.equal(
      Buffer.compare(from.subarray(at, at + piece), to.subarray(place, place + piece)),
      0,
      `piece at ${at}`,
    )
  }
})

test("relaxed ordering is asked for or not, as it was wished, and the flags say which", async () => {
  for (const [mode, relaxed] of [
    ["on", true],
    ["off", false],
  ] as const) {
    const verbs = createVerbs({
      devices: [{ device: "rxe0" }],
      relaxedOrdering: { mode, origin: "--relaxed-ordering" },
    })
    await using endpoint = await verbs.open({ host: "127.0.0.1", rails: 1 })
    using span = hostMemory.map(4096, "verbs-ordering")
    await endpoint.register(1, span, both)
    const { facts } = endpoint.describe!()[0]!
    assert.equal(facts["regions registered with"]!.includes("relaxed ordering"), relaxed)
    assert.match(facts["ordering"]!, relaxed ? /has ibv_reg_mr_iova2/ : /is off \(--relaxed-ordering\)/)
  }
})

test("a device that is not there, and a processor that is not there, are errors that name them", async () => {
  const strange = await failure(
    createVerbs({ devices: [{ device: "mlx5_9" }] }).open({ host: "127.0.0.1", rails: 1 }),
  )
  assert.equal(strange.code, "KV_USAGE")
  assert.match(strange.message, /mlx5_9.*this machine has rxe0/)
  const pinned = await failure(
    createVerbs({ devices: [{ device: "rxe0" }], cpus: [900] }).open({ host: "127.0.0.1", rails: 1 }),
  )
  assert.equal(pinned.code, "KV_USAGE")
  assert.match(pinned.message, /processor 900/)
})
