// <job-stream src fragment>: hears that the job changed and fetches what the page shows.
import { localize } from "./times.js";

customElements.define("job-stream", class extends HTMLElement {
  connectedCallback() {
    this.show();
    if (this.ended) return;
    this.source = new EventSource(this.getAttribute("src"));
    this.source.addEventListener("job", () => this.refresh());
    this.source.onerror = () => this.lost(true);
    this.source.onopen = () => this.lost(false);
  }

  disconnectedCallback() { this.source?.close(); }

  get ended() { return "ended" in this.querySelector("#job").dataset; }

  lost(isLost) {
    if (this.ended) return;
    this.querySelector(".lost").hidden = !isLost;
  }

  async refresh() {
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    try {
      const response = await fetch(this.getAttribute("fragment"), { cache: "no-store" });
      if (response.ok) this.swap(await response.text());
    } catch { /* the stream says when we are back */ }
    this.busy = false;
    if (this.again) { this.again = false; this.refresh(); }
  }

  swap(html) {
    const open = [...this.querySelectorAll("details")].map((d) => d.open);
    const focused = document.activeElement?.closest("summary, button, a")?.textContent;
    this.innerHTML = html;
    this.querySelectorAll("details").forEach((d, n) => { d.open = open[n] ?? d.open; });
    if (focused) {
      [...this.querySelectorAll("summary, button, a")].find((e) => e.textContent === focused)?.focus();
    }
    localize(this);
    this.show();
    if (this.ended) this.source?.close();
  }

  show() { document.title = this.querySelector("#job").dataset.title; }
});
