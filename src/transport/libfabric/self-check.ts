import { randomBytes } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import type { Libfabric } from "../../os/libfabric/library.ts"
import type { LaneWork, LocalLane, WorkFailure } from "../rdma/driver.ts"
import { LibfabricPort } from "./libfabric-port.ts"
import type { LibfabricRail } from "./libfabric-rail.ts"

const checkedBytes = 64 * 1024
const checkMillisMax = 2000

/**
 * Moves 64 KiB of random bytes from this process to itself, and compares them: what runs before a libfabric with which
 * we were not tested is used at all.
 *
 * It looks again and again for up to 2 s, on the calling thread.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE saying the version and what happened.
 */
export async function selfCheck(library: Libfabric, rail: LibfabricRail): Promise<void> {
  const fail = (why: string): KvError =>
    new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `libfabric ${library.version} (${library.path}) failed the self-check`,
      why,
      next: "install a version that kvferry was tested with, and report this one",
    })
  using memory = new ControlMemory(2 * checkedBytes)
  const [source, target] = [memory.take(checkedBytes), memory.take(checkedBytes)]
  source.u8.set(randomBytes(checkedBytes))
  const readable = { read: true, write: false }
  const [from, to] = [
    await rail.register(source.address, checkedBytes, readable),
    await rail.register(target.address, checkedBytes, { read: false, write: false }),
  ]
  const lanes: LocalLane[] = [
    await rail.openLane(readable),
    await rail.openLane({ read: false, write: false }),
  ]
  const port = new LibfabricPort(rail.port)
  try {
    await lanes[0]!.connect(lanes[1]!.end)
    await lanes[1]!.connect(lanes[0]!.end)
    for (const [number, lane] of lanes.entries()) port.attach(number, lane.handle)
    let [landed, failure] = [false, undefined as WorkFailure | undefined]
    const sink = {
      landed: (): void => {
        landed = true
      },
      failed: (_lane: number, _direction: unknown, _seq: number, why: WorkFailure): void => {
        failure ??= why
      },
      confirmed: (): void => {},
      proven: (): void => {},
      ended: (_lane: number, why: WorkFailure | undefined): void => {
        failure ??= why
      },
      broken: (): void => {},
    }
    const work: LaneWork = {
      direction: "read",
      units: {
        localAddress: Float64Array.of(target.address),
        remoteAddress: Float64Array.of(from.iova),
        length: Uint32Array.of(checkedBytes),
        localKey: Uint32Array.of(0),
        remoteKey: Uint32Array.of(0),
      },
      localKeys: Float64Array.of(to.localKey),
      remoteKeys: Uint32Array.of(from.remoteKey),
    }
    port.post(1, work, 0, 1, 0)
    const end = performance.now() + checkMillisMax
    while (!landed && failure === undefined && performance.now() < end) port.reap(sink)
    if (failure !== undefined) throw fail(`${failure.status}: ${failure.likelyCause}`)
    if (!landed) throw fail(`a read of ${checkedBytes} bytes did not end within ${checkMillisMax} ms`)
    if (Buffer.compare(source.u8, target.u8) !== 0)
      throw fail("it says that a read has ended, and the bytes are others")
  } finally {
    port[Symbol.dispose]()
    for (const lane of lanes) await lane.close()
    await from.close()
    await to.close()
  }
}
