// The form of a new job: Ctrl + Enter runs; running waits for uploads still going on.
const form = document.getElementById("job-form");
const button = document.getElementById("run");
const status = document.getElementById("run-status");

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
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
