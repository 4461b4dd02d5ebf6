import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { readLlamaConfig } from "../engine/hf-config.ts"
import { readTokenizer } from "../engine/tokenizer.ts"
import { isKvErrorCode, KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, wholeModelLayout } from "../kv/kv-layout.ts"
import { type Cluster, type ClusterEvent, startCluster } from "../serve/cluster.ts"
import { bearerOf, readSecret } from "../serve/secret.ts"
import { servedContext } from "../serve/served-context.ts"
import type { Progress } from "../terminal/progress.ts"
import { harmless, type Style } from "../terminal/style.ts"
import { countText } from "../terminal/units.ts"
import { type FaultRequest, type Planting, placeFault } from "../verify/faults.ts"
import { type Answer, ask } from "./ask.ts"
import { type Comparison, compare, placeText } from "./compare.ts"
import { type DemoPrompt, defaultPrompts, ownPrompt } from "./prompts.ts"
import { receiptLines } from "./receipt-text.ts"
import { ReferenceRunner } from "./reference.ts"

/** What a demo is asked for. */
export interface DemoOptions {
  /** Model folder. */
  readonly model: string
  /** Tokens of prompt and answer together, when not the default. */
  readonly context?: number
  /** Prompts of the user's own; the demo's when there are none. */
  readonly prompts: readonly string[]
  /** Tokens of an answer to a prompt of the user's own; what fits, up to a default, when left out. */
  readonly maxTokens?: number
  readonly temperature: number
  readonly seed: number
  readonly port: number
  readonly blockTokens: number
  readonly workerArgs: readonly string[]
  readonly inject?: { readonly text: string; readonly request: FaultRequest; readonly at: string }
  /** Leave the processes up until interrupted. */
  readonly serve: boolean
  readonly interrupted: AbortSignal
}

/** Where a demo talks: text for people, or nowhere when a document is wanted. */
export interface DemoOutput {
  readonly write: (text: string) => void
  /** Hears the report before the processes are left up. */
  readonly report: (report: DemoReport) => void
  readonly style: Style
  readonly progress: Progress
}

/** One prompt with all that was found about it. */
export interface DemoResult {
  readonly title: string
  readonly promptTokens: number
  readonly shown: string
  readonly expected?: string
  readonly text: string
  readonly error?: string
  readonly record: Omit<Answer["record"], "evidence">
  readonly comparison: Comparison
  /** Where the fault that was asked for went, or why it could not. */
  readonly planting?: Planting
}

/** The document that `--json` prints. */
export interface DemoReport {
  readonly schema: "kvferry/demo/1"
  readonly verdict: "identical" | "different"
  readonly summary: string
  readonly model: string
  /** Base URL of the frontend; gone when the demo has ended, unless it serves. */
  readonly url: string
  readonly processes: Readonly<Record<"frontend" | "prefill" | "decode" | "reference", number>>
  readonly inject?: string
  readonly results: readonly DemoResult[]
}

/**
 * Runs prompts through three processes and the same prompts through one, and compares.
 *
 * @returns the report; its verdict is the judgement. @throws KvError when it could not be done at all.
 */
export async function runDemo(options: DemoOptions, output: DemoOutput): Promise<DemoReport> {
  const model = resolve(options.model)
  const codec = readTokenizer(model)
  const contextTokens = servedContext(model, options.context)
  const prompts =
    options.prompts.length > 0
      ? options.prompts.map((text) => ownPrompt(codec, text, contextTokens, options.maxTokens))
      : defaultPrompts(codec, contextTokens, options.blockTokens)
  checkPlantable(options.inject, demoLayout(model, contextTokens, options.blockTokens), prompts)
  const folder = mkdtempSync(join(tmpdir(), "kvferry-demo-"))
  const secretFile = join(folder, "secret")
  writeFileSync(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 })
  try {
    output.progress.update("starting a frontend, a prefill worker and a decode worker")
    await using cluster = await startCluster({
      model,
      secretFile,
      port: options.port,
      context: contextTokens,
      workerArgs: [...options.workerArgs, "--block-tokens", String(options.blockTokens)],
      decodeArgs:
        options.inject === undefined
          ? []
          : ["--inject", options.inject.text, "--inject-at", options.inject.at],
      restart: options.serve,
      onEvent: (event) => tellEvent(event, output),
    })
    output.progress.end()
    tellProcesses(cluster, output)
    const bearer = bearerOf(readSecret(secretFile))
    // All have read it; only a process that is started again reads it once more. A demo that is killed leaves none.
    if (!options.serve) rmSync(folder, { recursive: true })
    const results = await judge(
      prompts,
      { ...options, model, context: contextTokens },
      cluster,
      bearer,
      output,
    )
    const report = reportOf(results, options, cluster, basename(model))
    output.write(`\n${verdictLine(report, output.style)}\n`)
    output.report(report)
    if (options.serve && !options.interrupted.aborted)
      await serveUntilInterrupted(cluster, secretFile, options, output)
    return report
  } catch (thrown) {
    if (options.interrupted.aborted) output.write("\n")
    // Whatever an interruption broke on its way, it is the interruption that is to be told.
    throwIfInterrupted(options.interrupted)
    throw thrown
  } finally {
    output.progress.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function judge(
  prompts: readonly DemoPrompt[],
  options: DemoOptions & { readonly context: number },
  cluster: Cluster,
  bearer: string,
  output: DemoOutput,
): Promise<DemoResult[]> {
  const { temperature, seed } = options
  const { url } = cluster
  const signal = options.interrupted
  const asking = { url, model: basename(options.model), bearer, temperature, seed, signal }
  if (options.inject?.request.fault === "stale-block") {
    // This fault needs what another request has left behind.
    const other = { ...prompts[0]!, tokens: prompts.at(-1)!.tokens.slice(0, 64).reverse(), maxTokens: 1 }
    await ask(other, { ...asking, onText: () => {} })
  }
  const answers: Answer[] = []
  for (const [i, prompt] of prompts.entries()) {
    throwIfInterrupted(options.interrupted)
    output.write(`\n${promptHead(i, prompts.length, prompt, output.style)}\n  `)
    const onText = (text: string): void => output.write(harmless(text).replaceAll("\n", "\n  "))
    const answer = await ask(prompt, { ...asking, onText })
    if (answer.error !== undefined) output.write(output.style.bad(harmless(answer.error)))
    output.write(`\n${receiptLines(answer.record, output.style).join("\n")}\n`)
    if (answer.error !== undefined && !isDifference(answer)) throw couldNotAnswer(i, answer)
    answers.push(answer)
  }

  output.write(`\n${output.style.strong("The same prompts in one process")} (pid ${process.pid})\n`)
  output.progress.update("loading the model")
  await using reference = await ReferenceRunner.open(
    {
      kind: "directory",
      directory: options.model,
      contextTokens: options.context,
    },
    options.blockTokens,
  )
  const results: DemoResult[] = []
  for (const [i, prompt] of prompts.entries()) {
    throwIfInterrupted(options.interrupted)
    output.progress.update(`computing prompt ${i + 1} of ${prompts.length}`, i / prompts.length)
    const answer = answers[i]!
    const computed = await reference.run(prompt, answer.record.sampling)
    const comparison = compare(answer.record.evidence ?? {}, computed)
    output.progress.end()
    output.write(`  ${comparisonLine(i, prompt, comparison, output.style)}\n`)
    const planting =
      options.inject === undefined
        ? undefined
        : placeFault(reference.layout, prompt.tokens.length, options.inject.request)
    results.push(resultOf(prompt, answer, comparison, planting))
  }
  return results
}

/** True when a request failed because its bytes differed: that is a judgement, and the comparison goes on. */
const isDifference = ({ record }: Answer): boolean => record.transfer?.integrity.verdict === "different"

function couldNotAnswer(i: number, { record, error }: Answer): KvError {
  const code = record.error?.code
  return new KvError(isKvErrorCode(code) ? code : "KV_WORKER_LOST", {
    what: `prompt ${i + 1} was not answered`,
    ...(error === undefined ? {} : { why: error }),
  })
}

function resultOf(
  prompt: DemoPrompt,
  answer: Answer,
  comparison: Comparison,
  planting: Planting | undefined,
): DemoResult {
  const { evidence: _, ...record } = answer.record
  return {
    title: prompt.title,
    promptTokens: prompt.tokens.length,
    shown: prompt.shown,
    ...(prompt.expected === undefined ? {} : { expected: prompt.expected }),
    text: answer.text,
    ...(answer.error === undefined ? {} : { error: answer.error }),
    record,
    comparison,
    ...(planting === undefined ? {} : { planting }),
  }
}

/** A fault that fits no prompt would never be planted, and "identical" be no answer to what was asked. */
function checkPlantable(
  inject: DemoOptions["inject"],
  layout: KvLayout,
  prompts: readonly DemoPrompt[],
): void {
  if (inject === undefined) return
  const places = prompts.map(({ tokens }) => placeFault(layout, tokens.length, inject.request))
  if (places.some(({ possible }) => possible)) return
  const last = places.at(-1)
  throw new KvError("KV_USAGE", {
    what: `the fault ${inject.text} fits none of the ${countText(prompts.length, "prompt")} given`,
    ...(last?.possible === false ? { why: last.why } : {}),
    next: "choose another place, or a longer prompt",
  })
}

function reportOf(
  results: readonly DemoResult[],
  options: DemoOptions,
  cluster: Cluster,
  model: string,
): DemoReport {
  const wrong = results.filter(({ comparison }) => comparison.verdict === "different")
  const sum = (pick: (comparison: Comparison) => number): number =>
    results.reduce((total, { comparison }) => total + pick(comparison), 0)
  const identical =
    `identical: ${countText(results.length, "prompt")}, ${countText(
      sum((c) => c.tokens.compared),
      "token",
    )}, ` +
    `logits of ${countText(
      sum((c) => c.logits.compared),
      "step",
    )} bit for bit, ${sum((c) => c.blocks.compared)} block contents; ` +
    `prompt tokens computed by the decode worker: ${Math.max(...results.map(({ record }) => record.decodePromptTokensComputed ?? 0))}`
  const first = wrong[0]
  const place =
    first?.comparison.firstDifference === undefined
      ? "in what was computed, not in the blocks"
      : `first at ${placeText(first.comparison.firstDifference)}`
  const different = `different: ${wrong.length} of ${countText(results.length, "prompt")}; "${first?.title}" (${countText(first?.promptTokens ?? 0, "token")}) ${place}`
  return {
    schema: "kvferry/demo/1",
    verdict: wrong.length === 0 ? "identical" : "different",
    summary: wrong.length === 0 ? identical : different,
    model,
    url: cluster.url,
    processes: {
      frontend: cluster.process("frontend").pid,
      prefill: cluster.process("prefill").pid,
      decode: cluster.process("decode").pid,
      reference: process.pid,
    },
    ...(options.inject === undefined ? {} : { inject: options.inject.text }),
    results,
  }
}

/** The layout that all three runs use, known before any of them has begun. */
function demoLayout(model: string, contextTokens: number, blockTokens: number): KvLayout {
  const { layers, kvHeads, headDim } = readLlamaConfig(model)
  const shape = { layers, kvHeads, headDim, elementBytes: 4 }
  return wholeModelLayout(shape, { blocks: blocksFor(contextTokens, blockTokens), blockTokens })
}

function promptHead(i: number, count: number, prompt: DemoPrompt, style: Style): string {
  const title = style.strong(
    `[${i + 1}/${count}] ${countText(prompt.tokens.length, "token")}, ${prompt.title}`,
  )
  return `${title}\n  ${style.faint(harmless(prompt.shown).replaceAll("\n", " ⏎ "))}`
}

function comparisonLine(i: number, prompt: DemoPrompt, comparison: Comparison, style: Style): string {
  const { tokens, logits, blocks, firstDifference } = comparison
  const share = (name: string, { equal, compared }: { equal: number; compared: number }): string =>
    `${name} ${equal}/${compared}`
  const counts = [share("tokens", tokens), share("logits", logits), share("blocks", blocks)].join("  ")
  const head = `[${i + 1}] ${String(prompt.tokens.length).padStart(5)} tokens  `
  if (comparison.verdict === "identical") return `${head}${style.good("identical")}  ${counts}`
  const place = firstDifference === undefined ? "the blocks are equal" : `first ${placeText(firstDifference)}`
  const whose = comparison.prefillIntact
    ? "the prefill worker's blocks were right"
    : "already at the prefill worker"
  return `${head}${style.bad("different")}  ${counts}  ${place} (${whose})`
}

function verdictLine(report: DemoReport, style: Style): string {
  return report.verdict === "identical" ? style.good(report.summary) : style.bad(report.summary)
}

function tellProcesses(cluster: Cluster, output: DemoOutput): void {
  const names = ["frontend", "prefill", "decode"] as const
  const lines = names.map((name) => {
    const { pid, url, agent } = cluster.process(name)
    return `  ${name.padEnd(8)}  pid ${String(pid).padEnd(8)} ${url}${agent === undefined ? "" : `  agent ${agent}`}`
  })
  output.write(`${output.style.strong("Three processes")}\n${lines.join("\n")}\n`)
}

function tellEvent(event: ClusterEvent, output: DemoOutput): void {
  if (event.what === "started") return output.progress.update(`${event.process} is up (pid ${event.pid})`)
  const why = event.why === undefined ? "" : `: ${event.why}`
  output.write(
    `\n${output.style.bad(`the ${event.process} process (pid ${event.pid}) ${event.what}${why}`)}\n`,
  )
}

async function serveUntilInterrupted(
  cluster: Cluster,
  secretFile: string,
  options: DemoOptions,
  output: DemoOutput,
): Promise<void> {
  const { url } = cluster
  const body = JSON.stringify({
    model: basename(resolve(options.model)),
    messages: [{ role: "user", content: "Who are you?" }],
    stream: true,
  })
  output.write(
    `\n${output.style.strong("Serving")} until Ctrl-C: open ${url}/ in a browser, point an OpenAI client at ${url}/v1, or\n` +
      `  curl -N ${url}/v1/chat/completions -H 'content-type: application/json' -d '${body}'\n` +
      `  npx kvferry explain ${cluster.process("prefill").agent} --secret-file ${shellWord(secretFile)}\n` +
      "  npx kvferry receipts --follow\n",
  )
  if (options.interrupted.aborted) return
  await new Promise<void>((done) =>
    options.interrupted.addEventListener("abort", () => done(), { once: true }),
  )
}

/** A path as one word of a shell's command line. */
const shellWord = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`

function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new KvError("KV_CANCELLED", { what: "interrupted" })
}
