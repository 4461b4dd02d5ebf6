/** Colours and letters of every page of ours: quiet, one accent, light and dark by the reader's own setting. */
export const palette = `
:root {
  color-scheme: light dark;
  --ground: #f4f6f8; --panel: #ffffff; --ink: #17212b; --soft: #5a6876; --line: #dde3e9;
  --accent: #1565b8; --on-accent: #ffffff; --tint: #eaf2fb; --good: #11724a; --good-tint: #e7f5ee;
  --bad: #b3261e; --bad-tint: #fcebea; --warn: #8a5a00;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e141a; --panel: #161e27; --ink: #e6ecf2; --soft: #98a6b4; --line: #283441;
    --accent: #6cb2f7; --on-accent: #0b1a29; --tint: #18293b; --good: #58cb97; --good-tint: #12291f;
    --bad: #ff8f85; --bad-tint: #331a1a; --warn: #e0b050;
  }
}
* { box-sizing: border-box; }
`

/** The letters of running text. */
export const sans = `system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif`
