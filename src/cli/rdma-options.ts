import { type Command, Option } from "commander"
import type { OptionTexts } from "../config/resolve-rdma.ts"
import { settingRows } from "../config/setting-rows.ts"

/** The options of RDMA, the same for every command that has them. Their texts are read, and judged, by `resolveRdma`. */
export function addRdmaOptions(command: Command): Command {
  for (const { option, argument = "value", meaning, variable } of settingRows) {
    if (option === undefined) continue
    command.addOption(new Option(`--${option} <${argument}>`, `RDMA: ${meaning} (${variable})`))
  }
  return command
}

/** What was given of them, by their names without dashes. */
export function rdmaTexts(command: Command): OptionTexts {
  const given = settingRows.flatMap(({ option }) => {
    const text: unknown = option === undefined ? undefined : command.getOptionValue(attributeOf(option))
    return option === undefined || typeof text !== "string" ? [] : [[option, text] as const]
  })
  return Object.fromEntries(given)
}

/** The same as arguments for another process. */
export const rdmaArguments = (command: Command): string[] =>
  Object.entries(rdmaTexts(command)).flatMap(([option, text]) =>
    text === undefined ? [] : [`--${option}=${text}`],
  )

const attributeOf = (option: string): string =>
  option.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
