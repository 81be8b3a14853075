// <file-field accept>: a place to choose, drop or paste a file, or to paste a URL.
// Around a plain text input, which is all that is left without scripts.
import { seconds } from "./times.js";

const CHUNK = 64 * 1024 * 1024;

export function bytes(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let n = 0;
  while (count >= 1000 && n < units.length - 1) { count /= 1000; n += 1; }
  return `${n ? count.toFixed(1) : count} ${units[n]}`;
}

customElements.define("file-field", class extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input");
    this.pending = null;
    this.build();
    if (this.input.value.startsWith("upload:")) this.done(this.dataset.name || "Your file", Number(this.dataset.size || 0));
    this.addEventListener("dragover", (event) => { event.preventDefault(); this.classList.add("over"); });
    this.addEventListener("dragleave", () => this.classList.remove("over"));
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      this.classList.remove("over");
      if (event.dataTransfer.files[0]) this.send(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      const file = event.clipboardData?.files[0];
      if (file) this.send(file);
    });
  }

  build() {
    this.insertAdjacentHTML("afterbegin", `
      <div class="row choose"><button type="button" class="button plain pick">Choose a file</button>
        <span class="quiet">or drop it here, paste it, or give an address:</span></div>
      <input type="file" hidden>
      <div class="row state" hidden><strong></strong>
        <button type="button" class="plain pause">Pause</button>
        <button type="button" class="plain remove">Remove</button></div>
      <progress max="1" value="0" hidden></progress>
      <p class="quiet words" role="status" hidden></p>`);
    this.picker = this.querySelector("input[type=file]");
    this.picker.accept = this.getAttribute("accept");
    this.querySelector(".pick").addEventListener("click", () => this.picker.click());
    this.picker.addEventListener("change", () => { if (this.picker.files[0]) this.send(this.picker.files[0]); });
    this.querySelector(".remove").addEventListener("click", () => this.remove_());
    this.querySelector(".pause").addEventListener("click", () => this.pause());
  }

  part(name) { return this.querySelector(name); }

  say(text, isError = false) {
    this.part(".words").hidden = !text;
    this.part(".words").textContent = text;
    this.part(".words").classList.toggle("error", isError);
  }

  showFile(name, isSending) {
    this.part(".choose").hidden = true;
    this.input.hidden = true;
    this.part(".state").hidden = false;
    this.part("strong").textContent = name;
    this.part(".pause").hidden = !isSending;
    this.part("progress").hidden = !isSending;
  }

  send(file) {
    if (file.size === 0) { this.say(`${file.name} is empty. Choose another file.`, true); return; }
    this.input.value = "";
    this.showFile(file.name, true);
    this.pending = new Promise((resolve) => { this.settle = resolve; });
    const began = Date.now();
    let first = null;
    this.upload = new tus.Upload(file, {
      endpoint: "/uploads/tus/",
      chunkSize: CHUNK,
      retryDelays: [0, 1000, 3000, 5000, 10000, 20000, 30000],
      metadata: { filename: file.name },
      headers: { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value },
      removeFingerprintOnSuccess: true,
      onProgress: (sent, total) => {
        first ??= sent;
        const rate = (sent - first) / Math.max(0.5, (Date.now() - began) / 1000);
        this.part("progress").value = sent / total;
        const left = rate > 0 ? ` · ${bytes(rate)}/s · ${seconds((total - sent) / rate)} left` : "";
        this.say(`${bytes(sent)} of ${bytes(total)}${left}`);
      },
      onError: (error) => {
        const answer = error.originalResponse?.getBody();
        this.say(`${answer || "The connection broke."} What has arrived is kept.`, true);
        this.part(".pause").textContent = "Resume";
        this.part(".pause").hidden = false;
        this.settle(false);
      },
      onSuccess: () => {
        const id = this.upload.url.split("/").pop();
        this.input.value = `upload:${id}`;
        this.done(file.name, file.size);
        this.settle(true);
      },
    });
    this.upload.findPreviousUploads().then((previous) => {
      if (previous.length) {
        this.upload.resumeFromPreviousUpload(previous[0]);
        this.say("Continuing where it stopped…");
      }
      this.upload.start();
    });
  }

  pause() {
    const button = this.part(".pause");
    if (button.textContent === "Pause") {
      this.upload.abort();
      button.textContent = "Resume";
      this.say("Paused. What has arrived is kept.");
    } else {
      button.textContent = "Pause";
      this.upload.start();
    }
  }

  done(name, size) {
    this.pending = null;
    this.showFile(name, false);
    this.say(size ? `${bytes(size)} · uploaded` : "Uploaded");
  }

  remove_() {
    this.upload?.abort();
    this.settle?.(false);
    this.pending = this.upload = null;
    this.input.value = this.picker.value = "";
    this.part(".state").hidden = this.part("progress").hidden = true;
    this.part(".choose").hidden = this.input.hidden = false;
    this.say("");
  }
});
