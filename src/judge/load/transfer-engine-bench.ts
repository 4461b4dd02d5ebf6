import { KvError } from "../../errors/kv-error.ts"
import { parseByteSize } from "./byte-size.ts"
import { firstDataBlock, type LoadFlags } from "./load-request.ts"

/** The flags of Mooncake's `transfer_engine_bench`, as they are written there. */
export interface TransferEngineFlags {
  readonly mode?: string
  readonly auto_discovery?: string | boolean
  readonly segment_id?: string
  readonly metadata_server?: string
  readonly local_server_name?: string
  readonly protocol?: string
  readonly device_name?: string
  readonly operation?: string
  readonly block_size?: string
  readonly batch_size?: string
  readonly buffer_size?: string
  readonly report_unit?: string
  readonly report_precision?: string
  readonly nic_priority_matrix?: string
  readonly backend?: string
  readonly use_vram?: string | boolean
  readonly init_mem?: string | boolean
  readonly gpu_id?: string
}

/** Where its targets are looked for when nobody names a port. */
export const benchPort = 15_428

/** Units of its reports, in bytes. @see transfer_engine_bench.cpp, RATE_UNIT_MP */
export const reportUnits: Readonly<Record<string, number>> = {
  GB: 1e9,
  GiB: 2 ** 30,
  Gb: 1e9 / 8,
  MB: 1e6,
  MiB: 2 ** 20,
  Mb: 1e6 / 8,
  KB: 1e3,
  KiB: 2 ** 10,
  Kb: 1e3 / 8,
}

/** A command line of Mooncake's bench, as one of ours. */
export type TranslatedBench =
  | { readonly mode: "target"; readonly host: string; readonly port: number }
  | {
      readonly mode: "initiator"
      readonly target: string
      readonly flags: LoadFlags
      readonly unit: string
      readonly precision: number
      /** What is different here, for whoever reads the result. */
      readonly notes: readonly string[]
    }

/** Defaults of the original. */
const defaults = { blockBytes: 65_536, batch: 128, threads: 12, seconds: 10, bufferBytes: 2 ** 30 } as const

/**
 * Reads the flags of `transfer_engine_bench` with their meaning and their defaults there: `threads` threads post batches of
 * `batch_size` blocks of `block_size` bytes, out of a buffer of `buffer_size`, for `duration` seconds.
 *
 * @param ours options that both benches have: threads and duration, and the engines, which only ours has.
 * @throws KvError KV_USAGE for what only a metadata server or a GPU could do.
 */
export function translateTransferEngineBench(
  given: TransferEngineFlags,
  ours: Pick<LoadFlags, "threads" | "duration" | "engines" | "paths" | "devices">,
): TranslatedBench {
  checkServer(given)
  const { mode = "initiator" } = given
  if (mode === "target") return targetOf(given.local_server_name)
  if (mode !== "initiator") throw usage(`--mode ${shown(mode)}`, "it is initiator or target")
  const { operation = "read", segment_id: segment } = given
  if (operation !== "read" && operation !== "write")
    throw usage(`--operation ${shown(operation)}`, "it is read or write")
  if (segment === undefined || segment === "")
    throw usage("--mode=initiator without --segment_id", "it names the target", "add --segment_id=HOST:15428")
  const unit = given.report_unit ?? "GB"
  if (!Object.hasOwn(reportUnits, unit))
    throw usage(`--report_unit ${shown(unit)}`, `it is one of ${Object.keys(reportUnits).join(", ")}`)

  const threads = ours.threads ?? defaults.threads
  const batch = wholeOf(given.batch_size, "--batch_size") ?? defaults.batch
  const size = (text: string | undefined, name: string, fallback: number): number =>
    text === undefined ? fallback : parseByteSize(text, name)
  const blockBytes = size(given.block_size, "--block_size", defaults.blockBytes)
  const bufferBytes = size(given.buffer_size, "--buffer_size", defaults.bufferBytes)
  const numBlocks = Math.floor(bufferBytes / blockBytes)
  const blocks = batch * threads
  if (blocks + firstDataBlock > numBlocks) {
    throw usage(
      `--buffer_size ${bufferBytes} for ${threads} threads with ${batch} blocks of ${blockBytes} bytes each`,
      `they need ${blocks} blocks, and the first ${firstDataBlock} hold no data`,
      `take --buffer_size ${(blocks + firstDataBlock) * blockBytes} or more`,
    )
  }
  return {
    mode,
    target: /:\d+$/.test(segment) ? segment : `${segment}:${benchPort}`,
    flags: {
      op: operation,
      blockBytes,
      blocks,
      batch,
      threads,
      numBlocks,
      numLayers: 1,
      duration: ours.duration ?? defaults.seconds,
      ...enginesOf(given, ours),
    },
    unit,
    precision: wholeOf(given.report_precision, "--report_precision") ?? 2,
    notes: notesOf(given),
  }
}

/** The line that the original ends with. */
export function completedLine(
  engine: string,
  bytesPerSecond: number,
  { unit, precision }: { readonly unit: string; readonly precision: number },
): string {
  const rate = (bytesPerSecond / reportUnits[unit]!).toFixed(Math.min(precision, 20))
  return `Test completed: ${engine}, throughput ${rate} ${unit}/s (median of the rounds, every byte checked)`
}

function checkServer({ metadata_server: server, nic_priority_matrix: matrix }: TransferEngineFlags): void {
  if (server !== "P2PHANDSHAKE") {
    throw usage(
      server === undefined ? "etcd, the default of --metadata_server," : `--metadata_server ${shown(server)}`,
      "the two sides talk to each other here, and to no server",
      "add --metadata_server=P2PHANDSHAKE",
    )
  }
  if (matrix !== undefined && matrix !== "")
    throw usage(
      "--nic_priority_matrix",
      "NICs are ranked by where they stand in the machine",
      "name those to use with --device_name=mlx5_0,mlx5_1",
    )
}

/** Beyond this machine it listens only where a name says so. */
function targetOf(name: string | undefined): TranslatedBench {
  const [, host, port] = /^(.*?)(?::(\d{1,5}))?$/.exec(name ?? "") ?? []
  return { mode: "target", host: host || "127.0.0.1", port: port === undefined ? benchPort : Number(port) }
}

function enginesOf(
  { protocol, auto_discovery: discovery, device_name: devices }: TransferEngineFlags,
  ours: Pick<LoadFlags, "engines" | "paths" | "devices">,
): Pick<LoadFlags, "engines" | "paths" | "devices"> {
  const named = devices ?? ours.devices
  const nics = named === undefined || named === "" ? {} : { devices: named }
  if (ours.engines !== undefined || ours.paths !== undefined) return { ...ours, ...nics }
  const found = isOn(discovery)
  // Its default is rdma; with discovery it takes what is there.
  const wanted = protocol ?? (found ? undefined : "rdma")
  if (wanted === undefined) return nics
  if (wanted === "tcp") return { engines: ["kvferry:tcp", "memcpy"] }
  if (wanted === "rdma") return { engines: ["kvferry", "memcpy"], paths: ["verbs", "libfabric"], ...nics }
  throw usage(
    `--protocol ${shown(wanted)}`,
    "it is rdma or tcp here",
    "leave it out, with --auto_discovery, to take the best path there is",
  )
}

function notesOf({ use_vram: vram, backend, gpu_id: gpu }: TransferEngineFlags): string[] {
  const ignored = [
    ...(isOn(vram) || gpu !== undefined ? ["memory of a GPU: host memory is moved"] : []),
    ...(backend === undefined ? [] : ["--backend: Mooncake's own"]),
  ]
  return [
    "options of transfer_engine_bench; blocks 0 and 1 of the buffer are left out",
    ...ignored.map((text) => `not here: ${text}`),
  ]
}

/** gflags: `--flag`, `--flag=true`, `--flag=1`. */
const isOn = (value: string | boolean | undefined): boolean =>
  value === true || value === "true" || value === "1" || value === "yes"

function wholeOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 1_000_000) return value
  throw usage(`${option} ${shown(text)}`, "it is a whole number from 1")
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 60))

const usage = (what: string, why: string, next?: string): KvError =>
  new KvError("KV_USAGE", {
    what: `${what} cannot be used`,
    why,
    ...(next === undefined ? {} : { next }),
  })
