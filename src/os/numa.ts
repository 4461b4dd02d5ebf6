import { readFileSync } from "node:fs"
import { KvError } from "../errors/kv-error.ts"
import { type ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** The number of the system call `mbind`; libc has no function for it. */
export const mbindNumbers: Partial<Record<string, number>> = { x64: 237, arm64: 235 }

/** Nodes that a mask of ours can name. */
const maskBits = 1024
let mask: ControlBlock | undefined

/** The NUMA nodes of this machine that have memory, ascending; `[0]` where the kernel does not say. */
export function memoryNodes(): number[] {
  let text: string
  try {
    text = readFileSync("/sys/devices/system/node/has_memory", "utf8").trim()
  } catch {
    return [0]
  }
  const nodes = text.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
  return nodes.length === 0 || nodes.some(Number.isNaN) ? [0] : nodes
}

/**
 * Has the pages of a fresh mapping come from `node`, where there is more than one. Returns what was done, in words.
 * @throws KvError KV_USAGE for a node that has no memory here; KV_OS.
 */
export function placeOnNode(address: number, byteLength: number, node: number | undefined): string {
  const nodes = memoryNodes()
  if (node === undefined) return nodes.length === 1 ? "one NUMA node" : "no NUMA node was asked for"
  if (!nodes.includes(node)) {
    throw new KvError("KV_USAGE", {
      what: `there is no memory on NUMA node ${node}`,
      why: `this machine has memory on ${nodes.length === 1 ? "node" : "nodes"} ${nodes.join(", ")}`,
    })
  }
  if (nodes.length === 1) return `on NUMA node ${node}, the only one`
  bindToNode(address, byteLength, node)
  return `bound to NUMA node ${node}`
}

/** @throws KvError KV_OS; KV_ABI_MISMATCH on a processor whose system call numbers we do not know. */
export function bindToNode(address: number, byteLength: number, node: number): void {
  const number = mbindNumbers[process.arch]
  if (number === undefined) {
    throw new KvError("KV_ABI_MISMATCH", {
      what: `the number of mbind on ${process.arch} is not known to us`,
    })
  }
  mask ??= new ControlMemory(maskBits / 8).take(maskBits / 8)
  mask.u32.fill(0)
  mask.u32[Math.floor(node / 32)] = (1 << (node % 32)) >>> 0
  // The kernel reads one bit less than it is told.
  if (libc.syscall(number, address, byteLength, abi.MPOL_BIND, mask.address, maskBits + 1, 0) !== 0) {
    throw osError("mbind", errno(), {
      what: `${byteLength} bytes of host memory could not be bound to NUMA node ${node}`,
      next: "check that this process may use that node's memory (cpuset), or ask for none",
    })
  }
}
