import type { ChildProcess } from "node:child_process"

const children = new Set<ChildProcess>()

/** Kills a child when this process exits, however that happens, unless it was let go before. */
export function killAtExit(child: ChildProcess): void {
  if (children.size === 0) process.once("exit", killAll)
  children.add(child)
}

export function letGo(child: ChildProcess): void {
  children.delete(child)
  if (children.size === 0) process.off("exit", killAll)
}

function killAll(): void {
  for (const child of children) child.kill("SIGKILL")
}
