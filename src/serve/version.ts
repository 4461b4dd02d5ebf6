import { readFileSync } from "node:fs"

let version: string | undefined

/** The version in `package.json`. */
export function softwareVersion(): string {
  if (version === undefined) {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
    version = String((JSON.parse(text) as { version: unknown }).version)
  }
  return version
}
