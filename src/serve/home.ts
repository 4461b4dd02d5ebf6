import { homedir } from "node:os"
import { join, resolve } from "node:path"

/** The folder in which kvferry keeps what is one user's: `KVFERRY_HOME`, else `~/.kvferry`. */
export function kvferryHome(env: NodeJS.ProcessEnv = process.env): string {
  const named = env["KVFERRY_HOME"] ?? ""
  return named === "" ? join(homedir(), ".kvferry") : resolve(named)
}

/** Where finished transfers leave their receipts when nobody says otherwise. */
export const defaultReceiptFolder = (): string => join(kvferryHome(), "receipts")

/** Where one user's agents find their key pair when nobody says otherwise. */
export const defaultIdentityFile = (): string => join(kvferryHome(), "identity")
