import { Markup } from "./html.ts"

/** Two docks and what goes between them. */
export const mark = Markup.ours(
  `<svg viewBox="0 0 32 20" width="32" height="20" aria-hidden="true"><rect x="1" y="3" width="8" height="14" rx="2"/><rect x="23" y="3" width="8" height="14" rx="2"/><path d="M11 10h7m-3-3.5 3.5 3.5-3.5 3.5"/></svg>`,
)

/** The same as a page's icon. */
export const favicon = `data:image/svg+xml,${encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#2f7fd1" stroke-width="2.6"><rect x="2" y="8" width="8" height="16" rx="2"/><rect x="22" y="8" width="8" height="16" rx="2"/><path d="M12 16h7m-3-4 4 4-4 4"/></svg>`,
)}`
