import type { Party, TransferReceipt } from "../receipt/receipt.ts"
import type { RequestRecord } from "../serve/frontend/request-record.ts"
import { oneLine } from "../terminal/one-line.ts"
import type { Style } from "../terminal/style.ts"
import { countText, rateText, sizeText, timeText } from "../terminal/units.ts"
import { placeText } from "./compare.ts"

/** A receipt as lines for people. */
export function receiptLines(record: RequestRecord, style: Style): string[] {
  const { transfer } = record
  const times = [
    `TTFT ${record.ttftMicros === null ? "-" : timeText(record.ttftMicros)}`,
    `per token ${record.perTokenMicros === null ? "-" : timeText(record.perTokenMicros)}`,
    `prefill ${record.prefill === null ? "-" : timeText(record.prefill.prefillMicros)}`,
  ]
  const lines = [
    `request   ${record.requestId}  ${countText(record.promptTokens, "prompt token")}, ${record.completionTokens} generated`,
  ]
  if (transfer !== null) lines.push(...transferLines(transfer, style))
  lines.push(
    `times     ${times.join(", ")}`,
    `decode    prompt tokens computed there: ${record.decodePromptTokensComputed ?? "unknown"}`,
  )
  return lines.map((line) => `  ${style.faint("│")} ${line}`)
}

function transferLines(receipt: TransferReceipt, style: Style): string[] {
  const { integrity, micros, path } = receipt
  const rails = path.rails.length > 1 ? `, ${path.rails.length} rails` : ""
  const good = integrity.verdict === "identical" || integrity.verdict === "current"
  const verdict = good ? style.good(integrity.verdict) : style.bad(integrity.verdict)
  const place = integrity.firstDifference === undefined ? "" : ` at ${placeText(integrity.firstDifference)}`
  const phases = `claim ${timeText(micros.grant)}, plan ${timeText(micros.plan)}, post ${timeText(micros.post)}, move ${timeText(micros.move)}, prove ${timeText(micros.prove)}`
  return [
    `from      ${partyText(receipt.source)}`,
    `to        ${partyText(receipt.target)}`,
    `moved     ${countText(receipt.blocks, "block")} × ${countText(receipt.layers, "layer")}, ${sizeText(receipt.bytes)} in ${countText(receipt.pieces, "piece")}${rails}`,
    `path      ${path.why}`,
    ...railsText(path.rails),
    `speed     ${rateText(receipt.bytesPerSecond)}: ${phases}`,
    `integrity ${integrity.level}: ${verdict}${place} (${integrity.checked} hashes, ${countText(integrity.epochs, "stamp")}), ${receipt.state}, ${receipt.retries} retries`,
  ]
}

/** Which NIC moved how much, and how it reaches our memory; nothing where no rail is a NIC. */
function railsText(rails: TransferReceipt["path"]["rails"]): string[] {
  const nics = rails.filter(({ device }) => device !== undefined)
  if (nics.length === 0) return []
  const flags = [...new Set(nics.flatMap(({ registered = "" }) => (registered === "" ? [] : [registered])))]
  const parts = nics.map(({ device = "", bytes }) => `${oneLine(device, 40)}: ${sizeText(bytes)}`)
  return [
    `rails     ${parts.join(", ")}${flags.length === 0 ? "" : `; registered with ${oneLine(flags.join("; "), 120)}`}`,
  ]
}

const partyText = ({ agentId, pid, bootId }: Party): string =>
  `${agentId}  pid ${pid}  boot ${bootId.slice(0, 12)}`
