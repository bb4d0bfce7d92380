"use strict";
const $ = (id) => document.getElementById(id);
const IDEAS = ["What covers most of this image?", "Is there any water in this image?", "Where does the forest lie?"]; // where the model does not say
const TYPES = { tif: "image/tiff", tiff: "image/tiff", png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg" };
let sensors = [], model = "", images = [], turns = [], shown = null, running = null;

/* ---- server ---- */
async function answerOf(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    const error = body && body.error ? body.error : { message: `The server answered ${response.status}.`, code: "" };
    throw Object.assign(new Error(error.message), { code: error.code });
  }
  return body;
}
const post = (path, body, signal) =>
  fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/* ---- small things ---- */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function complain(message) {
  $("alert").textContent = message || "";
  $("alert").hidden = !message;
}
function readFile(file) {
  const type = TYPES[file.name.split(".").pop().toLowerCase()];
  if (!type) return Promise.reject(new Error(`${file.name}: only GeoTIFF, PNG and JPEG can be dropped here.`));
  return new Promise((good, bad) => {
    const reader = new FileReader();
    reader.onload = () => good(reader.result.replace(/^data:[^;,]*/, `data:${type}`));
    reader.onerror = () => bad(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}

/* ---- images ---- */
async function look(image) {
  image.error = null;
  $("reading").textContent = `Reading ${image.name}`;
  $("reading").hidden = false;
  try {
    const sent = { url: image.url, sensor: image.sensor || null };
    image.info = await answerOf(await post("/quicklook", { name: image.name, image: sent }));
  } catch (error) {
    image.info = null;
    image.error = error;
  } finally {
    $("reading").hidden = true;
  }
}
async function add(files) {
  complain("");
  for (const file of files) {
    try {
      const image = { name: file.name, url: await readFile(file), sensor: "" };
      await look(image);
      if (image.error && image.error.code !== "unknown_sensor") throw image.error;
      images.push(image);
      shown = image;
      if (image.error) complain(image.error.message);
    } catch (error) {
      complain(error.message);
    }
  }
  drawImages();
}
async function chooseSensor(image, name) {
  image.sensor = name;
  await look(image);
  drawImages();
  complain(image.error ? image.error.message : "");
}
function drawImages() {
  const list = $("images");
  list.replaceChildren(...images.map((image, number) => {
    const button = element("button", { type: "button", title: image.name, onclick: () => { shown = image; drawImages(); } });
    button.setAttribute("aria-pressed", image === shown);
    button.setAttribute("aria-label", `Image ${number + 1}: ${image.name}`);
    if (image.info) button.append(element("img", { src: image.info.picture, alt: "" }));
    return element("li", {}, button);
  }));
  if (images.length) {
    const more = element("label", { className: "more", htmlFor: "file", title: "Add an image" }, "+");
    list.append(element("li", {}, more));
  }
  $("drop").hidden = images.length > 0;
  $("figure").hidden = !(shown && shown.info);
  if (shown && shown.info) {
    const { info } = shown;
    $("figure").style.setProperty("--ratio", info.width / info.height);
    $("picture").src = info.picture;
    $("picture").className = Math.max(info.width, info.height) < 400 ? "coarse" : "";
    $("picture").alt = `${shown.name}, as ${info.modality === "rgb" ? "true colour" : info.sensor}`;
  }
  drawFacts();
  drawBoxes();
}
function drawFacts() {
  $("facts").hidden = !shown;
  if (!shown) return;
  const { info } = shown;
  const chips = !info ? [] : [
    info.date ? info.date.slice(0, 10) : null,
    `${info.bands.length} band${info.bands.length > 1 ? "s" : ""}`,
    `${info.width} × ${info.height}`,
    info.crs || "not georeferenced",
  ].filter(Boolean).map((text) => element("span", { className: "chip" }, text));
  const select = element("select", { id: "sensor", onchange: (event) => chooseSensor(shown, event.target.value) });
  const found = info && !shown.sensor ? `${info.sensor}, ${info.recognised}` : "recognised from the image";
  select.append(element("option", { value: "" }, found), ...sensors.map((name) => element("option", { value: name }, name)));
  select.value = shown.sensor;
  select.setAttribute("aria-label", "Sensor");
  $("facts").replaceChildren(element("strong", { title: shown.name }, shown.name), select, ...chips);
}
function drawBoxes() {
  const number = turns.flatMap((turn) => turn.images).indexOf(shown);
  const last = turns.findLast((turn) => turn.boxes);
  const features = last ? last.boxes.features.filter((feature) => feature.properties.image === number) : [];
  $("boxes").replaceChildren(...features.map((feature) => {
    const polygon = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    polygon.setAttribute("points", feature.properties.corners.map((corner) => corner.join(",")).join(" "));
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = feature.properties.label || "box";
    polygon.append(title);
    return polygon;
  }));
}

/* ---- conversation ---- */
function messages() {
  return turns.flatMap((turn) => {
    const asked = { role: "user", content: [
      ...turn.images.map(({ url, name, sensor }) => ({ type: "image_url", image_url: { url, name, ...(sensor ? { sensor } : {}) } })),
      { type: "text", text: turn.question },
    ] };
    return turn.done ? [asked, { role: "assistant", content: turn.answer }] : [asked];
  });
}
function save(boxes) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(boxes, null, 2)], { type: "application/geo+json" }));
  element("a", { href: url, download: "boxes.geojson" }).click();
  URL.revokeObjectURL(url);
}
function readable(answer) {
  return answer.split(/(<box>.*?<\/box>)/s).map((part) => {
    const found = part.match(/^<box>(.*)<\/box>$/s);
    return found ? element("span", { className: "box", title: found[1] }, "box") : part.replace(/<\/?ref>/g, "");
  });
}
async function ask(question) {
  const earlier = turns.flatMap((turn) => turn.images);
  const turn = { question, images: images.filter((image) => !earlier.includes(image)), answer: "", boxes: null, done: false };
  const wrong = turn.images.find((image) => image.error);
  if (wrong) return complain(wrong.error.message);
  complain("");
  $("empty").hidden = true;
  turns.push(turn);
  const asked = element("div", { className: "said user" });
  if (turn.images.length) asked.append(element("span", { className: "with" }, turn.images.map((image) => image.name).join(", ")));
  asked.append(question);
  const answer = element("div", { className: "said model waiting" });
  $("talk").append(asked, answer);
  busy(true);
  running = new AbortController();
  try {
    const body = { model, stream: true, messages: messages() };
    const response = await post("/v1/chat/completions", body, running.signal);
    if (!response.ok) await answerOf(response);
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      turn.answer += event.choices[0]?.delta?.content || "";
      if (event.boxes) turn.boxes = event.boxes;
      if (event.outside_limits) turn.outside = true;
      answer.textContent = turn.answer;
      $("talk").scrollTop = $("talk").scrollHeight;
    }
    turn.done = turn.answer.trim() !== "";
    if (!turn.done) {
      turns.pop();
      answer.append(element("span", { className: "quiet" }, "(an empty answer)"));
    }
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
    turns.pop();
    if (turn.answer) answer.append(" …");
    else { asked.remove(); answer.remove(); $("question").value = question; }
  }
  answer.classList.remove("waiting");
  if (turn.done) answer.replaceChildren(...readable(turn.answer));
  if (turn.outside) answer.classList.add("outside");
  if (turn.boxes) {
    const count = turn.boxes.features.length;
    if (turn.boxes.unread) complain(`The answer holds boxes that cannot be read: ${turn.boxes.unread.join("; ")}`);
    const button = element("button", { type: "button", className: "plain", onclick: () => save(turn.boxes) }, "Download GeoJSON");
    if (count) $("talk").append(element("div", { className: "after" }, element("span", { className: "chip count" }, `${count} box${count === 1 ? "" : "es"}`), button));
    if (count) shown = turns.flatMap((one) => one.images)[turn.boxes.features[0].properties.image];
    drawImages();
  }
  busy(false);
}
function busy(is) {
  $("send").hidden = is;
  $("stop").hidden = !is;
  if (!is) $("question").focus();
}
function begin() {
  if (running) running.abort();
  images = []; turns = []; shown = null;
  $("talk").replaceChildren($("empty"));
  $("empty").hidden = false;
  complain("");
  drawImages();
}

/* ---- wiring ---- */
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question) return complain("Write a question first.");
  if (!$("reading").hidden) return complain("The image is still being read.");
  if (!images.length) return complain("Drop an image first.");
  $("question").value = "";
  ask(question);
});
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!$("send").hidden) $("form").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running && running.abort());
$("anew").addEventListener("click", begin);
$("file").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer) add([...event.dataTransfer.files]);
  });
}
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
function drawLimits(limits) {
  $("ideas").replaceChildren(...(limits ? limits.examples : IDEAS).map((text) =>
    element("button", { type: "button", onclick: () => { $("question").value = text; $("question").focus(); } }, text)));
  if (!limits) return;
  const [seen, ...more] = limits.lines;
  $("limits").append(element("p", { className: "quiet" }, [seen, ...more.filter((line) => !line.startsWith(" "))].join(" ")));
  const kinds = more.filter((line) => line.startsWith(" ")).map((line) => element("li", {}, line.trim()));
  $("limits").append(element("details", { className: "quiet" },
    element("summary", {}, `What it was taught to answer: ${kinds.length} kinds of question`), element("ul", {}, ...kinds)));
}
fetch("/v1/models").then(answerOf).then((body) => {
  model = body.data[0].id;
  sensors = body.data[0].sensors;
  $("model").textContent = model;
  drawLimits(body.data[0].limits);
}).catch((error) => complain(error.message));
