import { html, Markup, type Part } from "../../page/html.ts"
import { favicon, mark } from "../../page/mark.ts"
import { sourceHash } from "../../page/source-hash.ts"
import { reportStyle } from "./style.ts"

/** What a report is made of, from the top of the page down. */
export interface ReportParts {
  /** "verify", "bench". */
  readonly command: string
  readonly title: string
  /** When, with what, for how long: one line. */
  readonly when: string
  readonly body: readonly Part[]
  /** Of ours, and only for comfort: the page says everything without it. */
  readonly script?: string
}

/**
 * A report as one file that needs no other: no network, no fonts, no images.
 *
 * Its policy names the hashes of its own style and script, so nothing else can run in it, whatever an engine has written
 * into a log.
 */
export function reportFrame({ command, title, when, body, script }: ReportParts): string {
  const policy = [
    "default-src 'none'",
    `style-src ${sourceHash(reportStyle)}`,
    ...(script === undefined ? [] : [`script-src ${sourceHash(script)}`]),
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ")
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<link rel="icon" href="${favicon}">
<style>${Markup.ours(reportStyle)}</style>
</head>
<body>
<header class="top">
<div class="brand">${mark}kvferry <span>${command}</span></div>
<div class="when">${when}</div>
</header>
<main>
${body}
</main>
${script === undefined ? undefined : html`<script>${Markup.ours(script)}</script>\n`}</body>
</html>
`}`
}

/** A part of the page with its heading; `id` is what links lead to. */
export function panel(id: string, heading: string, ...content: readonly Part[]): Markup {
  return html`<section class="panel" id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${heading}</h2>
${content}
</section>
`
}

/** Names and what they stand for. */
export function facts(rows: readonly (readonly [string, Part])[]): Markup {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
}

/** A name of an engine, which may be broken before its version and its path. */
export function engineName(name: string): Markup {
  return html`${name.split(/(?===|:)/).map((part, i) => (i === 0 ? part : html`<wbr>${part}`))}`
}

/** `2026-11-21T02:53:45.120Z` as people read it. */
export function whenText(startedAt: string, tookMillis: number, software: string): string {
  const seconds = Math.round(tookMillis / 1000)
  const took =
    seconds < 100
      ? `${(tookMillis / 1000).toFixed(1)} s`
      : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${startedAt.slice(0, 16).replace("T", " ")} UTC · ${took} · ${softwareText(software)}`
}

/** "kvferry 0.1.0", whether a record has the name in it or the version alone. */
export const softwareText = (software: string): string =>
  software.startsWith("kvferry ") ? software : `kvferry ${software}`
