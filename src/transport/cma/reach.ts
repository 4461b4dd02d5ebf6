import { ptraceScope, startTicksOf, thisProcess, userOf } from "../../os/process-identity.ts"
import type { ProcessMemory } from "../../os/process-memory.ts"
import type { EndpointAddress, Reach } from "../transport.ts"
import { parseAddress } from "./cma-address.ts"
import { findBeacon } from "./peer-beacon.ts"

/** Whether this process can read the one at `address`, with the reason in words that help. */
export function reachOf(address: EndpointAddress, memory: ProcessMemory): Reach {
  if (address.transport !== "cma") return no("the peer offers no cma endpoint")
  const peer = parseAddress(address)
  if (peer === undefined) return no("the peer's cma address is malformed")
  const here = thisProcess()
  if (peer.machine !== here.machine) return no("the peer runs on another machine, or before this boot")
  if (peer.pidNamespace !== here.pidNamespace) {
    return no("the peer is in another pid namespace: cma needs containers that share one")
  }
  const started = startTicksOf(peer.pid)
  if (started === undefined) return no(`process ${peer.pid} is gone`)
  if (started !== peer.startTicks) return no(`process ${peer.pid} is another one now: the peer is gone`)
  const answer = findBeacon(memory, peer)
  if (answer === "")
    return { usable: true, why: `one machine, and the kernel allows it: ${whatTheKernelAllows()}` }
  if (answer === "closed" || answer === "no beacon" || answer === "EFAULT") {
    return no(`process ${peer.pid} has closed its cma endpoint`)
  }
  if (answer === "EPERM") return no(whyForbidden(factsOf(peer.pid)))
  return no(`the kernel answers ${answer} to a read of process ${peer.pid}`)
}

const factsOf = (pid: number): ForbiddenRead => ({
  pid,
  ours: process.geteuid?.(),
  theirs: userOf(pid),
  scope: ptraceScope(),
})

/** What nobody's grants can change; said wherever the path is explained. */
function whatTheKernelAllows(): string {
  return `every process of user ${process.geteuid?.() ?? "?"} may read and write this memory, with or without a grant`
}

/** What is known about a read that the kernel forbids. */
export interface ForbiddenRead {
  readonly pid: number
  /** User of this process and of the other one; undefined when unknown. */
  readonly ours: number | undefined
  readonly theirs: number | undefined
  /** Yama's `kernel.yama.ptrace_scope`, where there is one. */
  readonly scope: number | undefined
}

/** Why the kernel answers EPERM, and what can be done. @see ptrace(2), "Ptrace access mode checking" */
export function whyForbidden({ pid, ours, theirs, scope }: ForbiddenRead): string {
  if (ours !== undefined && theirs !== undefined && ours !== theirs) {
    return `process ${pid} runs as user ${theirs} and this one as ${ours}: run both as one user`
  }
  const rule = `kernel.yama.ptrace_scope is ${scope}`
  switch (scope) {
    case 1:
      return `only a parent may read process ${pid} (${rule}): set it to 0, or give this process CAP_SYS_PTRACE`
    case 2:
      return `only CAP_SYS_PTRACE may read process ${pid} (${rule}): give it to this process, or set the rule to 0`
    case 3:
      return `nobody may read another process before the next boot (${rule}): take another path`
    default:
      return `the kernel forbids it: process ${pid} is not dumpable or has more rights than this one, or a seccomp filter or a security module says no`
  }
}

const no = (why: string): Reach => ({ usable: false, why })
