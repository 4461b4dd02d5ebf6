/** What a reader of `/metrics` is told about a family of series. */
export interface MetricText {
  /** Begins with `kvferry_` and ends with its base unit; a counter's ends with `_total`. */
  readonly name: string
  /** One sentence. */
  readonly help: string
}

/** All series of one name. */
export interface MetricFamily {
  readonly name: string
  /** Its lines in the Prometheus text format, without line ends. */
  lines(): string[]
}
