import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { hostMemory } from "../../os/host-memory.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { createVerbs } from "./verbs.ts"
import { peerRegion, wordAt } from "./verbs-process.test.kit.ts"
import {
  assertRight,
  both,
  bytes,
  failure,
  mib,
  move,
  openRig,
  ownRegion,
  run,
  soon,
  words,
} from "./verbs-rig.test.kit.ts"

test("two processes, two rails: every byte is right, both ways, and each rail carries its part", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  const read = await move(rig, "read", 2)
  assertRight(rig)
  assert.deepEqual(
    read.rails.map(({ bytes: moved }) => moved),
    [bytes / 2, bytes / 2],
  )
  assert.equal(read.retries, 0)
  // Backwards through the peer's memory and home again: its own words, written by us, are still right.
  const written = await move(rig, "write", 2)
  assert.equal(written.bytes, bytes)
  assert.equal(await rig.peer.wrongWords(0, bytes / 4), 0)
  words(rig).fill(0)
  await move(rig, "write", 2)
  assert.equal(await rig.peer.wrongWords(0, bytes / 4), bytes / 4 - 1, "only word 0 is 0 by itself")
})

test("the rails in words: GID and why, ordering and why, flags, and that this driver takes no dma-buf", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
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
  new Uint32Array(from.buffer, from.byteOffset, bytes / 4).forEach((_, i, all) => {
    all[i] = wordAt(i)
  })
  const remote = await a.register(peerRegion, source, both)
  const parts = Math.ceil(bytes / (mib + 4096))
  assert.equal(remote.rkeys.length, a.rails * parts)
  assert.equal(new Set(remote.rkeys).size, remote.rkeys.length)
  await b.register(ownRegion, target, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
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

const wire = readRdmaDevices().some(({ name }) => name === "rxw0")
test(
  "over a wire that loses 5 % of its packets every byte is right",
  wire ? {} : { skip: "there is no wire rxw0-rxw1 here: lab-wire add 0 makes it" },
  async () => {
    await using rig = await openRig(["rxw0"], ["rxw1"])
    run("tc qdisc replace dev w0 root netem loss 5%")
    try {
      for (const direction of ["read", "write"] as const) {
        const moved = await move(rig, direction, 1, soon(60_000))
        assert.equal(moved.bytes, bytes)
        if (direction === "read") assertRight(rig)
      }
      assert.equal(await rig.peer.wrongWords(0, bytes / 4), 0)
    } finally {
      run("tc qdisc del dev w0 root")
    }
    const sent = execFileSync("cat", ["/sys/class/infiniband/rxw0/ports/1/hw_counters/completer_retry_err"])
    assert.ok(Number(sent) > 0, "packets were lost and sent again")
  },
)
