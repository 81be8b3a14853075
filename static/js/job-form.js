// The form of a new job: Ctrl + Enter runs; running waits for uploads still going on.
const form = document.getElementById("job-form");
const button = document.getElementById("run");
const status = document.getElementById("run-status");

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

// A preset fills its fields and leaves the others, so that a chosen file stays.
form.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-preset]");
  if (!preset) return;
  event.preventDefault();
  for (const [name, value] of Object.entries(JSON.parse(preset.dataset.preset))) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(`input-${name}`)}"]`)) {
      if (field.type === "checkbox") field.checked = value;
      else if (field.type === "radio") field.checked = field.value === String(value);
      else field.value = value;
    }
  }
  status.textContent = `Filled in: ${preset.textContent}.`;
});

form.addEventListener("submit", async (event) => {
  const pending = [...form.querySelectorAll("file-field, files-field")].map((field) => field.pending).filter(Boolean);
  if (!pending.length) { button.disabled = true; return; }
  event.preventDefault();
  button.disabled = true;
  status.textContent = "Starts as soon as the upload is done. Keep this page open.";
  const arrived = await Promise.all(pending);
  status.textContent = "";
  button.disabled = false;
  if (arrived.every(Boolean)) form.requestSubmit(event.submitter);
});

addEventListener("pageshow", () => { button.disabled = false; });
