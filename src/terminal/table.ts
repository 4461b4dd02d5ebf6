/** One column: its heading, and whether its cells are numbers (aligned to the right). */
export interface Column {
  readonly title: string
  readonly number?: boolean
}

/** Lines of a plain table that can be read and searched: columns two spaces apart, numbers to the right. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]?.number === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)]
}
