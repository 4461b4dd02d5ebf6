import { hostname } from "node:os"
import { Command } from "commander"

interface Flags {
  readonly file?: string
  readonly json: boolean
}

const notes = `
The line goes into the trust file of every agent that shall let this one in:

  kvferry identity                      on host A
  kvferry worker --trust FILE …         on host B, with A's line in FILE

A key pair that is not there yet is made. It stays in its file; only its public half is printed.`

/** `kvferry identity`: this agent's public key, as a line for a trust file. */
export function identityCommand(): Command {
  return new Command("identity")
    .description("Prints this user's public key as a line for another agent's trust file.")
    .option("--file <file>", "the key pair (default: ~/.kvferry/identity)")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .action(async (flags: Flags) => {
      const { keyFingerprint } = await import("../agent/key-pairs.ts")
      const { defaultIdentityFile } = await import("../serve/home.ts")
      const { makeIdentity } = await import("../trust/identity-file.ts")
      const { formatTrustLine } = await import("../trust/trust-text.ts")
      const file = flags.file ?? defaultIdentityFile()
      const { publicKey } = makeIdentity(file)
      const fingerprint = keyFingerprint(publicKey)
      const name =
        hostname()
          .replace(/[^A-Za-z0-9.-]/g, "-")
          .replace(/^[.-]+/, "")
          .slice(0, 64) || "unnamed"
      const line = formatTrustLine({ publicKey, name, may: { read: true, write: false } })
      const text = flags.json
        ? JSON.stringify({ publicKey, fingerprint, line, file }, null, 2)
        : `${line} # ${fingerprint}`
      process.stdout.write(`${text}\n`)
    })
}
