// One upload of one file: finds what is there already, then sends the rest, by tus to our
// server or in parts to its bucket. Pausing, breaks and new days lose nothing.
import { fingerprint, wholeHash } from "./file-hash.js";
import { PartUpload } from "./part-upload.js";

const CHUNK = 64 * 1024 * 1024;
const RETRIES = [0, 1000, 3000, 5000, 10000, 20000, 30000];

function token() { return document.querySelector("[name=csrfmiddlewaretoken]").value; }

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { "X-CSRFToken": token(), "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (response.status === 204) return null;
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  const error = new Error(told.detail || `The server answered ${response.status}.`);
  error.isFinal = response.status >= 400 && response.status < 500;
  throw error;
}

export class FileUpload {
  // `on` is {progress(sent, total), words(text), error(text), success(id, isKnown)}.
  constructor(file, on) {
    this.file = file;
    this.on = on;
    this.isStopped = false;
    this.transport = null;
  }

  async start() {
    this.isStopped = false;
    try {
      await this.begin();
    } catch (error) {
      if (!this.isStopped) this.on.error(error.message);
    }
  }

  async begin() {
    if (!this.transport) {
      const told = await this.open();
      if (this.isStopped) return;
      if (told.status !== "uploading") { this.done(told); return; }
      if (told.received > 0) this.on.words("Continuing where it stopped…");
      this.told = told;
      this.transport = told.method === "tus" ? this.tus(told) : this.parts(told);
    }
    this.transport.start();
  }

  // Ask what our server has of this file; hash all of it only when that may save sending it.
  async open() {
    const about = { filename: this.file.name, size: this.file.size, fingerprint: await fingerprint(this.file) };
    const told = await call("POST", "/uploads/open", about);
    if (!told.may_be_known) return told;
    this.on.words("You may have sent this file before; looking…");
    const sha256 = await wholeHash(this.file, (part) => this.on.progress(part * this.file.size, this.file.size, true), () => this.isStopped);
    return this.isStopped ? told : call("POST", "/uploads/open", { ...about, sha256 });
  }

  tus(told) {
    return new tus.Upload(this.file, {
      uploadUrl: told.url,
      chunkSize: CHUNK,
      retryDelays: RETRIES,
      storeFingerprintForResuming: false,
      headers: { "X-CSRFToken": token() },
      onProgress: (sent, total) => this.on.progress(sent, total),
      onError: (error) => this.on.error(error.originalResponse?.getBody() || "The connection broke."),
      onSuccess: () => this.done(told),
    });
  }

  parts(told) {
    return new PartUpload(this.file, told, call, {
      onProgress: (sent, total) => this.on.progress(sent, total),
      onError: (error) => this.on.error(error.message),
      onSuccess: () => this.done(told),
    });
  }

  done(told) {
    if (told.status === "rejected") { this.on.error(told.problem); return; }
    this.on.success(told.id, Boolean(told.deduplicated));
  }

  pause() {
    this.isStopped = true;
    this.transport?.abort();
  }

  // Forget it here and there: nothing unfinished is left on the server.
  async remove() {
    this.pause();
    if (!this.told) return;
    const headers = this.told.method === "tus" ? { "Tus-Resumable": "1.0.0" } : {};
    await fetch(this.told.url, { method: "DELETE", headers: { "X-CSRFToken": token(), ...headers } }).catch(() => {});
  }
}
