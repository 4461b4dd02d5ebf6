import { fileURLToPath } from "node:url"
import { InvalidArgumentError, Option } from "commander"
import { KvError } from "../errors/kv-error.ts"
import { defaultPaths, transportNames } from "../serve/transports.ts"
import type { Encryption } from "../transport/tcp/tcp.ts"
import { parseFault } from "../verify/faults.ts"

/** The model that the package carries. */
export const bundledModel = fileURLToPath(new URL("../../models/ferry-tiny", import.meta.url))

/** Help for `--context`, the same for everything that serves one model. */
export const contextHelp = "tokens of prompt and answer together (default: the model's own, at most 8192)"

/** A whole number in a range, for commander. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }
}

/** A number in a range, for commander. */
export function numberBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() !== "" && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`)
  }
}

/** A TCP port; 0 stands for any free one. */
export const portNumber = wholeNumber(0, 65_535)

/** Names separated by commas. */
export const nameList = (text: string): string[] => text.split(",").map((name) => name.trim())

/** Collects the values of an option that may be repeated. */
export const collect = (text: string, before: string[] | undefined): string[] => [...(before ?? []), text]

/** `--trust FILE`: peers prove keys that this file lists. */
export const trustOption = (): Option =>
  new Option("--trust <file>", "let in only peers whose public keys are in this file").env("KVFERRY_TRUST")

/** `--identity FILE`: the key pair that this side proves. */
export const identityOption = (): Option =>
  new Option("--identity <file>", "this agent's key pair, with --trust (default: ~/.kvferry/identity)").env(
    "KVFERRY_IDENTITY",
  )

/** `--paths LIST`: which transports may be used, best first. */
export const pathsOption = (): Option =>
  new Option("--paths <list>", `allowed transports, best first, of ${transportNames.join(", ")}`)
    .env("KVFERRY_PATHS")
    .argParser(nameList)
    .default(defaultPaths, defaultPaths.join(","))

/** `--require LIST`. @param help what it means to the command at hand. */
export const requireOption = (help: string): Option =>
  new Option("--require <list>", help).env("KVFERRY_REQUIRE").argParser(nameList)

/** `--encrypt WAY`: what tcp does with its streams. */
export const encryptOption = (): Option =>
  new Option("--encrypt <way>", "what tcp carries: in clear, or in TLS 1.3; both sides need the same")
    .env("KVFERRY_ENCRYPT")
    .choices(["none", "tls"] satisfies Encryption[])
    .default("none")

/** `FAULT[:layer,block,head]`, for commander. */
export function faultOption(text: string): {
  readonly text: string
  readonly request: ReturnType<typeof parseFault>
} {
  try {
    return { text, request: parseFault(text) }
  } catch (thrown) {
    throw thrown instanceof KvError ? new InvalidArgumentError(thrown.message) : thrown
  }
}
