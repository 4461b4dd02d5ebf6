import { type Command, InvalidArgumentError, Option } from "commander"
import { KvError } from "../errors/kv-error.ts"
import { parseByteSize } from "../judge/load/byte-size.ts"
import type { LoadFlags } from "../judge/load/load-request.ts"
import { integrityLevels } from "../receipt/receipt.ts"
import { nameList, numberBetween, wholeNumber } from "./options.ts"
import { addPeerOptions, type PeerFlags } from "./peer-options.ts"

/** What commander makes of the options of a load. */
export interface LoadOptionValues extends PeerFlags {
  readonly op?: "read" | "write"
  readonly blockSize?: number
  readonly blocks?: number
  readonly numBlocks?: number
  readonly numLayers?: number
  readonly randomBlocks?: boolean
  readonly seed?: number
  readonly threads?: number
  readonly batch?: number
  readonly duration?: number
  readonly rounds?: number
  readonly prefillEngines?: number
  readonly decodeEngines?: number
  readonly prefillTp?: number
  readonly decodeTp?: number
  readonly strategy?: "pack" | "spread"
  readonly paths?: string[]
  readonly devices?: string
  readonly integrity?: LoadFlags["integrity"]
  readonly engines?: string[]
  readonly backends?: string[]
  readonly verbose?: boolean
  readonly matrix?: boolean
  readonly model?: string
  readonly isl?: number
  readonly tp?: number
  readonly kvDtype?: "bf16" | "fp16" | "fp8"
  readonly blockTokens?: number
  readonly json: boolean
  readonly report?: string
  readonly compare?: string
  readonly bundle?: string
}

const engineCount = wholeNumber(1, 16)

/** Adds the options that say what moves, between whom, and what comes of it. */
export function addLoadOptions(command: Command): Command {
  command
    .addOption(
      new Option("--op <way>", "read: decode pulls; write: prefill pushes (default: read)").choices([
        "read",
        "write",
      ]),
    )
    .option(
      "--block-size <size>",
      "bytes of a block of one layer, also 64K, 64KiB (default: 64KiB)",
      byteSize,
    )
    .option("--blocks <n>", "blocks that move in each layer (default: 10)", wholeNumber(1, 1_000_000))
    .option("--num-blocks <n>", "blocks of the pool in each layer (default: 100)", wholeNumber(3, 10_000_000))
    .option("--num-layers <n>", "layers (default: 2)", wholeNumber(1, 255))
    .option("--random-blocks", "random block numbers, other ones on each side (default: neighbours)")
    .option(
      "--seed <n>",
      "of the block numbers, the words and the intervals (default: 42)",
      wholeNumber(0, 2 ** 32 - 1),
    )
    .option(
      "--engines <list>",
      "kvferry, kvferry:tcp, nixl:UCX, nixl==0.6.1:LIBFABRIC, mooncake:tcp, memcpy (default: kvferry,memcpy)",
      nameList,
    )
    .option("--backends <list>", "NIXL's, beside kvferry: UCX is kvferry,nixl:UCX,memcpy", nameList)
    .option("--paths <list>", "kvferry's allowed paths, best first", nameList)
    .option("--devices <list>", "NICs that kvferry uses; also KVFERRY_DEVICES")
    .addOption(
      new Option("--integrity <level>", "how much of a transfer kvferry checks (default: epoch)").choices([
        ...integrityLevels,
      ]),
    )
    .option("--threads <n>", "threads that post (default: 1)", wholeNumber(1, 64))
    .option(
      "--batch <n>",
      "blocks of one transfer, in all layers (default: all, shared by the threads)",
      wholeNumber(1, 1_000_000),
    )
    .option("--prefill-engines <n>", "engines on that side (default: 1)", engineCount)
    .option("--decode-engines <n>", "engines on that side (default: 1)", engineCount)
    .option("--prefill-tp <n>", "ranks of each prefill engine (default: 1)", engineCount)
    .option("--decode-tp <n>", "ranks of each decode engine (default: 1)", engineCount)
    .addOption(
      new Option(
        "--strategy <how>",
        "pack: one machine; spread: two, see bench target (default: pack)",
      ).choices(["pack", "spread"]),
    )
    .option(
      "--duration <seconds>",
      "that each engine is timed for, all rounds together (default: 2)",
      numberBetween(0.01, 86_400),
    )
    .option(
      "--rounds <n>",
      "in each, everybody runs once: pairs for the ratios (default: 11)",
      wholeNumber(1, 1000),
    )
    .option("--model <name>", "sizes of a model: llama-3.1-70b, deepseek-v3, … (docs/bench.md lists them)")
    .option(
      "--isl <tokens>",
      "tokens of the prompt, with --model (default: 4096)",
      wholeNumber(1, 10_000_000),
    )
    .option(
      "--tp <n>",
      "ranks that share the model, with --model; one is measured (default: 1)",
      wholeNumber(1, 1024),
    )
    .addOption(
      new Option("--kv-dtype <type>", "of keys and values, with --model (default: bf16)").choices([
        "bf16",
        "fp16",
        "fp8",
      ]),
    )
    .option("--block-tokens <n>", "tokens of a block, with --model (default: 16)", wholeNumber(1, 4096))
    .option("--matrix", "every pair of devices, engines or paths, one after the other")
    .option("--verbose", "let the engines log to standard error; the report says that they did")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .option("--report <file>", "write an HTML page")
    .option("--compare <file>", "hold the result against an older --json document")
    .option("--bundle <file>", "write what a maintainer wants to see, redacted")
  return addPeerOptions(command)
}

/** What commander took, as a load. @throws KvError KV_USAGE. */
export async function loadFlags(values: LoadOptionValues, target?: string): Promise<LoadFlags> {
  const { model, isl, tp, kvDtype, blockTokens } = values
  const orphan =
    model !== undefined
      ? undefined
      : Object.entries({
          "--isl": isl,
          "--tp": tp,
          "--kv-dtype": kvDtype,
          "--block-tokens": blockTokens,
        }).find(([, value]) => value !== undefined)?.[0]
  if (orphan !== undefined) {
    throw new KvError("KV_USAGE", {
      what: `${orphan} without --model`,
      why: "it says how much of a model's cache moves",
      next: orphan === "--tp" ? "add --model, or use --prefill-tp and --decode-tp" : "add --model",
    })
  }
  const { modelLoad } = await import("../judge/load/model-load.ts")
  return {
    ...values,
    blockBytes: values.blockSize,
    target,
    model:
      model === undefined
        ? undefined
        : modelLoad({
            model,
            tokens: isl ?? 4096,
            tp: tp ?? 1,
            blockTokens: blockTokens ?? 16,
            elementBytes: kvDtype === "fp8" ? 1 : 2,
          }),
  }
}

function byteSize(text: string): number {
  try {
    return parseByteSize(text, "--block-size")
  } catch (thrown) {
    throw thrown instanceof KvError ? new InvalidArgumentError(thrown.message) : thrown
  }
}
