/**
 * The browser's half of drawing receipts. Text from outside goes into the document as text nodes only.
 *
 * It stands here as a string because it is compiled by nobody: `page.test.ts` parses it, and a browser runs it.
 */
export const receiptScript = `
const byId = (id) => document.getElementById(id);

/** An element: el("p", "hint", "text", child…). */
function el(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const round = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const many = (count, word) => count + " " + word + (count === 1 ? "" : "s");

function time(micros) {
  if (micros === null || micros === undefined) return "–";
  if (micros >= 1e6) return round(micros / 1e6) + " s";
  return micros >= 1e3 ? round(micros / 1e3) + " ms" : Math.round(micros) + " µs";
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB"];
  let step = 0;
  let value = bytes;
  for (; value >= 1024 && step < 3; step++) value /= 1024;
  return (step === 0 ? value : round(value)) + " " + units[step];
}

function rate(bytesPerSecond) {
  return bytesPerSecond >= 1e8 ? round(bytesPerSecond / 1e9) + " GB/s" : round(bytesPerSecond / 1e6) + " MB/s";
}

function ago(iso) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 60) return seconds + " s ago";
  return seconds < 3600 ? Math.floor(seconds / 60) + " min ago" : new Date(iso).toLocaleString();
}

function verdictOf(record) {
  const transfer = record.transfer;
  if (record.error && record.error.code === "KV_CANCELLED") {
    return { kind: "open", sign: "■", text: "Stopped", more: "The client hung up before the answer was complete." };
  }
  if (transfer && transfer.integrity.verdict === "different") {
    const at = transfer.integrity.firstDifference;
    const where = at ? "First difference: layer " + at.layer + ", block " + at.block + "." : "";
    return { kind: "bad", sign: "✗", text: "Bytes differ", more: where };
  }
  if (transfer && transfer.integrity.verdict === "reused") {
    return { kind: "bad", sign: "✗", text: "Blocks were reused", more: "A stamp had moved before all of them were read. Nothing was used." };
  }
  if (record.error) return { kind: "bad", sign: "✗", text: record.error.code, more: record.error.message };
  if (!transfer) return { kind: "open", sign: "–", text: "No transfer", more: "" };
  const { level, verdict } = transfer.integrity;
  if (verdict === "identical" && level === "full") {
    return { kind: "good", sign: "✓", text: "Every byte arrived", more: checks(transfer) + " compared." };
  }
  if (verdict === "identical") return { kind: "good", sign: "✓", text: "The samples agree", more: checks(transfer) + " compared." };
  if (verdict === "current") {
    return { kind: "good", sign: "✓", text: "No block was reused", more: checks(transfer) + " compared; level " + level + " asks for no hashes." };
  }
  return { kind: "open", sign: "○", text: "Not checked", more: "The integrity level of this transfer was " + level + "." };
}

/** What was compared: "36 hashes and 9 stamps". */
function checks({ integrity }) {
  const hashes = integrity.checked === 1 ? "1 hash" : integrity.checked + " hashes";
  const stamps = many(integrity.epochs, "stamp");
  if (integrity.epochs === 0) return hashes;
  return integrity.checked === 0 ? stamps : hashes + " and " + stamps;
}

/** An id whose beginning is enough to tell it from others; the whole of it appears under the pointer. */
function shortId(text) {
  const code = el("code", "", text.length > 16 ? text.slice(0, 12) + "…" : text);
  code.title = text;
  return code;
}

function dock(title, party, pid, did) {
  return el("div", "dock",
    el("h3", "", title),
    el("div", "pid", pid === null || pid === undefined ? "pid –" : "pid " + pid),
    party && party.agentId ? el("p", "", "agent ", shortId(party.agentId)) : null,
    party && party.bootId ? el("p", "", "boot ", shortId(party.bootId)) : null,
    el("p", "did", did));
}

function crossing(record) {
  const { prefill, decode, transfer } = record;
  const read = prefill ? "computed " + many(record.promptTokens, "prompt token") + " in " + time(prefill.prefillMicros) : "did not answer";
  const computed = record.decodePromptTokensComputed;
  const wrote = decode
    ? "wrote " + many(record.completionTokens, "token") + (computed === null ? "" : ", computed " + many(computed, "prompt token"))
    : "was not reached";
  const lane = el("div", transfer ? "lane" : "lane none",
    transfer ? el("div", "over", el("b", "", transfer.mode === "attach" ? "in place" : size(transfer.bytes)), el("br"), many(transfer.blocks, "block") + " × " + many(transfer.layers, "layer")) : el("div", "over", "nothing moved"),
    el("div", "line"),
    transfer ? el("div", "under", transfer.path.transport, el("br"), transfer.mode === "attach" ? "nothing copied" : rate(transfer.bytesPerSecond)) : el("div", "under"));
  return el("div", "crossing",
    dock("Prefill process", prefill, prefill && prefill.pid, read),
    lane,
    dock("Decode process", decode, decode && decode.pid, wrote));
}

function tile(name, value, more) {
  return el("div", "", el("dt", "", name), el("dd", "", value, more ? el("small", "", " " + more) : null));
}

function tiles(record) {
  const transfer = record.transfer;
  return el("dl", "tiles",
    tile("First token", time(record.ttftMicros)),
    tile("Per token", time(record.perTokenMicros)),
    tile("Transfer", transfer ? time(transfer.micros.total) : "–"),
    tile("Tokens", record.promptTokens + " + " + record.completionTokens, "read + written"),
    tile("Ended", record.finishReason || "–", record.finishReason === "length" ? "at " + many(record.maxTokens, "token") : ""));
}

function phases(transfer) {
  const names = ["grant", "plan", "post", "move", "prove"];
  const total = names.reduce((sum, name) => sum + transfer.micros[name], 0) || 1;
  const bar = el("div", "phases");
  const key = el("ul", "key");
  for (const name of names) {
    const part = el("i", name);
    part.style.flexGrow = String(transfer.micros[name] / total);
    bar.append(part);
    key.append(el("li", "", el("i", name), name + " " + time(transfer.micros[name])));
  }
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", "Where the time of the transfer went");
  return [bar, key];
}

function fine(record) {
  const list = el("dl", "fine");
  const add = (name, value) => value && list.append(el("dt", "", name), el("dd", "", value));
  const transfer = record.transfer;
  if (transfer) {
    add("Path", transfer.path.why);
    add("Integrity", transfer.integrity.level + ": " + transfer.integrity.verdict + (transfer.integrity.verdict === "unchecked" ? "" : ", " + checks(transfer)));
    add("Pieces", many(transfer.pieces, "piece") + " on " + many(transfer.path.rails.length, "rail") + ", retries: " + transfer.retries);
    add("Ticket", el("code", "", transfer.ticket));
  }
  const { temperature, topP, seed } = record.sampling;
  add("Sampling", "temperature " + temperature + ", top_p " + topP + ", seed " + seed);
  add("Request", el("code", "", record.requestId));
  add("Trace", el("code", "", record.trace));
  return list;
}

let shownId = null;

function showReceipt(record) {
  shownId = record.requestId + record.startedAt;
  const verdict = verdictOf(record);
  byId("when").textContent = new Date(record.startedAt).toLocaleTimeString();
  const banner = el("div", "verdict " + verdict.kind, el("span", "", verdict.sign), el("span", "", verdict.text, " ", el("small", "", verdict.more)));
  banner.setAttribute("role", "status");
  byId("receipt").replaceChildren(
    banner,
    crossing(record),
    tiles(record),
    ...(record.transfer ? phases(record.transfer) : []),
    fine(record));
  for (const row of byId("rows").children) row.classList.toggle("shown", row.dataset.id === shownId);
}

function ending(record) {
  if (!record.error) return ["", record.finishReason || "–"];
  return record.error.code === "KV_CANCELLED" ? ["quiet-text", "stopped"] : ["wrong", record.error.code];
}

function row(record) {
  const transfer = record.transfer;
  const open = el("button", "", record.requestId);
  open.type = "button";
  open.title = "Show this receipt: " + record.requestId;
  open.addEventListener("click", () => showReceipt(record));
  const bytes = transfer ? transfer.integrity.verdict : "none moved";
  const [mood, sign] = { identical: ["ok", "✓ "], current: ["ok", "✓ "], different: ["wrong", "✗ "], reused: ["wrong", "✗ "] }[bytes] || ["quiet-text", ""];
  const line = el("tr", "",
    el("td", "", open), el("td", "quiet-text", ago(record.startedAt)),
    el("td", "number", String(record.promptTokens)), el("td", "number", String(record.completionTokens)),
    el("td", "number", time(record.ttftMicros)), el("td", "number", time(record.perTokenMicros)),
    el("td", "number", transfer ? size(transfer.bytes) : "–"), el("td", "", transfer ? transfer.path.transport : "–"),
    el("td", mood, sign + bytes),
    el("td", ...ending(record)));
  line.dataset.id = record.requestId + record.startedAt;
  line.classList.toggle("shown", line.dataset.id === shownId);
  return line;
}

/** Loads the last receipts, and shows the one of a request, or the newest when none is shown yet. */
async function loadReceipts(requestId) {
  const response = await fetch("/kvferry/v1/receipts?limit=12");
  if (!response.ok) return undefined;
  const { data } = await response.json();
  if (data.length > 0) byId("rows").replaceChildren(...data.map(row));
  const wanted = requestId ? data.find((record) => record.requestId === requestId) : shownId === null ? data[0] : undefined;
  if (wanted) showReceipt(wanted);
  return wanted;
}

/** The receipt of a request that just ended here; at the frontend a hang-up ends it a moment later. */
async function receiptOf(requestId) {
  for (let tries = 0; tries < 5; tries++) {
    const record = await loadReceipts(requestId);
    if (record || !requestId) return record;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return undefined;
}

async function loadWorkers() {
  let workers = [];
  try {
    workers = (await (await fetch("/health")).json()).workers;
  } catch {
    workers = [{ role: "frontend", status: "down", why: "it does not answer" }];
  }
  byId("workers").replaceChildren(...workers.map((worker) => {
    const item = el("li", worker.status === "ok" ? "" : "down", worker.role + (worker.status === "ok" ? " pid " + worker.pid : " is down"));
    item.title = worker.why || worker.url || "";
    return item;
  }));
}
`
