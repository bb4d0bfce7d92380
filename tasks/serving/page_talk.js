/* The conversation: questions, streamed answers, and their boxes. */
let turns = [], running = null, boxed = null, saidNotes = new Set();
const SVG = "http://www.w3.org/2000/svg";

function messages() {
  return turns.flatMap((turn) => {
    const files = turn.images.flatMap(urls);
    const asked = { role: "user", content: [...files.map((file) => ({ type: "image_url", image_url: file })), { type: "text", text: turn.question }] };
    return turn.done ? [asked, { role: "assistant", content: turn.answer }] : [asked];
  });
}
function busy(is) {
  const here = document.activeElement;
  $("send").hidden = is;
  $("stop").hidden = !is;
  if (here === $("send") && is) $("stop").focus();
  // Whoever has gone elsewhere meanwhile is left there.
  if (!is && (here === $("stop") || here === document.body)) $("question").focus({ preventScroll: true });
}
function begin() {
  if (running) running.abort();
  reading.abort();
  reading = new AbortController();
  images = []; turns = []; shown = null; boxed = null; saidNotes = new Set();
  $("talk").replaceChildren($("empty"));
  $("empty").hidden = false;
  $("heard").textContent = "New conversation";
  complain("");
  drawImages();
}

/* ---- one question ---- */
async function ask(question) {
  const turn = { question, images: images.filter((image) => !sent(image)), answer: "", boxes: null, done: false, notes: [] };
  const wrong = turn.images.find((image) => image.error);
  if (wrong) { shown = wrong; drawImages(); pointOut(wrong); return complain("Say first what is asked about this image."); }
  turns.push(turn);
  const body = JSON.stringify({ model: server.id, stream: true, messages: messages() });
  if (body.length > server.most_bytes) {
    turns.pop();
    return complain(`The conversation with its images has ${size(body.length)}, and this server takes ${size(server.most_bytes)} at most: begin a new one, or remove an image.`);
  }
  complain("");
  $("question").value = "";
  $("empty").hidden = true;
  $("fields").open = false;
  const asked = element("div", { className: "said user" }, element("span", { className: "unseen" }, "You: "));
  if (turn.images.length) asked.append(element("span", { className: "with" }, turn.images.map(named).join(", ")));
  asked.append(question);
  const answer = element("div", { className: "said model waiting" });
  $("talk").append(asked, answer);
  $("talk").scrollTop = $("talk").scrollHeight;
  $("heard").textContent = "The model is answering";
  const controller = new AbortController();
  running = controller;
  busy(true);
  drawImages();
  try {
    for await (const event of events(await call("/v1/chat/completions", body, controller.signal))) take(turn, event, answer);
    turn.done = turn.answer.trim() !== "";
    if (!turn.done) throw new Error("The model's answer is empty.");
  } catch (error) {
    if (!turns.includes(turn)) return; // a new conversation was begun
    turns = turns.filter((one) => one !== turn);
    if (error.name !== "AbortError") complain(error.message);
    if (turn.answer.trim()) turn.notes.push("Stopped here. This question and answer are no part of what is asked next.");
    else { asked.remove(); answer.remove(); }
    $("heard").textContent = "Stopped";
    $("question").value ||= question;
    $("empty").hidden = $("talk").children.length > 1;
  } finally {
    if (running === controller) { running = null; busy(false); }
  }
  answer.classList.remove("waiting");
  if (answer.isConnected) finish(turn, answer);
  drawImages();
}
function take(turn, event, answer) {
  if (event.error) throw new Error(sentence(event.error.message));
  const choice = event.choices[0];
  turn.answer += (choice && choice.delta.content) || "";
  if (event.boxes) turn.boxes = event.boxes;
  if (event.outside_limits) turn.outside = true;
  turn.notes.push(...(event.notes || []), ...(event.images || []).map((image) => image.note).filter((note) => note && !saidNotes.has(note)));
  for (const note of turn.notes) saidNotes.add(note);
  if (choice && choice.finish_reason === "length") turn.notes.push(`Cut at ${server.max_new_tokens} tokens, the longest answer of this server.`);
  const atEnd = $("talk").scrollHeight - $("talk").scrollTop - $("talk").clientHeight < 80;
  answer.textContent = turn.answer;
  if (atEnd) $("talk").scrollTop = $("talk").scrollHeight;
}
function readable(answer) {
  return answer.split(/(<box>.*?<\/box>)/s).map((part) => {
    const found = part.match(/^<box>(.*)<\/box>$/s);
    return found ? element("span", { className: "box", title: found[1] }, "box") : part.replace(/<\/?ref>/g, "");
  });
}
function finish(turn, answer) {
  answer.replaceChildren(element("span", { className: "unseen" }, "Model: "), ...readable(turn.answer.trim()));
  if (turn.outside) {
    answer.classList.add("outside");
    answer.prepend(element("span", { className: "with" }, "Outside of what this model was taught"));
  }
  const after = element("div", { className: "after" });
  if (turn.done && turn.boxes) {
    turn.notes.push(...(turn.boxes.unread || []).map((text) => `What should be a box and cannot be read: ${text}`));
    if (turn.boxes.features.length) listBoxes(turn, after);
  }
  const copy = element("button", { type: "button", className: "plain", onclick: () => copied(turn.answer.trim(), copy) }, "Copy");
  after.append(copy, ...turn.notes.map((note) => element("p", { className: "note" }, note)));
  answer.after(after);
  $("talk").scrollTop = $("talk").scrollHeight;
  $("heard").textContent = [answer.textContent, ...turn.notes].join(" ");
}
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not on loopback and not over TLS: there is no clipboard
    const area = element("textarea", { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  $("heard").textContent = "Copied";
  button.addEventListener("blur", () => { button.textContent = "Copy"; }, { once: true });
}

/* ---- boxes ---- */
const imageOf = (feature) => turns.flatMap((turn) => turn.images)[feature.properties.image];
const onStage = () => (boxed ? boxed.boxes.features.filter((feature) => imageOf(feature) === shown) : []);
const label = (feature) => feature.properties.label || "box";

function listBoxes(turn, after) {
  const { features } = turn.boxes;
  boxed = turn;
  shown = imageOf(features[0]) || shown;
  const several = new Set(features.map(imageOf)).size > 1 || turns.flatMap((one) => one.images).length > 1;
  const rows = features.map((feature, number) => {
    const where = several && imageOf(feature) ? `, on ${named(imageOf(feature))}` : "";
    const button = element("button", { type: "button", className: "plain" }, `${number + 1} ${label(feature)}${where}`);
    const lit = (is) => () => light(feature, is);
    button.onmouseenter = lit(true);
    button.onmouseleave = lit(false);
    button.onblur = lit(false);
    button.onfocus = button.onclick = () => {
      if (boxed !== turn || shown !== imageOf(feature)) { boxed = turn; shown = imageOf(feature); drawImages(); }
      light(feature, true);
    };
    feature.row = button;
    return element("li", {}, button);
  });
  const placed = features.every((feature) => feature.geometry);
  const text = placed ? "Download GeoJSON" : "Download fractions of the image: it has no place on Earth";
  after.append(
    element("ol", { className: "rows", "aria-label": "Boxes" }, ...rows),
    element("button", { type: "button", className: "plain", onclick: () => save(turn.boxes, placed) }, text),
  );
}
function light(feature, is) {
  feature.row.classList.toggle("lit", is);
  const polygon = [...$("boxes").children].find((one) => one.feature === feature);
  if (polygon) polygon.classList.toggle("lit", is);
}
function drawBoxes() {
  const features = onStage();
  $("boxes").setAttribute("aria-label", `${features.length} boxes: ${features.map(label).join(", ")}`);
  $("boxes").toggleAttribute("hidden", !features.length);
  $("boxes").replaceChildren(...features.map((feature) => {
    const polygon = document.createElementNS(SVG, "polygon");
    polygon.setAttribute("points", feature.properties.corners.map((corner) => corner.join(",")).join(" "));
    polygon.feature = feature;
    polygon.onmouseenter = () => light(feature, true);
    polygon.onmouseleave = () => light(feature, false);
    const title = document.createElementNS(SVG, "title");
    title.textContent = label(feature);
    polygon.append(title);
    return polygon;
  }));
}
function save(boxes, placed) {
  const features = boxes.features.map(({ type, geometry, properties }) => ({ type, geometry, properties: { ...properties, file: named(imageOf({ properties })) } }));
  const text = JSON.stringify({ type: "FeatureCollection", features }, null, 2);
  const url = URL.createObjectURL(new Blob([text], { type: placed ? "application/geo+json" : "application/json" }));
  element("a", { href: url, download: placed ? "boxes.geojson" : "boxes.json" }).click();
  URL.revokeObjectURL(url);
}
