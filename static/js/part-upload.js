// Sends a file to the bucket in parts: the server signs links and lists what has arrived.
const AT_ONCE = 3;
const SIGNED_AT_ONCE = 12;
const PAUSES = [1000, 3000, 5000, 10000, 20000, 30000];

export class PartUpload {
  // `call(method, path, body)` talks to our server; `told` is what it said of the upload.
  constructor(file, told, call, { onProgress, onError, onSuccess }) {
    Object.assign(this, { file, told, call, onProgress, onError, onSuccess });
    this.isStopped = true;
  }

  async start() {
    this.isStopped = false;
    this.sending = new Map();
    this.requests = new Set();
    this.links = new Map();
    try {
      const now = await this.insist(() => this.call("GET", this.told.url));
      if (now.status !== "uploading") { this.finish(now); return; }
      const there = new Set(now.parts.map((part) => part.number));
      this.sent = now.parts.reduce((sum, part) => sum + part.size, 0);
      this.left = [];
      for (let n = 1; n <= this.told.part_count; n += 1) if (!there.has(n)) this.left.push(n);
      this.report();
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.work()));
      if (this.isStopped) return;
      this.finish(await this.insist(() => this.call("POST", `${this.told.url}/complete`, {})));
    } catch (error) {
      if (!this.isStopped) { this.abort(); this.onError(error); }
    }
  }

  finish(told) {
    if (told.status === "rejected") throw new Error(told.problem);
    this.isStopped = true;
    this.onSuccess();
  }

  // Pause: what has arrived is kept, parts on their way are sent again.
  abort() {
    this.isStopped = true;
    for (const request of this.requests ?? []) request.abort();
  }

  async work() {
    while (this.left.length && !this.isStopped) {
      const number = this.left.shift();
      const start = (number - 1) * this.told.part_size;
      const blob = this.file.slice(start, Math.min(start + this.told.part_size, this.file.size));
      await this.insist(async () => this.put(await this.link(number), number, blob));
      this.sending.delete(number);
      this.sent += blob.size;
      this.report();
    }
  }

  async link(number) {
    if (!this.links.has(number)) {
      const numbers = [number, ...this.left.slice(0, SIGNED_AT_ONCE - 1)];
      const { parts } = await this.call("POST", `${this.told.url}/sign`, { numbers });
      for (const part of parts) this.links.set(part.number, part.url);
    }
    return this.links.get(number);
  }

  put(url, number, blob) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.requests.add(request);
      request.open("PUT", url);
      request.upload.onprogress = (event) => { this.sending.set(number, event.loaded); this.report(); };
      request.onloadend = () => {
        this.requests.delete(request);
        this.sending.delete(number);
        if (request.status >= 200 && request.status < 300) { resolve(); return; }
        this.links.delete(number); // it may have expired
        const error = new Error(request.status ? `The store answered ${request.status}.` : "The connection broke.");
        reject(error);
      };
      request.send(blob);
    });
  }

  // Repeat what failed; 4xx of our own server say why and are not repeated.
  async insist(step) {
    for (const pause of [...PAUSES, null]) {
      try {
        return await step();
      } catch (error) {
        if (error.isFinal || pause === null || this.isStopped) throw error;
        await new Promise((resolve) => { setTimeout(resolve, pause); });
        if (this.isStopped) throw error;
      }
    }
  }

  report() {
    let bytes = this.sent;
    for (const loaded of this.sending.values()) bytes += loaded;
    this.onProgress(bytes, this.file.size);
  }
}
