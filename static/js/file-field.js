// <file-field accept>: a place to choose, drop or paste a file, or to paste a URL.
// Around a plain text input, which is all that is left without scripts.
import { seconds } from "./times.js";
import { FileUpload } from "./upload.js";

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
    let began = null;
    this.upload = new FileUpload(file, {
      words: (text) => this.say(text),
      progress: (sent, total, isReading) => {
        began ??= { at: Date.now(), sent };
        const rate = (sent - began.sent) / Math.max(0.5, (Date.now() - began.at) / 1000);
        this.part("progress").value = sent / total;
        if (isReading) return;
        const left = rate > 0 ? ` · ${bytes(rate)}/s · ${seconds((total - sent) / rate)} left` : "";
        this.say(`${bytes(sent)} of ${bytes(total)}${left}`);
      },
      error: (text) => {
        this.say(`${text} What has arrived is kept.`, true);
        this.part(".pause").textContent = "Resume";
        this.part(".pause").hidden = false;
        this.settle(false);
      },
      success: (id, isKnown) => {
        this.input.value = `upload:${id}`;
        this.done(file.name, file.size, isKnown);
        this.settle(true);
      },
    });
    this.upload.start();
  }

  pause() {
    const button = this.part(".pause");
    if (button.textContent === "Pause") {
      this.upload.pause();
      button.textContent = "Resume";
      this.say("Paused. What has arrived is kept.");
    } else {
      button.textContent = "Pause";
      this.upload.start();
    }
  }

  done(name, size, isKnown = false) {
    this.pending = null;
    this.showFile(name, false);
    const words = isKnown ? "was here already, nothing sent again" : "uploaded";
    this.say(size ? `${bytes(size)} · ${words}` : "Uploaded");
  }

  remove_() {
    if (this.pending) this.upload?.remove();
    this.settle?.(false);
    this.pending = this.upload = null;
    this.input.value = this.picker.value = "";
    this.part(".state").hidden = this.part("progress").hidden = true;
    this.part(".choose").hidden = this.input.hidden = false;
    this.say("");
  }
});
