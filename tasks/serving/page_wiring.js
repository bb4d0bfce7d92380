/* What listens to what. */
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (running) return;
  if (!question) return complain("Write a question first.");
  if (!$("reading").hidden) return complain("The image is still being read.");
  if (!images.length) return complain("Drop an image first.");
  ask(question);
});
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
});
$("stop").addEventListener("click", () => running && running.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !document.querySelector("dialog[open]")) running.abort();
});
addEventListener("pagehide", () => running && running.abort());
$("anew").addEventListener("click", begin);
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
$("declared").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = {};
  for (const field of FIELDS) {
    const { value, type } = event.target[field];
    if (value !== "") fields[field] = type === "number" ? Number(value) : value;
  }
  declare(shown, fields);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer && event.dataTransfer.files.length) add([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData ? event.clipboardData.files : [])];
  if (!files.length) return;
  event.preventDefault();
  add(files);
});
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
$("about-open").addEventListener("click", () => $("about").showModal());
$("about-close").addEventListener("click", () => $("about").close());
$("lock-form").addEventListener("submit", (event) => { event.preventDefault(); $("lock").close("given"); });
$("lock-close").addEventListener("click", () => $("lock").close(""));
learn().catch((error) => complain(error.message));
