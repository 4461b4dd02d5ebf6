import { mapSharedFile, type SharedFile } from "../../os/shared-file.ts"
import type { Answers } from "./protocol.ts"

/**
 * The regions of a driver, mapped into the judge: what it fills them with and looks at itself. They stay readable when the
 * driver is dead.
 */
export class DriverMemory implements Disposable {
  /** Region r is `[r]`. */
  readonly regions: readonly SharedFile[]

  /** @throws KvError KV_OS saying which region could not be mapped. */
  constructor(pid: number, memory: Answers["open"]["memory"], name: string) {
    const regions: SharedFile[] = []
    try {
      for (const [region, { path, bytes }] of memory.entries()) {
        // Only descriptors of the driver itself: "/proc/self" would be ours.
        const own = path.replace(/^\/proc\/[^/]+\//, `/proc/${pid}/`)
        regions.push(mapSharedFile(own, bytes, `region ${region} of ${name}`))
      }
    } catch (thrown) {
      for (const region of regions) region[Symbol.dispose]()
      throw thrown
    }
    this.regions = regions
  }

  [Symbol.dispose](): void {
    for (const region of this.regions) region[Symbol.dispose]()
  }
}
