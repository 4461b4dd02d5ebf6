import { endianness } from "node:os"
import koffi from "koffi"
import { KvError } from "../../errors/kv-error.ts"
import { libcAbi } from "./libc-abi.ts"

const structs = {
  iovec: { iov_base: "uintptr_t", iov_len: "size_t" },
  msghdr: {
    msg_name: "uintptr_t",
    msg_namelen: "uint32_t",
    msg_iov: "uintptr_t",
    msg_iovlen: "size_t",
    msg_control: "uintptr_t",
    msg_controllen: "size_t",
    msg_flags: "int",
  },
  pollfd: { fd: "int", events: "short", revents: "short" },
  cmsghdr: { cmsg_len: "size_t", cmsg_level: "int", cmsg_type: "int" },
  ucred: { pid: "int", uid: "uint32_t", gid: "uint32_t" },
} as const

let checked = false

/**
 * Compares our recorded offsets with the layouts that this platform's C rules give, once per thread.
 *
 * A wrong offset would be a wild write, so nothing is called natively before this has passed.
 * @throws KvError KV_ABI_MISMATCH naming the field and both numbers.
 */
export function checkAbi(): void {
  if (checked) return
  expectEqual("sizeof.pointer", koffi.sizeof("uintptr_t"), libcAbi["sizeof.pointer"])
  if (endianness() !== "LE") throw mismatch("byte order", "big-endian", "little-endian")
  for (const [name, fields] of Object.entries(structs)) {
    const type = koffi.struct({ ...fields })
    expectEqual(`sizeof.${name}`, koffi.sizeof(type), recorded(`sizeof.${name}`))
    for (const field of Object.keys(fields)) {
      expectEqual(`${name}.${field}`, koffi.offsetof(type, field), recorded(`${name}.${field}`))
    }
  }
  checked = true
}

function recorded(key: string): number | undefined {
  return Object.hasOwn(libcAbi, key) ? libcAbi[key as keyof typeof libcAbi] : undefined
}

function expectEqual(key: string, found: number, expected: number | undefined): void {
  if (found !== expected) throw mismatch(key, found, expected)
}

function mismatch(key: string, found: unknown, expected: unknown): KvError {
  return new KvError("KV_ABI_MISMATCH", {
    what: `${key} is ${String(found)} on this platform, and ${String(expected)} in our table`,
    why: `kvferry knows 64-bit little-endian Linux; this is ${process.platform} on ${process.arch}`,
    next: "run kvferry on x86-64 or arm64 Linux, or report this platform",
  })
}
