import { readFileSync } from "node:fs"
import type { PageGrant } from "../memory/host-memory.ts"

/** The size of the huge pages that we ask for. */
export const hugePageBytes = 2 ** 21

const reservedFolder = "/sys/kernel/mm/hugepages/hugepages-2048kB"
const sharedMemoryPolicy = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/** Bytes of the machine's reserved 2 MiB pages that nobody has or was promised. */
export function freeReservedBytes(): number {
  const free = Number(text(`${reservedFolder}/free_hugepages`) ?? 0)
  const promised = Number(text(`${reservedFolder}/resv_hugepages`) ?? 0)
  return Math.max(0, free - promised) * hugePageBytes
}

/** What pages a mapping that begins at `address` has now, as the kernel's own table says. */
export function pageGrant(address: number, asked: PageGrant["kind"], reserved: boolean): PageGrant {
  const fields = mappingFields(address)
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(fields)?.[1] ?? 0)
  if (reserved) {
    const hugeBytes = (kib("Shared_Hugetlb") + kib("Private_Hugetlb")) * 1024
    return { kind: "reserved", hugeBytes, why: "out of the machine's reserved huge pages" }
  }
  const hugeBytes = (kib("ShmemPmdMapped") + kib("FilePmdMapped")) * 1024
  if (hugeBytes > 0) return { kind: "transparent", hugeBytes, why: "the kernel gave huge pages" }
  if (asked === "small") return { kind: "small", hugeBytes, why: "no huge pages were asked for" }
  const policy = /\[(\w+)\]/.exec(text(sharedMemoryPolicy) ?? "")?.[1] ?? "not there"
  const why = ["always", "within_size", "advise", "force"].includes(policy)
    ? "the kernel gave none: it is shorter than 2 MiB, was not touched yet, or none were free"
    : `the kernel gives shared memory none: ${sharedMemoryPolicy} is ${policy}`
  return { kind: "small", hugeBytes, why }
}

/** The lines of /proc/self/smaps about the mapping that begins at `address`; empty when it is not listed. */
function mappingFields(address: number): string {
  const table = text("/proc/self/smaps") ?? ""
  const start = new RegExp(`^0*${address.toString(16)}-`, "m").exec(table)
  if (start === null) return ""
  const rest = table.slice(start.index)
  const next = /\n[0-9a-f]+-[0-9a-f]+ /.exec(rest)
  return next === null ? rest : rest.slice(0, next.index)
}

function text(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}
