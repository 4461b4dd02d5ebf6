/** A program with a rail that hangs in a native call for ever, and that wants to end. Its argument says how. */
import { randomBytes } from "node:crypto"
import { Worker } from "node:worker_threads"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const how = process.argv[2]
const both = { read: true, write: true }

async function run(): Promise<void> {
  if (how === "a thread of nobody's") {
    const libc = new URL("../../os/ffi/libc.js", import.meta.url).href
    const body = `import("${libc}").then(({ libc }) => libc.poll(0, 0, -1))`
    new Worker(body, { eval: true })
    setTimeout(() => {
      process.send?.("hangs")
      process.exit(5)
    }, 1000)
    return
  }
  const fabric = new PaperFabric({ ordered: false, writesAreVisible: true })
  const transport = rdmaTransport(fabric.driver)
  const peer = await transport.open({ host: "127.0.0.1", rails: 1 })
  const own = await transport.open({ host: "127.0.0.1", rails: 1 })
  const [there, here] = [hostMemory.map(65536, "there"), hostMemory.map(65536, "here")]
  const remote = [await peer.register(3, there, both)]
  await own.register(0, here, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await peer.admit(session, both)
  const deadline = performance.now() + 5000
  const connection = await own.connect(session, peer.address, { deadline, peerHost: "127.0.0.1" })
  const plan = new PlanBuilder(1)
  plan.add(3, 0, 0, 0, 65536, 0)
  fabric.hang(1, "forEver")
  const move = connection.move({
    direction: "read",
    plan: plan.finish(),
    remote,
    deadline: performance.now() + 100,
  })
  process.send?.("hangs")
  if (how === "exit at once") {
    move.catch(() => {})
    setTimeout(() => process.exit(5), 100)
    return
  }
  await move.catch(() => {})
  if (how === "exit later") process.exit(6)
  await own[Symbol.asyncDispose]()
  await peer[Symbol.asyncDispose]()
  process.exitCode = 7
  process.disconnect?.()
}

if (how !== undefined) void run()
