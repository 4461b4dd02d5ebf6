import type { ConfigReport, ShownSetting } from "../config/config-report.ts"
import type { Origin } from "../config/resolve-rdma.ts"
import { oneLine } from "../terminal/one-line.ts"
import type { Style } from "../terminal/style.ts"
import { tableLines } from "../terminal/table.ts"

/** Longest text of the environment that is shown in a table; --json has all of it. */
const valueMax = 48

/** A configuration as lines for people. With `origin`, where each value came from and what would set it. */
export function configLines(report: ConfigReport, style: Style, origin: boolean): string[] {
  const { settings, fabric, warnings, problems } = report
  const shownFabric = origin ? fabric : fabric.filter(({ value, set }) => value !== null || set !== null)
  return [
    style.strong("RDMA settings"),
    ...tableLines(
      [{ title: "setting" }, { title: "value" }, ...(origin ? [{ title: "from" }, { title: "set by" }] : [])],
      settings.map((row) => [
        row.name,
        valueText(row),
        ...(origin ? [originText(row.origin), waysText(row)] : []),
      ]),
    ),
    "",
    style.strong("Environment of libfabric and rdma-core"),
    ...tableLines(
      [{ title: "variable" }, { title: "now" }, { title: "we set" }, { title: "recommended" }],
      shownFabric.map(({ name, value, set, recommended }) => [
        name,
        value === null ? "-" : oneLine(value === "" ? '""' : value, valueMax),
        set ?? "-",
        recommended ?? "unset",
      ]),
    ),
    style.faint("why: docs/configuration.md, or --json"),
    "",
    ...(warnings.length === 0
      ? ["no variable is set that nothing reads"]
      : warnings.map(
          ({ name, text }) => `${style.bad("warning:")} ${oneLine(name, valueMax)} is set: ${text}`,
        )),
    ...problems.map(({ what, why }) => `${style.bad("wrong:")} ${oneLine(`${what}; ${why ?? ""}`, 300)}`),
  ]
}

function valueText({ name, value, absent }: ShownSetting): string {
  if (value === null) return absent ?? "-"
  if (typeof value === "boolean") return value ? "on" : "off"
  if (!Array.isArray(value)) return oneLine(String(value), valueMax)
  const parts = value.map((part) =>
    typeof part === "object" ? `${part.device}=${part.weight}` : String(part),
  )
  const none = name === "excluded-devices" ? "none" : "-"
  return oneLine(parts.length === 0 ? none : parts.join(","), valueMax)
}

const originText = (origin: Origin): string => (origin.from === "default" ? "default" : origin.name)

const waysText = ({ option, variable, others }: ShownSetting): string =>
  [...(option === undefined ? [] : [option]), variable, ...others].join(", ")
