import { KvError } from "../../errors/kv-error.ts"
import { libfabricOperations as calls } from "../ffi/libfabric.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import { operation, peek64 } from "./fields.ts"
import { fabricChecked, type Libfabric } from "./library.ts"

/**
 * Whether an object is what it should be: the first word of each says so. Cheap, and it finds a layout that moved.
 * @throws KvError KV_ABI_MISMATCH with both numbers.
 */
export function expectClass(object: number, objectClass: number, call: string): void {
  const found = object === 0 ? -1 : peek64(object + abi["fid.fclass"])
  if (found === objectClass) return
  throw new KvError("KV_ABI_MISMATCH", {
    what: `${call} gave an object of class ${found}, not ${objectClass}`,
    why: "this libfabric lays out its objects in another way than the headers that we know",
    next: "report this version of libfabric; kvferry was tested with 1.17 and 2.6",
  })
}

/** Closes an object. Returns libfabric's answer: 0, or a negated error number. */
export function tryClose(object: number): number {
  return operation(object, abi["fid.ops"], abi["fi_ops.close"], "fi_close", calls.fi_close)(object)
}

/** @throws KvError KV_OS. */
export function closeObject(library: Libfabric, object: number, call: string): void {
  fabricChecked(library, call, tryClose(object))
}
