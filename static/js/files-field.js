// <files-field>: a place to choose or drop many files, around a textarea with one
// `upload:<id>` or address on each line, which is all that is left without scripts.
import { bytes } from "./file-field.js";
import { FileUpload } from "./upload.js";

const AT_ONCE = 3;

customElements.define("files-field", class extends HTMLElement {
  connectedCallback() {
    this.area = this.querySelector("textarea");
    this.waiting = [];
    this.running = new Set();
    this.count = { all: 0, done: 0, size: 0 };
    this.pending = null;
    this.insertAdjacentHTML("afterbegin", `
      <div class="row"><button type="button" class="button plain pick">Choose files</button>
        <span class="quiet">or drop them here, or give addresses:</span></div>
      <input type="file" multiple hidden>
      <progress max="1" value="0" hidden></progress>
      <p class="quiet words" role="status" hidden></p>
      <ul class="troubles"></ul>`);
    this.picker = this.querySelector("input[type=file]");
    this.querySelector(".pick").addEventListener("click", () => this.picker.click());
    this.picker.addEventListener("change", () => { this.add(this.picker.files); this.picker.value = ""; });
    this.addEventListener("dragover", (event) => { event.preventDefault(); this.classList.add("over"); });
    this.addEventListener("dragleave", () => this.classList.remove("over"));
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      this.classList.remove("over");
      this.add(event.dataTransfer.files);
    });
  }

  add(files) {
    const found = [...files].filter((file) => file.size || this.trouble(file, "It is empty."));
    if (!found.length) return;
    this.waiting.push(...found);
    this.count.all += found.length;
    this.pending ??= new Promise((resolve) => { this.settle = resolve; });
    this.next();
  }

  next() {
    while (this.waiting.length && this.running.size < AT_ONCE) this.send(this.waiting.shift());
    this.show();
    if (this.running.size || this.waiting.length) return;
    this.settle(!this.querySelector(".troubles li"));
    this.pending = null;
  }

  send(file) {
    const one = { sent: 0 };
    this.running.add(one);
    const upload = new FileUpload(file, {
      words: () => {},
      progress: (sent, total, isReading) => { if (!isReading) one.sent = sent; this.show(); },
      error: (text) => { this.running.delete(one); this.trouble(file, text, () => this.again(file)); this.next(); },
      success: (id) => {
        this.running.delete(one);
        this.count.done += 1;
        this.count.size += file.size;
        this.area.value += `${this.area.value && !this.area.value.endsWith("\n") ? "\n" : ""}upload:${id}\n`;
        this.next();
      },
    });
    upload.start();
  }

  again(file) {
    this.count.all -= 1;
    this.add([file]);
  }

  // Say what is wrong with one file; return false, for filters.
  trouble(file, text, again) {
    const line = document.createElement("li");
    line.className = "error";
    line.textContent = `${file.name}: ${text} `;
    if (again) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Try again" });
      button.addEventListener("click", () => { line.remove(); again(); });
      line.append(button);
    }
    this.querySelector(".troubles").append(line);
    return false;
  }

  show() {
    const { all, done, size } = this.count;
    const sent = [...this.running].reduce((sum, one) => sum + one.sent, size);
    const bar = this.querySelector("progress");
    bar.hidden = !this.running.size;
    bar.value = all ? done / all : 0;
    const words = this.querySelector(".words");
    words.hidden = false;
    words.textContent = `${done} of ${all} files are here, ${bytes(sent)}`;
  }
});
