import { openIbverbs } from "../ffi/ibverbs.ts"
import { errno } from "../ffi/symbols.ts"
import { osError } from "../os-error.ts"
import { argumentMemory, fieldsAt, readAddress } from "./native-fields.ts"
import { VerbsContext } from "./verbs-context.ts"

/** Which file libibverbs was opened from. @throws KvError KV_TRANSPORT_UNAVAILABLE naming the files that were tried. */
export function verbsLibraryFile(): string {
  return openIbverbs().file
}

/**
 * Opens the RDMA devices of this machine that `wanted` says yes to, in the library's order. Their holder closes them.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE without the library; KV_OS when a wanted device cannot be opened.
 */
export function openVerbsDevices(wanted: (name: string) => boolean): VerbsContext[] {
  const { functions: ibv } = openIbverbs()
  const count = argumentMemory()
  const list = ibv.ibv_get_device_list(count.address)
  const found = count.data.getInt32(0, true)
  if (list === 0) return []
  const opened: VerbsContext[] = []
  try {
    const devices = found === 0 ? undefined : fieldsAt(list, found * 8)
    for (let i = 0; i < found; i++) {
      const device = readAddress(devices!, i * 8)
      const name = ibv.ibv_get_device_name(device)
      if (!wanted(name)) continue
      const context = ibv.ibv_open_device(device)
      if (context === 0) {
        throw osError("ibv_open_device", errno(), {
          what: `the RDMA device ${name} cannot be opened`,
          next: "check that this user may open /dev/infiniband/uverbs*, and see dmesg",
        })
      }
      opened.push(new VerbsContext(name, context))
    }
    return opened
  } catch (thrown) {
    for (const context of opened) context[Symbol.dispose]()
    throw thrown
  } finally {
    ibv.ibv_free_device_list(list)
  }
}
