import type { MachineFacts } from "../../bench/machine.ts"
import type { Markup } from "../../page/html.ts"
import { sizeText } from "../../terminal/units.ts"
import { facts } from "./frame.ts"

/** What a report can say of where it was made. */
const evidenceTexts: Readonly<Record<"hardware" | "lab", string>> = {
  hardware: "hardware: processes of this machine, its processor and its loopback device",
  lab: "lab: real kernels and libraries, software devices",
}

/** The machine and the software below, for every report. */
export function machineFactsList(machine: MachineFacts, evidence: "hardware" | "lab"): Markup {
  const { cpuModel, cores, caches, memoryBytes, kernel, node, platform, virtual } = machine
  return facts([
    ["Processor", `${cpuModel}, ${cores} cores, ${virtual}`],
    ["Caches", caches],
    ["Memory", sizeText(memoryBytes)],
    ["Huge pages", `private memory: ${machine.hugePages}; memory files: ${machine.sharedMemoryHugePages}`],
    ["Kernel, Node", `${kernel} (${platform}), Node ${node}`],
    ["Evidence", evidenceTexts[evidence]],
  ])
}
