/** The media type of the text that a registry writes. */
export const expositionType = "text/plain; version=0.0.4; charset=utf-8"

/** One line of the Prometheus text format: `name{label="value"} number`. */
export function sampleLine(
  name: string,
  pairs: readonly (readonly [string, string])[],
  value: number,
): string {
  const labels = pairs.map(([label, text]) => `${label}="${escapeLabelValue(text)}"`).join(",")
  return `${name}${labels === "" ? "" : `{${labels}}`} ${formatNumber(value)}`
}

/** The `# HELP` and `# TYPE` lines above a family's samples. */
export function familyHead(name: string, help: string, type: "counter" | "gauge" | "histogram"): string[] {
  return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`]
}

/** Backslash, double quote and line feed are the three characters that the format reserves in a label value. */
export function escapeLabelValue(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
}

/** A number as Prometheus reads it; infinities are spelled `+Inf` and `-Inf`. */
export function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  if (value === Number.NEGATIVE_INFINITY) return "-Inf"
  return String(value)
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
}
