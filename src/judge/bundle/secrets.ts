/** Names of things whose values are nobody's business. */
export const secretName =
  /secret|token|passw|passphrase|credential|api_?key|access_?key|private_?key|_key$|^key$|auth/i

/** Shorter values are no secrets, and would be found everywhere. */
export const secretCharsMin = 6

/** A secret: as text, or as the bytes that it is. */
export type Secret = string | Uint8Array

/** Values that no text may hold, those of an environment and others, in each form in which programs write such things. */
export function secretValues(env: NodeJS.ProcessEnv, others: readonly Secret[]): string[] {
  const values = Object.entries(env).flatMap(([name, value]) => (secretName.test(name) ? (value ?? []) : []))
  const forms = [...values, ...others].filter((value) => value.length >= secretCharsMin).flatMap(formsOf)
  // The longest first: a form that holds another must not be torn.
  return [...new Set(forms)].sort((a, b) => b.length - a.length)
}

function formsOf(secret: Secret): string[] {
  const bytes = typeof secret === "string" ? Buffer.from(secret, "utf8") : Buffer.from(secret)
  const value = bytes.toString("utf8")
  const hex = bytes.toString("hex")
  const base64 = bytes.toString("base64")
  return [
    value,
    encodeURIComponent(value),
    base64,
    base64.replace(/=+$/, ""),
    bytes.toString("base64url"),
    hex,
    hex.toUpperCase(),
    JSON.stringify(value).slice(1, -1),
    ...value.split(/\r?\n/).filter((line) => line.length >= 2 * secretCharsMin),
  ]
}

/** Things that are secrets by their looks, wherever they stand. */
export const secretForms: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\b(?:hf_|sk-|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abpr]-|npm_)[A-Za-z0-9_-]{10,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g,
  /(?<=\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{6,}/gi,
  // user:password@ of a URL.
  /(?<=[a-z][a-z0-9+.-]*:\/\/)[^\s/@"'<>]+(?=@)/gi,
  // NAME=value, "name": "value", --name value.
  /(?<=(?:secret|token(?!s)|password|passwd|passphrase|credential|api[_-]?key|access[_-]?key|private[_-]?key|authorization)[\w-]*["']?\s*[=:]\s*["']?)(?!<redacted>|Bearer\b|Basic\b)[^\s"',;]+/gi,
  /(?<=--[\w-]*(?:secret|token|password|key)[\w-]*\s+)(?!-)[^\s"']+/gi,
]
