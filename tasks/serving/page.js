"use strict";
/* The server, and small things that all parts of the page use. */
const $ = (id) => document.getElementById(id);
let server = null, asking = null;

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
function complain(message) {
  $("alert").textContent = message || "";
  $("alert").hidden = !message;
}
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
function sentence(text) { // an error begins with a word, or with the name of a file
  return /^[a-z]+[ ,:]/.test(text) ? capital(text) : text;
}
function size(bytes) {
  return bytes < 2 ** 20 ? `${Math.max(1, Math.round(bytes / 1024))} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/* ---- requests ---- */
async function call(path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem("key");
    const headers = { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) };
    const response = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal }).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("The server cannot be reached. Is it still running?");
    });
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    await askKey(key ? "The key that was given is not one of this server's." : "Whoever runs the server has it.");
  }
}
async function refusal(response) {
  const body = await response.json().catch(() => null);
  const error = body && body.error ? body.error : { message: `The server answered ${response.status}.`, code: "" };
  return Object.assign(new Error(sentence(error.message)), { code: error.code });
}
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The server broke off in the middle of the answer.");
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/* ---- key ---- */
function askKey(why) {
  asking ??= new Promise((given, not) => {
    $("lock-why").textContent = why;
    $("lock").returnValue = "";
    $("lock").addEventListener("close", () => {
      asking = null;
      if (!$("lock").returnValue) return not(new Error("This server wants a key before it answers."));
      sessionStorage.setItem("key", $("key").value.trim());
      $("key").value = "";
      given();
    }, { once: true });
    $("lock").showModal();
  });
  return asking;
}

/* ---- the model ---- */
async function learn() {
  server = (await (await call("/v1/models")).json()).data[0];
  $("most").textContent = `Up to ${size(largest())}.`;
  const { limits } = server;
  const ideas = limits ? limits.examples : ["What covers most of this image?", "Is there any water in this image?"];
  $("ideas").replaceChildren(...ideas.map((text) =>
    element("button", { type: "button", onclick: () => { $("question").value = text; $("question").focus(); } }, text)));
  $("limits").textContent = limits ? limits.lines[0] : "";
  describeModel();
}
function largest() {
  return Math.floor((server.most_bytes - 4096) / 4) * 3; // bytes of a file, which a request writes as base64
}
function describeModel() {
  const lines = server.limits ? server.limits.lines : ["What it was taught is not on record, so nothing is refused."];
  const kinds = lines.filter((line) => line.startsWith(" "));
  $("about-text").replaceChildren(
    element("p", {}, "This server runs ", element("strong", { id: "model" }, server.id), ". A model can be wrong: look at the image before you rely on an answer."),
    ...lines.filter((line) => !line.startsWith(" ")).map((line) => element("p", {}, line)),
    ...(kinds.length ? [
      element("h3", {}, `What it was taught to answer: ${kinds.length} kinds of question`),
      element("ul", {}, ...kinds.map((line) => element("li", {}, line.trim()))),
    ] : []),
    element("p", { className: "quiet" }, `An answer has ${server.max_new_tokens} tokens at most, a conversation ${server.most_images} images and ${size(largest())} of files.`),
  );
}
