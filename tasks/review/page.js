"use strict";
const at = (id) => document.getElementById(id);
const SIDE = 32;
let pairs = [];
let number = 0;
let drawing = true;

function percent(share) { return share === null || share === undefined ? "" : `${Math.round(100 * share)} %`; }

function cell(row, text) { const td = document.createElement("td"); td.textContent = text; row.append(td); }

function draw(pair) {
  const canvas = at("drawn"), paint = canvas.getContext("2d"), size = canvas.width;
  paint.clearRect(0, 0, size, size);
  if (!drawing) return;
  const named = new Set(pair.evidence.filter((one) => one.kind === "label").map((one) => `${one.source}/${one.name}`));
  for (const label of pair.labels.filter((one) => named.has(`${one.source}/${one.name}`))) {
    if (label.mask) {
      const bits = atob(label.mask), step = size / SIDE;
      paint.fillStyle = "rgba(255, 212, 0, .28)";
      for (let i = 0; i < SIDE * SIDE; i++) {
        if (bits.charCodeAt(i >> 3) & (128 >> (i & 7))) paint.fillRect((i % SIDE) * step, Math.floor(i / SIDE) * step, step, step);
      }
    }
    paint.strokeStyle = "#ffd400";
    paint.lineWidth = 2;
    for (const [x1, y1, x2, y2] of label.boxes) paint.strokeRect(x1 * size, y1 * size, (x2 - x1) * size, (y2 - y1) * size);
  }
  paint.strokeStyle = "#00e5ff";
  paint.lineWidth = 3;
  for (const found of `${pair.question} ${pair.answer}`.matchAll(/\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]/g)) {
    const [x1, y1, x2, y2] = found.slice(1, 5).map((value) => (Number(value) / 1000) * size);
    paint.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

function evidence(one) {
  const value = one.value === undefined ? "" : typeof one.value === "object"
    ? Object.entries(one.value).map(([key, item]) => `${key} ${key === "fraction" || key === "share" ? percent(item) : item}`).join(", ")
    : String(one.value);
  const kind = one.kind === "absence" ? "looked for and not found" : value;
  return `${one.name}${one.source ? ` (${one.source})` : ""}: ${kind}`;
}

function show(next) {
  number = Math.max(0, Math.min(pairs.length - 1, next));
  const pair = pairs[number];
  at("progress").textContent = `Pair ${number + 1} of ${pairs.length}, ${pairs.filter((one) => one.decision).length} decided`;
  at("picture").src = `/pictures/${number}.png`;
  at("picture").alt = `Chip ${pair.chip_id}`;
  at("chip").textContent = [pair.sensor, pair.taken, pair.chip_id].filter(Boolean).join(", ");
  at("kind").textContent = pair.question_type;
  at("question").textContent = pair.question;
  at("answer").textContent = pair.correction ? `${pair.answer} -> ${pair.correction}` : pair.answer;
  const state = document.createElement("b");
  state.textContent = pair.verdict;
  state.className = pair.verdict;
  at("verdict").replaceChildren(state, ` ${pair.reason}`);
  for (const name of ["accept", "correct", "reject"]) at(name).setAttribute("aria-pressed", String(pair.decision === name));
  at("correction").hidden = true;
  at("problem").hidden = true;
  at("evidence").replaceChildren(...pair.evidence.map((one) => {
    const item = document.createElement("li");
    item.textContent = evidence(one);
    return item;
  }));
  const used = new Set(pair.evidence.map((one) => `${one.source}/${one.name}`));
  at("labels").replaceChildren(...pair.labels.map((label) => {
    const row = document.createElement("tr");
    row.classList.toggle("used", used.has(`${label.source}/${label.name}`));
    for (const text of [label.name, label.source, percent(label.fraction), label.count ?? "", label.position ?? ""]) cell(row, text);
    return row;
  }));
  draw(pair);
}

function tally(score) {
  const rows = Object.entries(score).map(([verdict, counts]) => {
    const row = document.createElement("tr");
    for (const text of [verdict, counts.accept ?? 0, counts.correct ?? 0, counts.reject ?? 0]) cell(row, text);
    return row;
  });
  at("counts").replaceChildren(...rows);
  at("score").hidden = rows.length === 0;
}

function problem(text) { at("problem").textContent = text; at("problem").hidden = false; }

async function decide(decision, correction = "") {
  let reply;
  try {
    reply = await fetch("/decisions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ number, decision, correction }),
    });
  } catch {
    problem("The server is gone; start `earthloom review` again. This decision was not saved.");
    return;
  }
  const answer = await reply.json();
  if (!reply.ok) { problem(answer.error); return; }
  pairs[number] = answer.pair;
  tally(answer.score);
  show(number + 1 < pairs.length ? number + 1 : number);
}

function correct() { at("correction").hidden = false; at("right").value = pairs[number].correction || pairs[number].answer; at("right").focus(); at("right").select(); }

at("accept").addEventListener("click", () => decide("accept"));
at("reject").addEventListener("click", () => decide("reject"));
at("correct").addEventListener("click", correct);
at("correction").addEventListener("submit", (event) => { event.preventDefault(); at("right").blur(); decide("correct", at("right").value); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.activeElement === at("right")) { if (event.key === "Escape") { at("right").blur(); at("correction").hidden = true; } return; }
  const keys = {
    a: () => decide("accept"), r: () => decide("reject"), c: correct, e: () => { drawing = !drawing; draw(pairs[number]); },
    ArrowRight: () => show(number + 1), ArrowLeft: () => show(number - 1),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
fetch("/pairs").then((reply) => reply.json()).then((answer) => {
  pairs = answer.pairs;
  document.querySelector("main").hidden = false;
  const first = pairs.findIndex((one) => !one.decision);
  show(first < 0 ? 0 : first);
});
