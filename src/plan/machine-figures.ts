/** A figure with where it was read, or how it was measured. */
export interface Figure {
  readonly value: number
  readonly source: string
}

/** What a machine's host memory and NICs can carry, as others have written it down. Nothing of it was measured by us but for the lab. */
export interface MachineFigures {
  readonly name: string
  /** Which of our paths its NICs are driven by: requests are chained for verbs, and posted one by one for libfabric. */
  readonly fabric: "verbs" | "libfabric"
  readonly nics: Figure
  /** Line rate of one NIC in bytes per second, headers and all. */
  readonly bytesPerSecondOfNic: Figure
  /** What host memory or one processor carries for all rails together, in bytes per second; absent where nobody wrote it down. */
  readonly hostBytesPerSecond?: Figure
  /** Time of a small read, there and back; absent where nobody wrote it down, and then taken as 0. */
  readonly latencyMicros?: Figure
  /** Processor time of a rail's thread for one work request, composed, posted and reaped. */
  readonly microsOfRequest: Figure
  /** And for one doorbell. */
  readonly microsOfDoorbell: Figure
}

const gigabit = 125_000_000
const efaPage = "Mooncake, docs/source/design/transfer-engine/efa_transport.md at 3b5a5941"
const nixlDumps = "NIXL, test/unit/utils/libfabric/topo at 8770b655"
const assumed: Figure = {
  value: 1,
  source:
    "assumed: our loop over libfabric's tcp and shm costs 0.1 to 1.7 µs more than C's for each request (lab)",
}
const doorbell: Figure = { value: 0.5, source: "assumed: one call through the FFI and a write to the device" }

const efa = (
  name: string,
  nics: number,
  gigabits: number,
  source: string,
  host?: { readonly gigabytes: number; readonly how: string },
): MachineFigures => ({
  name,
  fabric: "libfabric",
  nics: { value: nics, source },
  bytesPerSecondOfNic: { value: gigabits * gigabit, source },
  ...(host === undefined
    ? {}
    : { hostBytesPerSecond: { value: host.gigabytes * 1e9, source: `${host.how}: ${efaPage}` } }),
  microsOfRequest: assumed,
  microsOfDoorbell: doorbell,
})

const roce = (name: string, nics: number, gigabits: number, source: string): MachineFigures => ({
  ...efa(name, nics, gigabits, source),
  fabric: "verbs",
})

/**
 * The machines that can be asked about. Evidence level of each figure: source, but for the lab's, which were measured in
 * it (lab).
 */
export const machineFigures: readonly MachineFigures[] = [
  efa("p4d.24xlarge", 4, 100, nixlDumps),
  efa("p5.48xlarge", 32, 100, efaPage, { gigabytes: 63, how: "reads between host memories, bound by DDR4" }),
  efa("p5e.48xlarge", 32, 100, efaPage),
  efa("p5en.48xlarge", 16, 200, efaPage, {
    gigabytes: 212,
    how: "reads between host memories, bound by DRAM",
  }),
  efa("p6-b200.48xlarge", 8, 400, efaPage, {
    gigabytes: 226,
    how: "reads between host memories, an older version",
  }),
  efa("p6-b300.48xlarge", 16, 400, efaPage, {
    gigabytes: 270,
    how: "reads between host memories, bound by DRAM",
  }),
  roce("cx7-8x400", 8, 400, "NVIDIA ConnectX-7: one port of 400 Gb/s; 8 of them, as in an HGX machine"),
  roce("cx6-4x200", 4, 200, "NVIDIA ConnectX-6: one port of 200 Gb/s; 4 of them, as in Mooncake's README.md"),
  {
    name: "rxe-lab",
    fabric: "verbs",
    nics: { value: 2, source: "the lab's two Soft-RoCE rails" },
    // Both rails and both processes share the one processor of the lab's kernel: a rail has no line rate of its own.
    bytesPerSecondOfNic: { value: 745_537_536, source: "READ of 64 KiB, 128 in a chain: 711 MiB/s (lab)" },
    hostBytesPerSecond: { value: 745_537_536, source: "the same: one processor for everything (lab)" },
    latencyMicros: { value: 16.7, source: "ib_read_lat of 8 bytes (lab)" },
    microsOfRequest: { value: 4.5, source: "READ of 8 bytes, 32 in a chain: 223,000 a second (lab)" },
    microsOfDoorbell: { value: 0, source: "counted with the requests, which were measured 32 in a chain" },
  },
]
