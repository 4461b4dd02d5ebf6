import { everyVariable } from "../config/every-variable.ts"
import { fabricEnvironment } from "../config/fabric-environment.ts"
import { defaultRdmaSettings } from "../config/rdma-settings.ts"
import { settingRows } from "../config/setting-rows.ts"
import type { Variable } from "../config/variable.ts"

/** The tables of `docs/configuration.md`, made from those of the code, by the names of their places in the page. */
export function tablesOfPage(): Readonly<Record<string, string>> {
  return {
    settings: table(
      ["setting", "meaning", "paths", "default", "option", "variables, the first before the others"],
      settingRows.map(({ key, option, variable, others, meaning, absent, paths }) => [
        code(key),
        meaning,
        paths.join(", "),
        absent ?? defaultText(defaultRdmaSettings[key]),
        option === undefined ? "" : code(`--${option}`),
        [variable, ...others.map(({ name }) => name)].map(code).join(", "),
      ]),
    ),
    fabric: table(
      ["variable", "recommended", "we set it", "why, and what it does", "read in"],
      fabricEnvironment.map(({ name, recommended, ours, reason, source }) => [
        code(name),
        recommended === undefined ? "unset" : code(recommended),
        ours || name === "FI_VERBS_GID_IDX" ? "yes" : "",
        reason,
        source,
      ]),
    ),
    honoured: variables(({ use }) => (use.kind === "honoured" ? code(use.setting) : undefined), "fills"),
    unread: variables(
      ({ use }) =>
        use.kind === "nothing" ? (use.instead === undefined ? "nothing" : code(use.instead)) : undefined,
      "in its place",
    ),
    library: variables(
      ({ use, of }) => (use.kind === "library" && (of === "NIXL" || of === "UCX") ? use.library : undefined),
      "read by",
    ),
  }
}

function variables(columnOf: (variable: Variable) => string | undefined, title: string): string {
  const rows = everyVariable.flatMap((variable) => {
    const cell = columnOf(variable)
    return cell === undefined ? [] : [[code(variable.name), variable.of, cell, variable.meaning]]
  })
  return table(["variable", "whose", title, "meaning"], rows)
}

function defaultText(value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off"
  return Array.isArray(value) ? value.map(code).join(", ") || "none" : String(value)
}

const code = (text: string): string => `\`${text}\``

const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string =>
  [titles, titles.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
