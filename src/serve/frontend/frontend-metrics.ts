import { errorCodes } from "../../errors/codes.ts"
import { secondBuckets } from "../../metrics/histogram.ts"
import { Registry } from "../../metrics/registry.ts"
import { type TransferReceipt, verdicts } from "../../receipt/receipt.ts"

/** The routes as metrics know them; everything unknown is `other`. */
const endpoints = [
  "completions",
  "chat_completions",
  "models",
  "health",
  "metrics",
  "receipts",
  "page",
  "other",
] as const
/** One of the routes. */
export type Endpoint = (typeof endpoints)[number]

const errorLabels = [
  ...(Object.keys(errorCodes) as (keyof typeof errorCodes)[]),
  "model_not_found",
  "context_length_exceeded",
] as const

/** What the frontend counts. Every series is there from the start. */
export class FrontendMetrics {
  readonly #registry = new Registry()
  readonly #requests = this.#registry.counter(
    {
      name: "kvferry_frontend_requests_total",
      help: "Answered requests by route and class of status; a client that hung up is `cancelled`.",
    },
    { endpoint: endpoints, status: ["2xx", "4xx", "5xx", "cancelled"] },
  )
  readonly #inFlight = this.#registry.gauge({
    name: "kvferry_frontend_generations_in_flight",
    help: "Generations that run now.",
  })
  readonly #errors = this.#registry.counter(
    {
      name: "kvferry_frontend_errors_total",
      help: "Errors told to clients by code, those within a stream too.",
    },
    { code: errorLabels },
  )
  readonly #promptTokens = this.#registry.counter({
    name: "kvferry_frontend_prompt_tokens_total",
    help: "Prompt tokens that prefill workers computed.",
  })
  readonly #completionTokens = this.#registry.counter({
    name: "kvferry_frontend_completion_tokens_total",
    help: "Tokens that decode workers generated.",
  })
  readonly #firstToken = this.#registry.histogram(
    {
      name: "kvferry_frontend_time_to_first_token_seconds",
      help: "From a request's arrival to its first token.",
    },
    secondBuckets(-3, 2),
  )
  readonly #interToken = this.#registry.histogram(
    {
      name: "kvferry_frontend_inter_token_seconds",
      help: "Between two tokens of one answer, as they arrived.",
    },
    secondBuckets(-5, 1),
  )
  readonly #duration = this.#registry.histogram(
    {
      name: "kvferry_frontend_generation_seconds",
      help: "From a request's arrival to the end of its answer.",
    },
    secondBuckets(-3, 2),
  )
  readonly #transferBytes = this.#registry.counter({
    name: "kvferry_frontend_transfer_bytes_total",
    help: "Bytes of KV cache in delivered transfers.",
  })
  readonly #transferSeconds = this.#registry.histogram(
    {
      name: "kvferry_frontend_transfer_seconds",
      help: "Whole time of a delivered transfer: grant, plan, move, proof.",
    },
    secondBuckets(-5, 1),
  )
  readonly #transfers = this.#registry.counter(
    { name: "kvferry_frontend_transfers_total", help: "Transfers by how they ended." },
    { state: ["delivered", "failed", "cancelled", "expired"] },
  )
  readonly #integrity = this.#registry.counter(
    {
      name: "kvferry_frontend_integrity_verdicts_total",
      help: "Transfers by what comparing the bytes said.",
    },
    { verdict: verdicts },
  )

  /** A request was answered, or its client hung up. */
  answered(endpoint: Endpoint, status: number | "cancelled"): void {
    const label = status === "cancelled" ? status : status < 400 ? "2xx" : status < 500 ? "4xx" : "5xx"
    this.#requests.add({ endpoint, status: label })
  }

  /** An error was told to a client. */
  errored(code: (typeof errorLabels)[number]): void {
    this.#errors.add({ code })
  }

  /** A generation began; call the returned function when it ends. */
  generationBegan(): (seconds: number) => void {
    this.#inFlight.add({}, 1)
    return (seconds) => {
      this.#inFlight.add({}, -1)
      this.#duration.observe({}, seconds)
    }
  }

  /** A prefill worker computed a prompt. */
  prefilled(promptTokens: number): void {
    this.#promptTokens.add({}, promptTokens)
  }

  /** The first token arrived. */
  firstToken(seconds: number): void {
    this.#completionTokens.add({})
    this.#firstToken.observe({}, seconds)
  }

  /** A further token arrived. */
  nextToken(seconds: number): void {
    this.#completionTokens.add({})
    this.#interToken.observe({}, seconds)
  }

  /** A transfer ended. */
  transferred({ state, integrity, bytes, micros }: TransferReceipt): void {
    this.#transfers.add({ state })
    this.#integrity.add({ verdict: integrity.verdict })
    if (state !== "delivered") return
    this.#transferBytes.add({}, bytes)
    this.#transferSeconds.observe({}, micros.total / 1e6)
  }

  /** Everything as Prometheus text. */
  text(): string {
    return this.#registry.text()
  }
}
