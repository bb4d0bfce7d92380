/* Images: read, shown as their bands allow, and what is said of them. */
let images = [], shown = null, queue = Promise.resolve(), reading = new AbortController();
const FIELDS = ["sensor", "date", "scale", "offset", "unit"];
const KEPT = ["unknown_sensor", "unknown_scale"]; // errors that its fields can mend

/* ---- files ---- */
function readFile(file) {
  if (!file.size) return Promise.reject(new Error(`${file.name} is empty.`));
  if (file.size > largest()) {
    return Promise.reject(new Error(`${file.name} has ${size(file.size)}, and this server takes ${size(largest())} at most: cut out a part, or write it coarser.`));
  }
  return new Promise((good, bad) => {
    const reader = new FileReader();
    reader.onprogress = (event) => { $("progress").value = event.loaded / event.total; };
    // Which format it is the server sees by its bytes: a name or a type may be wrong.
    reader.onload = () => good(reader.result.replace(/^data:[^,]*,/, "data:application/octet-stream;base64,"));
    reader.onerror = () => bad(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}
function doing(text, measured = false) {
  $("doing").textContent = text;
  $("reading").hidden = !text;
  $("progress").hidden = !measured;
  if (measured) $("progress").value = 0;
}
function add(files) {
  complain("");
  queue = queue.then(async () => {
    for (const file of files) await addOne(file).catch((error) => complain(error.message));
    doing("");
    drawImages();
    if (shown && shown.error) pointOut(shown);
  });
}
async function addOne(file) {
  const { signal } = reading;
  if (!server) await learn();
  doing(`Reading ${file.name}, ${size(file.size)}`, true);
  const image = { files: [{ name: file.name, url: await readFile(file), size: file.size }], fields: {}, pictures: {} };
  await look(image);
  if (signal.aborted) return; // a new conversation was begun
  if (image.error && !KEPT.includes(image.error.code)) throw image.error;
  shown = await together(image);
  images.push(shown);
  inOrder();
  $("heard").textContent = `${named(shown)} is open`;
}
/* The field that can mend what is wrong. */
function pointOut(image) {
  $("fields").open = true;
  $("declared")[image.error.code === "unknown_scale" ? "scale" : "sensor"].focus();
}
const sent = (image) => turns.some((turn) => turn.images.includes(image));
const named = (image) => image.files.map((file) => file.name).join(" + ");
const urls = (image) => image.files.map(({ name, url }) => ({ name, url, ...image.fields }));

/* Dates of one place are shown to the model in their order. */
function inOrder() {
  const waiting = images.filter((image) => !sent(image));
  if (waiting.every((image) => image.info && image.info.date)) waiting.sort((a, b) => a.info.date.localeCompare(b.info.date));
  images = [...images.filter(sent), ...waiting];
}

/* ---- what the server sees ---- */
async function look(image, show) {
  doing(`Opening ${named(image)}`);
  try {
    const [first, second] = urls(image);
    const body = { name: named(image).slice(0, 200), image: first, second, show };
    const info = await (await call("/quicklook", JSON.stringify(body), reading.signal)).json();
    image.pictures[info.show] = info.picture;
    Object.assign(image, { info, show: info.show, error: null });
  } catch (error) {
    if (error.name === "AbortError") return;
    Object.assign(image, { info: show ? image.info : null, error: show ? image.error : error });
    if (show) complain(error.message);
  } finally {
    doing("");
  }
}
/* Two files of a radar scene, one polarisation each, are one image if the server takes them for one. */
async function together(image) {
  const lacks = image.info ? image.info.partners : [];
  for (const other of images.filter((one) => !sent(one) && one.info && lacks.includes(one.info.bands[0]))) {
    const both = { ...image, files: [...other.files, ...image.files], fields: { ...other.fields, ...image.fields }, pictures: {} };
    await look(both);
    if (both.error) continue;
    images = images.filter((one) => one !== other);
    return both;
  }
  return image;
}
async function show(image, name) {
  if (image.pictures[name]) image.show = name;
  else await look(image, name);
  drawImages();
}
async function declare(image, fields) {
  image.fields = fields;
  image.pictures = {};
  await look(image);
  inOrder();
  drawImages();
  complain("");
  if (image.error) pointOut(image);
}
function remove(image) {
  images = images.filter((one) => one !== image);
  shown = shown === image ? images.at(-1) || null : shown;
  complain("");
  drawImages();
  (images.length ? $("images").querySelector("button") : $("choose")).focus();
}

/* ---- drawn ---- */
function drawImages() {
  $("images").replaceChildren(...images.map((image, number) => {
    const button = element("button", { type: "button", title: named(image), onclick: () => { shown = image; drawImages(); } });
    button.setAttribute("aria-pressed", image === shown);
    const date = image.info && image.info.date ? image.info.date.slice(0, 10) : "";
    button.setAttribute("aria-label", `Image ${number + 1}: ${named(image)}${date ? `, ${date}` : ""}`);
    button.append(image.info ? element("img", { src: image.pictures[image.show], alt: "" }) : "?");
    const away = sent(image) ? null : element("button", { type: "button", className: "away", "aria-label": `Remove ${named(image)}`, onclick: () => remove(image) }, "×");
    return element("li", {}, button, away, date ? element("span", { className: "date" }, date) : null);
  }));
  if (images.length) {
    const more = element("button", { type: "button", className: "more", "aria-label": "Add an image", onclick: () => $("file").click() }, "+");
    $("images").append(element("li", {}, more));
  }
  $("drop").hidden = images.length > 0;
  const info = shown && shown.info;
  $("figure").hidden = !info;
  $("blank").hidden = !shown || Boolean(info);
  if (info) {
    $("figure").style.setProperty("--ratio", info.width / info.height);
    $("picture").src = shown.pictures[shown.show];
    $("picture").className = Math.max(info.width, info.height) < 400 ? "coarse" : "";
    $("picture").alt = `${named(shown)}, shown as ${shown.show}`;
  }
  drawShows();
  drawFacts();
  drawFields();
  drawBoxes();
}
function drawShows() {
  const focused = document.activeElement && document.activeElement.dataset.show;
  const all = shown && shown.info ? shown.info.composites : [];
  const [coloured, single] = [all.filter((one) => one.planes.length > 1), all.filter((one) => one.planes.length === 1)];
  $("shows").hidden = all.length < 2;
  const buttons = coloured.map((one) => {
    const made = element("button", { type: "button", className: "plain", title: one.planes.join(", "), onclick: () => show(shown, one.name) }, capital(one.name));
    made.dataset.show = one.name;
    made.setAttribute("aria-pressed", one.name === shown.show);
    return made;
  });
  const select = element("select", { "aria-label": "Show one band", onchange: (event) => event.target.value && show(shown, event.target.value) },
    element("option", { value: "" }, "One band"), ...single.map((one) => element("option", { value: one.name }, one.name)));
  select.dataset.show = "band";
  select.value = single.some((one) => one.name === (shown && shown.show)) ? shown.show : "";
  $("shows").replaceChildren(...buttons, ...(single.length > 1 ? [select] : []));
  if (focused) [...$("shows").children].find((one) => one.dataset.show === focused)?.focus();
}
function drawFacts() {
  $("facts").hidden = !shown;
  const wrong = shown && shown.error ? shown.error.message : "";
  if ($("wrong").textContent !== wrong) $("wrong").textContent = wrong;
  $("wrong").hidden = !wrong;
  if (!shown) return;
  const { info } = shown;
  const bytes = shown.files.reduce((sum, file) => sum + file.size, 0);
  const chips = !info ? [size(bytes)] : [
    `${info.sensor}, ${info.recognised}`,
    info.date ? info.date.slice(0, 10) : "no date",
    `${info.width} × ${info.height}`,
    info.crs || "no place on Earth",
    size(bytes),
  ];
  $("facts").replaceChildren(element("strong", { title: named(shown) }, named(shown)), ...chips.map((text) => element("span", { className: "chip" }, text)));
  if (!info) return;
  const displayed = info.composites.find((one) => one.name === shown.show).planes.join(", ");
  const text = `Displayed: ${shown.show === displayed ? displayed : `${shown.show} (${displayed})`}. The model is shown ${info.seen.length === 1 ? info.seen[0] : `${info.seen.length} planes: ${info.seen.join(", ")}`}.`;
  $("facts").append(element("p", { className: "quiet" }, text));
  if (info.note) $("facts").append(element("p", { className: "note" }, info.note));
}
function drawFields() {
  $("fields").hidden = !shown;
  if (!shown) return;
  const form = $("declared");
  const fixed = sent(shown);
  form.querySelector("button").hidden = fixed;
  $("fixed").hidden = !fixed;
  for (const field of FIELDS) form[field].disabled = fixed;
  if (form.filledFrom === shown.fields) return; // what is being typed is left alone
  form.filledFrom = shown.fields;
  const options = (names) => names.map((name) => element("option", { value: name }, name));
  form.sensor.replaceChildren(
    element("option", { value: "" }, "as the file says"),
    element("optgroup", { label: "Measured" }, ...options(server.sensors.filter((name) => !server.pictures.includes(name)))),
    element("optgroup", { label: "Display picture" }, ...options(server.pictures)),
  );
  form.unit.replaceChildren(element("option", { value: "" }, "as the file says"), ...options(server.units));
  for (const field of FIELDS) form[field].value = shown.fields[field] ?? "";
}
